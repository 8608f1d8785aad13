"""The batch route: many images in, a list in the same order out.

Every image is a request of its own at TorchServe, which batches it with everybody else's.
"""

import asyncio
import json
from dataclasses import dataclass
from time import perf_counter

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from gateway.deadlines import body_timeout_of
from gateway.errors import BodyTooLargeError, GatewayError, MalformedRequestError
from gateway.forms import Part
from gateway.images import check_image
from gateway.observability import RequestRecord, request_record
from gateway.predictions import OCTET_STREAM, PROBLEMS, ask_in_time, prediction_headers
from gateway.predictor import Predictor
from gateway.problems import problem_of
from gateway.rate_limits import RateLimits
from gateway.schemas import PredictedImage, RefusedImage, upload_form
from gateway.settings import GatewaySettings
from gateway.uploads import read_files
from torchserve_api.errors import InvalidAnswerError, TorchServeError
from torchserve_api.inference import Job
from ts_serialize.image_header import InputError
from ts_serialize.settings import ModelSettings


@dataclass(frozen=True)
class Outcome:
    """What became of one file: the handler's answer, and the version that gave it, or an error."""

    filename: str
    prediction: object = None
    version: str | None = None
    error: Exception | None = None

    def item(self) -> dict[str, object]:
        """Its place in the answer."""
        if self.error:
            return {"filename": self.filename, "error": problem_of(self.error)}
        return {"filename": self.filename, "prediction": self.prediction}


def routes(
    settings: GatewaySettings, served: ModelSettings, predictor: Predictor, rate_limits: RateLimits
) -> APIRouter:
    """`POST /predict/batch`."""
    router = APIRouter(tags=["predictions"])

    async def predict_file(request: Request, turns: asyncio.Semaphore, file: Part) -> Outcome:
        """Does with one file what `/predict` does; whatever is wrong with it stays its own."""
        name, size = file.filename or "", len(file.content)
        try:
            if not size:
                raise MalformedRequestError(f"the file '{name}' is empty")
            if size > settings.max_request_bytes:
                raise BodyTooLargeError(
                    f"the file has {size} bytes, at most {settings.max_request_bytes} are allowed"
                )
            async with turns:
                image = bytes(file.content)
                await check_image(image, served.image.max_pixels)
                job = Job(settings.default_model, None, image, OCTET_STREAM)
                prediction = await ask_in_time(predictor.predict, request, settings, job)
            return Outcome(name, _parsed(prediction.body), prediction.version)
        except (GatewayError, InputError, TorchServeError) as exc:
            return Outcome(name, error=exc)

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
        predictor.admission.refuse_if_full(settings.default_model)
        limits = settings.max_batch_images, settings.max_batch_request_bytes
        files = await read_files(request, "files", *limits, body_timeout_of(request, settings))
        # The request itself counted as one.
        await rate_limits.charge(record, len(files) - 1)
        started = perf_counter()
        turns = asyncio.Semaphore(settings.batch_concurrency)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(predict_file(request, turns, file)) for file in files]
        outcomes = [task.result() for task in tasks]
        record.torchserve_s = perf_counter() - started
        _record(record, outcomes)
        return JSONResponse([each.item() for each in outcomes], headers=prediction_headers(record))

    return router


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except ValueError as exc:
        raise InvalidAnswerError(f"the model's answer is not JSON: {exc}") from exc


def _refuse_constant(name: str) -> None:
    # Python's parser takes NaN and Infinity, other languages' do not.
    raise ValueError(f"{name} is no number")


def _record(record: RequestRecord, outcomes: list[Outcome]) -> None:
    # It says what the last image met.
    record.cache = None
    # More than one where a new version became the default meanwhile.
    record.version = ", ".join(sorted({each.version for each in outcomes if each.version})) or None
    errors = [each.error for each in outcomes if each.error]
    if errors:
        record.error = f"{len(errors)} of {len(outcomes)} images: {type(errors[0]).__name__}: {errors[0]}"
