"""What `config/gateway/<name>.yaml` says."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

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
    health_timeout_s: PositiveFloat
    keep_alive_s: PositiveInt
    shutdown_grace_s: PositiveInt
    log_format: Literal["console", "json"]

    @property
    def url(self) -> str:
        """Where clients on this machine reach it."""
        return f"http://{reachable_address(self.host)}:{self.port}"
