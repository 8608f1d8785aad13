"""A TorchServe that fails on command, for faults the real one cannot be made to show."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import httpx

from tests.http_server import serving


def error(status: int, type_: str, message: str) -> httpx.Response:
    """An error answer in TorchServe's form."""
    return httpx.Response(status, json={"code": status, "type": type_, "message": message})


@dataclass
class FakeTorchServe:
    """Answers every call with `answer`, a response or an exception, and records what it received."""

    answer: (
        httpx.Response | Exception | Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]
    ) = field(default_factory=lambda: httpx.Response(200, content=b'{"Horror": 1.0}'))
    hangs: bool = False
    requests: list[httpx.Request] = field(default_factory=list)

    @property
    def jobs(self) -> list[httpx.Request]:
        """The predictions and explanations."""
        return [request for request in self.requests if request.method != "GET"]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """One call, as httpx.MockTransport passes it on."""
        self.requests.append(request)
        if self.hangs:
            await asyncio.sleep(3600)
        if isinstance(self.answer, Exception):
            raise self.answer
        answer = self.answer(request) if callable(self.answer) else self.answer
        return await answer if inspect.isawaitable(answer) else answer


@contextmanager
def listening(torchserve: FakeTorchServe) -> Iterator[str]:
    """Serves it on loopback, for commands that take an address; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = httpx.Request(self.command, f"http://torchserve{self.path}", content=content)
            response = asyncio.run(torchserve(request))
            self.send_response(response.status_code)
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Nothing; the base class writes to stderr."""

    with serving(Handler) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def version(name: str, ready: int, workers: int, *, pending: int = 0) -> dict[str, object]:
    """One entry of a describe answer."""
    states = ["READY"] * ready + ["UNLOADING"] * (workers - ready)
    return {
        "modelName": "genre",
        "modelVersion": name,
        "modelUrl": f"genre-{name}.mar",
        "minWorkers": workers,
        "maxWorkers": workers,
        "batchSize": 8,
        "maxBatchDelay": 20,
        "responseTimeout": 30,
        "workers": [{"id": str(index), "status": state, "pid": 7} for index, state in enumerate(states)],
        "jobQueueStatus": {"remainingCapacity": 200, "pendingRequests": pending},
    }


def described(*versions: dict[str, object]) -> httpx.Response:
    """A describe answer."""
    return httpx.Response(200, content=json.dumps(versions).encode())
