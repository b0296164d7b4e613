#!/bin/sh
# Makes a certificate for localhost where there is none, so that TLS and HTTP/2 work from the first start. For
# development: nothing trusts it. Local processes run this, and the image does (deploy/images/nginx-entrypoint.sh).
set -eu
: "${NGINX_TLS_CERTIFICATE:?}" "${NGINX_TLS_KEY:?}"

# A certificate that somebody provided is never touched, even an expired one: it has no such mark beside it.
mark="$NGINX_TLS_CERTIFICATE.development"
if [ -e "$NGINX_TLS_CERTIFICATE" ]; then
  [ -e "$mark" ] || exit 0
  openssl x509 -in "$NGINX_TLS_CERTIFICATE" -noout -checkend 2592000 >/dev/null && exit 0
fi

umask 077
mkdir -p "$(dirname "$NGINX_TLS_CERTIFICATE")" "$(dirname "$NGINX_TLS_KEY")"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 \
  -subj "/CN=localhost" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
  -keyout "$NGINX_TLS_KEY" -out "$NGINX_TLS_CERTIFICATE" 2>/dev/null
touch "$mark"
echo "made a development certificate: $NGINX_TLS_CERTIFICATE"
