"""How long a request may take."""

import math

from starlette.requests import Request

from gateway.errors import MalformedRequestError

HEADER = "X-Request-Timeout"


def deadline_of(request: Request, longest_s: float) -> float:
    """Seconds from the request's head to its answer: what the client asks for, at most `longest_s`.

    Raises:
        MalformedRequestError: it asks for something that is no time.
    """
    asked = request.headers.get(HEADER)
    if asked is None:
        return longest_s
    try:
        seconds = float(asked)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise MalformedRequestError(f"{HEADER} is {asked!r}; send seconds above 0, for example 2.5")
    return min(seconds, longest_s)
