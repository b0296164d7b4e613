# Nginx with the project's templates and the demo pages. Variables and their meaning: nginx/defaults.env.

FROM nginx:1.30-alpine
# For the development certificate.
RUN apk add --no-cache openssl && mkdir -p /var/run/sse-nginx && chown nginx:nginx /var/run/sse-nginx

COPY nginx/*.template /etc/nginx/templates/
COPY --chmod=755 nginx/development-certificate.sh /docker-entrypoint.d/40-development-certificate.sh
COPY services/demo/pages /usr/share/nginx/pages

# The image's entrypoint fills the templates: only our variables, so that Nginx's own ($uri, …) stay, and only into
# the run directory, so that the rest of the file system can be read-only.
ENV NGINX_ENVSUBST_FILTER=^NGINX_ \
    NGINX_ENVSUBST_OUTPUT_DIR=/var/run/sse-nginx

# SIGTERM ends at once; the base image's SIGQUIT would wait for streams, minutes long.
STOPSIGNAL SIGTERM
EXPOSE 8080 8443
CMD ["nginx", "-c", "/var/run/sse-nginx/nginx.conf", "-g", "daemon off;"]
