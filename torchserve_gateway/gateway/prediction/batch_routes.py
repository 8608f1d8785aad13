"""The batch route: many images in, a list in the same order out."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from torchserve_gateway.gateway.intake.body import read_files
from torchserve_gateway.gateway.intake.deadlines import body_timeout_of
from torchserve_gateway.gateway.prediction.image_batches import ImagePredictions, NamedImage, Outcome
from torchserve_gateway.gateway.prediction.routes import PROBLEMS, prediction_headers
from torchserve_gateway.gateway.problems import problem_of
from torchserve_gateway.gateway.schemas import PredictedImage, RefusedImage, upload_form
from torchserve_gateway.gateway.telemetry.request_context import request_record


def routes(images: ImagePredictions) -> APIRouter:
    """`POST /predict/batch`."""
    router = APIRouter(tags=["predictions"])
    settings, admission = images.settings, images.predictor.admission

    @router.post(
        "/predict/batch",
        summary="Predict many images with the default model, each on its own",
        response_model=list[PredictedImage | RefusedImage],
        responses=PROBLEMS,
        openapi_extra=upload_form("files", settings.max_batch_images),
    )
    async def predict_batch(request: Request) -> Response:
        record = request_record(request)
        record.model = settings.default_model
        admission.refuse_if_full(settings.default_model)
        limits = settings.max_batch_images, settings.max_batch_request_bytes
        files = await read_files(request, "files", *limits, body_timeout_of(request, settings))
        named = [NamedImage(f"the file '{file.filename or ''}'", file.content) for file in files]
        outcomes = await images.predict(request, named, settings.default_model)
        items = [_item(file.filename or "", outcome) for file, outcome in zip(files, outcomes, strict=True)]
        return JSONResponse(items, headers=prediction_headers(record))

    return router


def _item(filename: str, outcome: Outcome) -> dict[str, object]:
    """A file's place in the answer."""
    if outcome.error:
        return {"filename": filename, "error": problem_of(outcome.error)}
    return {"filename": filename, "prediction": outcome.prediction}
