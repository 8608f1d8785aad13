"""TorchServe's Inference API: predictions, explanations and health."""

from collections.abc import Mapping
from dataclasses import field
from time import perf_counter
from typing import Literal

from torchserve_gateway.torchserve_api.errors import (
    HandlerFailedError,
    HandlerStatusError,
    InvalidAnswerError,
    InvalidRequestError,
    WorkerDiedError,
)
from torchserve_gateway.torchserve_api.handler_answers import REQUEST_ID
from torchserve_gateway.torchserve_api.handler_timing import batch_size, stages_s
from torchserve_gateway.torchserve_api.headers import RawHeaders, set_by_handler
from torchserve_gateway.torchserve_api.transport import Answer, Transport, path_of
from torchserve_gateway.torchserve_api.values import value

# Bytes of a handler's error answer that a message quotes.
SHOWN_BYTES = 200


Operation = Literal["predict", "explain"]


@value
class Job:
    """A request in TorchServe's queue."""

    model: str
    """Name as registered."""
    version: str | None
    """None for the default version."""
    body: bytes
    """Sent as it is."""
    content_type: str
    """Media type of the body."""
    headers: RawHeaders = ()
    """The client's headers, for the handler."""
    operation: Operation = "predict"
    """Which entry of the handler runs."""


@value
class Prediction:
    """An answer of the handler, of any status; TorchServe's own errors are exceptions."""

    body: bytes
    """As the handler gave it."""
    content_type: str | None
    """None if the handler sets no type, as stock handlers do."""
    version: str | None
    """Version that answered, if known."""
    torchserve_s: float
    """Seconds from sending the request to the complete answer."""
    torchserve_request_id: str | None
    """Request id in TorchServe's logs."""
    batch_size: int | None = None
    """Requests in the batch; None if the handler does not report it."""
    handler_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage of the handler; empty if it does not report them."""
    status: int = 200
    """Status that the handler set."""
    headers: RawHeaders = ()
    """Headers that the handler set."""
    admission_s: float | None = None
    """Seconds that the job waited to be sent; None if no job was sent for this request."""
    cache: str | None = None
    """Result of the response cache: `hit`, `miss`, `shared` or `bypass`; None if it was not asked."""

    @property
    def error(self) -> HandlerStatusError | None:
        """The handler's error status as an exception; None below 400."""
        if self.status < 400:
            return None
        text = self.body[:SHOWN_BYTES].decode(errors="replace")
        return HandlerStatusError(self.status, "", f"the handler answered {self.status}: {text}")

    @property
    def stages_s(self) -> dict[str, float]:
        """Splits the wait and `torchserve_s` into stages; `queue` is the time outside the handler."""
        admission = {} if self.admission_s is None else {"admission": self.admission_s}
        if not self.handler_s:
            return {**admission, "torchserve": self.torchserve_s}
        queue_s = self.torchserve_s - sum(self.handler_s.values())
        return {**admission, "queue": queue_s, **self.handler_s}


class InferenceClient:
    """Predictions and explanations of one TorchServe.

    max_response_size: TorchServe's own limit in bytes.
    """

    def __init__(self, transport: Transport, max_response_size: int) -> None:
        self._transport = transport
        self._max_response_size = max_response_size

    async def predict(self, job: Job, deadline_s: float) -> Prediction:
        """Sends one job, which TorchServe batches with others.

        Raises:
            TorchServeError: as the subclass that fits.
        """
        if job.operation == "predict":
            return await self._ask("predictions", job, deadline_s)
        try:
            return await self._ask("explanations", job, deadline_s)
        except HandlerFailedError as exc:
            # TorchServe gives no other sign of a handler without get_insights.
            message = f"{exc}; the handler of {job.model} may not support explanations"
            raise HandlerFailedError(exc.status, exc.type, message) from exc

    async def _ask(self, api: str, job: Job, deadline_s: float) -> Prediction:
        segments = (api, job.model, job.version) if job.version else (api, job.model)
        start = perf_counter()
        try:
            response = await self._transport.call(
                "POST",
                path_of(*segments),
                deadline_s,
                content=job.body,
                headers=((b"Content-Type", _ascii(job.content_type)), *job.headers),
                handler_answers=True,
            )
        except WorkerDiedError as exc:
            raise self._explained(exc) from exc
        return self._prediction(job, response, perf_counter() - start)

    def _explained(self, exc: WorkerDiedError) -> WorkerDiedError:
        # TorchServe gives all of them the same message; its log tells them apart.
        message = (
            f"{exc} It crashed, was killed, took longer than the model's response_timeout, or answered more "
            f"than the {self._max_response_size} bytes of torchserve.properties.max_response_size"
        )
        return WorkerDiedError(exc.status, exc.type, message)

    def _prediction(self, job: Job, answer: Answer, torchserve_s: float) -> Prediction:
        status, headers = answer.status, answer.headers
        if not 200 <= status < 600 or (status >= 300 and REQUEST_ID not in headers):
            raise InvalidAnswerError(f"the answer has status {status}, which is none of a prediction's")
        return Prediction(
            body=answer.content,
            content_type=headers.get("content-type"),
            version=job.version or headers.get("x-model-version"),
            torchserve_s=torchserve_s,
            torchserve_request_id=headers.get(REQUEST_ID),
            batch_size=batch_size(headers),
            handler_s=stages_s(headers, torchserve_s),
            status=status,
            headers=set_by_handler(answer.raw_headers),
        )

    async def ping(self, deadline_s: float) -> bytes:
        """TorchServe's health body, which is Healthy even if models failed to load.

        Raises:
            TorchServeError: as the subclass that fits.
        """
        return (await self._transport.call("GET", "/ping", deadline_s)).content


def _ascii(content_type: str) -> bytes:
    try:
        return content_type.encode("ascii")
    except UnicodeEncodeError as exc:
        raise InvalidRequestError(f"the Content-Type {content_type!r} is not ASCII") from exc
