"""Headers of every prediction's answer, and its errors for OpenAPI."""

from urllib.parse import quote

from torchserve_gateway.gateway.schemas import problems
from torchserve_gateway.gateway.telemetry.request_context import RequestContext

PROBLEMS = problems(400, 404, 408, 413, 414, 415, 422, 431, 502, 503, 504)


def prediction_headers(context: RequestContext) -> dict[str, str]:
    """Model, version and timing; quoted, since a handler may name any version."""
    headers = {"X-Model-Name": quote(context.model or ""), "Server-Timing": context.server_timing}
    if context.version:
        headers["X-Model-Version"] = quote(context.version, safe=", ")
    return headers
