"""The settings of `config/record_samples.yaml`."""

from torchserve_gateway.settings.composition import WorkingPath
from torchserve_gateway.settings.project import ProjectSettings


class RecordSamplesSettings(ProjectSettings):
    """The root `config/record_samples.yaml`."""

    inputs: list[WorkingPath]
    """Request bodies to add to the samples."""
    write: WorkingPath
    """The model's file, which gets the samples."""
