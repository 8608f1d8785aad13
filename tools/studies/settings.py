"""Settings of `config/compare_workers.yaml` and `config/profile.yaml`."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from torchserve_gateway.settings.archive import ArchiveSettings
from torchserve_gateway.settings.composition import ResourcePath, WorkingPath

Device = Literal["cpu", "cuda"]


class StudySettings(ArchiveSettings):
    """Settings of both studies."""

    requests: PositiveInt
    """Measured requests, for each number of workers or each batch size."""
    warm_up: NonNegativeInt
    """Requests, or batches, before."""
    request_timeout_s: PositiveFloat
    """Seconds for an answer."""
    images_dir: ResourcePath
    """Images for a model without samples."""
    report_dir: WorkingPath
    """Folder for the page and the CSV file."""


class CompareWorkersSettings(StudySettings):
    """The root `config/compare_workers.yaml`."""

    workers: Annotated[list[PositiveInt], Field(min_length=1)]
    """Numbers of workers."""
    clients: PositiveInt
    """Requests at the same time."""


class ProfileSettings(StudySettings):
    """The root `config/profile.yaml`."""

    batch_sizes: Annotated[list[PositiveInt], Field(min_length=1)]
    """Sizes of batches, each of which is registered anew."""
    devices: list[Device] | None
    """Devices of the worker; None: all that this machine has."""
    max_batch_delay: PositiveInt
    """Milliseconds for a batch to fill."""
