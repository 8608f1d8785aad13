"""The gateway's API as calls, shared by both clients."""

import base64
import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx
from opentelemetry import propagate

from gateway_client import answers
from gateway_client.answers import DeployedVersion, Prediction
from gateway_client.calls import Call, Request, ResultT, Send, Work, call
from gateway_client.errors import GatewayClientError, OverloadedError, ProblemError, UnreadableImageError
from gateway_client.images import ImageLike, Limits, batches, encoded, encoded_or_error, name_of

READY_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Options:
    """Options of a client."""

    api_key: str | None = None
    deadline_s: float = 30.0
    """Seconds for a request, retries and pauses included."""
    limits: Limits = field(default_factory=Limits)
    """Limits above which images are shrunk."""


@dataclass(frozen=True)
class Api:
    """Each method is a call that a client executes, see calls.py."""

    options: Options

    def predict(
        self, image: ImageLike, model: str | None, version: str | None, request_id: str | None
    ) -> Call[Prediction]:
        """Calls `/predict`, or `/predictions/{model}[/{version}]` if a model is named."""
        if model is None and version is not None:
            raise ValueError(f"version {version!r} of which model?")
        content: bytes = yield Work(partial(encoded, image, self.options.limits))
        headers = self._headers(request_id)
        if model is None:
            request = Request("POST", "/predict", headers, files={"file": (name_of(image), content)})
        else:
            path = "/".join(quote(each, safe="") for each in (model, version) if each is not None)
            headers["Content-Type"] = "application/octet-stream"
            request = Request("POST", f"/predictions/{path}", headers, content=content)
        return (yield from self._call(request, answers.prediction))

    def answer(self, image: ImageLike, model: str, host: str | None, *, kserve: bool) -> Call[Any]:
        """Calls `/predictions/{model}` with `{"data": base64}`, or KServe's `/v1/models/{model}:predict`."""
        content: bytes = yield Work(partial(encoded, image, self.options.limits))
        document: dict[str, Any] = {"data": base64.b64encode(content).decode()}
        name = quote(model, safe="")
        headers = self._headers() | {"Content-Type": "application/json"} | ({"Host": host} if host else {})
        if not kserve:
            body = json.dumps(document).encode()
            request = Request("POST", f"/predictions/{name}", headers, content=body)
            return (yield from self._call(request, answers.any_answer))
        body = json.dumps({"instances": [document]}).encode()
        request = Request("POST", f"/v1/models/{name}:predict", headers, content=body)
        return (yield from self._call(request, answers.only_prediction))

    def predict_batch(
        self, images: Sequence[ImageLike], request_id: str | None
    ) -> Call[list[Prediction | GatewayClientError]]:
        """Calls `/predict/batch` once or several times under the same request id."""
        limits, headers = self.options.limits, self._headers(request_id)
        contents: list[bytes | UnreadableImageError] = yield Work(
            lambda: [encoded_or_error(image, limits) for image in images]
        )
        named = zip(map(name_of, images), contents, strict=True)
        readable = [(name, content) for name, content in named if isinstance(content, bytes)]
        answered: list[Prediction | ProblemError] = []
        for batch in batches(readable, limits):
            request = Request("POST", "/predict/batch", headers, files=[("files", each) for each in batch])
            answered += yield from self._call(request, partial(answers.predictions, count=len(batch)))
        in_order = iter(answered)
        return [next(in_order) if isinstance(content, bytes) else content for content in contents]

    def models(self) -> Call[list[DeployedVersion]]:
        """Calls `/models`."""
        return (yield from self._call(Request("GET", "/models", self._headers()), answers.deployed_versions))

    def ready(self) -> Call[bool]:
        """Calls `/health/ready` without retries."""
        outcome = yield Send(Request("GET", "/health/ready", self._headers()), READY_TIMEOUT_S)
        if isinstance(outcome, httpx.RequestError):
            return False
        if outcome.is_error and not isinstance(answers.error_of(outcome), OverloadedError):
            raise answers.error_of(outcome)
        return bool(outcome.is_success)

    def _call(self, request: Request, read: Callable[[httpx.Response], ResultT]) -> Call[ResultT]:
        return call(request, read, self.options.deadline_s, time.monotonic)

    def _headers(self, request_id: str | None = None) -> dict[str, str]:
        # Shared by all retries, so that the gateway's log shows them together.
        headers = {"X-Request-ID": request_id or uuid.uuid4().hex}
        if self.options.api_key:
            headers["Authorization"] = f"Bearer {self.options.api_key}"
        propagate.inject(headers)
        return headers
