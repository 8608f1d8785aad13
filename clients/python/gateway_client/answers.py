"""Parses the gateway's answers into typed objects."""

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
    """The prediction of an image."""

    probabilities: dict[str, float]
    """Probability by class, highest first."""
    model: str
    version: str | None
    """Version that answered, if known."""
    request_id: str
    """Id of the request in the gateway's log."""
    timings_s: dict[str, float]
    """Seconds by stage, see docs/operating.md."""

    @property
    def top(self) -> str:
        """The most probable class."""
        return next(iter(self.probabilities))


@dataclass(frozen=True)
class DeployedVersion:
    """A version of a model."""

    model: str
    version: str
    state: str
    """serving, canary, shadow, retiring, kept or registered."""
    workers_ready: int
    workers: int
    batch_size: int
    max_batch_delay: int
    """In milliseconds."""
    queued: int
    """Waiting requests."""


def prediction(response: httpx.Response) -> Prediction:
    """Parses the answer to an image.

    Raises:
        ProblemError, InvalidAnswerError: the answer holds no prediction.
    """
    return _prediction(response, _json(response))


def predictions(response: httpx.Response, count: int) -> list[Prediction | ProblemError]:
    """Parses the answer to a batch, in the order sent; failed images are errors in their places.

    Raises:
        ProblemError, InvalidAnswerError: the whole request failed.
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


def any_answer(response: httpx.Response) -> Any:
    """Returns the answer of any model: text of a text type, else decoded JSON, else text.

    Raises:
        ProblemError: the request failed.
    """
    if response.is_success and response.headers.get("Content-Type", "").startswith("text/"):
        return response.text
    try:
        return _json(response)
    except InvalidAnswerError:
        return response.text


def only_prediction(response: httpx.Response) -> Any:
    """Returns the prediction of a KServe V1 answer to one instance.

    Raises:
        ProblemError, InvalidAnswerError: the answer holds no prediction.
    """
    document = _json(response)
    found = document.get("predictions") if isinstance(document, dict) else None
    if not isinstance(found, list) or len(found) != 1:
        raise InvalidAnswerError(f"no list of one prediction: {response.text[:200]}")
    return found[0]


def deployed_versions(response: httpx.Response) -> list[DeployedVersion]:
    """Parses the answer of `/models`.

    Raises:
        ProblemError, InvalidAnswerError: the answer holds no list of versions.
    """
    names = DeployedVersion.__dataclass_fields__
    try:
        return [DeployedVersion(**{name: row[name] for name in names}) for row in _json(response)]
    except (KeyError, TypeError) as exc:
        raise InvalidAnswerError(f"no list of versions: {response.text[:200]}") from exc


def error_of(response: httpx.Response) -> ProblemError:
    """Turns an error answer of the gateway, or of a proxy, into an exception."""
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
