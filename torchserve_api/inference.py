"""TorchServe's Inference API: predictions, explanations and health."""

from dataclasses import dataclass
from time import perf_counter

from torchserve_api.errors import HandlerFailedError
from torchserve_api.transport import Transport, path_of


@dataclass(frozen=True)
class Prediction:
    """A successful answer.

    body: as the handler gave it; content_type: None if the handler set none (stock handlers do not);
    version: the one that answered, if the handler says so; torchserve_s: seconds from sending the request
    to the complete answer; torchserve_request_id: TorchServe's own, as in its logs.
    """

    body: bytes
    content_type: str | None
    version: str | None
    torchserve_s: float
    torchserve_request_id: str | None


class InferenceClient:
    """Predictions and explanations of one TorchServe."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def predict(
        self, model: str, version: str | None, body: bytes, content_type: str, deadline_s: float
    ) -> Prediction:
        """Sends one request body, which TorchServe batches with others; None: the default version.

        Raises:
            TorchServeError: as the subclass that fits.
        """
        return await self._ask("predictions", model, version, body, content_type, deadline_s)

    async def explain(
        self, model: str, version: str | None, body: bytes, content_type: str, deadline_s: float
    ) -> Prediction:
        """As `predict`, but asks why; the handler must know how.

        Raises:
            TorchServeError: as the subclass that fits.
        """
        try:
            return await self._ask("explanations", model, version, body, content_type, deadline_s)
        except HandlerFailedError as exc:
            # All that TorchServe says of a handler without get_insights.
            message = f"{exc}; the handler of {model} may not support explanations"
            raise HandlerFailedError(exc.status, exc.type, message) from exc

    async def _ask(
        self, api: str, model: str, version: str | None, body: bytes, content_type: str, deadline_s: float
    ) -> Prediction:
        segments = (api, model, version) if version else (api, model)
        start = perf_counter()
        response = await self._transport.call(
            "POST", path_of(*segments), deadline_s, content=body, content_type=content_type
        )
        return Prediction(
            body=response.content,
            content_type=response.headers.get("content-type"),
            version=version or response.headers.get("x-model-version"),
            torchserve_s=perf_counter() - start,
            torchserve_request_id=response.headers.get("x-request-id"),
        )

    async def ping(self, deadline_s: float) -> bytes:
        """TorchServe's health body. It says Healthy with models that failed to load; see health.py.

        Raises:
            TorchServeError: as the subclass that fits.
        """
        return (await self._transport.call("GET", "/ping", deadline_s)).content
