"""The batch route: many images in, a list in the same order out."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from torchserve_gateway.gateway.intake.body import read_files
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
        summary="Predict many images with the default model, each on its own",
        response_model=list[PredictedImage | RefusedImage],
        responses=PROBLEMS,
        openapi_extra=upload_form("files", settings.max_batch_images),
    )
    async def predict_batch(request: Request) -> Response:
        context = arrivals.let_in(request, settings.default_model)
        limits = settings.max_batch_images, settings.max_batch_request_bytes
        files = await read_files(request, "files", *limits, arrivals.body_timeout_s(context))
        images = [NamedImage(f"the file '{file.filename or ''}'", file.content) for file in files]
        job = batches.job(request, settings.default_model)
        outcomes = await batches.predict(images, job, context)
        items = [_item(file.filename or "", outcome) for file, outcome in zip(files, outcomes, strict=True)]
        return JSONResponse(items, headers=prediction_headers(context))

    return router


def _item(filename: str, outcome: Outcome) -> dict[str, object]:
    if outcome.error:
        return {"filename": filename, "error": problem_of(outcome.error)}
    return {"filename": filename, "prediction": outcome.prediction}
