"""From the gateway's answers to typed objects."""

import json
import re
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from urllib.parse import unquote

import httpx

from gateway_client.errors import InvalidAnswerError, Problem, ProblemError, problem_error
from gateway_client.retry_after import retry_after_s


@dataclass(frozen=True)
class Prediction:
    """probabilities: by class, highest first; timings_s: seconds by stage, see docs/operating.md."""

    probabilities: dict[str, float]
    model: str
    version: str | None
    request_id: str
    timings_s: dict[str, float]

    @property
    def top(self) -> str:
        """The most probable class."""
        return next(iter(self.probabilities))


@dataclass(frozen=True)
class DeployedVersion:
    """One version of one model. state: serving, canary, shadow, retiring, kept or registered."""

    model: str
    version: str
    state: str
    workers_ready: int
    workers: int
    batch_size: int
    max_batch_delay: int
    queued: int


def prediction(response: httpx.Response) -> Prediction:
    """Of one image.

    Raises:
        ProblemError, InvalidAnswerError: it is none.
    """
    return _prediction(response, _json(response))


def predictions(response: httpx.Response, count: int) -> list[Prediction | ProblemError]:
    """Of a batch, in the order sent: an image that could not be predicted is an error of its own.

    Raises:
        ProblemError, InvalidAnswerError: the whole request got another answer.
    """
    items = _json(response)
    if not isinstance(items, list) or len(items) != count:
        raise InvalidAnswerError(f"no list of {count} answers: {response.text[:200]}")
    try:
        return [
            problem_error(Problem.of(item["error"]))
            if "error" in item
            else _prediction(response, item["prediction"])
            for item in items
        ]
    except (KeyError, TypeError) as exc:
        raise InvalidAnswerError(f"neither prediction nor error: {response.text[:200]}") from exc


def deployed_versions(response: httpx.Response) -> list[DeployedVersion]:
    """Of `/models`.

    Raises:
        ProblemError, InvalidAnswerError: it is something else.
    """
    names = DeployedVersion.__dataclass_fields__
    try:
        return [DeployedVersion(**{name: row[name] for name in names}) for row in _json(response)]
    except (KeyError, TypeError) as exc:
        raise InvalidAnswerError(f"no list of versions: {response.text[:200]}") from exc


def error_of(response: httpx.Response) -> ProblemError:
    """An error answer as an exception; a proxy's, too, which is no problem document."""
    try:
        problem = Problem.of(json.loads(response.content))
    except (ValueError, TypeError, AttributeError, InvalidAnswerError):
        detail = response.text[:200] or response.reason_phrase
        problem = Problem(response.status_code, "about:blank", detail, response.headers.get("X-Request-ID"))
    return problem_error(problem, retry_after_s(response.headers.get("Retry-After")))


def _prediction(response: httpx.Response, probabilities: object) -> Prediction:
    if not isinstance(probabilities, dict) or not probabilities:
        raise InvalidAnswerError(f"no probabilities by class: {str(probabilities)[:200]}")
    try:
        numbers = {label: float(each) for label, each in probabilities.items()}
    except (TypeError, ValueError) as exc:
        raise InvalidAnswerError(f"no probabilities by class: {str(probabilities)[:200]}") from exc
    headers = response.headers
    version = headers.get("X-Model-Version")
    return Prediction(
        dict(sorted(numbers.items(), key=itemgetter(1), reverse=True)),
        unquote(headers.get("X-Model-Name", "")),
        unquote(version) if version else None,
        headers.get("X-Request-ID", ""),
        {stage: float(ms) / 1000 for stage, ms in _STAGE.findall(headers.get("Server-Timing", ""))},
    )


_STAGE = re.compile(r"([\w-]+);dur=(\d+(?:\.\d+)?)")


def _json(response: httpx.Response) -> Any:
    if response.is_success:
        try:
            return json.loads(response.content)
        except ValueError as exc:
            raise InvalidAnswerError(f"the answer is not JSON: {response.text[:200]}") from exc
    raise error_of(response)
