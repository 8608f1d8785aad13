"""What `config/stack.yaml` says."""

import hashlib
import tempfile
from pathlib import Path

from pydantic import PositiveFloat, PositiveInt

from configuration import ProjectPath
from project_settings import ProjectSettings


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

    @property
    def log_dir(self) -> Path:
        """One log file per part."""
        return self.state_dir / "log"
