# Stock TorchServe under the project's own start command; make build_ts_cpu, make build_ts_cuda.
# Versions: requirements.lock. Only the last COPY depends on the project's code.
ARG BASE=docker.io/library/debian:bookworm-slim

# pip stays in this stage.
FROM ${BASE} AS pip
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/pip

FROM ${BASE}
# procps: TorchServe runs `kill` to unregister. tini: forwards signals and reaps orphans of the workers.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends procps python3 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 serving \
    && useradd --uid 10001 --gid serving --home-dir /tmp --no-create-home serving
WORKDIR /app
COPY requirements-torchserve.txt requirements-engines.txt requirements.lock ./
# Additional index of PyTorch's wheels; the default wheels bring CUDA, see README.
ARG TORCH_INDEX_URL=""
# 1: with OpenVINO and ONNX Runtime, see docs/engines.md.
ARG ENGINES=""
# Several GB, so installed in the final stage: copying them would take the builder's disk twice.
COPY --from=pip /opt/pip /opt/pip
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv --without-pip /opt/venv \
    && /opt/pip/bin/pip --python /opt/venv/bin/python install --quiet --no-cache-dir --disable-pip-version-check \
    --no-input -r requirements-torchserve.txt ${ENGINES:+-r requirements-engines.txt} -c requirements.lock \
    ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} \
    && rm -rf /opt/pip
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
# The same user in all images, because containers share these directories as volumes.
RUN install -d -o serving -g serving var/model_store var/deployments
COPY . .
# cpu, or a CUDA version in PyTorch's spelling: cu130. The build fails if pip installed other wheels.
ARG TORCH_BUILD=cpu
RUN python docker/check_torch.py "$TORCH_BUILD"
USER serving
# /tmp holds what TorchServe unpacks, so it is on disk and not in memory.
VOLUME ["/app/var/model_store", "/app/var/deployments", "/tmp"]
EXPOSE 8080
# 143 is Java's exit code after SIGTERM, a clean stop.
ENTRYPOINT ["tini", "-e", "143", "--", "python", "-m", "torchserve_gateway.commands.torchserve", "state_dir=/tmp/state"]
CMD ["torchserve=container"]
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s \
    CMD ["python", "docker/answers.py", "http://127.0.0.1:8080/ping"]
LABEL org.opencontainers.image.title="TorchServe" \
    org.opencontainers.image.description="Stock TorchServe, started with the models that are on record" \
    org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"
ARG REVISION=unknown
ARG VERSION=unknown
LABEL org.opencontainers.image.revision="$REVISION" org.opencontainers.image.version="$VERSION"
