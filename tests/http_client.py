"""A client for the tests' requests: a new connection each time, as `httpx.get` and the like do.

Those also load all trusted certificates each time, which costs twenty times as much as the request.
"""

import httpx

# Seconds; on busy cores an answer takes longer than httpx waits by default.
TIMEOUT_S = 60

HTTP = httpx.Client(timeout=TIMEOUT_S, limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)


def answers(url: str) -> bool:
    """Whether something answers a GET there with 200."""
    try:
        return HTTP.get(url).status_code == 200
    except httpx.TransportError:
        return False
