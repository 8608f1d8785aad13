"""What a deploy has put onto TorchServes so far: that, and nothing else, is taken away when it fails.

`begun.json` lies beside the record. A deploy that is killed leaves it behind, so that the next one tells its
leftovers from what others registered.
"""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from torchserve_gateway.record.errors import RecordError
from torchserve_gateway.record.record import replace_text
from torchserve_gateway.settings.composition import Settings

FILE_NAME = "begun.json"


class Begun(Settings):
    """One deploy that has not ended.

    archive: what it put into the model store, None if that held it before; replicas: names of the TorchServes
    on which it registered the version; served: whether the version served already, and these lacked it.
    """

    version: str
    archive: str | None = None
    replicas: tuple[str, ...] = ()
    served: bool = False


_BY_MODEL = TypeAdapter(dict[str, Begun])


class BegunDeploys:
    """The file; the caller holds the record's lock."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE_NAME

    def read(self, model: str) -> Begun | None:
        """What an earlier deploy of the model left; None if it ended.

        Raises:
            RecordError: the file is damaged or cannot be read.
        """
        return self._all().get(model)

    def write(self, model: str, begun: Begun | None) -> None:
        """Notes how far a deploy is; None: it has ended.

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
