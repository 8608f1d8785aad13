# The gateway, and the commands that deploy; make build_gateway. Versions: requirements.lock.
ARG BASE=docker.io/library/debian:bookworm-slim

# pip stays behind in this stage.
FROM ${BASE} AS packages
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/pip \
    && python3 -m venv --without-pip /opt/venv
COPY requirements-gateway.txt requirements.lock /build/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/pip/bin/pip --python /opt/venv/bin/python install --quiet --no-cache-dir --disable-pip-version-check \
    --no-input -r /build/requirements-gateway.txt -c /build/requirements.lock

FROM ${BASE}
# ca-certificates: archives over https. tini: handles signals that arrive before Python does.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends ca-certificates python3 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 serving \
    && useradd --uid 10001 --gid serving --home-dir /tmp --no-create-home serving
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
# The same user in all images, because containers share these directories as volumes.
RUN install -d -o serving -g serving keys var/model_store var/deployments
COPY . .
USER serving
VOLUME ["/app/var/deployments", "/tmp"]
EXPOSE 5003
ENTRYPOINT ["tini", "-e", "143", "--", "python"]
CMD ["app.py", "gateway=container"]
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s \
    CMD ["python", "docker/answers.py", "http://127.0.0.1:5003/health/live"]
LABEL org.opencontainers.image.title="TorchServe gateway" \
    org.opencontainers.image.description="The gateway in front of TorchServe, and the commands that deploy" \
    org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"
ARG REVISION=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.revision="$REVISION" org.opencontainers.image.version="$VERSION"
