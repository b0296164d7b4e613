#!/bin/sh
# Process 1 of the Nginx image: fills the templates into the run directory, then becomes Nginx.
#   1. defaults      what the environment does not set comes from nginx/defaults.env; set and empty stays empty
#   2. resolver      NGINX_RESOLVER_FROM_SYSTEM=1: the DNS servers of /etc/resolv.conf, where NGINX_RESOLVER names none;
#                    their answers count for NGINX_RESOLVER_VALID (3s)
#   3. templates     only NGINX_… is replaced, so that Nginx's own variables ($uri, …) stay
#   4. certificate   one for development where there is none
# With arguments it runs those in place of Nginx, after the same steps: docker run … nginx -t -c /run/sse-nginx/nginx.conf
set -eu

while IFS= read -r line; do
  case $line in
    NGINX_*=*) printenv "${line%%=*}" >/dev/null || export "$line" ;;
  esac
done </etc/nginx/defaults.env

if [ "${NGINX_RESOLVER_FROM_SYSTEM:-}" = 1 ] && [ -z "$NGINX_RESOLVER" ]; then
  # Nginx wants IPv6 addresses in brackets, and knows no zone (%eth0).
  servers=$(awk '$1 == "nameserver" && $2 !~ /%/ { print ($2 ~ /:/) ? "[" $2 "]" : $2 }' /etc/resolv.conf | xargs)
  [ -n "$servers" ] || { echo "/etc/resolv.conf names no DNS server: set NGINX_RESOLVER" >&2; exit 1; }
  export NGINX_RESOLVER="resolver $servers valid=${NGINX_RESOLVER_VALID:-3s} ipv6=off;"
fi

variables=$(env | sed -n 's/^\(NGINX_[A-Z_0-9]*\)=.*/${\1}/p')
for template in /etc/nginx/templates/*.template; do
  name=${template##*/}
  envsubst "$variables" <"$template" >"$NGINX_RUN_DIR/${name%.template}"
done

development-certificate

[ $# -eq 0 ] || exec "$@"
exec nginx -e stderr -c "$NGINX_RUN_DIR/nginx.conf" -g 'daemon off;'
