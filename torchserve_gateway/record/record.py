"""What is deployed: one file that deployer, gateways and a starting TorchServe share.

`deployed.json` lies in a directory that all of them see, with the lock of the deployer and the reports of
the gateways. The deployer alone writes it; every write raises `revision`, so that a gateway can say which
one it follows. TorchServe's own snapshots are not used: they also hold versions that were registered but
never passed their check, and a snapshot that names one missing archive keeps TorchServe from starting.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from torchserve_gateway.record.errors import RecordError
from torchserve_gateway.settings.composition import Settings

FILE_NAME = "deployed.json"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class DeployedVersion(Settings):
    """One version. `batch_size` .. `startup_timeout` are TorchServe's parameters in its units.

    source: where the archive came from, a file name or a URL; archive: its file name in the model store;
    sha256: of the archive.
    """

    version: str
    source: str
    archive: str
    sha256: str
    batch_size: int
    max_batch_delay: int
    initial_workers: int
    response_timeout: int
    startup_timeout: int
    deployed_at: datetime = Field(default_factory=_now)

    def parameters(self) -> dict[str, str | int]:
        """What `POST /models` gets besides the archive."""
        names = {"batch_size", "max_batch_delay", "initial_workers", "response_timeout", "startup_timeout"}
        return self.model_dump(include=names)

    def deployed_now(self) -> "DeployedVersion":
        """The same version, deployed at this moment."""
        return self.model_copy(update={"deployed_at": _now()})


class Trial(Settings):
    """A version on trial beside the one that serves. share: of the requests, 0 to 1, that reach it."""

    kind: Literal["canary", "shadow"]
    version: str
    share: Annotated[float, Field(ge=0, le=1)]


class DeployedModel(Settings):
    """What is on record of one model.

    replicas: TorchServes that have it; previous: newest first, their archives are kept for a rollback;
    retiring: versions that get no request any more.
    """

    serving: DeployedVersion
    replicas: int = 1
    previous: tuple[DeployedVersion, ...] = ()
    trial: Trial | None = None
    retiring: tuple[str, ...] = ()

    @property
    def states(self) -> dict[str, str]:
        """What each version that TorchServe has is there for: serving, canary, shadow or retiring."""
        trial = {self.trial.version: self.trial.kind} if self.trial else {}
        return dict.fromkeys(self.retiring, "retiring") | trial | {self.serving.version: "serving"}


class Record(Settings):
    """All models by name, as of one revision."""

    revision: int = 0
    models: dict[str, DeployedModel] = Field(default_factory=dict)


class DeploymentRecord:
    """The record on disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file = directory / FILE_NAME

    def read(self) -> Record:
        """The record as it is now; revision 0 and empty if nothing was deployed yet.

        Raises:
            RecordError: the file is damaged or cannot be read.
        """
        try:
            return Record.model_validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return Record()
        except (OSError, ValidationError) as exc:
            raise RecordError(f"{self._file} cannot be used: {exc}") from exc

    def write(self, name: str, model: DeployedModel) -> int:
        """Replaces one model's entry; readers see the old file or the new one, never half.

        Returns:
            the revision, a new one unless nothing changed.

        Raises:
            RecordError: it cannot be read or written.
        """
        record = self.read()
        if record.models.get(name) == model:
            return record.revision
        revision = record.revision + 1
        changed = Record(revision=revision, models={**record.models, name: model})
        replace_text(self._file, changed.model_dump_json(indent=1))
        return revision

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other deploys out; the lock ends with the process, however it ends.

        Raises:
            RecordError: another deploy runs, or the directory cannot be written.
        """
        with ExitStack() as stack:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context((self.directory / ".deploy.lock").open("w"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise RecordError("another deploy is running; wait until it has ended") from exc
            except OSError as exc:
                raise RecordError(f"{self.directory} cannot be used: {exc}") from exc
            yield


def replace_text(file: Path, text: str) -> None:
    """Writes a file so that readers see the old content or the new one.

    Raises:
        RecordError: it cannot be written.
    """
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(text)
        part.replace(file)
    except OSError as exc:
        raise RecordError(f"{file} cannot be written: {exc}") from exc


def model_snapshot(versions: dict[str, DeployedVersion]) -> str:
    """The value of TorchServe's `model_snapshot` property: these models, registered before it listens."""
    entries = {
        name: {
            version.version: {
                "defaultVersion": True,
                "marName": version.archive,
                "minWorkers": version.initial_workers,
                "maxWorkers": version.initial_workers,
                "batchSize": version.batch_size,
                "maxBatchDelay": version.max_batch_delay,
                "responseTimeout": version.response_timeout,
                "startupTimeout": version.startup_timeout,
            }
        }
        for name, version in versions.items()
    }
    return json.dumps({"name": "deployed", "modelCount": len(versions), "models": entries})
