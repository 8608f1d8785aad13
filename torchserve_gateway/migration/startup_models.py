"""Models that a config.properties loads, as deploys: `load_models`, `models`, `model_snapshot`."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torchserve_gateway.migration.environment import Value
from torchserve_gateway.migration.errors import MigrationError
from torchserve_gateway.settings.composition import as_override

# Key of TorchServe's JSON -> key of ours.
PARAMETERS = {
    "batchSize": "model.batch_size",
    "maxBatchDelay": "model.max_batch_delay",
    "minWorkers": "model.workers",
    "responseTimeout": "model.response_timeout",
    "startupTimeout": "model.startup_timeout",
}
# Text to Hydra, and one word to a shell.
_PLAIN = re.compile(r"[A-Za-z_/][\w./:-]*")


def deploys(values: Mapping[str, Value], store: Path | None, configuration: str | None) -> list[str]:
    """A command for each model that TorchServe would load at its start.

    configuration: name of our YAML, which the commands then choose.

    Raises:
        MigrationError: `models` or `model_snapshot` is not the JSON that TorchServe reads.
    """
    chosen = f"torchserve-gateway deploy{f' torchserve={configuration}' if configuration else ''}"
    return [f"{chosen} {shlex.join(settings)}" for settings in _deploys(values, store)]


def _deploys(values: Mapping[str, Value], store: Path | None) -> Iterator[list[str]]:
    configured = _models("models", values)
    if "model_snapshot" in values:
        snapshot = _models("model_snapshot", values).get("models", {})
        yield from (_settings(store, name, each) for name, each in _defaults(snapshot))
        return
    wanted = values["load_models"].text.strip() if "load_models" in values else ""
    if wanted.lower() == "all":
        archives = sorted(store.glob("*.mar")) if store else []
        yield from (_of_archive(store, None, each.name, configured) for each in archives)
        return
    for each in wanted.split(","):
        name, _, archive = each.strip().rpartition("=")
        if archive:
            yield _of_archive(store, name or None, archive, configured)


def _models(key: str, values: Mapping[str, Value]) -> dict[str, Any]:
    if key not in values:
        return {}
    try:
        content = json.loads(values[key].text)
    except ValueError as exc:
        raise MigrationError(f"{key} is no JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise MigrationError(f"{key} is not a map of models, but {type(content).__name__}")
    return content


def _defaults(snapshot: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and parameters of each model's default version."""
    for name, versions in snapshot.items() if isinstance(snapshot, dict) else ():
        known = [each for each in versions.values() if isinstance(each, dict)]
        default = next((each for each in known if each.get("defaultVersion")), known[0] if known else {})
        yield name, default


def _of_archive(
    store: Path | None, name: str | None, archive: str, configured: Mapping[str, Any]
) -> list[str]:
    """Settings for an archive, with the parameters that `models` has for it."""
    for model, versions in configured.items():
        for each in versions.values() if isinstance(versions, dict) else ():
            if isinstance(each, dict) and (each.get("marName") == archive or model == name):
                return _settings(store, name or model, {**each, "marName": archive})
    return _settings(store, name, {"marName": archive})


def _settings(store: Path | None, name: str | None, parameters: Mapping[str, Any]) -> list[str]:
    archive = str(parameters.get("marName", f"{name}.mar"))
    given = {key: parameters[key] for key in PARAMETERS if isinstance(parameters.get(key), int)}
    settings = [f"{PARAMETERS[key]}={value}" for key, value in given.items() if value > 0]
    named = [_setting("model.name", name)] if name else []
    if "://" in archive:
        return [
            "model=foreign",
            *named,
            "model.version=...",
            _setting("archive_source.url", archive),
            *settings,
        ]
    path = store / archive if store else Path(archive)
    return [_setting("archive_source.path", path), *named, *settings]


def _setting(key: str, value: object) -> str:
    """KEY=VALUE, quoted where Hydra or the shell would read something else."""
    return f"{key}={value}" if _PLAIN.fullmatch(str(value)) else as_override(key, value)
