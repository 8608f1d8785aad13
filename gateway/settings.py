"""What `config/gateway.yaml` and `config/gateway/<name>.yaml` say."""

from typing import Literal

from pydantic import PositiveFloat, PositiveInt, model_validator

from configuration import Settings, reachable_address
from torchserve_api.settings import Port, TorchServeSettings
from ts_serialize.settings import ModelName, ModelSettings


class GatewaySettings(Settings):
    """The gateway's own settings, `config/gateway/<name>.yaml`. Times in seconds, sizes in bytes."""

    host: str
    port: Port
    default_model: ModelName
    deadline_s: PositiveFloat
    max_request_bytes: PositiveInt
    health_timeout_s: PositiveFloat
    shutdown_grace_s: PositiveInt
    log_format: Literal["console", "json"]

    @property
    def url(self) -> str:
        """Where clients on this machine reach it."""
        return f"http://{reachable_address(self.host)}:{self.port}"


class ApplicationSettings(Settings):
    """The root `config/gateway.yaml`."""

    torchserve: TorchServeSettings
    model: ModelSettings
    gateway: GatewaySettings

    @model_validator(mode="after")
    def _answers_before_torchserve_gives_up(self) -> "ApplicationSettings":
        deadline_s, response_timeout = self.gateway.deadline_s, self.model.response_timeout
        if deadline_s >= response_timeout:
            raise ValueError(
                f"gateway.deadline_s = {deadline_s:g} must be below model.response_timeout = "
                f"{response_timeout}: at that age TorchServe kills the worker and its batch"
            )
        return self
