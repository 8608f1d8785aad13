"""Our gateway and TorchServe, and in the same TorchServe the stock handler, which peers' users have."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tools.bench.peers import requests
from tools.bench.peers.contenders import MODEL, Contender, contender
from tools.bench.peers.workload import Workload
from tools.throwaway_stack import StackCommandError, ThrowawayStack, throwaway_stack
from torchserve_gateway.settings.composition import PROJECT_ROOT

OURS = "ours"
VERSION = "1.0"
DEFAULT = ("torchscript", "fp32")
# The fastest first, by `make bench_engine`; the archive's own gate decides which may serve.
ENGINES = (("openvino", "int8"), ("openvino", "bf16"), ("openvino", "fp32"), DEFAULT)
REGISTER_S = 120
HANDLER = PROJECT_ROOT / "tools/bench/peers/servers/torchserve_handler.py"


@contextmanager
def stack(workload: Workload, *overrides: str) -> Iterator[ThrowawayStack]:
    """Starts our stack with as many gateway processes as by default."""
    mine = (f"model.name={OURS}", "gateway.processes=null", *workload.overrides, *overrides)
    with throwaway_stack(*mine) as started:
        yield started


def deploy(started: ThrowawayStack, engine: str, precision: str) -> None:
    """Builds and deploys; raises StackCommandError where the gate refuses."""
    started.upload_model(VERSION, f"model.engine={engine}", f"model.precision={precision}")


def deploy_best(started: ThrowawayStack) -> tuple[str, str]:
    """Deploys the first of `ENGINES` that this machine has and the gate lets pass."""
    for engine, precision in ENGINES:
        try:
            deploy(started, engine, precision)
        except StackCommandError as exc:
            reason = str(exc).strip().splitlines() or ["no reason given"]
            print(f"not {engine} {precision}: {reason[-1]}", flush=True)
        else:
            return engine, precision
    raise StackCommandError("no engine passes its gate")


def gateway_row(started: ThrowawayStack, workload: Workload, name: str) -> Contender:
    """The gateway's row."""
    pids = (started.pid("gateway"), started.pid("torchserve"))
    encode = partial(requests.raw, f"/predictions/{OURS}")
    port = started.settings.gateway.port
    return contender(name, workload, port, pids, encode, is_peer=False)


def torchserve_row(
    started: ThrowawayStack, workload: Workload, name: str, model: str, *, is_peer: bool
) -> Contender:
    """The row of its TorchServe, asked without a gateway."""
    port = urlsplit(started.settings.torchserve.inference_url).port
    assert port is not None, "throwaway_stack sets it"
    encode = partial(requests.raw, f"/predictions/{model}")
    return contender(name, workload, port, (started.pid("torchserve"),), encode, is_peer=is_peer)


def register_stock_handler(started: ThrowawayStack, workload: Workload) -> None:
    """Packs the checkpoint as TorchServe's documentation does, and registers it beside ours."""
    settings, store = workload.settings, started.settings.torchserve.model_store
    assert store is not None, "throwaway_stack sets it"
    names = workload.file.with_name("index_to_name.json")
    names.write_text(json.dumps(dict(enumerate(settings["labels"]))))
    archiver = Path(sys.executable).with_name("torch-model-archiver")
    paths = (
        "--serialized-file",
        settings["checkpoint"],
        "--handler",
        str(HANDLER),
        "--extra-files",
        str(names),
    )
    named = ("--model-name", MODEL, "--version", VERSION, "--export-path", str(workload.file.parent))
    subprocess.run((str(archiver), *named, *paths), check=True, capture_output=True, cwd=PROJECT_ROOT)
    shutil.copy(workload.file.with_name(f"{MODEL}.mar"), store)
    asked: Mapping[str, str | int] = {
        "url": f"{MODEL}.mar",
        "batch_size": settings["batch_size"],
        "max_batch_delay": settings["max_batch_delay"],
        "initial_workers": settings["workers"],
        "synchronous": "true",
    }
    url = f"{started.settings.torchserve.management_url}/models"
    httpx.post(url, params=asked, timeout=REGISTER_S).raise_for_status()


def unpacked_engine(started: ThrowawayStack, folder: Path) -> Path:
    """The network of the deployed archive, for a peer."""
    folder.mkdir()
    with zipfile.ZipFile(started.directory / "model_mars" / f"{OURS}-{VERSION}.mar") as archive:
        for name in archive.namelist():
            if Path(name).name in ("network.xml", "network.bin", "engine.json"):
                (folder / Path(name).name).write_bytes(archive.read(name))
    return folder
