"""What `config/gateway/<name>.yaml` says."""

from typing import Annotated, Literal

from pydantic import PositiveFloat, PositiveInt, StringConstraints

from configuration import Settings, reachable_address
from torchserve_api.settings import Port
from ts_serialize.settings import ModelName


class GatewaySettings(Settings):
    """The gateway's own settings. Times in seconds, sizes in bytes."""

    host: str
    port: Port
    default_model: ModelName
    deadline_s: PositiveFloat
    max_request_bytes: PositiveInt
    body_timeout_s: PositiveFloat
    head_timeout_s: PositiveFloat
    max_batch_images: PositiveInt
    max_batch_request_bytes: PositiveInt
    batch_concurrency: PositiveInt
    health_timeout_s: PositiveFloat
    deployments_refresh_s: PositiveFloat
    routing_key_header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")]
    shadow_max_in_flight: PositiveInt
    shadow_probability_tolerance: PositiveFloat
    keep_alive_s: PositiveInt
    shutdown_grace_s: PositiveInt
    log_format: Literal["console", "json"]

    @property
    def body_deadline_s(self) -> float:
        """Seconds from a request's head to the last byte of its body."""
        return min(self.body_timeout_s, self.deadline_s)

    @property
    def url(self) -> str:
        """Where clients on this machine reach it."""
        return f"http://{reachable_address(self.host)}:{self.port}"
