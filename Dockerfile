# syntax=docker/dockerfile:1
FROM rust:1.95-slim-bookworm AS build
# aws-lc, SQLite and zstd are C.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin packtrail && cp target/release/packtrail /packtrail

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home packtrail \
    && install -d -o packtrail -g packtrail /var/lib/packtrail
COPY --from=build /packtrail /usr/local/bin/packtrail
USER packtrail
WORKDIR /var/lib/packtrail
VOLUME /var/lib/packtrail
ENV PACKTRAIL_LISTEN=0.0.0.0:8080 \
    PACKTRAIL_DATABASE=sqlite:///var/lib/packtrail/packtrail.db \
    PACKTRAIL_LOG_FORMAT=json
EXPOSE 8080
# 30 s after SIGTERM the container may be killed: the server drains within 25 s.
STOPSIGNAL SIGTERM
# The image has no HTTP client; bash speaks enough of it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD \
    bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080 && printf "GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n" >&3 && head -n 1 <&3 | grep -q " 200"'
ENTRYPOINT ["packtrail"]
CMD ["serve"]
