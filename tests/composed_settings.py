"""Settings whose root file Hydra composes once per process: composing takes 50 ms, the rest 8 ms."""

from collections.abc import Sequence
from copy import deepcopy
from functools import cache

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from torchserve_gateway.settings.composition import CONFIG_DIR, SettingsT, load
from torchserve_gateway.settings.project import ProjectSettings


def gateway_settings(*overrides: str) -> ProjectSettings:
    """Settings of the gateway, with a test's overrides."""
    return load_once("gateway", ProjectSettings, overrides)


def load_once(root: str, settings_type: type[SettingsT], overrides: Sequence[str] = ()) -> SettingsT:
    """Same as `load`, in a folder without configuration of its own; the settings are frozen, and shared."""
    settings: SettingsT = _loaded(root, settings_type, tuple(overrides))
    return settings


@cache
def _loaded(root: str, settings_type: type[SettingsT], overrides: tuple[str, ...]) -> SettingsT:
    if not all(_is_value(override) for override in overrides):
        return load(root, settings_type, overrides)
    composed = deepcopy(_composed(root))
    try:
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            OmegaConf.update(composed, override.key_or_group, override.value())
        return settings_type.model_validate(OmegaConf.to_container(composed, resolve=True))
    except (HydraException, OmegaConfBaseException, ValidationError):
        # Raises the error that the program raises.
        return load(root, settings_type, overrides)


def _is_value(override: str) -> bool:
    """Whether it sets a value; others choose a file, or add and remove keys."""
    key, _, _ = override.partition("=")
    return not (set(key) & set("/@+~") or key == "gateway.models" or (CONFIG_DIR / key).is_dir())


@cache
def _composed(root: str) -> DictConfig:
    with initialize_config_dir(config_dir=str(CONFIG_DIR), version_base="1.3"):
        return compose(config_name=root)
