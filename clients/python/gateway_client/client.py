"""The blocking and the asynchronous client: they execute the steps of api.py."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx
from opentelemetry import trace

from gateway_client.answers import DeployedVersion, Prediction
from gateway_client.api import Api, Options
from gateway_client.calls import Call, Pause, ResultT, Send
from gateway_client.errors import GatewayClientError
from gateway_client.images import ImageLike

# Does nothing unless the program has set up OpenTelemetry.
tracer = trace.get_tracer("gateway_client")
CONNECTIONS = httpx.Limits(max_connections=100, max_keepalive_connections=20)


class GatewayClient:
    """Blocking client. `with GatewayClient("https://...") as client:` closes its connections.

    http: options of httpx.Client, for example `verify` for a certificate authority of your own.
    """

    def __init__(self, url: str, options: Options | None = None, **http: Any) -> None:
        self._api = Api(options or Options())
        self._http = httpx.Client(base_url=url, **({"limits": CONNECTIONS} | http))

    def __enter__(self) -> Self:
        """Returns the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes all connections."""
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def predict(
        self,
        image: ImageLike,
        model: str | None = None,
        version: str | None = None,
        request_id: str | None = None,
    ) -> Prediction:
        """Predicts an image, by default with the default model.

        Raises:
            GatewayClientError: no prediction; the subclass tells why.
        """
        return self._do("predict", self._api.predict(image, model, version, request_id))

    def answer(self, image: ImageLike, model: str, host: str | None = None, *, kserve: bool = False) -> Any:
        """Returns the answer of a model that is no classifier as it is: any JSON, or text.

        The image is sent as base64 in JSON. kserve: by KServe's V1 protocol. host: a Host header, by which an
        ingress chooses the service.

        Raises:
            GatewayClientError: no answer; the subclass tells why.
        """
        return self._do("answer", self._api.answer(image, model, host, kserve=kserve))

    def predict_batch(
        self, images: Sequence[ImageLike], request_id: str | None = None
    ) -> list[Prediction | GatewayClientError]:
        """Predicts many images with the default model, in order; a failed image is an error in its place.

        Raises:
            GatewayClientError: a whole request failed; the subclass tells why.
        """
        return self._do("predict_batch", self._api.predict_batch(images, request_id))

    def models(self) -> list[DeployedVersion]:
        """Lists the deployed versions.

        Raises:
            GatewayClientError: no list; the subclass tells why.
        """
        return self._do("models", self._api.models())

    def ready(self) -> bool:
        """Whether a prediction would be served now."""
        return self._do("ready", self._api.ready())

    def _do(self, name: str, call: Call[ResultT]) -> ResultT:
        outcome: object = None
        with tracer.start_as_current_span(name):
            while True:
                try:
                    step = call.send(outcome)
                except StopIteration as stop:
                    result: ResultT = stop.value
                    return result
                if isinstance(step, Send):
                    outcome = self._send(step)
                elif isinstance(step, Pause):
                    outcome = None
                    time.sleep(step.seconds)
                else:
                    outcome = step.run()

    def _send(self, step: Send) -> httpx.Response | httpx.RequestError:
        give_up = time.monotonic() + step.timeout_s
        content = bytearray()
        try:
            with self._http.stream(**step.arguments()) as response:
                # httpx's timeout limits each read only. Blocking code cannot check the total between two
                # bytes, nor while the head arrives.
                for chunk in response.iter_bytes():
                    content += chunk
                    if time.monotonic() > give_up:
                        return httpx.ReadTimeout("the answer was not complete in time")
        except httpx.RequestError as exc:
            return exc
        response.headers.pop("Content-Encoding", None)  # decoded by now
        return httpx.Response(response.status_code, headers=response.headers, content=bytes(content))


class AsyncGatewayClient:
    """Asynchronous client. Images are read and shrunk in a thread."""

    def __init__(self, url: str, options: Options | None = None, **http: Any) -> None:
        self._api = Api(options or Options())
        self._http = httpx.AsyncClient(base_url=url, **({"limits": CONNECTIONS} | http))

    async def __aenter__(self) -> Self:
        """Returns the client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes all connections."""
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.aclose()

    async def predict(
        self,
        image: ImageLike,
        model: str | None = None,
        version: str | None = None,
        request_id: str | None = None,
    ) -> Prediction:
        """See `GatewayClient.predict`."""
        return await self._do("predict", self._api.predict(image, model, version, request_id))

    async def answer(
        self, image: ImageLike, model: str, host: str | None = None, *, kserve: bool = False
    ) -> Any:
        """See `GatewayClient.answer`."""
        return await self._do("answer", self._api.answer(image, model, host, kserve=kserve))

    async def predict_batch(
        self, images: Sequence[ImageLike], request_id: str | None = None
    ) -> list[Prediction | GatewayClientError]:
        """See `GatewayClient.predict_batch`."""
        return await self._do("predict_batch", self._api.predict_batch(images, request_id))

    async def models(self) -> list[DeployedVersion]:
        """See `GatewayClient.models`."""
        return await self._do("models", self._api.models())

    async def ready(self) -> bool:
        """See `GatewayClient.ready`."""
        return await self._do("ready", self._api.ready())

    async def _do(self, name: str, call: Call[ResultT]) -> ResultT:
        outcome: object = None
        with tracer.start_as_current_span(name):
            while True:
                try:
                    step = call.send(outcome)
                except StopIteration as stop:
                    result: ResultT = stop.value
                    return result
                if isinstance(step, Send):
                    outcome = await self._send(step)
                elif isinstance(step, Pause):
                    outcome = None
                    await asyncio.sleep(step.seconds)
                else:
                    outcome = await asyncio.to_thread(step.run)

    async def _send(self, step: Send) -> httpx.Response | httpx.RequestError:
        try:
            async with asyncio.timeout(step.timeout_s):
                return await self._http.request(**step.arguments())
        except TimeoutError:
            return httpx.ReadTimeout("the answer was not complete in time")
        except httpx.RequestError as exc:
            return exc
