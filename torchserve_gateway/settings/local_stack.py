"""What `config/stack.yaml` says."""

import hashlib
import os
import tempfile
from pathlib import Path

from pydantic import PositiveFloat, PositiveInt

from torchserve_gateway.settings.composition import ProjectPath
from torchserve_gateway.settings.project import ProjectSettings


class StackSettings(ProjectSettings):
    """The parts of the local stack and how long they may take."""

    state_dir: ProjectPath
    model_mars: ProjectPath
    start_timeout_s: PositiveFloat
    stop_timeout_s: PositiveInt
    min_free_disk_mb: PositiveInt

    @property
    def runtime_dir(self) -> Path:
        """Sockets and TorchServe's unpacked models; not in the checkout, as a socket's path must be short."""
        name = hashlib.sha256(str(self.state_dir).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"torchserve-gateway-{name}"

    def make_runtime_dir(self) -> Path:
        """Makes it, for this user alone.

        Raises:
            OSError: it cannot be made, or it is somebody else's.
        """
        path = self.runtime_dir
        path.mkdir(mode=0o700, exist_ok=True)
        # Its name can be guessed, and everybody may write into the temporary directory.
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            raise PermissionError(f"{path} is not ours; remove it or set another TMPDIR")
        return path

    @property
    def log_dir(self) -> Path:
        """One log file per part."""
        return self.state_dir / "log"
