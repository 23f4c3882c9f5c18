# Throng in a small image: a stage that builds, and one that runs as nobody in particular.
#
#   docker build -t throng .
#   docker run -p 8080-8082:8080-8082 -p 8088:8088 -v throng:/var/lib/throng throng

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# SQLite and the ring crate are C and assembler.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev make \
 && rm -rf /var/lib/apt/lists/*
COPY Cargo.toml Cargo.lock build.rs clippy.toml ./
COPY proto proto
COPY migrations migrations
COPY web web
COPY benches benches
COPY src src
RUN cargo build --locked --profile dist --bin throng

FROM debian:bookworm-slim
# The authorities that a managed PostgreSQL's certificate comes from.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /var/lib/throng --create-home --shell /usr/sbin/nologin throng
COPY --from=build /src/target/dist/throng /usr/local/bin/throng
COPY config.toml /etc/throng/config.toml
USER throng
WORKDIR /var/lib/throng
VOLUME /var/lib/throng
ENV THRONG_DATA_DIR=/var/lib/throng/data \
    THRONG_LOG__FORMAT=json
# log-in, game, text, web, operators (on the container's loopback unless THRONG_PORTS__ADMIN says
# otherwise), links
EXPOSE 8080 8081 8082 8088 8090 8091
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["throng", "health", "--config", "/etc/throng/config.toml"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["throng", "--config", "/etc/throng/config.toml"]
CMD ["--role", "all"]
