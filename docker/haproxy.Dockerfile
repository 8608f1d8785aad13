# Debian's HAProxy, in the version that docker/haproxy.cfg is tested with; make build_haproxy.
ARG BASE=docker.io/library/debian:bookworm-slim
FROM ${BASE}
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends haproxy \
    && rm -rf /var/lib/apt/lists/*
COPY docker/haproxy.cfg docker/haproxy-compose.cfg /etc/haproxy/
USER haproxy
EXPOSE 8080
# SIGUSR1 finishes requests in flight; SIGTERM would cut them.
STOPSIGNAL SIGUSR1
ENTRYPOINT ["haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg", "-f", "/etc/haproxy/haproxy-compose.cfg"]
HEALTHCHECK --interval=5s --timeout=5s CMD ["bash", "-c", "</dev/tcp/127.0.0.1/8080"]
LABEL org.opencontainers.image.title="HAProxy for TorchServe" \
    org.opencontainers.image.description="One address for all TorchServe containers" \
    org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"
ARG REVISION=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.revision="$REVISION" org.opencontainers.image.version="$VERSION"
