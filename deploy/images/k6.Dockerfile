# k6 with the extension `k6/x/sse` (loadtest/extension) and the scenarios. Built from the checkout:
#   docker build -f deploy/images/k6.Dockerfile -t sse-cluster-k6 .

ARG GO_IMAGE=golang:1.26-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

FROM $GO_IMAGE AS build
WORKDIR /src
# A module proxy and checksum database of your own, where the public ones can't be reached.
ARG GOPROXY=https://proxy.golang.org,direct
ARG GOSUMDB=sum.golang.org
# The modules first: they change seldom, and are most of the work.
COPY loadtest/extension/go.mod loadtest/extension/go.sum ./
RUN go mod download
COPY loadtest/extension ./
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags='-s -w' -o /k6 .
COPY loadtest/scenarios /scenarios
# A checkout may be readable for its owner only; the image is for everybody.
RUN chmod -R a+rX,go-w /scenarios

# Not `scratch`: the k6-operator starts k6 from a shell.
FROM $DEBIAN_IMAGE
# What k6 checks certificates with, and a user that is not root.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /k6 /usr/bin/k6
COPY --from=build /scenarios /load/loadtest/scenarios
# k6 must not look for programs with other extensions on the network.
ENV K6_AUTO_EXTENSION_RESOLUTION=false K6_NO_USAGE_REPORT=true
USER 65532:65532
WORKDIR /load
ENTRYPOINT ["/usr/bin/k6"]
ARG VERSION=0.1.0
# k6 itself is under the AGPL.
LABEL org.opencontainers.image.title="sse-cluster k6" \
      org.opencontainers.image.description="k6 with the extension k6/x/sse and the load tests of sse-cluster" \
      org.opencontainers.image.licenses="AGPL-3.0-only AND Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
