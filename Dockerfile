# Three images from one build: docker build --target tracker (or origin, peerd) .
# Each is a static binary on nothing else: no shell, no package manager, no root.
FROM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Without git, the revision is a digest of the source: the same for the same source.
ARG VERSION=
ARG REVISION=
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X fanout/internal/daemon/httpkit.version=${VERSION} \
    -X fanout/internal/daemon/httpkit.revision=${REVISION:-source-$(find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-12)}" \
    -o /out/ ./tracker ./origin ./peerd
# A new volume that is mounted at /data gets the owner of this directory.
RUN mkdir /data && chown 65532:65532 /data

FROM scratch AS base
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER 65532:65532

# In a container, loopback is of no use: the images listen everywhere, and the daemons refuse
# that without --insecure (FANOUT_INSECURE=true), which only you can decide.
FROM base AS tracker
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build /out/tracker /usr/local/bin/tracker
ENV FANOUT_LISTEN=0.0.0.0:2680 FANOUT_DATA_DIR=/data
EXPOSE 2680
VOLUME /data
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/local/bin/tracker", "health"]
ENTRYPOINT ["/usr/local/bin/tracker"]

FROM base AS origin
COPY --from=build /out/origin /usr/local/bin/origin
ENV FANOUT_LISTEN=0.0.0.0:2684 FANOUT_HTTP=0.0.0.0:2694
EXPOSE 2684 2694
# Digesting a big file takes time: a gigabyte or two a second.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5m --retries=3 CMD ["/usr/local/bin/origin", "health"]
ENTRYPOINT ["/usr/local/bin/origin"]

FROM base AS peerd
COPY --from=build --chown=65532:65532 /data /data
COPY --from=build /out/peerd /usr/local/bin/peerd
ENV FANOUT_LISTEN=0.0.0.0:2685 FANOUT_HTTP=0.0.0.0:2695 FANOUT_DATA_DIR=/data
EXPOSE 2685 2695
VOLUME /data
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/usr/local/bin/peerd", "health"]
ENTRYPOINT ["/usr/local/bin/peerd"]
