"""Environment variables in config.properties, as TorchServe 0.12.0 reads them.

    $$NAME$$ in a value             replaced before all else; without the variable TorchServe does not start
    TS_NAME                         wins over the file, if the file has enable_envvars_config=true
    TS_ALLOWED_URLS                 if the file also has use_env_allowed_urls=true

`${NAME}` is no variable for TorchServe.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torchserve_gateway.migration.errors import MigrationError
from torchserve_gateway.migration.known_keys import VARIABLES

_VARIABLE = re.compile(r"\$\$([^$]+[^$])\$\$")


@dataclass(frozen=True)
class Value:
    """A value of config.properties."""

    text: str
    """Variables replaced."""
    written: str
    """As in the file; TorchServe replaces variables in ours, too, so that secrets stay out of it."""
    variable: str | None = None
    """The variable that the value is from, in the place of the file's."""


def resolved(properties: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, Value]:
    """Values as TorchServe would use them.

    Raises:
        MigrationError: a value names a variable that is not set.
    """
    found = {key: Value(_replaced(key, text, environment), text) for key, text in properties.items()}
    if _is_true(found, "enable_envvars_config"):
        for variable, key in VARIABLES.items():
            if key == "allowed_urls" and not _is_true(found, "use_env_allowed_urls"):
                continue
            if (text := environment.get(variable)) is not None:
                found[key] = Value(text, f"$${variable}$$" if key == "keystore_pass" else text, variable)
    return found


def _is_true(values: Mapping[str, Value], key: str) -> bool:
    return key in values and values[key].text.lower() == "true"


def _replaced(key: str, text: str, environment: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environment:
            raise MigrationError(
                f"{key} = {text} names the environment variable {name}, which is not set here; without it "
                "TorchServe does not start either: export it first"
            )
        return environment[name]

    return _VARIABLE.sub(value, text)
