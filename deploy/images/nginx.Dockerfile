# Nginx with the project's templates and the demo pages, run by an ordinary user. Variables and their meaning:
# nginx/defaults.env, whose values are in the image; set what differs. Nothing here needs BuildKit.

# Debian's package, the one that local processes run too (deploy/local/tools.ts), and not the official image, whose
# tags name the Debian release below and change with it. forky is the first with an Nginx that follows DNS (`resolve`,
# 1.27.3). While it is Debian's testing its packages move: a build that must be the same tomorrow names a digest, and
# the old image is the way back.
ARG DEBIAN_IMAGE=debian:forky-slim
FROM $DEBIAN_IMAGE
# 101 as in the official image: volumes and security contexts that were made for it fit. openssl makes the development
# certificate, gettext-base has envsubst. The folder for the certificate is made here so that a volume mounted there
# gets its owner.
RUN groupadd --system --gid 101 nginx \
    && useradd --system --uid 101 --gid nginx --no-create-home --home-dir /nonexistent nginx \
    && apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends gettext-base nginx openssl \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt \
    && install -d -o nginx -g nginx -m 700 /run/sse-nginx /run/sse-nginx/tls
COPY nginx/*.template /etc/nginx/templates/
COPY nginx/defaults.env /etc/nginx/defaults.env
COPY nginx/development-certificate.sh /usr/local/bin/development-certificate
COPY deploy/images/nginx-entrypoint.sh /usr/local/bin/sse-nginx
COPY services/demo/pages /usr/share/nginx/pages
# A checkout may be readable for its owner only; the image is for everybody.
RUN chmod -R a+rX,go-w /etc/nginx/templates /etc/nginx/defaults.env /usr/share/nginx/pages \
    && chmod 755 /usr/local/bin/development-certificate /usr/local/bin/sse-nginx

# All that is written lies in the run directory, so that the rest of the file system can be read-only.
ENV NGINX_RUN_DIR=/run/sse-nginx \
    NGINX_TLS_CERTIFICATE=/run/sse-nginx/tls/cert.pem \
    NGINX_TLS_KEY=/run/sse-nginx/tls/key.pem \
    NGINX_USER=

EXPOSE 8080 8443
# A number, so that Kubernetes can see that it is not root.
USER 101:101
# SIGTERM ends at once; SIGQUIT would wait for streams, minutes long.
STOPSIGNAL SIGTERM
# Bash opens the connection itself: no program more in the image for it.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8081 && printf 'GET /status HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["sse-nginx"]
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="sse-cluster nginx" \
      org.opencontainers.image.description="Nginx of sse-cluster: configuration for streams and the demo pages" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
