# syntax=docker/dockerfile:1
# The one image of every role: the program, the libraries it is linked to, the authorities the system trusts, and
# nothing else. No shell, no package manager, no user but 65532; nothing is written, so the file system may be read-only.
#
#   docker build -t roomlog .
#   docker run --read-only --cap-drop ALL roomlog gateway

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The build folder is a cache that no layer keeps, so what is wanted of it is copied out in the same step. Everything in the
# lock file is fetched, as Cargo needs what only tests use, and what only other systems do, to tell what is in the program.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo fetch --locked \
    && cargo build --locked --offline --release --bin roomlog --no-default-features --features kafka-tls,msk-iam \
    && infra/image/bill-of-materials >/tmp/roomlog.cdx.json \
    && infra/image/assemble target/release/roomlog /tmp/roomlog.cdx.json /image

FROM scratch
COPY --from=build /image/ /
USER 65532:65532
# Seen by health checks in the container and by Prometheus beside it; never published.
ENV ROOMLOG_ADMIN_LISTEN=0.0.0.0:9464
# Clients, gateways, health and metrics.
EXPOSE 8080 7070 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 CMD ["/usr/local/bin/roomlog", "health"]
ENTRYPOINT ["/usr/local/bin/roomlog"]
