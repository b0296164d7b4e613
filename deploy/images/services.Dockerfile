# One image for all services; the command names which: `services/gateway/main.ts`. Built on Node's image, but what runs
# holds only Node, what Node is linked with, the production packages and the services: no shell, no package manager,
# nothing to patch that is not used. For a look inside: docker exec CONTAINER node -e "…".
# Nothing here needs BuildKit.

# Node's newest 26. A build that must be the same tomorrow names a full version, best with its digest.
ARG NODE_IMAGE=node:26-bookworm-slim

FROM $NODE_IMAGE AS node
# What the program is linked with, at the places where its loader looks; and of which packages these files are, where
# scanners of images look for that (one dpkg record per file in status.d), so that they can name what must be patched.
RUN files=$(ldd /usr/local/bin/node | grep -o '/[^ ]*') \
    && mkdir -p /system/etc /system/var/lib/dpkg/status.d \
    && cp --parents -L /usr/local/bin/node $files /etc/os-release /system \
    && for file in $files; do dpkg -S "$file" || dpkg -S "/usr$file"; done 2>/dev/null | sed 's/:.*//' | sort -u > /packages \
    && test -s /packages \
    && while read -r name; do dpkg -s "$name" > "/system/var/lib/dpkg/status.d/$name"; done < /packages \
    && echo 'node:x:1000:1000::/app:/nonexistent' > /system/etc/passwd \
    && echo 'node:x:1000:' > /system/etc/group

FROM $NODE_IMAGE AS app
WORKDIR /app
# Another package registry than npm's own, where one must be used; empty: npm's.
ARG NPM_CONFIG_REGISTRY
COPY package.json package-lock.json .npmrc ./
# Without the development packages, among them `node`, since this image brings Node itself. Of the recorded data sets
# (42 MB) two are read (services/demo/demo.ts); declarations and source maps are for editors.
RUN npm ci --omit=dev --ignore-scripts --loglevel=error \
    && find node_modules/vega-datasets/data -type f ! -name stocks.csv ! -name earthquakes.json -delete \
    && find node_modules -type f -regex '.*\.\(d\.[cm]?ts\|map\)' -delete
COPY services services
COPY deploy/images/healthcheck.js ./
# A checkout may be readable for its owner only; the image is for everybody.
RUN chmod -R a+rX,go-w .

FROM scratch
COPY --from=node /system /
COPY --from=app /app/node_modules /app/node_modules
COPY --from=app /app/package.json /app/healthcheck.js /app/
COPY --from=app /app/services /app/services
WORKDIR /app
# The same ports for every service, each in its own container.
ENV PATH=/usr/local/bin NODE_ENV=production PORT=3000 METRICS_PORT=9100
EXPOSE 3000 9100
# A number, so that Kubernetes can see that it is not root.
USER 1000:1000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["node", "healthcheck.js"]
# Node is process 1 and handles SIGTERM itself: a shell before it would swallow the signal, and with it the drain.
ENTRYPOINT ["node"]
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="sse-cluster services" \
      org.opencontainers.image.description="Gateway, publisher, prober and demo of sse-cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
