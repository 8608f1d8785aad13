"""Models that a config.properties loads, as deploys: `load_models`, `models`, `model_snapshot`."""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torchserve_gateway.migration.environment import Value
from torchserve_gateway.migration.errors import MigrationError

# Key of TorchServe's JSON -> key of ours.
PARAMETERS = {
    "batchSize": "model.batch_size",
    "maxBatchDelay": "model.max_batch_delay",
    "minWorkers": "model.workers",
    "responseTimeout": "model.response_timeout",
    "startupTimeout": "model.startup_timeout",
}


def deploys(values: Mapping[str, Value], store: Path | None) -> list[str]:
    """A command for each model that TorchServe would load at its start.

    Raises:
        MigrationError: `models` or `model_snapshot` is not the JSON that TorchServe reads.
    """
    configured = _models("models", values)
    if "model_snapshot" in values:
        snapshot = _models("model_snapshot", values).get("models", {})
        return [_command(store, name, each) for name, each in _defaults(snapshot)]
    wanted = values["load_models"].text.strip() if "load_models" in values else ""
    if wanted.lower() == "all":
        archives = sorted(store.glob("*.mar")) if store else []
        return [_of_archive(store, None, each.name, configured) for each in archives]
    pairs = [each.strip().rpartition("=") for each in wanted.split(",") if each.strip()]
    return [_of_archive(store, name or None, archive, configured) for name, _, archive in pairs]


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


def _of_archive(store: Path | None, name: str | None, archive: str, configured: Mapping[str, Any]) -> str:
    """The command for an archive, with the parameters that `models` has for it."""
    for model, versions in configured.items():
        for each in versions.values() if isinstance(versions, dict) else ():
            if isinstance(each, dict) and (each.get("marName") == archive or model == name):
                return _command(store, name or model, {**each, "marName": archive})
    return _command(store, name, {"marName": archive})


def _command(store: Path | None, name: str | None, parameters: Mapping[str, Any]) -> str:
    archive = str(parameters.get("marName", f"{name}.mar"))
    given = {key: parameters[key] for key in PARAMETERS if isinstance(parameters.get(key), int)}
    settings = [f"{PARAMETERS[key]}={value}" for key, value in given.items() if value > 0]
    if "://" in archive:
        source = ["model=foreign", f"model.name={name}", "model.version=...", f"archive_source.url={archive}"]
        return f"make upload_model ARGS={shlex.quote(' '.join([*source, *settings]))}"
    path = store / archive if store else Path(archive)
    words = [f"MAR={shlex.quote(str(path))}", *([f"NAME={name}"] if name else [])]
    arguments = [f"ARGS={shlex.quote(' '.join(settings))}"] if settings else []
    return " ".join(["make upload_model", *words, *arguments])
