"""The prediction and explanation routes: one image in, one answer out."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from gateway.deadlines import deadline_of
from gateway.images import read_body, read_upload
from gateway.observability import request_record
from gateway.predictor import Predictor
from gateway.schemas import ClassProbabilities, Explanation, problems, torchserve_body, upload_form
from gateway.settings import GatewaySettings
from torchserve_api.inference import Prediction

PROBLEMS = problems(400, 404, 413, 415, 422, 502, 503, 504)
OCTET_STREAM = "application/octet-stream"

Ask = Callable[[str, str | None, str, bytes, str, float], Awaitable[Prediction]]
"""Gets model, version (None: whichever serves), routing key, body, content type and deadline in seconds."""
Endpoint = Callable[..., Awaitable[Response]]


def routes(settings: GatewaySettings, predictor: Predictor) -> APIRouter:
    """`POST /predict` and `POST|PUT /predictions|explanations/{model}[/{version}]`."""
    router = APIRouter(tags=["predictions"])

    async def forward(
        request: Request, ask: Ask, model: str, version: str | None, body: bytes, content_type: str
    ) -> Response:
        record = request_record(request)
        record.model, record.version = model, version
        deadline_s = max(deadline_of(request, settings.deadline_s) - record.elapsed_s, 0)
        key = request.headers.get(settings.routing_key_header, record.request_id)
        prediction = await ask(model, version, key, body, content_type, deadline_s)
        record.version = prediction.version
        record.torchserve_s = prediction.torchserve_s
        record.torchserve_request_id = prediction.torchserve_request_id
        response = Response(prediction.body, media_type=prediction.content_type)
        response.headers["X-Model-Name"] = model
        if prediction.version:
            response.headers["X-Model-Version"] = prediction.version
        response.headers["Server-Timing"] = record.server_timing
        if record.cache:
            response.headers["X-Cache"] = record.cache
        return response

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
        image = await read_upload(request, "file", settings.max_request_bytes)
        return await forward(request, predictor.predict, settings.default_model, None, image, OCTET_STREAM)

    def as_torchserve(ask: Ask) -> Endpoint:
        async def endpoint(request: Request, model: str, version: str | None = None) -> Response:
            request_record(request).model = model
            predictor.admission.refuse_if_full(model)
            body = await read_body(request, settings.max_request_bytes)
            return await forward(request, ask, model, version, body, _content_type(request))

        return endpoint

    body = torchserve_body()
    _add_torchserve_routes(router, "prediction", as_torchserve(predictor.predict), ClassProbabilities, body)
    body = torchserve_body(target="the class to explain; without it: the most probable one")
    _add_torchserve_routes(router, "explanation", as_torchserve(predictor.explain), Explanation, body)
    return router


def _add_torchserve_routes(
    router: APIRouter, name: str, endpoint: Endpoint, answer: type[BaseModel], body: dict[str, Any]
) -> None:
    for path in ("/{model}", "/{model}/{version}"):
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
    # TorchServe reads a body of curl's default type as form fields and fails on an image.
    content_type = request.headers.get("content-type", OCTET_STREAM)
    return OCTET_STREAM if content_type.startswith("application/x-www-form-urlencoded") else content_type
