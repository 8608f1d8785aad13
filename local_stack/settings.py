"""What `config/stack.yaml` says."""

import hashlib
import tempfile
from pathlib import Path

from pydantic import PositiveFloat, PositiveInt

from configuration import ProjectPath, Settings, reachable_address
from gateway.settings import GatewaySettings
from torchserve_api.settings import Port, TorchServeSettings
from ts_serialize.settings import ModelSettings


class FileBrowserSettings(Settings):
    """Where nginx serves model_mars/."""

    host: str
    port: Port

    @property
    def url(self) -> str:
        """Where TorchServe and people reach it; archives are below `/files/`."""
        return f"http://{reachable_address(self.host)}:{self.port}"


class StackSettings(Settings):
    """The parts of the local stack and how long they may take."""

    torchserve: TorchServeSettings
    model: ModelSettings
    gateway: GatewaySettings
    file_browser: FileBrowserSettings
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
