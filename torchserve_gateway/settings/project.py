"""The settings that all entry points share, `config/project.yaml`, for every command alike."""

import re
from collections.abc import Mapping

from pydantic import Field, model_validator

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
    other_models: dict[str, ModelSettings] = Field(default_factory=dict)
    """Models of `gateway.models`, by file."""
    gateway: GatewaySettings
    """The gateway's own settings."""
    file_browser: FileBrowserSettings
    """Where archives are served over HTTP."""

    @property
    def models(self) -> Mapping[str, ModelSettings]:
        """The served models with a file, by their name at TorchServe; the chosen model is the first."""
        chosen = self.served
        others = {each.name: each for each in self.other_models.values()}
        return {chosen.name: chosen, **others}

    @property
    def served(self) -> ModelSettings:
        """The model, under its name at TorchServe."""
        return self.model.model_copy(update={"name": self.served_model.model_name})

    @property
    def naming(self) -> str:
        """The override that gives the model its name at TorchServe; empty where that is its own name."""
        name = self.served_model.model_name
        return "" if name == self.model.name else f"served_model.model_name={name}"

    @property
    def allowed_urls(self) -> list[str]:
        """Regular expressions of the URLs that archives are taken from, the file browser's among them."""
        file_browser = re.escape(f"{self.file_browser.url}/files/") + r"[A-Za-z0-9_.-]+\.mar"
        return [file_browser, *self.torchserve.allowed_urls]

    @model_validator(mode="after")
    def _models_have_names_of_their_own(self) -> "ProjectSettings":
        files = {self.served.name: "the chosen model"}
        for file, model in self.other_models.items():
            if model.name in files:
                both = f"{files[model.name]} and {file}"
                raise ValueError(f"{both}, of gateway.models, both name their model {model.name}")
            files[model.name] = file
        return self

    @model_validator(mode="after")
    def _torchserve_takes_what_the_gateway_takes(self) -> "ProjectSettings":
        limit = self.torchserve.max_request_size
        limits = {"gateway.max_request_bytes": self.gateway.max_request_bytes}
        for model in self.models.values():
            limits[f"limits.max_request_bytes of {model.name}"] = model.limits.max_request_bytes or 0
        for setting, max_bytes in limits.items():
            if max_bytes > limit:
                raise ValueError(
                    f"{setting} = {max_bytes} must not be above "
                    f"torchserve.properties.max_request_size = {limit}: TorchServe refuses a larger body"
                )
        return self

    @model_validator(mode="after")
    def _gateway_answers_before_torchserve_gives_up(self) -> "ProjectSettings":
        for model in self.models.values():
            deadline_s, setting = self.gateway.deadline_s, "gateway.deadline_s"
            if model.limits.deadline_s:
                deadline_s, setting = model.limits.deadline_s, f"limits.deadline_s of {model.name}"
            if deadline_s >= model.response_timeout:
                of = "" if model.name == self.served.name else f" of {model.name}"
                raise ValueError(
                    f"{setting} = {deadline_s:g} must be below model.response_timeout{of} = "
                    f"{model.response_timeout}: at that age TorchServe kills the worker and its batch"
                )
        return self
