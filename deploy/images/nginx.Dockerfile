# Nginx with the project's templates and the demo pages, run by an ordinary user. Variables and their meaning:
# nginx/defaults.env, whose values are in the image; set what differs. Nothing here needs BuildKit.

FROM nginx:1.30-bookworm
COPY nginx/*.template /etc/nginx/templates/
COPY nginx/defaults.env /etc/nginx/defaults.env
COPY deploy/images/nginx-defaults.envsh /docker-entrypoint.d/05-defaults.envsh
COPY nginx/development-certificate.sh /docker-entrypoint.d/40-development-certificate.sh
COPY services/demo/pages /usr/share/nginx/pages
# openssl makes the development certificate. The folder for the certificate is made here so that a volume mounted
# there gets its owner. A checkout may be readable for its owner only; the image is for everybody.
RUN command -v openssl || { apt-get update && apt-get install -y --no-install-recommends openssl && rm -rf /var/lib/apt/lists/*; } \
    && install -d -o nginx -g nginx -m 700 /run/sse-nginx /run/sse-nginx/tls \
    && chmod -R a+rX,go-w /etc/nginx/templates /etc/nginx/defaults.env /usr/share/nginx/pages \
    && chmod 755 /docker-entrypoint.d/05-defaults.envsh /docker-entrypoint.d/40-development-certificate.sh

# The image's entrypoint fills the templates: only our variables, so that Nginx's own ($uri, …) stay, and only into
# the run directory, so that the rest of the file system can be read-only.
ENV NGINX_ENVSUBST_FILTER=^NGINX_ \
    NGINX_ENVSUBST_OUTPUT_DIR=/run/sse-nginx \
    NGINX_RUN_DIR=/run/sse-nginx \
    NGINX_TLS_CERTIFICATE=/run/sse-nginx/tls/cert.pem \
    NGINX_TLS_KEY=/run/sse-nginx/tls/key.pem \
    NGINX_USER=

EXPOSE 8080 8443
# A number, so that Kubernetes can see that it is not root; it is the base image's user `nginx`.
USER 101:101
# SIGTERM ends at once; the base image's SIGQUIT would wait for streams, minutes long.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 CMD ["curl", "-fsSo", "/dev/null", "http://127.0.0.1:8081/status"]
CMD ["nginx", "-e", "stderr", "-c", "/run/sse-nginx/nginx.conf", "-g", "daemon off;"]
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="sse-cluster nginx" \
      org.opencontainers.image.description="Nginx of sse-cluster: configuration for streams and the demo pages" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
