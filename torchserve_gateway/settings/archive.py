"""`config/archive.yaml`: the archive to build."""

from pathlib import Path

from torchserve_gateway.settings.composition import ProjectPath
from torchserve_gateway.settings.project import ProjectSettings


class ArchiveSettings(ProjectSettings):
    """The root `config/archive.yaml`."""

    model_mars: ProjectPath
    """Folder for finished archives."""
    force: bool
    """Whether to replace an archive of the same version with other content."""

    @property
    def archive_path(self) -> Path:
        """File that the archive is written to."""
        return self.model_mars / self.model.archive_name
