"""Tutorial 1 of docs/tutorials.md: poster genres with TorchServe, FastAPI, Make and Hydra."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.http_client import HTTP
from tests.tutorials.conftest import Reader
from torchserve_gateway.settings.composition import PROJECT_ROOT

pytestmark = pytest.mark.long

POSTER = PROJECT_ROOT / "imgs/horror.jpg"
BATCHING = (
    "ARGS=request_params.batch_size={} request_params.initial_workers=1 request_params.max_batch_delay={}"
)


def output(*command: str) -> str:
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_plain_pip_line_installs_what_is_there() -> None:
    pip = (sys.executable, "-m", "pip", "install", "--no-index", "--dry-run", "-r", "requirements.txt")
    assert "Would install" not in output(*pip)


def test_the_archive_holds_what_the_tutorial_packs(reader: Reader, tmp_path: Path) -> None:
    reader.make("download_weights")
    (tmp_path / "requirements.txt").write_text("pillow\n")
    (tmp_path / "extra.json").write_text("{}")
    parts = f"ARGS=model.requirements={tmp_path}/requirements.txt model.extra_files=[{tmp_path}/extra.json]"
    reader.make("generate_mar", "VERSION=9.0", parts)
    archive = reader.directory / "model_mars/genre-9.0.mar"
    manifest = json.loads(output(require_program("unzip"), "-p", str(archive), "MAR-INF/MANIFEST.json"))
    assert manifest["model"] | {"modelName": "genre", "modelVersion": "9.0"} == manifest["model"]
    assert manifest["model"].keys() >= {"serializedFile", "handler", "requirementsFile"}
    assert "extra.json" in output("unzip", "-l", str(archive))


def test_archives_are_browsed_and_fetched(reader: Reader) -> None:
    require_program("nginx")
    reader.make("generate_mar", "VERSION=8.0")
    url = reader.stack.settings.file_browser.url
    with reader.running("run_nginx_filebrowser", answers=url):
        assert "genre-8.0.mar" in HTTP.get(url).text
        fetched = reader.directory / "fetched.mar"
        output(require_program("wget"), "-q", "-O", str(fetched), f"{url}/files/genre-8.0.mar")
    assert fetched.read_bytes() == (reader.directory / "model_mars/genre-8.0.mar").read_bytes()


def test_versions_are_swapped_predicted_and_measured(reader: Reader) -> None:
    settings = reader.stack.settings
    reader.make("upload_model", "VERSION=1.0", BATCHING.format(2, 50))
    answer = json.loads(
        output(
            "curl", "-sf", f"{settings.torchserve.inference_url}/predictions/genre", "-F", f"data=@{POSTER}"
        )
    )
    assert max(answer, key=answer.get) == "Horror"
    assert "swagger" in HTTP.get(f"{settings.gateway.url}/docs").text.lower()
    through = json.loads(output("curl", "-sf", f"{settings.gateway.url}/predict", "-F", f"file=@{POSTER}"))
    assert through == pytest.approx(answer, abs=1e-5)
    quick = "ARGS=rounds=2 round_s=1 clients=4"
    for version, batching in (("1.0", None), ("2.0", BATCHING.format(8, 20))):
        if batching:
            reader.make("upload_model", f"VERSION={version}", batching)
        said = reader.make("run_stress", quick)
        rates = re.findall(r"Performance: [\d.]+ imgs/s", said)
        assert len(rates) == 2, said
        assert re.search(rf"by version {version}", said), said
    described = HTTP.get(f"{settings.torchserve.management_url}/models/genre/all").json()
    assert [(each["modelVersion"], each["batchSize"], each["maxBatchDelay"]) for each in described] == [
        ("2.0", 8, 20)
    ]
