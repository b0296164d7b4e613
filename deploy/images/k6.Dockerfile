# k6 with the extension `k6/x/sse` (loadtest/extension) and the scenarios. Built from the checkout:
#   docker build -f deploy/images/k6.Dockerfile -t sse-cluster-k6 .

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules first: they change seldom, and are most of the work.
COPY loadtest/extension/go.mod loadtest/extension/go.sum ./
RUN go mod download
COPY loadtest/extension ./
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /k6 .

FROM scratch
# What k6 checks certificates with, and a user that is not root.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /k6 /usr/bin/k6
COPY loadtest/scenarios /load/loadtest/scenarios
# k6 must not look for programs with other extensions on the network.
ENV K6_AUTO_EXTENSION_RESOLUTION=false K6_NO_USAGE_REPORT=true
USER 65532:65532
WORKDIR /load
ENTRYPOINT ["/usr/bin/k6"]
