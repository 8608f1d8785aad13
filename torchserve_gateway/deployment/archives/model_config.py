"""`model-config.yaml` in an archive, parts of which TorchServe 0.12.0 prefers to registration parameters.

    initial_workers                     the file's minWorkers, if it has maxWorkers >= minWorkers > 0
    response_timeout, startup_timeout   the file's; 120 s where there is a file without them
    batch_size, max_batch_delay         the registration's

The archive's manifest names the file (`torch-model-archiver --config-file`).
"""

import zipfile
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from torchserve_gateway.deployment.errors import ArchiveRefusedError
from torchserve_gateway.record.manifest import model_in
from torchserve_gateway.record.record import DeployedVersion

DEFAULT_TIMEOUT_S = 120
# Registration parameter -> field of ModelConfig.
FIELDS = {
    "batch_size": "batch_size",
    "max_batch_delay": "max_batch_delay",
    "initial_workers": "min_workers",
    "response_timeout": "response_timeout",
    "startup_timeout": "startup_timeout",
}


class ModelConfig(BaseModel):
    """The keys that correspond to registration parameters; None where the file lacks the key."""

    # TorchServe ignores values of other types, with a line in its own log.
    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)

    min_workers: int | None = None
    max_workers: int | None = None
    batch_size: int | None = None
    max_batch_delay: int | None = None
    response_timeout: int | None = None
    startup_timeout: int | None = None
    client_timeout_in_mills: object | None = None

    def applied_to(self, asked: DeployedVersion) -> DeployedVersion:
        """The version with the parameters that TorchServe will use."""
        workers = self.min_workers or 0
        decides = 0 < workers <= (self.max_workers or 0)
        return asked.model_copy(
            update={
                "initial_workers": workers if decides else asked.initial_workers,
                "response_timeout": _positive(self.response_timeout),
                "startup_timeout": _positive(self.startup_timeout),
            }
        )

    def without_effect(self, runs: DeployedVersion) -> list[str]:
        """Keys of the file that TorchServe ignores, each with the value it uses."""
        return [
            f"its {to_camel(key)} = {value} has no effect, {parameter} is {getattr(runs, parameter)}"
            for parameter, key in FIELDS.items()
            if (value := getattr(self, key)) not in (None, getattr(runs, parameter))
        ]


def model_config_of(archive: zipfile.ZipFile, source: str) -> ModelConfig | None:
    """Reads the file from an archive; None if the manifest names none.

    Args:
        archive: opened for reading.
        source: name of the archive in messages.

    Raises:
        ArchiveRefusedError: the file cannot be read, or it makes TorchServe drop answers.
        any of `manifest.UNREADABLE`: the archive has no valid manifest.
    """
    name = model_in(archive).get("configFile")
    if name is None:
        return None
    where = f"{Path(str(name)).name} in {source}"
    try:
        content = yaml.safe_load(archive.read(str(name)))
        if not isinstance(content, dict):
            raise ArchiveRefusedError(f"{where} is {type(content).__name__}, not a map of keys to values")
        config = ModelConfig.model_validate({str(key): value for key, value in content.items()})
    except KeyError as exc:
        raise ArchiveRefusedError(f"{where} is missing, but the archive's manifest names it") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ArchiveRefusedError(f"{where} is no YAML: {' '.join(str(exc).split())}") from exc
    except ValidationError as exc:
        problems = "; ".join(
            f"{each['loc'][0]} = {each['input']!r}: {each['msg']}" for each in exc.errors(include_url=False)
        )
        raise ArchiveRefusedError(f"{where}: {problems}") from exc
    if config.client_timeout_in_mills is not None:
        raise ArchiveRefusedError(
            f"{where} sets clientTimeoutInMills: TorchServe then drops later answers and leaves their "
            "requests open; take it out, the gateway has a deadline of its own (gateway.deadline_s)"
        )
    return config


def _positive(seconds: int | None) -> int:
    return seconds if seconds and seconds > 0 else DEFAULT_TIMEOUT_S
