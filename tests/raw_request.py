"""One request handed to the application as it is: clients mend paths first, and keep bodies."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI


def http_scope(method: str, target: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The scope in which uvicorn hands a request to the application."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        # As uvicorn decodes it.
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


async def status_of(
    app: FastAPI, method: str, target: str, body: bytes = b"x", headers: Mapping[str, str] | None = None
) -> int:
    """The answer's status."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    del body
    sent: list[int] = []

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.extend([message["status"]] if "status" in message else [])

    await app(http_scope(method, target, headers or {}), receive, send)
    [status] = sent
    return status
