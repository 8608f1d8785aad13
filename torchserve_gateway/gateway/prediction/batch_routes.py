"""The batch route: many images in, a list in the same order out."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from torchserve_gateway.gateway.intake.body import read_files
from torchserve_gateway.gateway.intake.forms import Part
from torchserve_gateway.gateway.intake.handler_bodies import OCTET_STREAM, type_of_file
from torchserve_gateway.gateway.names import QueryModel
from torchserve_gateway.gateway.prediction.answers import PROBLEMS, prediction_headers
from torchserve_gateway.gateway.prediction.arrivals import Arrivals
from torchserve_gateway.gateway.prediction.image_batches import ImageBatches, NamedImage, Outcome
from torchserve_gateway.gateway.problems import problem_of
from torchserve_gateway.gateway.schemas import PredictedImage, RefusedImage, upload_form


def routes(arrivals: Arrivals, batches: ImageBatches) -> APIRouter:
    """`POST /predict/batch`."""
    router = APIRouter(tags=["predictions"])
    settings = arrivals.settings

    @router.post(
        "/predict/batch",
        summary="Predict many images, each on its own, with the default model or another",
        response_model=list[PredictedImage | RefusedImage],
        responses=PROBLEMS,
        openapi_extra=upload_form("files", settings.max_batch_images),
    )
    async def predict_batch(request: Request, model: QueryModel = None) -> Response:
        model = settings.default_model if model is None else model
        context = arrivals.let_in(request, model)
        limits = settings.max_batch_images, settings.max_batch_request_bytes
        files = await read_files(request, "files", *limits, arrivals.body_timeout_s(context))
        job = batches.job(request, model)
        is_checked = arrivals.models.of(model).max_pixels is not None
        images = [_named(file, is_checked=is_checked) for file in files]
        outcomes = await batches.predict(images, job, context)
        items = [_item(file.filename or "", outcome) for file, outcome in zip(files, outcomes, strict=True)]
        return JSONResponse(items, headers=prediction_headers(context))

    return router


def _named(file: Part, *, is_checked: bool) -> NamedImage:
    content_type = OCTET_STREAM if is_checked else type_of_file(file)
    return NamedImage(f"the file '{file.filename or ''}'", file.content, content_type)


def _item(filename: str, outcome: Outcome) -> dict[str, object]:
    if outcome.answer is None:
        assert outcome.error is not None
        return {"filename": filename, "error": problem_of(outcome.error)}
    encoding = {"encoding": "base64"} if outcome.answer.is_base64 else {}
    return {"filename": filename, "prediction": outcome.answer.value, **encoding}
