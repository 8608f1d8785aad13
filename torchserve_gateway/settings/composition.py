"""Hydra config -> typed settings: the one place where configuration and folders enter the program.

Two kinds of folders: the working folder, where a command is called, holds state and the user's files; the
package brings its own configuration, handler, demo checkpoint and sample images. The user's files win.
"""

import re
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from hydra import compose, initialize_config_dir
from hydra.conf import HydraConf
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from yaml import MarkedYAMLError

from torchserve_gateway.settings.unknown_keys import unknown_key, with_suggestion

PROJECT_ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the packages: a checkout, or site-packages."""
RESOURCES = PROJECT_ROOT / "torchserve_gateway" / "resources"
"""Files that come with the package; in a checkout links to the folders at its root."""
CONFIG_DIR = RESOURCES / "config"
# PyYAML's parser in Python takes half a second for all our files; its wheels bring libyaml's.
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Characters of a library's message about a file; Hydra repeats the file's content.
MAX_REASON = 600
# Characters of a value in a message; a list of labels can have thousands.
MAX_VALUE = 200


def _in_working_folder(path: Path) -> Path:
    return Path.cwd() / path


def existing_or_own(path: Path) -> Path:
    """The file in the working folder; if there is none, the package's; if it has none either, the former."""
    candidates = [root / path for root in (Path.cwd(), RESOURCES, PROJECT_ROOT)]
    return next((each for each in candidates if each.exists()), candidates[0])


def path_in_archive(path: Path) -> Path:
    """The path under which a handler imports a module.

    Raises:
        ValueError: the file lies neither in the working folder nor in the package.
    """
    # The innermost: an environment may lie in the working folder.
    roots = sorted((Path.cwd(), RESOURCES, PROJECT_ROOT), key=lambda root: len(root.parts), reverse=True)
    root = next((each for each in roots if path.is_relative_to(each)), None)
    if root is None:
        raise ValueError(f"{path} is outside the project, so it has no import path in the archive")
    return path.relative_to(root)


WorkingPath = Annotated[Path, AfterValidator(_in_working_folder)]
"""A path of state or of the user's; a relative one counts from the folder where the command is called."""

ResourcePath = Annotated[Path, AfterValidator(existing_or_own)]
"""A file that is read; a relative one that the working folder lacks is taken from the package."""


SettingsT = TypeVar("SettingsT", bound="Settings")


class ConfigurationError(Exception):
    """The configuration cannot be used; the message names each key, its value and what would be right."""


class Settings(BaseModel):
    """Base of all settings: immutable; an unknown key is an error, not a silent typo."""

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


def config_dirs() -> list[Path]:
    """Folders of configuration files; a file in an earlier folder hides its namesake in a later one."""
    own = Path.cwd() / "config"
    return [own, CONFIG_DIR] if own.is_dir() and not own.samefile(CONFIG_DIR) else [CONFIG_DIR]


class _OwnConfig(SearchPathPlugin):
    """Puts the working folder's `config/` before the package's; `hydra.searchpath` only appends."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for own in config_dirs()[:-1]:
            search_path.prepend("working folder", f"file://{own}", SearchPathQuery(provider="main"))


Plugins.instance().register(_OwnConfig)
# Hydra's own groups are for jobs that it runs (launcher, sweeper, logging), and cost as much time as ours.
_NO_JOBS = HydraConf(defaults=[], launcher={}, sweeper={}, hydra_logging={}, job_logging={})
ConfigStore.instance().store(group="hydra", name="config", node=_NO_JOBS, provider="hydra")


def as_override(key: str, value: object) -> str:
    """KEY=VALUE in Hydra's syntax, for any text, such as a path with a comma in it."""
    # Hydra unescapes quotes and the backslashes before them, OmegaConf those before ${.
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(value))
    quoted = re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + found[2].replace("'", "\\'"), text)
    return f"{key}='{quoted}'"


def _problem(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    key = ".".join(map(str, error["loc"]))
    # A whole group would fill the line, and the message says enough.
    if isinstance(error["input"], dict):
        return f"{key}: {message}" if key else message
    value = repr(error["input"])
    return f"{key} = {value if len(value) <= MAX_VALUE else f'{value[:MAX_VALUE]}...'}: {message}"


def _compose(root: str, overrides: Sequence[str]) -> dict[str, object]:
    try:
        with initialize_config_dir(config_dir=str(CONFIG_DIR), version_base="1.3"):
            composed = compose(root, list(overrides), return_hydra_config=True)
            with open_dict(composed):
                own_model = composed.pop("hydra").runtime.choices.get("model")
            # A dot in a key would be a level of its own.
            if others := [
                f"+model@other_models.{file.replace('.', '_')}={file}"
                for file in _models(composed)
                if file != own_model
            ]:
                composed = compose(config_name=root, overrides=[*overrides, *others])
        container = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    # Odd files make Hydra, OmegaConf and PyYAML raise anything: ValueError, RecursionError ...
    except Exception as exc:
        key = unknown_key(exc)
        reason = with_suggestion(root, key, _known(root)) if key else _reason(root, exc)
        raise ConfigurationError(reason) from exc
    return {str(key): value for key, value in container.items()} if isinstance(container, dict) else {}


def _known(root: str) -> object:
    """The configuration without overrides; empty if it does not compose either."""
    try:
        with initialize_config_dir(config_dir=str(CONFIG_DIR), version_base="1.3"):
            return OmegaConf.to_container(compose(config_name=root))
    # As in `_compose`.
    except Exception:  # noqa: BLE001
        return {}


def _models(composed: DictConfig) -> list[str]:
    """Files of `gateway.models`; none where the settings' own check will say what is wrong."""
    names = OmegaConf.select(composed, "gateway.models")
    files = list(names) if isinstance(names, ListConfig) else []
    are_names = all(isinstance(file, str) and re.fullmatch(r"[\w.-]+", file) for file in files)
    return list(dict.fromkeys(files)) if are_names else []


def _reason(root: str, exc: Exception) -> str:
    """Why the files do not compose, in one line, with the place where it is known."""
    if isinstance(exc, MarkedYAMLError) and (mark := exc.problem_mark or exc.context_mark):
        hint = "; indent with spaces" if "'\\t'" in (exc.problem or "") else ""
        problem = " ".join(each for each in (exc.context, exc.problem) if each)
        return f"{_shown(mark.name)}, line {mark.line + 1}, column {mark.column + 1}: {problem}{hint}"
    if isinstance(exc, UnicodeDecodeError):
        return f"{', '.join(_files_that(_is_not_text)) or f'config/{root}.yaml'}: not UTF-8 ({exc.reason})"
    texts = (" ".join(str(each).split()) for each in _causes(exc))
    said = next(filter(None, texts), type(exc).__name__)[:MAX_REASON]
    odd = "".join(f"; {name} is no YAML with keys and values" for name in _files_that(_is_not_a_map))
    return f"config/{root}.yaml: {said}{odd}"


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _shown(file: str) -> str:
    path = Path(file)
    roots = [each.parent for each in config_dirs()]
    root = next((each for each in roots if path.is_relative_to(each)), None)
    return str(path.relative_to(root) if root else path)


def _files_that(is_so: Callable[[Path], bool]) -> list[str]:
    files = (file for each in config_dirs() for file in sorted(each.rglob("*.yaml")))
    return [_shown(str(file)) for file in files if is_so(file)]


def _is_not_text(file: Path) -> bool:
    try:
        file.read_text("utf-8")
    except UnicodeDecodeError:
        return True
    except OSError:
        return False
    return False


def _is_not_a_map(file: Path) -> bool:
    try:
        return not isinstance(yaml.load(file.read_text("utf-8"), YAML_LOADER), dict | None)  # noqa: S506 - a safe one
    except OSError:
        return False
    # As in `_compose`.
    except Exception:  # noqa: BLE001
        return True
