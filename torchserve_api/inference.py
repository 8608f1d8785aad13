"""TorchServe's Inference API: predictions, explanations and health."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter

from torchserve_api.errors import HandlerFailedError
from torchserve_api.handler_timing import batch_size, stages_s
from torchserve_api.transport import Transport, path_of


@dataclass(frozen=True)
class Job:
    """What TorchServe is asked, as it queues it. version: None for the default one."""

    model: str
    version: str | None
    body: bytes
    content_type: str


@dataclass(frozen=True)
class Prediction:
    """A successful answer.

    body: as the handler gave it; content_type: None if the handler set none (stock handlers do not);
    version: the one that answered, if the handler says so; torchserve_s: seconds from sending the request
    to the complete answer; torchserve_request_id: TorchServe's own, as in its logs; batch_size: requests in
    the batch it ran in, None if the handler does not say; handler_s: seconds by stage, empty if it does not.
    """

    body: bytes
    content_type: str | None
    version: str | None
    torchserve_s: float
    torchserve_request_id: str | None
    batch_size: int | None = None
    handler_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def stages_s(self) -> dict[str, float]:
        """Where `torchserve_s` went. queue: all that is not the handler's."""
        if not self.handler_s:
            return {"torchserve": self.torchserve_s}
        return {"queue": self.torchserve_s - sum(self.handler_s.values()), **self.handler_s}


class InferenceClient:
    """Predictions and explanations of one TorchServe."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def predict(self, job: Job, deadline_s: float) -> Prediction:
        """Sends one job, which TorchServe batches with others.

        Raises:
            TorchServeError: as the subclass that fits.
        """
        return await self._ask("predictions", job, deadline_s)

    async def explain(self, job: Job, deadline_s: float) -> Prediction:
        """As `predict`, but asks why; the handler must know how.

        Raises:
            TorchServeError: as the subclass that fits.
        """
        try:
            return await self._ask("explanations", job, deadline_s)
        except HandlerFailedError as exc:
            # All that TorchServe says of a handler without get_insights.
            message = f"{exc}; the handler of {job.model} may not support explanations"
            raise HandlerFailedError(exc.status, exc.type, message) from exc

    async def _ask(self, api: str, job: Job, deadline_s: float) -> Prediction:
        segments = (api, job.model, job.version) if job.version else (api, job.model)
        start = perf_counter()
        response = await self._transport.call(
            "POST", path_of(*segments), deadline_s, content=job.body, content_type=job.content_type
        )
        torchserve_s = perf_counter() - start
        return Prediction(
            body=response.content,
            content_type=response.headers.get("content-type"),
            version=job.version or response.headers.get("x-model-version"),
            torchserve_s=torchserve_s,
            torchserve_request_id=response.headers.get("x-request-id"),
            batch_size=batch_size(response.headers),
            handler_s=stages_s(response.headers, torchserve_s),
        )

    async def ping(self, deadline_s: float) -> bytes:
        """TorchServe's health body. It says Healthy with models that failed to load; see health.py.

        Raises:
            TorchServeError: as the subclass that fits.
        """
        return (await self._transport.call("GET", "/ping", deadline_s)).content
