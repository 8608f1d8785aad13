"""The settings that all entry points share, `config/project.yaml`, for every command alike."""

import re

from pydantic import model_validator

from torchserve_gateway.settings.composition import Settings, reachable_address
from torchserve_gateway.settings.gateway import GatewaySettings
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.settings.model_parts.names import ModelName
from torchserve_gateway.settings.torchserve import Port, TorchServeSettings


class FileBrowserSettings(Settings):
    """Where nginx serves model_mars/."""

    host: str
    """Address that nginx binds to."""
    port: Port
    """TCP port."""

    @property
    def url(self) -> str:
        """The address of the list of archives; the archives themselves are below `/files/`."""
        return f"http://{reachable_address(self.host)}:{self.port}"


class ServedModelSettings(Settings):
    """The model's name at TorchServe."""

    model_name: ModelName
    """The name in `/predictions/<name>`."""


class ProjectSettings(Settings):
    """One model behind one TorchServe behind one gateway; also the root `config/gateway.yaml`."""

    torchserve: TorchServeSettings
    """TorchServe's addresses and properties."""
    model: ModelSettings
    """The model that commands are about."""
    served_model: ServedModelSettings
    """The model's name at TorchServe."""
    gateway: GatewaySettings
    """The gateway's own settings."""
    file_browser: FileBrowserSettings
    """Where archives are served over HTTP."""

    @property
    def served(self) -> ModelSettings:
        """The model, under its name at TorchServe."""
        return self.model.model_copy(update={"name": self.served_model.model_name})

    @property
    def allowed_urls(self) -> list[str]:
        """Regular expressions of the URLs that archives are taken from, the file browser's among them."""
        file_browser = re.escape(f"{self.file_browser.url}/files/") + r"[A-Za-z0-9_.-]+\.mar"
        return [file_browser, *self.torchserve.allowed_urls]

    @model_validator(mode="after")
    def _torchserve_takes_what_the_gateway_takes(self) -> "ProjectSettings":
        limit, max_bytes = self.torchserve.max_request_size, self.gateway.max_request_bytes
        if max_bytes > limit:
            raise ValueError(
                f"gateway.max_request_bytes = {max_bytes} must not be above "
                f"torchserve.properties.max_request_size = {limit}: TorchServe refuses a larger body"
            )
        return self

    @model_validator(mode="after")
    def _gateway_answers_before_torchserve_gives_up(self) -> "ProjectSettings":
        deadline_s, response_timeout = self.gateway.deadline_s, self.model.response_timeout
        if deadline_s >= response_timeout:
            raise ValueError(
                f"gateway.deadline_s = {deadline_s:g} must be below model.response_timeout = "
                f"{response_timeout}: at that age TorchServe kills the worker and its batch"
            )
        return self
