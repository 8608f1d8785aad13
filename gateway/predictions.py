"""The prediction routes: one image in, one answer out."""

from urllib.parse import quote

from fastapi import APIRouter, Request, Response

from gateway.errors import MalformedRequestError
from gateway.images import check_body, check_image
from gateway.observability import RequestRecord, request_record
from gateway.schemas import ClassProbabilities, problems, torchserve_body, upload_form
from gateway.settings import GatewaySettings
from gateway.uploads import read_body, read_files
from torchserve_api.errors import DeadlineExceededError
from torchserve_api.inference import InferenceClient, Prediction
from ts_serialize.settings import ModelSettings

PROBLEMS = problems(400, 404, 408, 413, 415, 422, 502, 503, 504)
OCTET_STREAM = "application/octet-stream"


async def predict_one(
    inference: InferenceClient,
    record: RequestRecord,
    deadline_s: float,
    model: str,
    version: str | None,
    body: bytes,
    content_type: str,
) -> Prediction:
    """One call of TorchServe within what is left of the request's deadline.

    Raises:
        TorchServeError: as the subclass that fits.
    """
    left_s = deadline_s - record.elapsed_s
    if left_s <= 0:
        raise DeadlineExceededError(f"the request's {deadline_s:g} s were over before TorchServe was asked")
    return await inference.predict(model, version, body, content_type, left_s)


def prediction_headers(record: RequestRecord) -> dict[str, str]:
    """What every prediction's answer says of itself; a model's name may be anything that fits into a path."""
    torchserve_s = record.torchserve_s or 0
    headers = {
        "X-Model-Name": quote(record.model or ""),
        "Server-Timing": f"gateway;dur={(record.elapsed_s - torchserve_s) * 1000:.1f}, "
        f"torchserve;dur={torchserve_s * 1000:.1f}",
    }
    return headers | ({"X-Model-Version": quote(record.version, safe=", ")} if record.version else {})


def routes(settings: GatewaySettings, served: ModelSettings, inference: InferenceClient) -> APIRouter:
    """`POST /predict` and `POST|PUT /predictions/{model}[/{version}]`."""
    router = APIRouter(tags=["predictions"])

    async def forward(
        request: Request, model: str, version: str | None, body: bytes, content_type: str
    ) -> Response:
        record = request_record(request)
        record.model, record.version = model, version
        prediction = await predict_one(
            inference, record, settings.deadline_s, model, version, body, content_type
        )
        record.version = prediction.version
        record.torchserve_s = prediction.torchserve_s
        record.torchserve_request_id = prediction.torchserve_request_id
        return Response(
            prediction.body, media_type=prediction.content_type, headers=prediction_headers(record)
        )

    @router.post(
        "/predict",
        summary="Predict one image with the default model",
        response_model=ClassProbabilities,
        responses=PROBLEMS,
        openapi_extra=upload_form("file"),
    )
    async def predict(request: Request) -> Response:
        limits = settings.max_request_bytes, settings.body_deadline_s
        [file] = await read_files(request, "file", 1, *limits)
        image = bytes(file.content)
        if not image:
            raise MalformedRequestError(f"the file '{file.filename}' in field 'file' is empty")
        await check_image(image, served.image.max_pixels)
        return await forward(request, settings.default_model, None, image, OCTET_STREAM)

    async def predict_as_torchserve(request: Request, model: str) -> Response:
        return await pass_on(request, model, None)

    async def predict_version_as_torchserve(request: Request, model: str, version: str) -> Response:
        return await pass_on(request, model, version)

    async def pass_on(request: Request, model: str, version: str | None) -> Response:
        body = await read_body(request, settings.max_request_bytes, settings.body_deadline_s)
        content_type = _content_type(request)
        # What other models take is between the client and TorchServe.
        if model == served.name:
            await check_body(body, content_type, served.image.max_pixels)
        return await forward(request, model, version, body, content_type)

    for path, route in (
        ("/predictions/{model}", predict_as_torchserve),
        ("/predictions/{model}/{version}", predict_version_as_torchserve),
    ):
        for method in ("POST", "PUT"):
            router.add_api_route(
                path,
                route,
                methods=[method],
                summary="Predict as TorchServe's Inference API does",
                operation_id=f"{method.lower()}_prediction{'_of_version' if 'version' in path else ''}",
                response_model=ClassProbabilities,
                responses=PROBLEMS,
                openapi_extra=torchserve_body(),
            )
    return router


def _content_type(request: Request) -> str:
    content_type = request.headers.get("content-type", OCTET_STREAM)
    if not (content_type.isascii() and content_type.isprintable()):
        raise MalformedRequestError(f"the Content-Type {content_type!r} has characters that no type has")
    # TorchServe reads a body of curl's default type as form fields and fails on an image.
    return OCTET_STREAM if content_type.startswith("application/x-www-form-urlencoded") else content_type
