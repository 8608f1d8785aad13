"""The deadline that a client asks for."""

import math

from starlette.requests import Request

from torchserve_gateway.gateway.errors import MalformedRequestError

HEADER = "X-Request-Timeout"


def allowed_s(request: Request, longest_s: float) -> float:
    """Seconds from the request's head to its answer: as the client asks, at most `longest_s`.

    Raises:
        MalformedRequestError: the header is no positive number.
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
