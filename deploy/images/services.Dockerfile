# One image for all services; the command names which: `services/gateway/main.ts`. Built on Node's image, but what runs
# holds only Node, what Node is linked with, the production packages and the services: no shell, no package manager,
# nothing to patch that is not used. For a look inside: docker exec CONTAINER node -e "…".
# Nothing here needs BuildKit.

FROM node:26-bookworm-slim AS node
# What the program is linked with, at the places where its loader looks.
RUN mkdir -p /system/etc \
    && cp --parents -L /usr/local/bin/node $(ldd /usr/local/bin/node | grep -o '/[^ ]*') /system \
    && echo 'node:x:1000:1000::/app:/nonexistent' > /system/etc/passwd \
    && echo 'node:x:1000:' > /system/etc/group

FROM node:26-bookworm-slim AS app
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
