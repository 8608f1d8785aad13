"""A client that sends its image repeatedly and compares each answer with a reference answer."""

import asyncio
from time import perf_counter
from typing import Any

import httpx

from torchserve_gateway.load_test.statistics import Tally

WRONG_ANSWER = "wrong answer"


class Client:
    """Sends one image. tolerance: largest difference of a probability between equal answers."""

    def __init__(self, http: httpx.AsyncClient, path: str, image: bytes, tolerance: float) -> None:
        self._http = http
        self._path = path
        self._image = image
        self._tolerance = tolerance
        self._expected: dict[str | None, dict[str, float]] = {}

    async def learn(self) -> dict[str, float]:
        """Requests the reference answer, before there is any load.

        Raises:
            httpx.HTTPError: no answer, or an error status.
        """
        response = (await self._post(self._path)).raise_for_status()
        self._expected[response.headers.get("x-model-version")] = response.json()
        return dict(response.json())

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
            # The version was deployed meanwhile: its URL gives the reference.
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
    """Whether two answers `{class: probability}` agree within the tolerance."""
    return (
        isinstance(answer, dict)
        and answer.keys() == expected.keys()
        and all(abs(answer[label] - expected[label]) <= tolerance for label in expected)
    )
