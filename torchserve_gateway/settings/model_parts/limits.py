"""`limits` of a model: the gateway's limits for its requests."""

from pydantic import PositiveFloat, PositiveInt

from torchserve_gateway.settings.composition import Settings


class LimitSettings(Settings):
    """Limits that differ from the gateway's."""

    max_request_bytes: PositiveInt | None = None
    """Bytes of a request's body; None: the gateway's."""
    deadline_s: PositiveFloat | None = None
    """Seconds from a request's first byte to its answer; None: the gateway's."""
    max_in_flight: PositiveInt | None = None
    """Requests at TorchServe at a time; None: the gateway's."""
