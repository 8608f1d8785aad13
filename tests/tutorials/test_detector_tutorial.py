"""Tutorial 2 of docs/tutorials.md: a detector of others, JSON in, config.properties, KServe."""

import base64
import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.http_client import HTTP
from tests.tutorials.conftest import in_foreground
from tests.tutorials.stock_torchserve import Shell

pytestmark = pytest.mark.long

PIPELINE = Path(__file__).with_name("pipeline")
ARCHIVER = (
    "torch-model-archiver --model-name pipeline --version 1.0 --handler handler.py --extra-files extra "
    "--runtime python --force --requirements-file requirements.txt"
)
START = "torchserve --start --ncs --model-store . --models {} --ts-config config.properties"
CONFIG = """metrics_mode=prometheus
enable_metrics_api=true
metrics_format=prometheus
gpu_id=0
install_py_dep_per_model=true
model_store=.
model_snapshot={"name":"startup.cfg","modelCount":1,"models":{"pipeline":{"1.0":{"defaultVersion":true,\\
"marName":"pipeline.mar","minWorkers":1,"maxWorkers":1,"batchSize":2,"maxBatchDelay":50,"responseTimeout":60}}}}
"""
BOX = {"class": "plate", "x": 20, "y": 10, "width": 30, "height": 12}
LIMIT = 6_553_500


def picture(*, plate: bool) -> bytes:
    image = Image.new("L", (100, 60), 20)
    if plate:
        image.paste(255, (20, 10, 50, 22))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("pipeline")
    shutil.copytree(PIPELINE, folder, dirs_exist_ok=True)
    for name, plate in (("car", True), ("road", False)):
        (folder / f"{name}.png").write_bytes(picture(plate=plate))
        document = {"data": base64.b64encode(picture(plate=plate)).decode()}
        (folder / f"{name}.json").write_text(json.dumps(document))
    shell = Shell(folder)
    shell.configure(one_address=True, more=CONFIG)
    shell.run(ARCHIVER)
    return shell


def test_the_detector_answers_json_directly_and_behind_the_gateway(shell: Shell) -> None:
    line = START.format("pipeline=pipeline.mar")
    with shell.started(line, "pipeline", management=shell.inference):
        check_json(shell, shell.inference)
        page = HTTP.get(f"http://127.0.0.1:{shell.ports[2]}/metrics").text
        assert "HandlerTime" in page
        said = shell.run("python -m torchserve_gateway import-config config.properties --name mine")
        assert "management_address" in said
    # As docs/migrating.md says: import-config gives the Management API an address of its own.
    shell.configure(more=CONFIG)
    shell.run("python -m torchserve_gateway import-config config.properties --name mine --force")
    line = START.format("all")
    with shell.started(line, "pipeline", management=shell.management):
        shell.run("python -m torchserve_gateway adopt torchserve=mine")
        gateway = "python -m torchserve_gateway app torchserve=mine"
        command = shell.command(f"exec {gateway} gateway.port={shell.ports[5]}")
        with in_foreground(command, shell.folder, shell.environment, f"{shell.gateway}/health/live"):
            check_json(shell, shell.gateway)
            check_client(shell)
            check_limit(shell)


def check_json(shell: Shell, url: str) -> None:
    """A list of dictionaries, or nothing found; curl sends no Content-Type."""
    post = f"curl -sf -X POST {url}/predictions/pipeline -T"
    assert json.loads(shell.run(f"{post} car.json")) == [{"model": "pipeline", **BOX}]
    assert json.loads(shell.run(f"{post} road.json")) is None


def check_client(shell: Shell) -> None:
    """`FILE [--kserve]` prints the fields."""
    line = "model: pipeline  class: plate  x: 20  y: 10  width: 30  height: 12\n"
    for kserve in ("", " --kserve --host pipeline.example.org"):
        asked = f"python -m gateway_client {{}} --url {shell.gateway} --model pipeline{kserve}"
        assert shell.run(asked.format("car.png")) == line
        assert shell.run(asked.format("road.png")) == "nothing found\n"


def check_limit(shell: Shell) -> None:
    """Over 6 MB is refused, and the client shrinks what would be."""
    refused = HTTP.post(f"{shell.gateway}/predictions/pipeline", content=b"0" * (LIMIT + 1))
    assert refused.status_code == 413
    noise = Image.effect_noise((3000, 2600), 80)
    noise.save(shell.folder / "large.png")
    assert (shell.folder / "large.png").stat().st_size > LIMIT
    assert "pipeline" in shell.run(
        f"python -m gateway_client large.png --url {shell.gateway} --model pipeline"
    )
