# Highwater as a sidecar. Build: docker build -t highwater .
#
# Run it with the user id that owns the database, and share the *folder* of the database between
# both containers, never the database file alone (a file mount hides -wal and -shm):
#   docker run --user "$(id -u)" -v /srv/app:/data -v /srv/backup:/backup highwater \
#       replicate /data/app.db file:///backup
# docs/HAZARDS.md shows which layouts are safe; etc/ has examples for compose and Kubernetes.

FROM swift:6.3-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        libsqlite3-dev libzstd-dev libxxhash-dev libcurl4-openssl-dev libexpat1-dev libssl-dev \
        libyaml-dev libmicrohttpd-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift Package.resolved* ./
COPY Sources Sources
# The manifest names the test targets; their folders have to exist for it to load.
COPY Tests Tests
COPY Benchmarks Benchmarks
COPY Fuzz Fuzz
RUN swift build -c release --static-swift-stdlib --product highwater \
    && strip -o /highwater "$(swift build -c release --show-bin-path)/highwater"

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        ca-certificates libcurl4 libexpat1 libsqlite3-0 libssl3 libstdc++6 libxxhash0 \
        libmicrohttpd12 libyaml-0-2 libzstd1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin highwater \
    && install -d -m 1777 /run/highwater
COPY --from=build /highwater /usr/local/bin/highwater
COPY LICENSE /usr/share/doc/highwater/LICENSE
USER 10001
STOPSIGNAL SIGTERM
# For `docker exec NAME highwater status`, too. With a read-only root it needs a tmpfs there.
ENV HIGHWATER_SOCKET=/run/highwater/highwater.sock
# Healthy: the agent answers, and follows each database or waits for it to appear. A store that is
# away is no reason to start anything again.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["highwater", "status"]
ENTRYPOINT ["highwater"]
CMD ["--help"]
