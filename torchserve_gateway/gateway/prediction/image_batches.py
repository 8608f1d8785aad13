"""Many images of one request, each predicted as if it had come alone.

Every image is a request of its own at TorchServe, which batches it with everybody else's.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from fastapi import Request
from pydantic_core import from_json

from torchserve_gateway.gateway.access.rate_limits import RateLimits
from torchserve_gateway.gateway.errors import (
    BodyTooLargeError,
    GatewayError,
    ImageFailedError,
    MalformedRequestError,
)
from torchserve_gateway.gateway.intake.body import read_body
from torchserve_gateway.gateway.intake.deadlines import body_timeout_of
from torchserve_gateway.gateway.intake.forwarded_headers import forwarded_headers
from torchserve_gateway.gateway.intake.handler_bodies import OCTET_STREAM
from torchserve_gateway.gateway.intake.image_check import check_image
from torchserve_gateway.gateway.prediction.routes import ask_in_time
from torchserve_gateway.gateway.prediction.stages.fallback import Predictor
from torchserve_gateway.gateway.telemetry.request_context import RequestRecord, request_record
from torchserve_gateway.settings.gateway import GatewaySettings
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.torchserve_api.errors import InvalidAnswerError, TorchServeError
from torchserve_gateway.torchserve_api.inference import Job, Prediction
from ts_serialize.image_header import InputError


@dataclass(frozen=True)
class NamedImage:
    """An encoded image. name: what errors call it, for example "the file 'a.jpg'"."""

    name: str
    content: bytes | bytearray


@dataclass(frozen=True)
class Outcome:
    """What became of one image: the handler's answer, and the version that gave it, or an error."""

    prediction: object = None
    version: str | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class ImagePredictions:
    """Predicts the images of a request, so many at a time as `batch_concurrency` says."""

    settings: GatewaySettings
    served: ModelSettings
    predictor: Predictor
    rate_limits: RateLimits

    async def read_body(self, request: Request, model: str) -> bytes:
        """The body of a request for the model, if there is room for one.

        Raises:
            GatewayError: as the subclass that fits.
        """
        request_record(request).model = model
        self.predictor.admission.refuse_if_full(model)
        timeout_s = body_timeout_of(request, self.settings)
        return await read_body(request, self.settings.max_batch_request_bytes, timeout_s)

    async def predict(
        self, request: Request, images: Sequence[NamedImage], model: str, version: str | None = None
    ) -> list[Outcome]:
        """One outcome an image, in their order; whatever is wrong with one stays its own.

        Raises:
            RateLimitedError: they are more than the caller may send now.
        """
        record = request_record(request)
        record.model, record.version = model, version
        job = Job(model, version, b"", OCTET_STREAM, forwarded_headers(request, self.settings))
        # The request itself counted as one.
        await self.rate_limits.charge(record, len(images) - 1)
        started = perf_counter()
        turns = asyncio.Semaphore(self.settings.batch_concurrency)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._predict_one(request, turns, image, job)) for image in images]
        outcomes = [task.result() for task in tasks]
        record.torchserve_s = perf_counter() - started
        _record(record, outcomes)
        return outcomes

    async def predict_all(
        self, request: Request, images: Sequence[NamedImage], model: str, version: str | None = None
    ) -> list[object]:
        """The handler's answers, in the order of the images.

        Raises:
            ImageFailedError: of the first image that has no answer.
            RateLimitedError: see `predict`.
        """
        outcomes = await self.predict(request, images, model, version)
        for image, outcome in zip(images, outcomes, strict=True):
            if outcome.error:
                raise ImageFailedError(image.name, outcome.error) from outcome.error
        return [outcome.prediction for outcome in outcomes]

    async def _predict_one(
        self, request: Request, turns: asyncio.Semaphore, image: NamedImage, job: Job
    ) -> Outcome:
        size, max_bytes = len(image.content), self.settings.max_request_bytes
        try:
            if not size:
                raise MalformedRequestError(f"{image.name} is empty")
            if size > max_bytes:
                raise BodyTooLargeError(f"{image.name} has {size} bytes, at most {max_bytes} are allowed")
            async with turns:
                content = bytes(image.content)
                # What other models take is between the client and TorchServe.
                if job.model == self.settings.default_model:
                    content = await check_image(content, self.served.image.max_pixels)
                job = replace(job, body=content)
                prediction = await ask_in_time(self.predictor.predict, request, self.settings, job)
            return Outcome(_parsed(prediction), prediction.version)
        except (GatewayError, InputError, TorchServeError) as exc:
            return Outcome(error=exc)


def _parsed(prediction: Prediction) -> object:
    if prediction.error:
        raise prediction.error
    if prediction.status >= 300:
        raise InvalidAnswerError(f"the handler answered {prediction.status}, which is no prediction")
    try:
        # Not Python's own parser: it takes NaN and halves of characters, which no answer of ours can hold.
        answer = from_json(prediction.body, allow_inf_nan=False)
        # Nor can it hold 1e999, which becomes infinity.
        json.dumps(answer, allow_nan=False)
    except ValueError as exc:
        raise InvalidAnswerError(f"the model's answer is not JSON: {exc}") from exc
    return answer


def _record(record: RequestRecord, outcomes: list[Outcome]) -> None:
    # It says what the last image met.
    record.cache = None
    # More than one where a new version became the default meanwhile.
    record.version = ", ".join(sorted({each.version for each in outcomes if each.version})) or None
    errors = [each.error for each in outcomes if each.error]
    if errors:
        record.error = f"{len(errors)} of {len(outcomes)} images: {type(errors[0]).__name__}: {errors[0]}"
