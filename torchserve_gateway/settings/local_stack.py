"""The settings of the local stack, `config/stack.yaml`."""

import hashlib
import os
import tempfile
from pathlib import Path

from pydantic import PositiveFloat, PositiveInt

from torchserve_gateway.settings.composition import WorkingPath
from torchserve_gateway.settings.project import ProjectSettings


class StackSettings(ProjectSettings):
    """The root `config/stack.yaml`."""

    state_dir: WorkingPath
    """Logs and rendered configuration."""
    model_mars: WorkingPath
    """Archives that the file browser serves."""
    start_timeout_s: PositiveFloat
    """Seconds until all parts must answer."""
    stop_timeout_s: PositiveInt
    """Seconds a part may take to stop; then it is killed."""
    min_free_disk_mb: PositiveInt
    """Megabytes of free disk without which nothing starts."""

    @property
    def runtime_dir(self) -> Path:
        """Sockets and TorchServe's unpacked models, on a short path: a socket's is limited."""
        name = hashlib.sha256(str(self.state_dir).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"torchserve-gateway-{name}"

    def make_runtime_dir(self) -> Path:
        """Makes `runtime_dir`, for this user alone.

        Raises:
            OSError: it cannot be made, or it belongs to another user.
        """
        path = self.runtime_dir
        path.mkdir(mode=0o700, exist_ok=True)
        # Its name can be guessed, and every user may write into the temporary directory.
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            raise PermissionError(f"{path} is not ours; remove it or set another TMPDIR")
        return path

    @property
    def log_dir(self) -> Path:
        """The folder of the log files, one per part."""
        return self.state_dir / "log"
