"""Many images, or other inputs, of one request, each predicted as in a request of its own.

Every input is a job of its own at TorchServe, which batches it with the jobs of other requests.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from fastapi import Request

from torchserve_gateway.gateway.access.rate_limits import RateLimits
from torchserve_gateway.gateway.deployed.served_models import ServedModels
from torchserve_gateway.gateway.errors import (
    BodyTooLargeError,
    GatewayError,
    ImageFailedError,
    MalformedRequestError,
)
from torchserve_gateway.gateway.intake.forwarded_headers import forwarded_headers
from torchserve_gateway.gateway.intake.handler_bodies import OCTET_STREAM
from torchserve_gateway.gateway.intake.image_check import check_image
from torchserve_gateway.gateway.prediction.answers import Answer
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.settings.gateway import GatewaySettings
from torchserve_gateway.torchserve_api.errors import TorchServeError
from torchserve_gateway.torchserve_api.inference import Job
from ts_serialize.image_header import InputError


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An encoded image, or another model's input."""

    name: str
    """As errors call it, for example "the file 'a.jpg'"."""
    content: bytes | bytearray
    """JPEG, PNG, ..."""
    content_type: str = OCTET_STREAM
    """Media type, for models whose inputs are no images."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One image's prediction, or its error."""

    answer: Answer | None = None
    """The handler's answer."""
    version: str | None = None
    """The version that answered."""
    error: Exception | None = None
    """Why there is no answer."""


@dataclass(frozen=True, slots=True)
class ImageBatches:
    """Sends the images of a request through the stages, `batch_concurrency` at a time."""

    settings: GatewaySettings
    models: ServedModels
    rate_limits: RateLimits
    stages: Stage

    def job(self, request: Request, model: str, version: str | None = None) -> Job:
        """The job of each image, but for its body.

        Raises:
            MalformedRequestError, HeadersTooLargeError: see `forwarded_headers`.
        """
        return Job(model, version, b"", OCTET_STREAM, forwarded_headers(request, self.settings))

    async def predict(self, images: Sequence[NamedImage], job: Job, context: RequestContext) -> list[Outcome]:
        """One outcome an image, in their order; an image's error stays its own.

        Raises:
            RateLimitedError: the caller may not send as many images now.
        """
        context.ask_for(job.version)
        # Access has counted the request itself.
        await self.rate_limits.charge(context, len(images) - 1)
        started = perf_counter()
        turns = asyncio.Semaphore(self.settings.batch_concurrency)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._outcome(image, job, context, turns)) for image in images]
        outcomes = [task.result() for task in tasks]
        context.torchserve_s = perf_counter() - started
        _summarize(outcomes, context)
        return outcomes

    async def predict_all(
        self, images: Sequence[NamedImage], job: Job, context: RequestContext
    ) -> list[Answer]:
        """The handler's answers, in the order of the images.

        Raises:
            ImageFailedError: of the first image that has no answer.
            RateLimitedError: see `predict`.
        """
        outcomes = await self.predict(images, job, context)
        for image, outcome in zip(images, outcomes, strict=True):
            if outcome.error:
                raise ImageFailedError(image.name, outcome.error) from outcome.error
        return [outcome.answer for outcome in outcomes if outcome.answer]

    async def _outcome(
        self, image: NamedImage, job: Job, context: RequestContext, turns: asyncio.Semaphore
    ) -> Outcome:
        served = self.models.of(job.model)
        try:
            _check_size(image, served.max_request_bytes, may_be_empty=served.max_pixels is None)
            async with turns:
                content, content_type = bytes(image.content), image.content_type
                # Other models' inputs are between the client and TorchServe.
                if served.max_pixels is not None:
                    content, content_type = await check_image(content, served.max_pixels), OCTET_STREAM
                own = replace(job, body=content, content_type=content_type)
                prediction = await self.stages.predict(own, context)
            context.count(prediction)
            return Outcome(Answer.of(prediction, is_classifiers=bool(served.labels)), prediction.version)
        except (GatewayError, InputError, TorchServeError) as exc:
            return Outcome(error=exc)


def _check_size(image: NamedImage, max_bytes: int, *, may_be_empty: bool) -> None:
    size = len(image.content)
    if not size and not may_be_empty:
        raise MalformedRequestError(f"{image.name} is empty")
    if size > max_bytes:
        raise BodyTooLargeError(f"{image.name} has {size} bytes, at most {max_bytes} are allowed")


def _summarize(outcomes: list[Outcome], context: RequestContext) -> None:
    # Several versions answer where a new version becomes the default meanwhile.
    context.version = ", ".join(sorted({each.version for each in outcomes if each.version})) or None
    errors = [each.error for each in outcomes if each.error]
    if errors:
        context.error = f"{len(errors)} of {len(outcomes)} images: {type(errors[0]).__name__}: {errors[0]}"
