"""The prediction and explanation routes: one image in, one answer out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from torchserve_gateway.gateway.errors import MalformedRequestError
from torchserve_gateway.gateway.headers import check_media_type
from torchserve_gateway.gateway.intake.body import read_body, read_files
from torchserve_gateway.gateway.intake.deadlines import body_timeout_of, deadline_of
from torchserve_gateway.gateway.intake.forwarded_headers import forwarded_headers, passed_on
from torchserve_gateway.gateway.intake.handler_bodies import OCTET_STREAM, type_for_others
from torchserve_gateway.gateway.intake.image_check import MIN_TARGET_LIMIT, check_body, check_image
from torchserve_gateway.gateway.names import PathModel, PathVersion
from torchserve_gateway.gateway.prediction.stages.fallback import Predictor
from torchserve_gateway.gateway.schemas import (
    ClassProbabilities,
    Explanation,
    problems,
    torchserve_body,
    upload_form,
)
from torchserve_gateway.gateway.telemetry.request_context import RequestRecord, request_record
from torchserve_gateway.settings.gateway import GatewaySettings
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError
from torchserve_gateway.torchserve_api.inference import Job, Prediction

PROBLEMS = problems(400, 404, 408, 413, 414, 415, 422, 431, 502, 503, 504)

Ask = Callable[[Job, str, float], Awaitable[Prediction]]
"""Gets the job (version None: whichever serves), the routing key and the seconds it may take."""
Endpoint = Callable[..., Awaitable[Response]]


async def ask_in_time(ask: Ask, request: Request, settings: GatewaySettings, job: Job) -> Prediction:
    """Asks once within what is left of the request's deadline.

    Raises:
        GatewayError, TorchServeError: as the subclass that fits.
    """
    record = request_record(request)
    deadline_s = deadline_of(request, settings.deadline_s)
    left_s = deadline_s - record.elapsed_s
    if left_s <= 0:
        raise DeadlineExceededError(f"the request's {deadline_s:g} s were over before TorchServe was asked")
    key = request.headers.get(settings.routing_key_header, record.request_id)
    return await ask(job, key, left_s)


def prediction_headers(record: RequestRecord) -> dict[str, str]:
    """What every prediction's answer says of itself; a version may be anything that a handler says."""
    headers = {"X-Model-Name": quote(record.model or ""), "Server-Timing": record.server_timing}
    return headers | ({"X-Model-Version": quote(record.version, safe=", ")} if record.version else {})


def _answer(request: Request, prediction: Prediction) -> Response:
    """The handler's answer as it is; an error of its own is in the log and the metrics, too."""
    record = request_record(request)
    if prediction.error:
        record.error_type = type(prediction.error).__name__
        record.error = f"{record.error_type}: {prediction.error}"
    headers = prediction_headers(record) | ({"X-Cache": record.cache} if record.cache else {})
    return passed_on(prediction, headers)


def routes(settings: GatewaySettings, served: ModelSettings, predictor: Predictor) -> APIRouter:
    """`POST /predict` and `POST|PUT /predictions|explanations/{model}[/{version}]`."""
    router = APIRouter(tags=["predictions"])
    max_target_chars = max(MIN_TARGET_LIMIT, *map(len, served.labels))

    async def ask_recorded(request: Request, ask: Ask, job: Job) -> Prediction:
        record = request_record(request)
        record.model, record.version = job.model, job.version
        prediction = await ask_in_time(ask, request, settings, job)
        record.version = prediction.version
        record.torchserve_s = prediction.torchserve_s
        record.torchserve_request_id = prediction.torchserve_request_id
        return prediction

    @router.post(
        "/predict",
        summary="Predict one image with the default model",
        response_model=ClassProbabilities,
        responses=PROBLEMS,
        openapi_extra=upload_form("file"),
    )
    async def predict(request: Request) -> Response:
        request_record(request).model = settings.default_model
        predictor.admission.refuse_if_full(settings.default_model)
        headers = forwarded_headers(request, settings)
        limits = settings.max_request_bytes, body_timeout_of(request, settings)
        [file] = await read_files(request, "file", 1, *limits)
        image = bytes(file.content)
        if not image:
            raise MalformedRequestError(f"the file '{file.filename or ''}' in field 'file' is empty")
        image = await check_image(image, served.image.max_pixels)
        job = Job(settings.default_model, None, image, OCTET_STREAM, headers)
        prediction = await ask_recorded(request, predictor.predict, job)
        if prediction.error:
            raise prediction.error
        return _answer(request, prediction)

    async def pass_on(request: Request, ask: Ask, model: str, version: str | None) -> Response:
        request_record(request).model = model
        predictor.admission.refuse_if_full(model)
        headers = forwarded_headers(request, settings)
        body = await read_body(request, settings.max_request_bytes, body_timeout_of(request, settings))
        content_type = _content_type(request)
        # What other models take is between the client and TorchServe.
        if model == served.name:
            read = await check_body(body, content_type, served.image.max_pixels, max_target_chars)
            body, content_type = read.content, read.content_type
        else:
            content_type = type_for_others(content_type, body)
        job = Job(model, version, body, content_type, headers)
        return _answer(request, await ask_recorded(request, ask, job))

    def as_torchserve(ask: Ask) -> dict[str, Endpoint]:
        async def of_default(request: Request, model: PathModel) -> Response:
            return await pass_on(request, ask, model, None)

        async def of_version(request: Request, model: PathModel, version: PathVersion) -> Response:
            return await pass_on(request, ask, model, version)

        return {"/{model}": of_default, "/{model}/{version}": of_version}

    body = torchserve_body()
    _add_torchserve_routes(router, "prediction", as_torchserve(predictor.predict), ClassProbabilities, body)
    what = "the class to explain; empty or without it: the most probable one"
    body = torchserve_body(target={"type": "string", "enum": [*served.labels, ""], "description": what})
    _add_torchserve_routes(router, "explanation", as_torchserve(predictor.explain), Explanation, body)
    return router


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
