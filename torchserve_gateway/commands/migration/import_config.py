"""`make import_config`: a config.properties as a table of decisions and as our YAML.

Exit codes: 0 done; 1 the file cannot be taken over; 2 wrong usage.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from rich.table import Table

from torchserve_gateway.migration.decision import Decision
from torchserve_gateway.migration.environment import resolved
from torchserve_gateway.migration.errors import MigrationError
from torchserve_gateway.migration.java_properties import ENCODING, parsed
from torchserve_gateway.migration.startup_models import deploys
from torchserve_gateway.migration.torchserve_config import decisions, rows, settings_of
from torchserve_gateway.settings.command import exit_code
from torchserve_gateway.settings.composition import CONFIG_DIR, ConfigurationError, compose_yaml
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.terminal.output import console, print_json

TABLE_WIDTH = 150
GROUPS = ("environment", "properties")


@dataclass(frozen=True)
class Imported:
    """A config.properties in our terms."""

    decisions: list[Decision]
    settings: dict[str, object]
    """Content of `config/torchserve/<name>.yaml` below its defaults list."""
    added: dict[str, object]
    """Our own properties and environment variables that the file does not set."""
    deploys: list[str]
    """Commands that deploy the models of the file."""


def import_config(file: Path, name: str | None, *, as_json: bool, force: bool) -> None:
    """Prints the decisions, and writes or prints the YAML.

    Raises:
        MigrationError: the file cannot be read, or its YAML exists already.
        ConfigurationError: the values are not valid for us.
    """
    imported = imported_from(file, name)
    target = _target(name, force=force) if name else None
    text = _yaml(imported, file)
    if as_json:
        content = {
            "decisions": list(rows(imported.decisions)),
            "torchserve": imported.settings,
            "added": imported.added,
            "deploys": imported.deploys,
        }
        print_json(content)
    else:
        _print_table(imported)
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        _say(
            as_json,
            f"written to {target}; torchserve={name} uses it: torchserve-gateway up torchserve={name}",
        )
    elif not as_json:
        print(f"\n# config/torchserve/<name>.yaml; NAME=<name> writes it\n{text}", end="")


def imported_from(file: Path, name: str | None) -> Imported:
    """Reads a config.properties; name: that of our YAML, if it gets one.

    Raises:
        MigrationError: it cannot be read, or TorchServe would not start with it.
        ConfigurationError: the values are not valid for us.
    """
    try:
        values = resolved(parsed(file.read_text(ENCODING)), os.environ)
    except (OSError, ValueError) as exc:
        raise MigrationError(f"{file} cannot be read: {exc}") from exc
    decided = decisions(values, Path.cwd())
    settings = settings_of(decided)
    composed = yaml.safe_load(compose_yaml("gateway"))
    _check(settings, composed)
    store = settings.get("model_store")
    commands = deploys(values, Path(str(store)) if store else None, name)
    return Imported(decided, settings, _added(settings, composed["torchserve"]), commands)


def _added(settings: dict[str, object], ours: dict[str, Any]) -> dict[str, object]:
    return {
        f"torchserve.{group}.{key}": value
        for group in GROUPS
        for key, value in ours[group].items()
        if key not in _group(settings, group)
    }


def _check(settings: dict[str, object], composed: dict[str, Any]) -> None:
    ours = composed["torchserve"]
    merged = {**ours, **settings} | {group: {**ours[group], **_group(settings, group)} for group in GROUPS}
    merged["management_urls"] = [merged["management_url"]]
    gateway = {**composed["gateway"], "max_request_bytes": merged["properties"]["max_request_size"]}
    try:
        ProjectSettings.model_validate({**composed, "torchserve": merged, "gateway": gateway})
    except ValidationError as exc:
        problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in exc.errors()]
        raise ConfigurationError(f"the values do not suit the gateway: {'; '.join(problems)}") from exc


def _group(settings: dict[str, object], name: str) -> dict[str, object]:
    group = settings.get(name, {})
    assert isinstance(group, dict)
    return group


def _target(name: str, *, force: bool) -> Path:
    target = Path.cwd() / "config" / "torchserve" / f"{name}.yaml"
    if target.exists() and not force:
        raise MigrationError(f"{target} exists; --force replaces it, or take another name")
    if not target.exists() and (CONFIG_DIR / "torchserve" / f"{name}.yaml").exists():
        raise MigrationError(f"torchserve={name} comes with the package; take another name")
    return target


def _yaml(imported: Imported, file: Path) -> str:
    body = yaml.safe_dump(imported.settings, sort_keys=False, allow_unicode=True) if imported.settings else ""
    # OmegaConf would take ${...} for its own.
    body = body.replace("${", "\\${")
    head = f"# From {file.name}, by make import_config; keys that are not here are as in local.yaml.\n"
    return f"{head}defaults:\n  - local\n  - _self_\n\n{body}"


def _print_table(imported: Imported) -> None:
    table = Table("key", "value", box=None)
    table.add_column("", no_wrap=True)
    table.add_column("setting", overflow="fold")
    table.add_column("why")
    for row in rows(imported.decisions):
        table.add_row(row["key"], row["value"], row["verdict"], row["setting"], row["reason"])
    console(TABLE_WIDTH).print(table)
    added = ", ".join(f"{key}={json.dumps(value)}" for key, value in imported.added.items())
    print(f"\nours, where the file says nothing: {added}")
    if imported.deploys:
        print("\n".join(["\nits models:", *imported.deploys]))


def _say(as_json: bool, line: str) -> None:
    if not as_json:
        print(line)


def main(file: Path, name: str | None, *, as_json: bool, force: bool) -> int:
    """Runs the command and returns the exit code."""
    return exit_code(lambda: import_config(file, name, as_json=as_json, force=force), (MigrationError,))
