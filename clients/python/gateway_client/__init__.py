"""A typed client of the gateway that shrinks large images and retries when the gateway asks for it.

Example::

    from gateway_client import GatewayClient

    with GatewayClient("http://127.0.0.1:5003") as client:
        print(client.predict(Path("imgs/horror.jpg")).top)
"""

from gateway_client.answers import DeployedVersion, Prediction
from gateway_client.api import Options
from gateway_client.client import AsyncGatewayClient, GatewayClient
from gateway_client.errors import (
    DeadlineError,
    FailedError,
    GatewayClientError,
    InvalidAnswerError,
    OverloadedError,
    Problem,
    ProblemError,
    RateLimitedError,
    RefusedError,
    UnauthorizedError,
    UnreachableError,
    UnreadableImageError,
)
from gateway_client.images import ImageLike, Limits
from gateway_client.shrinking import shrink

__all__ = [
    "AsyncGatewayClient",
    "DeadlineError",
    "DeployedVersion",
    "FailedError",
    "GatewayClient",
    "GatewayClientError",
    "ImageLike",
    "InvalidAnswerError",
    "Limits",
    "Options",
    "OverloadedError",
    "Prediction",
    "Problem",
    "ProblemError",
    "RateLimitedError",
    "RefusedError",
    "UnauthorizedError",
    "UnreachableError",
    "UnreadableImageError",
    "shrink",
]
