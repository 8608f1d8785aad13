"""The Open Inference Protocol, KServe's V2, over REST: encoded images, or other inputs, in a BYTES tensor."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from torchserve_gateway.gateway.deployed.fleet import Fleet
from torchserve_gateway.gateway.deployed.readiness import Readiness
from torchserve_gateway.gateway.deployed.served_models import ServedModel
from torchserve_gateway.gateway.errors import UnknownModelError
from torchserve_gateway.gateway.intake.handler_bodies import OCTET_STREAM
from torchserve_gateway.gateway.intake.json_bodies import json_body
from torchserve_gateway.gateway.names import PathModel, PathVersion
from torchserve_gateway.gateway.prediction.answers import PROBLEMS, prediction_headers
from torchserve_gateway.gateway.prediction.arrivals import Arrivals
from torchserve_gateway.gateway.prediction.image_batches import ImageBatches
from torchserve_gateway.gateway.protocols.open_inference_bodies import (
    CLASSES,
    OUTPUT,
    PROBABILITIES,
    InferenceRequest,
    InferenceResponse,
)
from torchserve_gateway.gateway.protocols.open_inference_outputs import check_outputs, response_to
from torchserve_gateway.gateway.protocols.open_inference_tensors import HEADER_LENGTH, read_request
from torchserve_gateway.gateway.schemas import ModelReadiness, problems

TAG = "Open Inference Protocol"
BINARY: dict[str, Any] = {OCTET_STREAM: {"schema": {"type": "string", "format": "binary"}}}
Endpoint = Callable[..., Awaitable[Any]]


class Server(BaseModel):
    """Name and version of this server."""

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """The gateway runs."""

    live: bool


class Ready(BaseModel):
    """A prediction would be served now."""

    ready: bool


class TensorMetadata(BaseModel):
    """Name, type and shape of a tensor."""

    name: str
    datatype: str
    shape: list[int]
    """-1 where any number will do, or where it is not known."""


class ModelMetadata(BaseModel):
    """Versions and tensors of a model."""

    name: str
    versions: list[str]
    """Versions that may be named in a path."""
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


def server_routes(readiness: Readiness) -> APIRouter:
    """`GET /v2` and `/v2/health/...`; they need no key, like the gateway's own health routes."""
    router = APIRouter(prefix="/v2", tags=[TAG])

    @router.get("", summary="What this server is")
    async def server(request: Request) -> Server:
        app = request.app
        return Server(name=app.title, version=app.version, extensions=["binary_tensor_data"])

    @router.get("/health/live", summary="The gateway runs")
    async def live() -> Live:
        return Live(live=True)

    @router.get("/health/ready", summary="A prediction would be served now", responses=problems(503))
    async def ready() -> Ready:
        await readiness.check_gateway()
        return Ready(ready=True)

    return router


def model_routes(arrivals: Arrivals, batches: ImageBatches, fleet: Fleet, readiness: Readiness) -> APIRouter:
    """`GET /v2/models/{model}[/versions/{version}][/ready]` and `POST .../infer`."""
    router = APIRouter(prefix="/v2", tags=[TAG])
    models = batches.models

    async def metadata(model: PathModel, version: PathVersion | None) -> ModelMetadata:
        versions = [row.version for row in await fleet.versions_of(model) if row.on]
        if not versions or version not in (None, *versions):
            there = ", ".join(versions) or "none"
            raise UnknownModelError(
                f"there is no version {version} of {model} to ask for; registered: {there}"
            )
        return _metadata(model, versions, models.of(model))

    async def model_ready(model: PathModel, version: PathVersion | None) -> ModelReadiness:
        await readiness.check_model(model, version)
        return ModelReadiness(name=model, ready=True)

    async def infer(request: Request, model: PathModel, version: PathVersion | None) -> Response:
        context, served = arrivals.let_in(request, model), models.of(model)
        body = await arrivals.read_images(request, context)
        limits = request.headers.get(HEADER_LENGTH), arrivals.settings.max_batch_images
        asked, images = await asyncio.to_thread(read_request, body, *limits, is_text=served.takes_any_input)
        check_outputs(asked, model, served.labels)
        answers = await batches.predict_all(images, batches.job(request, model, version), context)
        content, binary = response_to(asked, model, context.version, answers, served.labels)
        headers = prediction_headers(context)
        if not binary:
            return Response(content, media_type="application/json", headers=headers)
        headers[HEADER_LENGTH] = str(len(content))
        return Response(content + binary, media_type=OCTET_STREAM, headers=headers)

    _add_model_routes(router, metadata, model_ready, infer)
    return router


def _metadata(model: str, versions: list[str], served: ServedModel) -> ModelMetadata:
    """Metadata of a model; -1 classes where their number is not known."""
    input_name = "input" if served.takes_any_input else "image"
    classes = len(served.labels) if served.labels and served.answers_all_classes else -1
    outputs = [
        TensorMetadata(name=CLASSES, datatype="BYTES", shape=[-1, classes]),
        TensorMetadata(name=PROBABILITIES, datatype="FP32", shape=[-1, classes]),
    ]
    if served.labels is not None and not served.labels:
        outputs = [TensorMetadata(name=OUTPUT, datatype="BYTES", shape=[-1])]
    return ModelMetadata(
        name=model,
        versions=versions,
        platform="torchserve_mar",
        inputs=[TensorMetadata(name=input_name, datatype="BYTES", shape=[-1])],
        outputs=outputs,
    )


def _add_model_routes(router: APIRouter, metadata: Endpoint, model_ready: Endpoint, infer: Endpoint) -> None:
    """Adds each route with and without a version in the path."""

    async def metadata_of_default(model: PathModel) -> Any:
        return await metadata(model, None)

    async def ready_default(model: PathModel) -> Any:
        return await model_ready(model, None)

    async def infer_by_default(request: Request, model: PathModel) -> Any:
        return await infer(request, model, None)

    model_path, version_path = "/models/{model}", "/models/{model}/versions/{version}"
    for path, describe, is_ready, predict in (
        (model_path, metadata_of_default, ready_default, infer_by_default),
        (version_path, metadata, model_ready, infer),
    ):
        router.add_api_route(
            path,
            describe,
            summary="The tensors of a model",
            response_model=ModelMetadata,
            responses=problems(404, 414, 502, 504),
        )
        router.add_api_route(
            f"{path}/ready",
            is_ready,
            summary="A prediction would be served now",
            response_model=ModelReadiness,
            responses=problems(404, 414, 503),
        )
        router.add_api_route(
            f"{path}/infer",
            predict,
            methods=["POST"],
            summary="Predict images, or other inputs",
            response_model=InferenceResponse,
            responses=PROBLEMS | {200: {"content": BINARY}},
            openapi_extra=json_body(InferenceRequest, **BINARY),
        )
