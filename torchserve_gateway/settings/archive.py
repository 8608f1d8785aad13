"""`config/archive.yaml`: the archive to build."""

from pathlib import Path

from pydantic import ConfigDict

from torchserve_gateway.settings.composition import WorkingPath
from torchserve_gateway.settings.project import ProjectSettings


class ArchiveSettings(ProjectSettings):
    """The root `config/archive.yaml`."""

    model_mars: WorkingPath
    """Folder for finished archives."""
    force: bool
    """Whether to replace an archive of the same version with other content."""

    @property
    def archive_path(self) -> Path:
        """File that the archive is written to."""
        return self.model_mars / self.model.archive_name


class BuildSettings(ArchiveSettings):
    """The part of `config/upload.yaml` that a build needs: both take the same overrides."""

    # Hydra refuses unknown keys; the deploy's own settings are not for a build to judge.
    model_config = ConfigDict(extra="ignore")
