"""Calls of the API as generators, retries and pauses included, without I/O (sans-IO).

A call yields steps, receives their outcomes, and returns the answer. The blocking and the asynchronous client
only execute the steps, so they behave the same.
"""

import math
import random
import ssl
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx

from gateway_client.answers import error_of
from gateway_client.errors import (
    DeadlineError,
    GatewayClientError,
    InvalidAnswerError,
    ProblemError,
    UnreachableError,
)

ResultT = TypeVar("ResultT")

TRY_AGAIN = frozenset({429, 503})
# Body or answer took too long, by a limit of the gateway's or by the call's deadline.
TOO_LATE = frozenset({408, 504})
# Pauses without a Retry-After: doubled from the first to the longest.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
# Spreads the retries of clients that were refused together.
JITTER = 0.25
# The gateway answers by the deadline; its answer takes time to arrive.
GRACE_S = 1.0


@dataclass(frozen=True)
class Request:
    """A request to the gateway."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes | None = None
    files: Any = None
    """Files of a form, as httpx takes them."""


@dataclass(frozen=True)
class Send:
    """Step: send a request; its outcome is the response or the exception."""

    request: Request
    timeout_s: float
    """Seconds for the whole answer; the blocking client checks after each part of the body."""

    def arguments(self) -> dict[str, Any]:
        """Arguments of httpx's `request`."""
        request = self.request
        return {
            "method": request.method,
            "url": request.path,
            "headers": request.headers,
            "content": request.content,
            "files": request.files,
            "timeout": self.timeout_s,
        }


@dataclass(frozen=True)
class Pause:
    """Step: wait."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """Step: run a slow function; its outcome is the function's result."""

    run: Callable[[], Any]


Call = Generator[Send | Pause | Work, Any, ResultT]


def call(
    request: Request, read: Callable[[httpx.Response], ResultT], deadline_s: float, clock: Callable[[], float]
) -> Call[ResultT]:
    """Sends a request, and retries within deadline_s if the gateway asks for it or was not reached.

    Raises:
        GatewayClientError: the last attempt failed; the subclass tells why.
    """
    give_up, pause_s = clock() + deadline_s, FIRST_PAUSE_S
    while True:
        left_s = give_up - clock()
        # Rounded up, so that the gateway does not give up before the deadline.
        left_ms = max(1, math.ceil(left_s * 1000))
        headers = request.headers | {"X-Request-Timeout": f"{left_ms / 1000:.3f}"}
        outcome = yield Send(replace(request, headers=headers), left_s + GRACE_S)
        if isinstance(outcome, httpx.Response) and outcome.status_code in TOO_LATE and clock() >= give_up:
            raise _deadline_error(deadline_s) from error_of(outcome)
        if isinstance(outcome, httpx.Response) and outcome.status_code not in TRY_AGAIN:
            return read(outcome)
        error = _error(outcome, deadline_s)
        wait_s = _pause_s(error, pause_s)
        if wait_s is None or clock() + wait_s >= give_up:
            raise error
        yield Pause(wait_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _error(outcome: httpx.Response | httpx.RequestError, deadline_s: float) -> GatewayClientError:
    if isinstance(outcome, httpx.Response):
        return error_of(outcome)
    said = outcome or type(outcome).__name__
    if isinstance(outcome, httpx.TimeoutException):
        error: GatewayClientError = _deadline_error(deadline_s)
    elif isinstance(outcome, httpx.TransportError):
        error = UnreachableError(f"the gateway cannot be reached: {said}")
    else:
        error = InvalidAnswerError(f"the answer cannot be read: {said}")
    error.__cause__ = outcome
    return error


def _deadline_error(deadline_s: float) -> DeadlineError:
    return DeadlineError(f"no answer within {deadline_s:g} s")


def _pause_s(error: GatewayClientError, usual_s: float) -> float | None:
    """Seconds until the next attempt; None if a retry is unsafe or useless."""
    if isinstance(error, ProblemError):
        least_s = error.retry_after_s if error.retry_after_s is not None else usual_s
    elif isinstance(error.__cause__, httpx.ConnectError) and not _tls_failed(error.__cause__):
        least_s = usual_s
    else:
        return None
    return least_s + random.uniform(0, JITTER * max(least_s, usual_s))  # noqa: S311 - no secret


def _tls_failed(exc: BaseException | None) -> bool:
    """Whether TLS failed, which httpx reports as a ConnectError; a retry does not help."""
    while exc is not None and not isinstance(exc, ssl.SSLError):
        exc = exc.__cause__ or exc.__context__
    return exc is not None
