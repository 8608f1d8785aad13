"""What `config/stack.yaml` says."""

import hashlib
import tempfile
from pathlib import Path
from typing import Annotated

from pydantic import PositiveFloat, PositiveInt, StringConstraints

from configuration import ProjectPath, Settings
from torchserve_api.settings import Port, TorchServeSettings


class FileBrowserSettings(Settings):
    """Where nginx serves model_mars/."""

    host: str
    port: Port

    @property
    def path(self) -> str:
        """The URL path below which archives are downloaded."""
        return "/files/"


class StackSettings(Settings):
    """The parts of the local stack and how long they may take."""

    torchserve: TorchServeSettings
    file_browser: FileBrowserSettings
    gateway_config: Annotated[str, StringConstraints(pattern=r"^[a-z_]+$")]
    gateway_overrides: list[str]
    state_dir: ProjectPath
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
