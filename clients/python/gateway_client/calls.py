"""One call of the API, attempts and pauses included, without doing any of it.

A call is a generator: it yields what is to be done, gets what came of it, and returns the answer. The two
clients do it, one while it waits, the other while others run; so they cannot differ in anything else.
"""

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
# Where the gateway does not say how long to wait: the first pause, doubled each time up to the longest.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
# So that clients that were refused together do not come back together.
JITTER = 0.25
# The gateway is told the deadline and answers by then; its answer has a way to go.
GRACE_S = 1.0


@dataclass(frozen=True)
class Request:
    """What is sent; files: as httpx takes them."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes | None = None
    files: Any = None


@dataclass(frozen=True)
class Send:
    """To do: send, and give back the response or the exception.

    timeout_s: until the whole answer is there; the blocking client looks after each part of its body.
    """

    request: Request
    timeout_s: float

    def arguments(self) -> dict[str, Any]:
        """As httpx takes them."""
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
    """To do: wait."""

    seconds: float


@dataclass(frozen=True)
class Work:
    """To do: run what takes a while and give back what it returns."""

    run: Callable[[], Any]


Call = Generator[Send | Pause | Work, Any, ResultT]


def call(
    request: Request, read: Callable[[httpx.Response], ResultT], deadline_s: float, clock: Callable[[], float]
) -> Call[ResultT]:
    """Sends, again where the gateway asks for it or was not reached, until deadline_s are over.

    Raises:
        GatewayClientError: as the subclass that fits, of the last attempt.
    """
    give_up, pause_s = clock() + deadline_s, FIRST_PAUSE_S
    while True:
        left_s = give_up - clock()
        headers = request.headers | {"X-Request-Timeout": f"{max(left_s, 0.001):.3f}"}
        outcome = yield Send(replace(request, headers=headers), left_s + GRACE_S)
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
        error: GatewayClientError = DeadlineError(f"no answer within {deadline_s:g} s")
    elif isinstance(outcome, httpx.TransportError):
        error = UnreachableError(f"the gateway cannot be reached: {said}")
    else:
        error = InvalidAnswerError(f"the answer cannot be read: {said}")
    error.__cause__ = outcome
    return error


def _pause_s(error: GatewayClientError, usual_s: float) -> float | None:
    """None: asking again may do harm or is of no use."""
    if isinstance(error, ProblemError):
        least_s = error.retry_after_s if error.retry_after_s is not None else usual_s
    elif isinstance(error.__cause__, httpx.ConnectError) and not _tls_failed(error.__cause__):
        least_s = usual_s
    else:
        return None
    return least_s + random.uniform(0, JITTER * max(least_s, usual_s))  # noqa: S311 - no secret


def _tls_failed(exc: BaseException | None) -> bool:
    """To httpx a certificate that is not trusted is a ConnectError, too; waiting does not mend it."""
    while exc is not None and not isinstance(exc, ssl.SSLError):
        exc = exc.__cause__ or exc.__context__
    return exc is not None
