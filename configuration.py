"""Hydra config -> typed settings: the one place where configuration enters the program."""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

PROJECT_ROOT = Path(__file__).resolve().parent
CONFIG_DIR = PROJECT_ROOT / "config"

ProjectPath = Annotated[Path, AfterValidator(lambda path: PROJECT_ROOT / path)]
"""A path; a relative one counts from the project root, wherever the command was started."""


SettingsT = TypeVar("SettingsT", bound="Settings")


class ConfigurationError(Exception):
    """The configuration cannot be used; the message names each key, its value and what would be right."""


class Settings(BaseModel):
    """Base of all settings: immutable, and a key nobody reads is an error, not a silent typo."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def reachable_address(bind_host: str) -> str:
    """The address at which a service bound to `bind_host` is reached; this machine's own for a wildcard."""
    if bind_host not in ("0.0.0.0", "::"):
        return bind_host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; it only picks the interface.
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


OmegaConf.register_new_resolver("reachable_address", reachable_address, replace=True)


def compose_yaml(root: str, overrides: Sequence[str] = ()) -> str:
    """The composed and resolved configuration of one entry point, as YAML.

    Raises:
        ConfigurationError: an override or a file does not compose.
    """
    return OmegaConf.to_yaml(OmegaConf.create(_compose(root, overrides)))


def load(root: str, settings_type: type[SettingsT], overrides: Sequence[str] = ()) -> SettingsT:
    """Composes `config/<root>.yaml` with Hydra overrides and validates the result.

    Raises:
        ConfigurationError: it does not compose or does not validate.
    """
    try:
        return settings_type.model_validate(_compose(root, overrides))
    except ValidationError as exc:
        problems = "; ".join(_problem(error) for error in exc.errors(include_url=False))
        raise ConfigurationError(f"config/{root}.yaml: {problems}") from exc


def _problem(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    key = ".".join(map(str, error["loc"]))
    # A whole group would fill the line; what is wrong with one is said by the message.
    if isinstance(error["input"], dict):
        return f"{key}: {message}" if key else message
    return f"{key} = {error['input']!r}: {message}"


def _compose(root: str, overrides: Sequence[str]) -> dict[str, object]:
    try:
        with initialize_config_dir(config_dir=str(CONFIG_DIR), version_base="1.3"):
            composed = compose(config_name=root, overrides=list(overrides))
        container = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as exc:
        raise ConfigurationError(f"config/{root}.yaml: {' '.join(str(exc).split())}") from exc
    return {str(key): value for key, value in container.items()} if isinstance(container, dict) else {}
