"""A TorchServe that answers when it is told to, and a gateway before it, as `make run_app` starts it."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx

from tests.free_ports import free_ports
from tests.http_client import HTTP, answers
from tests.http_server import serving
from tests.processes import GIVE_UP_S, Process, until

ANSWER = b'{"Horror": 1.0}'


class HeldTorchServe:
    """An Inference API that answers when `go` is set. received: requests that came."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.received = 0
        self._receiving = threading.Lock()

    @contextmanager
    def listening(self) -> Iterator[str]:
        held = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                with held._receiving:
                    held.received += 1
                held.go.wait(GIVE_UP_S)
                self.send_response(200)
                self.send_header("Content-Length", str(len(ANSWER)))
                self.end_headers()
                self.wfile.write(ANSWER)

            def log_message(self, *_: object) -> None:
                """Nothing; the base class writes to stderr."""

        with serving(Handler) as server:
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                self.go.set()


@contextmanager
def held_gateway(
    torchserve: HeldTorchServe, directory: Path, *extra: str, port: int | None = None
) -> Iterator[tuple[Process, str]]:
    """Two requests at a time reach TorchServe, the others wait."""
    port = port or free_ports(1)[0]
    with torchserve.listening() as inference_url:
        process = Process(
            directory / "gateway.log",
            [
                *(sys.executable, "app.py", f"gateway.port={port}"),
                f"torchserve.inference_url={inference_url}",
                f"torchserve.deployments_dir={directory}/deployments",
                "gateway.admission.max_in_flight=2",
                "gateway.processes=1",
                *extra,
            ],
        )
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: process.ended or is_live(url))
            yield process, url
        finally:
            process.kill()


def is_live(url: str) -> bool:
    return answers(f"{url}/health/live")


def predict(url: str) -> httpx.Response:
    return HTTP.post(f"{url}/predictions/m", content=b"x", timeout=GIVE_UP_S)
