"""A client that sends its image repeatedly and compares each answer with a reference answer."""

import asyncio
import json
from time import perf_counter
from typing import Any, Protocol

from torchserve_gateway.load_test.sender import Answer, NoAnswerError
from torchserve_gateway.load_test.statistics import Tally

WRONG_ANSWER = "wrong answer"


class Posting(Protocol):
    """A `Sender`, or a stand-in."""

    async def post(self, path: str, body: bytes) -> Answer:
        """Sends once; raises `NoAnswerError`."""


class Client:
    """Sends one image. tolerance: largest difference of a probability between equal answers."""

    def __init__(self, sender: Posting, path: str, image: bytes, tolerance: float) -> None:
        self._sender = sender
        self._path = path
        self._image = image
        self._tolerance = tolerance
        self._expected: dict[str | None, dict[str, float]] = {}

    async def learn(self) -> dict[str, float]:
        """Requests the reference answer, before there is any load.

        Raises:
            NoAnswerError: no answer, or an error status.
        """
        answer = await self._sender.post(self._path, self._image)
        if answer.status != 200:
            text = answer.body.decode(errors="replace")
            raise NoAnswerError(f"HTTP {answer.status}", f"{self._path} answered {text}")
        try:
            reference = json.loads(answer.body)
        except ValueError as exc:
            raise NoAnswerError("answer is not JSON", f"{self._path} answered no JSON") from exc
        self._expected[answer.version] = reference
        return dict(reference)

    async def run(self, tally: Tally, stop: asyncio.Event) -> None:
        """Sends closed-loop until `stop` is set, and counts."""
        while not stop.is_set():
            if not await self.send(tally, perf_counter()):
                # A refused connection costs no time; without a pause it would be a busy loop.
                await asyncio.sleep(0.05)

    async def send(self, tally: Tally, due_at: float) -> bool:
        """Sends once and counts.

        due_at: start of the latency, by `perf_counter`.

        Returns:
            whether there was an answer, right or wrong.
        """
        try:
            answer = await self._sender.post(self._path, self._image)
            latency_s = perf_counter() - due_at
            problem = await self._problem(answer, tally)
        except NoAnswerError as exc:
            tally.errors[exc.kind] += 1
            return False
        if problem:
            tally.errors[problem] += 1
        else:
            tally.add(latency_s, answer.version or "unknown")
        return True

    async def _problem(self, answer: Answer, tally: Tally) -> str | None:
        if answer.status != 200:
            return f"HTTP {answer.status}"
        try:
            return await self._difference(json.loads(answer.body), answer, tally)
        except ValueError:
            return "answer is not JSON"

    async def _difference(self, found: Any, answer: Answer, tally: Tally) -> str | None:
        if answer.version not in self._expected:
            # The version was deployed meanwhile: its URL gives the reference.
            reference = await self._sender.post(f"{self._path}/{answer.version}", self._image)
            if reference.status == 404:
                tally.unverified += 1
                return None
            if reference.status != 200:
                return f"HTTP {reference.status}"
            self._expected[answer.version] = json.loads(reference.body)
        return None if same_answer(found, self._expected[answer.version], self._tolerance) else WRONG_ANSWER


def same_answer(answer: Any, expected: dict[str, float], tolerance: float) -> bool:
    """Whether two answers `{class: probability}` agree within the tolerance."""
    return (
        isinstance(answer, dict)
        and answer.keys() == expected.keys()
        and all(abs(answer[label] - expected[label]) <= tolerance for label in expected)
    )
