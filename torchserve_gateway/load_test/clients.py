"""One client: sends its image again and again and checks each answer against the one it got alone."""

import asyncio
from time import perf_counter
from typing import Any

import httpx

from torchserve_gateway.load_test.statistics import Tally

WRONG_ANSWER = "wrong answer"


class Client:
    """Sends one image. tolerance: largest difference of a probability that is still the same answer."""

    def __init__(self, http: httpx.AsyncClient, path: str, image: bytes, tolerance: float) -> None:
        self._http = http
        self._path = path
        self._image = image
        self._tolerance = tolerance
        self._expected: dict[str | None, dict[str, float]] = {}

    async def learn(self) -> dict[str, float]:
        """Asks once, while nobody else does, and remembers the answer as the right one.

        Raises:
            httpx.HTTPError: no answer, or one with an error status.
        """
        response = (await self._post(self._path)).raise_for_status()
        self._expected[response.headers.get("x-model-version")] = response.json()
        return dict(response.json())

    async def run(self, tally: Tally, stop: asyncio.Event) -> None:
        """Sends until `stop` is set, each time when it has the answer to the last one, and counts."""
        while not stop.is_set():
            if not await self.send(tally, perf_counter()):
                # A refused connection costs no time; without a pause it would be a busy loop.
                await asyncio.sleep(0.05)

    async def send(self, tally: Tally, due_at: float) -> bool:
        """Sends once and counts. due_at: by `perf_counter`, from when the latency counts.

        Returns:
            whether there was an answer of any kind.
        """
        try:
            response = await self._post(self._path)
        except httpx.HTTPError as exc:
            tally.errors[type(exc).__name__] += 1
            return False
        latency_s = perf_counter() - due_at
        problem = await self._problem(response, tally)
        if problem:
            tally.errors[problem] += 1
        else:
            tally.latencies_s.append(latency_s)
            tally.versions[response.headers.get("x-model-version", "unknown")] += 1
        return True

    async def _problem(self, response: httpx.Response, tally: Tally) -> str | None:
        if response.status_code != 200:
            return f"HTTP {response.status_code}"
        try:
            answer = response.json()
        except ValueError:
            return "answer is not JSON"
        version = response.headers.get("x-model-version")
        if version not in self._expected:
            # A version that was deployed meanwhile: its own answer is asked for by its own URL.
            reference = await self._post(f"{self._path}/{version}")
            if reference.status_code == 404:
                tally.unverified += 1
                return None
            if reference.status_code != 200:
                return f"HTTP {reference.status_code}"
            self._expected[version] = reference.json()
        return None if same_answer(answer, self._expected[version], self._tolerance) else WRONG_ANSWER

    async def _post(self, path: str) -> httpx.Response:
        headers = {"Content-Type": "application/octet-stream"}
        return await self._http.post(path, content=self._image, headers=headers)


def same_answer(answer: Any, expected: dict[str, float], tolerance: float) -> bool:
    """Whether two `{class: probability}` are the same up to rounding."""
    return (
        isinstance(answer, dict)
        and answer.keys() == expected.keys()
        and all(abs(answer[label] - expected[label]) <= tolerance for label in expected)
    )
