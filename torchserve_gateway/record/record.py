"""The record of deployed versions: a file that deployer, gateways and a starting TorchServe share.

`deployed.json` lies in a directory that all of them see, with the lock of the deployer and the reports of
the gateways. The deployer alone writes it; every write raises `revision`, and gateways report the revision
that they follow. TorchServe's own snapshots are not used: they also hold versions that were registered but
never passed their check, and a snapshot that names a missing archive keeps TorchServe from starting.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from torchserve_gateway.record.engine import Engine
from torchserve_gateway.record.errors import RecordError
from torchserve_gateway.settings.composition import Settings

FILE_NAME = "deployed.json"
# Models that a summary names.
MAX_NAMED = 5


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


class DeployedVersion(Settings):
    """One version. `batch_size` .. `startup_timeout` are TorchServe's parameters in its units."""

    version: str
    source: str
    """Origin of the archive: a file name, or a URL without credentials."""
    archive: str
    """File name in the model store."""
    sha256: str
    """Hex digest of the archive; empty if the archive of an adopted version is out of reach."""
    engine: Engine | None = None
    """Engine and parity of the archive; None if packing did not note them."""
    batch_size: int
    max_batch_delay: int
    initial_workers: int
    response_timeout: int
    startup_timeout: int
    idempotent: bool = True
    """Whether the gateway may ask again after a failed batch."""
    adopted: bool = False
    """Whether others registered the version; its archive is theirs, so that no deploy removes it."""
    takes_images: bool | None = None
    """Whether its archive says that inputs are images; None: not known."""
    deployed_at: datetime = Field(default_factory=_now)

    @property
    def takes_any_input(self) -> bool:
        """Whether inputs pass as they are; where it is not known, those of an adopted version."""
        return self.adopted if self.takes_images is None else not self.takes_images

    def parameters(self) -> dict[str, str | int]:
        """The parameters of `POST /models`, without the archive."""
        names = {"batch_size", "max_batch_delay", "initial_workers", "response_timeout", "startup_timeout"}
        return self.model_dump(include=names)

    def deployed_now(self) -> "DeployedVersion":
        """The same version, deployed at this moment."""
        return self.model_copy(update={"deployed_at": _now()})


class Trial(Settings):
    """A version on trial beside the serving version."""

    kind: Literal["canary", "shadow"]
    version: str
    share: Annotated[float, Field(ge=0, le=1)]
    """Share of the requests that reach it, 0 to 1."""


class DeployedModel(Settings):
    """The entry of one model."""

    serving: DeployedVersion
    replicas: int = 1
    """Number of TorchServes that have the serving version."""
    previous: tuple[DeployedVersion, ...] = ()
    """Versions for a rollback, newest first; their archives are kept."""
    trial: Trial | None = None
    retiring: tuple[str, ...] = ()
    """Versions that get no more requests."""

    @property
    def states(self) -> dict[str, str]:
        """Versions on TorchServe with their state: serving, canary, shadow or retiring."""
        trial = {self.trial.version: self.trial.kind} if self.trial else {}
        return dict.fromkeys(self.retiring, "retiring") | trial | {self.serving.version: "serving"}


class Record(Settings):
    """All models by name, as of one revision."""

    revision: int = 0
    models: dict[str, DeployedModel] = Field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The serving versions in words: `deployed: genre 3.0, pets 1.0`, or `nothing is deployed`."""
        if not self.models:
            return "nothing is deployed"
        first = sorted(self.models.items())[:MAX_NAMED]
        more = f" and {len(self.models) - MAX_NAMED} more" if len(self.models) > MAX_NAMED else ""
        return f"deployed: {', '.join(f'{name} {each.serving.version}' for name, each in first)}{more}"


class DeploymentRecord:
    """The record on disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file = directory / FILE_NAME

    def read(self) -> Record:
        """The current record; empty with revision 0 before the first deploy.

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
        """Replaces one model's entry atomically.

        Returns:
            the revision, raised if the entry changed.

        Raises:
            RecordError: the file cannot be read or written.
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
    """Writes a file atomically.

    Raises:
        RecordError: the file cannot be written.
    """
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_text(text)
        part.replace(file)
    except OSError as exc:
        raise RecordError(f"{file} cannot be written: {exc}") from exc


def model_snapshot(versions: dict[str, DeployedVersion]) -> str:
    """Renders TorchServe's `model_snapshot` property: models that it registers before it listens."""
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
