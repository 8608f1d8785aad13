"""KServe's V1 protocol: images as base64 in JSON."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AliasChoices, BaseModel, Field
from starlette.convertors import StringConvertor, register_url_convertor

from torchserve_gateway.gateway.deployed.fleet import Fleet
from torchserve_gateway.gateway.deployed.readiness import Readiness
from torchserve_gateway.gateway.errors import TooManyFilesError
from torchserve_gateway.gateway.intake.json_bodies import Base64Text, RequestBody, decoded, json_body, parsed
from torchserve_gateway.gateway.names import PathModel
from torchserve_gateway.gateway.prediction.answers import PROBLEMS, prediction_headers
from torchserve_gateway.gateway.prediction.arrivals import Arrivals
from torchserve_gateway.gateway.prediction.image_batches import ImageBatches, NamedImage
from torchserve_gateway.gateway.schemas import ClassProbabilities, ModelReadiness, problems


class ModelNameConvertor(StringConvertor):
    """A model's name in a path: without it, `GET .../{model}` would match `:predict` as part of the name."""

    regex = "[^/:]+"


register_url_convertor("model_name", ModelNameConvertor())


class Base64Object(RequestBody):
    """Bytes as TensorFlow Serving's REST API marks them."""

    b64: Base64Text


class ImageInstance(RequestBody):
    """One image, by the key of TorchServe's or KServe's examples."""

    image: Base64Text | Base64Object = Field(validation_alias=AliasChoices("data", "image", "image_bytes"))


class PredictRequest(RequestBody):
    """Body of `:predict`; KServe also calls `instances` `inputs`."""

    instances: list[Base64Text | Base64Object | ImageInstance] = Field(
        min_length=1, validation_alias=AliasChoices("instances", "inputs")
    )


class Predictions(BaseModel):
    """Predictions in the order of the instances."""

    predictions: list[ClassProbabilities]


class ModelList(BaseModel):
    """Names of models."""

    models: list[str]


def routes(arrivals: Arrivals, batches: ImageBatches, fleet: Fleet, readiness: Readiness) -> APIRouter:
    """`GET /v1/models`, `GET /v1/models/{model}` and `POST /v1/models/{model}:predict`."""
    router = APIRouter(prefix="/v1/models", tags=["KServe V1"])
    max_images = arrivals.settings.max_batch_images

    @router.post(
        "/{model:model_name}:predict",
        summary="Predict images",
        response_model=Predictions,
        responses=PROBLEMS,
        openapi_extra=json_body(PredictRequest),
    )
    async def predict(request: Request, model: PathModel) -> Response:
        context = arrivals.let_in(request, model)
        body = await arrivals.read_images(request, context)
        images = await asyncio.to_thread(_images, body, max_images)
        predictions = await batches.predict_all(images, batches.job(request, model), context)
        return JSONResponse({"predictions": predictions}, headers=prediction_headers(context))

    @router.get("", summary="The models that are deployed", responses=problems(502, 504))
    async def models() -> ModelList:
        found = await fleet.inventory(fleet.models)
        return ModelList(models=sorted({row.model for row in found.rows}))

    @router.get(
        "/{model:model_name}", summary="A prediction would be served now", responses=problems(404, 414, 503)
    )
    async def ready(model: PathModel) -> ModelReadiness:
        await readiness.check_model(model)
        return ModelReadiness(name=model, ready=True)

    return router


def _images(body: bytes, max_images: int) -> list[NamedImage]:
    instances = parsed(PredictRequest, body).instances
    if len(instances) > max_images:
        raise TooManyFilesError(f"there are {len(instances)} instances, at most {max_images} are allowed")
    return [_image(f"instances[{index}]", each) for index, each in enumerate(instances)]


def _image(name: str, instance: str | Base64Object | ImageInstance) -> NamedImage:
    return NamedImage(name, decoded(_text(instance), name))


def _text(instance: str | Base64Object | ImageInstance) -> str:
    """The base64 in an instance, however deep."""
    if isinstance(instance, ImageInstance):
        return _text(instance.image)
    return instance.b64 if isinstance(instance, Base64Object) else instance
