"""Exceptions of the client.

GatewayClientError
  UnreachableError         the gateway could not be connected to, or the connection broke
  DeadlineError            the call's deadline was over
  InvalidAnswerError       the answer is not the gateway's
  UnreadableImageError     the image cannot be read, or is over the byte budget and cannot be decoded
  ProblemError             the gateway answered with problem details
    RefusedError           4xx: the request is wrong; a retry does not help
      UnauthorizedError    401, 403
      RateLimitedError     429
    FailedError            5xx
      OverloadedError      503
"""

from collections.abc import Mapping
from dataclasses import dataclass


class GatewayClientError(Exception):
    """Anything that keeps a call from its answer."""


class UnreachableError(GatewayClientError):
    """The gateway could not be connected to, or the connection broke before the answer was complete."""


class DeadlineError(GatewayClientError):
    """No answer within the deadline, retries and pauses included."""


class InvalidAnswerError(GatewayClientError):
    """The answer is not what the gateway answers, so the URL may be wrong."""


class UnreadableImageError(GatewayClientError):
    """The image cannot be read, or is over the byte budget and cannot be decoded to be shrunk."""


@dataclass(frozen=True)
class Problem:
    """RFC 9457 problem details, as docs/api.md lists them."""

    status: int
    type: str
    detail: str
    request_id: str | None
    """Id in the gateway's log; None for an image of a batch."""

    @classmethod
    def of(cls, document: Mapping[str, object]) -> "Problem":
        """Parses a problem document.

        Raises:
            InvalidAnswerError: a key is missing.
        """
        try:
            request_id = document.get("request_id")
            return cls(
                int(str(document["status"])),
                str(document["type"]),
                str(document["detail"]),
                str(request_id) if request_id is not None else None,
            )
        except (KeyError, ValueError) as exc:
            raise InvalidAnswerError(f"no problem details: {document}") from exc


class ProblemError(GatewayClientError):
    """The gateway answered with an error.

    retry_after_s: seconds until a retry, as the gateway asks; None if it does not.
    """

    def __init__(self, problem: Problem, retry_after_s: float | None = None) -> None:
        super().__init__(f"{problem.status}: {problem.detail}")
        self.problem = problem
        self.retry_after_s = retry_after_s


class RefusedError(ProblemError):
    """4xx: the request or its image is wrong, or not allowed."""


class UnauthorizedError(RefusedError):
    """The key is missing, wrong, or lacks the right."""


class RateLimitedError(RefusedError):
    """The key or address exceeds its rate limit, also after retries."""


class FailedError(ProblemError):
    """5xx: the gateway or TorchServe failed."""


class OverloadedError(FailedError):
    """503: overloaded, stopping, or without workers, also after retries."""


_BY_STATUS: Mapping[int, type[ProblemError]] = {
    401: UnauthorizedError,
    403: UnauthorizedError,
    429: RateLimitedError,
    503: OverloadedError,
}


def problem_error(problem: Problem, retry_after_s: float | None = None) -> ProblemError:
    """Makes the exception for a problem."""
    kind = _BY_STATUS.get(problem.status, RefusedError if problem.status < 500 else FailedError)
    return kind(problem, retry_after_s)
