"""Settings of `make upload_model MAR=theirs.mar`, read from the archive and from the version that serves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from torchserve_gateway.deployment.archives.foreign import described
from torchserve_gateway.deployment.archives.model_config import ModelConfig
from torchserve_gateway.deployment.errors import ArchiveRefusedError
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.settings.composition import as_override, load
from torchserve_gateway.settings.deployment import UploadSettings

PATH = "archive_source.path"


def with_archive_settings(overrides: Sequence[str]) -> list[str]:
    """The overrides behind those that follow from the archive in `archive_source.path`, if there is one.

    The archive says name, version and, in its model-config.yaml, parameters. Other parameters are as of the
    version that serves under that name, else as in config/model/foreign.yaml. A `model=` among the overrides
    says all of them.

    Raises:
        ArchiveRefusedError: the archive does not say what TorchServe needs.
        ConfigurationError: the overrides do not compose.
    """
    given = _given(overrides)
    if PATH not in given:
        return list(overrides)
    chosen = ["archive_source=file"]
    if "model" not in given:
        chosen += _of_archive(Path.cwd() / given[PATH], given)
        chosen = [*chosen[:2], *_of_serving([*chosen, *overrides]), *chosen[2:]]
    return [*chosen, *overrides]


def _given(overrides: Sequence[str]) -> dict[str, str]:
    """Values by key; empty if the overrides are not valid, which composing will say."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except OverrideParseException:
        return {}
    return {each.key_or_group: str(each.value()) for each in parsed}


def _of_archive(file: Path, given: Mapping[str, str]) -> list[str]:
    found = described(file)
    name, version = given.get("model.name", found.name), given.get("model.version", found.version)
    if name is None:
        raise ArchiveRefusedError(f"{file}: its manifest has no modelName; give NAME=<name>")
    if version is None:
        raise ArchiveRefusedError(
            f"{file}: its manifest has no modelVersion, which TorchServe requires; VERSION=1.0 writes it "
            "into a copy, or pack it with torch-model-archiver --version 1.0"
        )
    named = [as_override("model.name", name), as_override("model.version", version)]
    return ["model=foreign", *named, *_parameters(found.config)]


def _parameters(config: ModelConfig | None) -> list[str]:
    if config is None:
        return []
    parameters = {
        "batch_size": config.batch_size,
        "max_batch_delay": config.max_batch_delay,
        "workers": config.min_workers,
        "response_timeout": config.response_timeout,
        "startup_timeout": config.startup_timeout,
    }
    return [f"model.{key}={value}" for key, value in parameters.items() if value is not None and value > 0]


def _of_serving(overrides: Sequence[str]) -> list[str]:
    """Parameters of the version that serves under the name; none before the first deploy."""
    settings = load("upload", UploadSettings, overrides)
    models = DeploymentRecord(settings.torchserve.deployments_dir).read().models
    model = models.get(settings.served.name)
    if model is None:
        return []
    parameters = model.serving.parameters()
    parameters["workers"] = parameters.pop("initial_workers")
    repeats = f"model.idempotent={str(model.serving.idempotent).lower()}"
    return [*(f"model.{key}={value}" for key, value in parameters.items()), repeats]
