"""KServe's V1 protocol: images as base64 in JSON, or any JSON for models whose inputs are no images."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, create_model
from starlette.convertors import StringConvertor, register_url_convertor

from torchserve_gateway.gateway.deployed.fleet import Fleet
from torchserve_gateway.gateway.deployed.readiness import Readiness
from torchserve_gateway.gateway.deployed.served_models import ServedModels
from torchserve_gateway.gateway.intake.json_bodies import json_body
from torchserve_gateway.gateway.names import PathModel
from torchserve_gateway.gateway.prediction.answers import PROBLEMS, prediction_headers
from torchserve_gateway.gateway.prediction.arrivals import Arrivals
from torchserve_gateway.gateway.prediction.image_batches import ImageBatches, NamedImage
from torchserve_gateway.gateway.protocols.kserve_v1_bodies import (
    PredictRequest,
    prediction_of,
    read_images,
    read_instances,
    read_rows,
)
from torchserve_gateway.gateway.schemas import ModelReadiness, answer_schema, problems


class ModelNameConvertor(StringConvertor):
    """A model's name in a path: without it, `GET .../{model}` would match `:predict` as part of the name."""

    regex = "[^/:]+"


register_url_convertor("model_name", ModelNameConvertor())


class ModelList(BaseModel):
    """Names of models."""

    models: list[str]


def routes(
    arrivals: Arrivals,
    batches: ImageBatches,
    fleet: Fleet,
    readiness: Readiness,
    may_predict: Callable[[Request, str], bool],
    is_foreign: Callable[[str], bool],
) -> APIRouter:
    """`GET /v1/models`, `GET /v1/models/{model}` and `POST /v1/models/{model}:predict`.

    may_predict: whether a request's caller may use a model, by its name.
    is_foreign: whether a model's archive says nothing of images, by the model's name.
    """
    router = APIRouter(prefix="/v1/models", tags=["KServe V1"])
    max_images = arrivals.settings.max_batch_images

    def read_inputs(model: str, body: bytes) -> list[NamedImage]:
        served = batches.models.of(model)
        if served.takes_any_input:
            return read_instances(body, max_images)
        # A model's file says more than its archive.
        if model not in batches.models.configured and is_foreign(model):
            return read_rows(body, max_images, served.max_request_bytes)
        return read_images(body, max_images)

    @router.post(
        "/{model:model_name}:predict",
        summary="Predict images, or other inputs",
        response_model=_predictions_schema(batches.models),
        responses=PROBLEMS,
        openapi_extra=json_body(PredictRequest),
    )
    async def predict(request: Request, model: PathModel) -> Response:
        context = arrivals.let_in(request, model)
        body = await arrivals.read_images(request, context)
        images = await asyncio.to_thread(read_inputs, model, body)
        answers = await batches.predict_all(images, batches.job(request, model), context)
        predictions = [prediction_of(answer) for answer in answers]
        return JSONResponse({"predictions": predictions}, headers=prediction_headers(context))

    @router.get("", summary="The models that are deployed", responses=problems(502, 504))
    async def models(request: Request) -> ModelList:
        found = {row.model for row in (await fleet.inventory(fleet.models)).rows}
        return ModelList(models=sorted(model for model in found if may_predict(request, model)))

    @router.get(
        "/{model:model_name}", summary="A prediction would be served now", responses=problems(404, 414, 503)
    )
    async def ready(model: PathModel) -> ModelReadiness:
        await readiness.check_model(model)
        return ModelReadiness(name=model, ready=True)

    return router


def _predictions_schema(models: ServedModels) -> Any:
    answer = answer_schema(each.labels for each in models.configured.values())
    fields: dict[str, Any] = {"predictions": (list[answer], ...)}  # type: ignore[valid-type]
    return create_model("Predictions", __doc__="Predictions in the order of the instances.", **fields)
