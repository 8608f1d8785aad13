"""What is deployed, on disk beside the archives, so that a restarted TorchServe comes up with it.

TorchServe's own snapshots are not used: they also hold versions that were registered but never passed
their check, and a snapshot that names one missing archive keeps TorchServe from starting.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, TypeAdapter

from configuration import Settings

FILE_NAME = "deployed.json"


class DeployedModel(Settings):
    """The version that serves. `batch_size` .. `startup_timeout` are TorchServe's parameters in its units."""

    version: str
    archive: str
    batch_size: int
    max_batch_delay: int
    initial_workers: int
    response_timeout: int
    startup_timeout: int
    deployed_at: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


_MODELS = TypeAdapter(dict[str, DeployedModel])


def read_deployed(model_store: Path) -> dict[str, DeployedModel]:
    """What serves, by model name; empty if nothing was deployed yet.

    Raises:
        ValueError: the file is damaged (pydantic's ValidationError is one).
    """
    file = model_store / FILE_NAME
    return _MODELS.validate_json(file.read_bytes()) if file.exists() else {}


def record_deployed(model_store: Path, name: str, model: DeployedModel) -> None:
    """Replaces what is on record for one model; readers see the old file or the new one, never half."""
    models = read_deployed(model_store)
    if name in models and models[name].model_copy(update={"deployed_at": model.deployed_at}) == model:
        return
    models[name] = model
    part = model_store / f".{FILE_NAME}.part"
    part.write_bytes(_MODELS.dump_json(models, indent=1))
    part.replace(model_store / FILE_NAME)


def model_snapshot(models: dict[str, DeployedModel]) -> str:
    """The value of TorchServe's `model_snapshot` property: these models, registered before it listens."""
    entries = {
        name: {
            model.version: {
                "defaultVersion": True,
                "marName": model.archive,
                "minWorkers": model.initial_workers,
                "maxWorkers": model.initial_workers,
                "batchSize": model.batch_size,
                "maxBatchDelay": model.max_batch_delay,
                "responseTimeout": model.response_timeout,
                "startupTimeout": model.startup_timeout,
            }
        }
        for name, model in models.items()
    }
    return json.dumps({"name": "deployed", "modelCount": len(models), "models": entries})
