"""The prediction and explanation routes: one image, or another input, in, one answer out."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from torchserve_gateway.gateway.deployed.served_models import ServedModels
from torchserve_gateway.gateway.errors import MalformedRequestError
from torchserve_gateway.gateway.headers import check_media_type
from torchserve_gateway.gateway.intake.body import read_body, read_files
from torchserve_gateway.gateway.intake.forms import is_form
from torchserve_gateway.gateway.intake.forwarded_headers import forwarded_headers, passed_on
from torchserve_gateway.gateway.intake.handler_bodies import OCTET_STREAM, type_for_others, type_of_file
from torchserve_gateway.gateway.intake.image_check import MIN_TARGET_LIMIT, check_body, check_image
from torchserve_gateway.gateway.names import PathModel, PathVersion, QueryModel
from torchserve_gateway.gateway.prediction.answers import PROBLEMS, prediction_headers
from torchserve_gateway.gateway.prediction.arrivals import Arrivals
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.schemas import Explanation, answer_schema, torchserve_body, upload_form
from torchserve_gateway.gateway.telemetry.request_context import RequestContext, context_of
from torchserve_gateway.torchserve_api.inference import Job, Operation, Prediction

Endpoint = Callable[..., Awaitable[Response]]


def routes(arrivals: Arrivals, stages: Stage) -> APIRouter:
    """`POST /predict` and `POST|PUT /predictions|explanations/{model}[/{version}]`."""
    router = APIRouter(tags=["predictions"])
    answer = answer_schema(each.labels for each in arrivals.models.configured.values())
    uploaded = upload_form("file")
    if any(each.takes_any_input for each in arrivals.models.configured.values()):
        uploaded["requestBody"]["content"]["*/*"] = {"schema": {}}
    _add_upload_route(router, _Uploads(arrivals, stages), uploaded, answer)
    passed = _PassedOn(arrivals, stages)
    _add_torchserve_routes(router, "prediction", passed.endpoints("predict"), answer, torchserve_body())
    described = "the class to explain; empty or without it: the most probable one"
    target: dict[str, Any] = {"type": "string", "description": described}
    if labels := arrivals.models.first.labels:
        target["enum"] = [*labels, ""]
    body = torchserve_body(target=target)
    _add_torchserve_routes(router, "explanation", passed.endpoints("explain"), Explanation, body)
    return router


def _add_upload_route(router: APIRouter, uploads: "_Uploads", body: dict[str, Any], answer: Any) -> None:
    @router.post(
        "/predict",
        summary="Predict one image, or another input, with the default model or another",
        response_model=answer,
        responses=PROBLEMS,
        openapi_extra=body,
    )
    async def predict(request: Request, model: QueryModel = None) -> Response:
        return await uploads.predict(request, model)


class _Uploads:
    """The route for a form with a file; models whose inputs are no images take any other body, too."""

    def __init__(self, arrivals: Arrivals, stages: Stage) -> None:
        self._arrivals = arrivals
        self._stages = stages

    async def predict(self, request: Request, named: str | None) -> Response:
        model = self._arrivals.settings.default_model if named is None else named
        context = self._arrivals.let_in(request, model)
        headers = forwarded_headers(request, self._arrivals.settings)
        served = self._arrivals.models.of(model)
        limits = served.max_request_bytes, self._arrivals.body_timeout_s(context)
        if served.max_pixels is None:
            body, content_type = await _unchecked(request, *limits)
        else:
            body, content_type = await _image(request, *limits, served.max_pixels), OCTET_STREAM
        job = Job(model, None, body, content_type, headers)
        prediction = await _prediction(self._stages, job, context)
        if prediction.error:
            raise prediction.error
        return _answer(prediction, context)


async def _image(request: Request, max_bytes: int, timeout_s: float, max_pixels: int) -> bytes:
    [file] = await read_files(request, "file", 1, max_bytes, timeout_s)
    image = bytes(file.content)
    if not image:
        raise MalformedRequestError(f"the file '{file.filename or ''}' in field 'file' is empty")
    return await check_image(image, max_pixels)


async def _unchecked(request: Request, max_bytes: int, timeout_s: float) -> tuple[bytes, str]:
    """The file's content with its own type, or the whole body."""
    if not is_form(context_of(request.scope).header(b"content-type") or ""):
        body = await read_body(request, max_bytes, timeout_s)
        return body, type_for_others(_content_type(request), body)
    [file] = await read_files(request, "file", 1, max_bytes, timeout_s)
    return bytes(file.content), type_of_file(file)


class _PassedOn:
    """The routes of TorchServe's Inference API."""

    def __init__(self, arrivals: Arrivals, stages: Stage) -> None:
        self._arrivals = arrivals
        self._stages = stages
        self._max_target_chars = _max_target_chars(arrivals.models)

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
        context = self._arrivals.let_in(request, model)
        headers = forwarded_headers(request, self._arrivals.settings)
        served = self._arrivals.models.of(model)
        body = await read_body(request, served.max_request_bytes, self._arrivals.body_timeout_s(context))
        body, content_type = await self._checked(body, _content_type(request), served.max_pixels)
        job = Job(model, version, body, content_type, headers, operation)
        return _answer(await _prediction(self._stages, job, context), context)

    async def _checked(self, body: bytes, content_type: str, max_pixels: int | None) -> tuple[bytes, str]:
        # Other models' inputs are between the client and TorchServe.
        if max_pixels is None:
            return body, type_for_others(content_type, body)
        read = await check_body(body, content_type, max_pixels, self._max_target_chars)
        return read.content, read.content_type


def _max_target_chars(models: ServedModels) -> int:
    labels = (label for each in models.configured.values() for label in each.labels or ())
    return max(MIN_TARGET_LIMIT, *map(len, labels), 0)


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
    answer: Any,
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
    content_type = context_of(request.scope).header(b"content-type") or OCTET_STREAM
    check_media_type(content_type)
    return content_type
