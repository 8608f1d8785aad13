"""TorchServe over gRPC: predictions and the Management API.

These calls bypass the gateway: it neither limits nor routes nor counts them.
"""

import json
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import grpc
from google.protobuf.empty_pb2 import Empty

from torchserve_gateway.settings.torchserve import TorchServeSettings
from torchserve_gateway.torchserve_api.errors import TokenRefusedError, refusal
from torchserve_gateway.torchserve_api.grpc.errors import translated
from torchserve_gateway.torchserve_api.grpc.proto import (
    inference_pb2,
    inference_pb2_grpc,
    management_pb2,
    management_pb2_grpc,
)
from torchserve_gateway.torchserve_api.tokens import Tokens
from torchserve_gateway.torchserve_api.transport import Api

# Names, field numbers and lengths around the image.
MESSAGE_OVERHEAD_BYTES = 65536
INPUT_FIELD = "data"
# TorchServe kills the worker with its whole batch if a handler does not end a requested stream, but does not
# tell the handler about the request. This field does.
STREAM_FIELD = "stream"


class GrpcClient:
    """Both APIs of one TorchServe; an asynchronous context manager that closes its connections.

    Every method raises a subclass of TorchServeError; deadline_s is in seconds from the call.
    """

    def __init__(self, settings: TorchServeSettings, tokens: Tokens) -> None:
        self._tokens = tokens
        limit = int(settings.properties["max_request_size"]) + MESSAGE_OVERHEAD_BYTES
        # gRPC's own limit of 4 MB is below TorchServe's.
        options = [("grpc.max_send_message_length", limit), ("grpc.max_receive_message_length", limit)]
        inference = f"{urlsplit(settings.inference_url).hostname}:{settings.grpc_inference_port}"
        management = f"{urlsplit(settings.management_url).hostname}:{settings.grpc_management_port}"
        self._channels = {
            "inference": grpc.aio.insecure_channel(inference, options),
            "management": grpc.aio.insecure_channel(management, options),
        }
        # The generated code has no types.
        self._inference: Any = inference_pb2_grpc.InferenceAPIsServiceStub(self._channels["inference"])  # type: ignore[no-untyped-call]
        self._management: Any = management_pb2_grpc.ManagementAPIsServiceStub(self._channels["management"])  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> Self:
        """Returns the client; the first call connects."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections."""
        for channel in self._channels.values():
            await channel.close()

    async def ping(self, deadline_s: float) -> str:
        """TorchServe's health as JSON."""
        return str((await self._call("inference", self._inference.Ping, Empty(), deadline_s)).health)

    async def predict(self, model: str, version: str | None, image: bytes, deadline_s: float) -> bytes:
        """The handler's answer to an image; version None: the default version.

        TorchServe drops the status that a handler sets, so an error that the handler describes in its
        answer is raised here.
        """
        request = _prediction(model, version, image)
        response = await self._call("inference", self._inference.Predictions, request, deadline_s)
        return _unless_error(response.prediction)

    async def stream_predictions(
        self, model: str, version: str | None, image: bytes, deadline_s: float
    ) -> AsyncIterator[bytes]:
        """Yields the parts of the handler's answer as they arrive; the project's handler sends one.

        TorchServe kills the worker of a handler that does not end the stream.
        """
        request = _prediction(model, version, image)
        request.input[STREAM_FIELD] = b"true"
        call = self._inference.StreamPredictions
        try:
            async for response in call(request, timeout=deadline_s, metadata=self._metadata("inference")):
                yield _unless_error(response.prediction)
        except grpc.aio.AioRpcError as exc:
            raise translated(exc, "StreamPredictions", deadline_s) from exc

    async def register(self, model: str, url: str, deadline_s: float, **parameters: int | bool) -> str:
        """Registers a version and returns TorchServe's message; parameters: of `RegisterModelRequest`."""
        request = management_pb2.RegisterModelRequest(model_name=model, url=url, **parameters)  # type: ignore[arg-type]
        return await self._manage(self._management.RegisterModel, request, deadline_s)

    async def scale(self, model: str, version: str | None, workers: int, deadline_s: float) -> str:
        """Requests this many workers and returns at once; over gRPC 0 means 1."""
        request = management_pb2.ScaleWorkerRequest(
            model_name=model, model_version=version or "", min_worker=workers, max_worker=workers
        )
        return await self._manage(self._management.ScaleWorker, request, deadline_s)

    async def describe(self, model: str, version: str | None, deadline_s: float) -> Any:
        """Answer of `GET /models/{model}[/{version}]` as Python objects."""
        request = management_pb2.DescribeModelRequest(model_name=model, model_version=version or "")
        return json.loads(await self._manage(self._management.DescribeModel, request, deadline_s))

    async def list_models(self, limit: int, next_page_token: int, deadline_s: float) -> Any:
        """Answer of `GET /models` as Python objects."""
        request = management_pb2.ListModelsRequest(limit=limit, next_page_token=next_page_token)
        return json.loads(await self._manage(self._management.ListModels, request, deadline_s))

    async def set_default(self, model: str, version: str, deadline_s: float) -> str:
        """Makes a version the default."""
        request = management_pb2.SetDefaultRequest(model_name=model, model_version=version)
        return await self._manage(self._management.SetDefault, request, deadline_s)

    async def unregister(self, model: str, version: str | None, deadline_s: float) -> str:
        """Removes a version; its waiting and running requests get no answer."""
        request = management_pb2.UnregisterModelRequest(model_name=model, model_version=version or "")
        return await self._manage(self._management.UnregisterModel, request, deadline_s)

    async def _manage(self, method: Callable[..., Any], request: object, deadline_s: float) -> str:
        return str((await self._call("management", method, request, deadline_s)).msg)

    async def _call(self, api: Api, method: Callable[..., Any], request: object, deadline_s: float) -> Any:
        refused = self._tokens.current(api)
        try:
            return await self._once(api, method, request, deadline_s)
        except TokenRefusedError:
            # The call was not executed, so repeating it is safe.
            await self._tokens.renewed(api, refused)
            return await self._once(api, method, request, deadline_s)

    async def _once(self, api: Api, method: Callable[..., Any], request: object, deadline_s: float) -> Any:
        try:
            return await method(request, timeout=deadline_s, metadata=self._metadata(api))
        except grpc.aio.AioRpcError as exc:
            raise translated(exc, type(request).__name__.removesuffix("Request"), deadline_s) from exc

    def _metadata(self, api: Api) -> list[tuple[str, str]]:
        token = self._tokens.current(api)
        return [("authorization", f"Bearer {token}")] if token else []


def _prediction(model: str, version: str | None, image: bytes) -> inference_pb2.PredictionsRequest:
    return inference_pb2.PredictionsRequest(
        model_name=model, model_version=version or "", input={INPUT_FIELD: image}
    )


def _unless_error(body: bytes) -> bytes:
    try:
        answer = json.loads(body)
    except ValueError:
        return body
    if isinstance(answer, dict) and answer.keys() == {"code", "type", "message"}:
        raise refusal(int(answer["code"]), body)
    return body
