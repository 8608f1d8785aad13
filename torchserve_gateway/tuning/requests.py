"""Requests of a model, each with the answer that it must get."""

import json
from collections.abc import Callable
from time import perf_counter

from torchserve_gateway.deployment.answers.samples import KnownAnswer, read_samples
from torchserve_gateway.load_test.clients import WRONG_ANSWER, Posting
from torchserve_gateway.load_test.images import client_images
from torchserve_gateway.load_test.sender import NoAnswerError
from torchserve_gateway.load_test.statistics import Tally
from torchserve_gateway.settings.tuning import TuneSettings

OCTET_STREAM = "application/octet-stream"
Body = tuple[bytes, str]


class NoRequestsError(Exception):
    """The model has nothing to send."""


def bodies(settings: TuneSettings) -> list[Body]:
    """Bodies with their media types: a variant of an image a client, or the model's samples.

    Raises:
        NoRequestsError: the model takes no images and has no samples.
        NoImagesError, DeploymentError: no image, or a sample's file cannot be read.
    """
    if settings.model.image:
        return [(image, OCTET_STREAM) for image in client_images(settings.images_dir, settings.clients)]
    samples = [(each.body, each.content_type) for each in read_samples(settings.model)]
    if not samples:
        raise NoRequestsError(
            f"{settings.model.name} takes no images and has no samples, so there is nothing to send; give it "
            "samples in its file"
        )
    return samples


class CheckedRequest:
    """A request that is sent again and again, and has to get the answer that it got without load.

    on_end: called with the latency, seconds, of each right answer, and with None after every other.
    """

    def __init__(
        self,
        sender: Posting,
        path: str,
        body: bytes,
        tolerance: float,
        on_end: Callable[[float | None], None],
    ) -> None:
        self._sender = sender
        self._path = path
        self._body = body
        self._tolerance = tolerance
        self._on_end = on_end
        self._expected: bytes | None = None

    async def ask(self) -> str | None:
        """Sends once, and keeps the first right answer as the expected one; returns what is wrong."""
        try:
            answer = await self._sender.post(self._path, self._body)
        except NoAnswerError as exc:
            return exc.kind
        if not 200 <= answer.status < 300:
            return f"HTTP {answer.status}"
        if self._expected is None:
            self._expected = answer.body
        return None if is_same(self._expected, answer.body, self._tolerance) else WRONG_ANSWER

    async def send(self, tally: Tally, due_at: float) -> bool:
        """Sends once and counts; due_at: start of the latency. Returns whether the answer was right."""
        problem = await self.ask()
        latency_s = perf_counter() - due_at
        if problem:
            tally.errors[problem] += 1
        else:
            tally.add(latency_s, "")
        self._on_end(None if problem else latency_s)
        return problem is None


def is_same(expected: bytes, found: bytes, tolerance: float) -> bool:
    """Whether both name the same class; other answers: whether they agree within the tolerance."""
    if expected == found:
        return True
    classes = _top_class(expected), _top_class(found)
    if None not in classes:
        return classes[0] == classes[1]
    return KnownAnswer(expected).difference(found, tolerance) is None


def _top_class(body: bytes) -> str | None:
    """The most probable class of `{class: probability}`; None for other answers."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict) or not answer:
        return None
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in answer.values()):
        return None
    return str(max(answer, key=answer.__getitem__))
