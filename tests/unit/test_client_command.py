"""The client's command line against a made-up gateway: what is sent where, and what is printed."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
from gateway_client import shrink
from gateway_client.command import lines, main
from PIL import Image

from tests.http_server import serving

FACE = {"class": "face", "score": 0.99871, "x": 12}
VERSION = {
    "version": "1.0",
    "state": "serving",
    "workers_ready": 1,
    "workers": 1,
    "batch_size": 1,
    "max_batch_delay": 1,
    "queued": 0,
}


class MadeUpGateway:
    """Answers each path with a document, and keeps what it got."""

    def __init__(self, answers: dict[str, object]) -> None:
        self.url = ""
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                gateway.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                gateway.headers.append(dict(self.headers))
                self.do_GET()

            def do_GET(self) -> None:
                body = json.dumps(answers.get(self.path, {"detail": "no"})).encode()
                self.send_response(200 if self.path in answers else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.handler = Handler


Start = Callable[[dict[str, object]], MadeUpGateway]


@pytest.fixture
def gateway() -> Iterator[Start]:
    with ExitStack() as started:

        def start(answers: dict[str, object]) -> MadeUpGateway:
            gateway = MadeUpGateway(answers)
            server = started.enter_context(serving(gateway.handler))
            gateway.url = f"http://127.0.0.1:{server.server_port}"
            return gateway

        yield start


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "plate.png")
    return tmp_path / "plate.png"


def test_an_image_is_sent_as_base64_to_the_named_model(
    gateway: Start, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = gateway({"/predictions/pipeline": [FACE]})
    assert main([str(picture), "--url", found.url, "--model", "pipeline"]) == 0
    assert base64.b64decode(json.loads(found.bodies[0])["data"]) == picture.read_bytes()
    assert capsys.readouterr().out == "class: face  score: 0.9987  x: 12\n"


def test_kserve_has_its_own_path_and_body_and_a_host_for_the_ingress(
    gateway: Start, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = gateway({"/v1/models/pipeline:predict": {"predictions": [[FACE]]}})
    options = ["--url", found.url, "--model", "pipeline", "--host", "plates.example.org"]
    assert main([str(picture), "--kserve", *options, "--json"]) == 0
    [instance] = json.loads(found.bodies[0])["instances"]
    assert base64.b64decode(instance["data"]) == picture.read_bytes()
    assert found.headers[0]["Host"] == "plates.example.org"
    assert json.loads(capsys.readouterr().out) == [FACE]


def test_a_request_stays_within_its_budget(gateway: Start, picture: Path) -> None:
    found = gateway({"/predictions/pipeline": None})
    assert main([str(picture), "--url", found.url, "--model", "pipeline", "--max-bytes", "50000"]) == 0
    assert len(found.bodies[0]) <= 50_000
    sent = base64.b64decode(json.loads(found.bodies[0])["data"])
    assert sent == shrink(picture.read_bytes(), (50_000 - 100) * 3 // 4, 50_000_000)


@pytest.mark.parametrize("names", [["pipeline"], ["genre", "pipeline"], []])
def test_without_a_name_the_only_model_is_asked(
    gateway: Start, picture: Path, capsys: pytest.CaptureFixture[str], names: list[str]
) -> None:
    rows = [VERSION | {"model": name} for name in names]
    found = gateway({"/models": rows, "/predictions/pipeline": "7"})
    code = main([str(picture), "--url", found.url])
    printed = capsys.readouterr()
    if names == ["pipeline"]:
        assert (code, printed.out) == (0, "7\n")
    else:
        named = ", ".join(names) or "no models"
        assert (code, printed.err) == (1, f"failed: deployed are {named}; choose with --model NAME\n")


def test_failures_are_a_line(gateway: Start, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = gateway({"/v1/models/pipeline:predict": {"predictions": []}})
    for arguments in (
        [str(picture.with_name("none.png")), "--model", "pipeline"],
        [str(picture), "--model", "other"],
        [str(picture), "--model", "pipeline", "--kserve"],
    ):
        assert main([*arguments, "--url", found.url]) == 1
        assert capsys.readouterr().err.startswith("failed: ")
    with pytest.raises(SystemExit) as wrong:
        main([str(picture), "--max-bytes", "10"])
    assert wrong.value.code == 2


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        (None, ["nothing found"]),
        ([], ["nothing found"]),
        ({"Horror": 0.5, "Drama": 0.25}, ["Horror  0.5", "Drama   0.25"]),
        ([1, "a"], ["1", "a"]),
        (3.14159, ["3.142"]),
    ],
)
def test_any_answer_is_printed(answer: object, printed: list[str]) -> None:
    assert list(lines(answer)) == printed
