"""The prediction and explanation routes: one image in, one answer out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from torchserve_gateway.gateway.errors import MalformedRequestError
from torchserve_gateway.gateway.headers import check_media_type
from torchserve_gateway.gateway.intake.body import read_body, read_files
from torchserve_gateway.gateway.intake.forwarded_headers import forwarded_headers, passed_on
from torchserve_gateway.gateway.intake.handler_bodies import OCTET_STREAM, type_for_others
from torchserve_gateway.gateway.intake.image_check import MIN_TARGET_LIMIT, check_body, check_image
from torchserve_gateway.gateway.names import PathModel, PathVersion
from torchserve_gateway.gateway.prediction.answers import PROBLEMS, prediction_headers
from torchserve_gateway.gateway.prediction.arrivals import Arrivals
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.schemas import ClassProbabilities, Explanation, torchserve_body, upload_form
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.torchserve_api.inference import Job, Operation, Prediction

Endpoint = Callable[..., Awaitable[Response]]


def routes(arrivals: Arrivals, served: ModelSettings, stages: Stage) -> APIRouter:
    """`POST /predict` and `POST|PUT /predictions|explanations/{model}[/{version}]`."""
    router = APIRouter(tags=["predictions"])
    _add_upload_route(router, arrivals, served, stages)
    passed = _PassedOn(arrivals, served, stages)
    body = torchserve_body()
    _add_torchserve_routes(router, "prediction", passed.endpoints("predict"), ClassProbabilities, body)
    described = "the class to explain; empty or without it: the most probable one"
    body = torchserve_body(target={"type": "string", "enum": [*served.labels, ""], "description": described})
    _add_torchserve_routes(router, "explanation", passed.endpoints("explain"), Explanation, body)
    return router


def _add_upload_route(router: APIRouter, arrivals: Arrivals, served: ModelSettings, stages: Stage) -> None:
    settings = arrivals.settings

    @router.post(
        "/predict",
        summary="Predict one image with the default model",
        response_model=ClassProbabilities,
        responses=PROBLEMS,
        openapi_extra=upload_form("file"),
    )
    async def predict(request: Request) -> Response:
        context = arrivals.let_in(request, settings.default_model)
        headers = forwarded_headers(request, settings)
        limits = settings.max_request_bytes, arrivals.body_timeout_s(context)
        [file] = await read_files(request, "file", 1, *limits)
        image = bytes(file.content)
        if not image:
            raise MalformedRequestError(f"the file '{file.filename or ''}' in field 'file' is empty")
        image = await check_image(image, served.preprocessing.max_pixels)
        job = Job(settings.default_model, None, image, OCTET_STREAM, headers)
        prediction = await _prediction(stages, job, context)
        if prediction.error:
            raise prediction.error
        return _answer(prediction, context)


class _PassedOn:
    """The routes of TorchServe's Inference API."""

    def __init__(self, arrivals: Arrivals, served: ModelSettings, stages: Stage) -> None:
        self._arrivals = arrivals
        self._served = served
        self._stages = stages
        self._max_target_chars = max(MIN_TARGET_LIMIT, *map(len, served.labels))

    def endpoints(self, operation: Operation) -> dict[str, Endpoint]:
        """By the end of the path."""

        async def of_default(request: Request, model: PathModel) -> Response:
            return await self._pass_on(request, operation, model, None)

        async def of_version(request: Request, model: PathModel, version: PathVersion) -> Response:
            return await self._pass_on(request, operation, model, version)

        return {"/{model}": of_default, "/{model}/{version}": of_version}

    async def _pass_on(
        self, request: Request, operation: Operation, model: str, version: str | None
    ) -> Response:
        settings = self._arrivals.settings
        context = self._arrivals.let_in(request, model)
        headers = forwarded_headers(request, settings)
        timeout_s = self._arrivals.body_timeout_s(context)
        body = await read_body(request, settings.max_request_bytes, timeout_s)
        body, content_type = await self._checked(body, _content_type(request), model)
        job = Job(model, version, body, content_type, headers, operation)
        return _answer(await _prediction(self._stages, job, context), context)

    async def _checked(self, body: bytes, content_type: str, model: str) -> tuple[bytes, str]:
        # Other models' inputs are between the client and TorchServe.
        if model != self._served.name:
            return body, type_for_others(content_type, body)
        read = await check_body(
            body, content_type, self._served.preprocessing.max_pixels, self._max_target_chars
        )
        return read.content, read.content_type


async def _prediction(stages: Stage, job: Job, context: RequestContext) -> Prediction:
    context.ask_for(job.version)
    prediction = await stages.predict(job, context)
    context.answer_with(prediction)
    return prediction


def _answer(prediction: Prediction, context: RequestContext) -> Response:
    """The handler's answer as it is; its error status is in the log and the metrics, too."""
    if prediction.error:
        context.error_type = type(prediction.error).__name__
        context.error = f"{context.error_type}: {prediction.error}"
    headers = prediction_headers(context) | ({"X-Cache": context.cache} if context.cache else {})
    return passed_on(prediction, headers)


def _add_torchserve_routes(
    router: APIRouter,
    name: str,
    endpoints: Mapping[str, Endpoint],
    answer: type[BaseModel],
    body: dict[str, Any],
) -> None:
    for path, endpoint in endpoints.items():
        for method in ("POST", "PUT"):
            router.add_api_route(
                f"/{name}s{path}",
                endpoint,
                methods=[method],
                summary=f"The {name} as TorchServe's Inference API gives it",
                operation_id=f"{method.lower()}_{name}{'_of_version' if 'version' in path else ''}",
                response_model=answer,
                responses=PROBLEMS,
                openapi_extra=body,
            )


def _content_type(request: Request) -> str:
    content_type = request.headers.get("content-type") or OCTET_STREAM
    check_media_type(content_type)
    return content_type
