"""Changes that a running deploy has made to TorchServes; undoing removes these and nothing else.

`begun.json` lies beside the record. A killed deploy leaves it behind, so that the next deploy can tell its
leftovers from versions that others registered.
"""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from torchserve_gateway.record.errors import RecordError
from torchserve_gateway.record.record import replace_text
from torchserve_gateway.settings.composition import Settings

FILE_NAME = "begun.json"


class Begun(Settings):
    """One deploy that has not ended."""

    version: str
    archive: str | None = None
    """File that the deploy put into the model store; None if the store had it before."""
    replicas: tuple[str, ...] = ()
    """Names of the TorchServes on which the deploy registered the version."""
    served: bool = False
    """Whether the version serves already, and these replicas lacked it."""


_BY_MODEL = TypeAdapter(dict[str, Begun])


class BegunDeploys:
    """The note of begun deploys on disk; the caller holds the record's lock."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE_NAME

    def read(self, model: str) -> Begun | None:
        """The note of an earlier deploy of the model; None if that deploy ended.

        Raises:
            RecordError: the file is damaged or cannot be read.
        """
        return self._all().get(model)

    def write(self, model: str, begun: Begun | None) -> None:
        """Replaces the model's note; None removes it, because the deploy has ended.

        Raises:
            RecordError: the file cannot be read or written.
        """
        deploys = self._all()
        deploys.pop(model, None)
        if begun:
            deploys[model] = begun
        if deploys:
            replace_text(self._file, _BY_MODEL.dump_json(deploys, indent=1).decode())
        else:
            self._file.unlink(missing_ok=True)

    def _all(self) -> dict[str, Begun]:
        try:
            return _BY_MODEL.validate_json(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as exc:
            raise RecordError(f"{self._file} cannot be used: {exc}") from exc
