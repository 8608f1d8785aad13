"""Settings of the gateway, composed by Hydra once per process: composing takes 80 ms, the rest 8 ms."""

from copy import deepcopy
from functools import cache

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from pydantic import ValidationError

from torchserve_gateway.settings.composition import CONFIG_DIR, load
from torchserve_gateway.settings.project import ProjectSettings


def gateway_settings(*overrides: str) -> ProjectSettings:
    """Same as `load`, with a test's overrides."""
    if not all(_is_value(override) for override in overrides):
        return load("gateway", ProjectSettings, overrides)
    composed = deepcopy(_composed())
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        OmegaConf.update(composed, override.key_or_group, override.value())
    try:
        return ProjectSettings.model_validate(OmegaConf.to_container(composed, resolve=True))
    except ValidationError:
        # Raises the error that the program raises.
        return load("gateway", ProjectSettings, overrides)


def _is_value(override: str) -> bool:
    """Whether it sets a value; others choose a file, or add and remove keys."""
    key, _, _ = override.partition("=")
    return "." in key and not set(key) & set("/@+~")


@cache
def _composed() -> DictConfig:
    with initialize_config_dir(config_dir=str(CONFIG_DIR), version_base="1.3"):
        return compose(config_name="gateway")
