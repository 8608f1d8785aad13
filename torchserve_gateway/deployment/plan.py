"""What one deploy is to do."""

from dataclasses import dataclass
from pathlib import Path

from torchserve_gateway.deployment.golden_check import GoldenCheck
from torchserve_gateway.record.record import DeployedVersion
from torchserve_gateway.settings.deployment import BlueGreen, Canary, Shadow


@dataclass(frozen=True)
class Deployment:
    """What to deploy.

    wanted: with the parameters that TorchServe will run it with;
    url: what TorchServe loads, a file name in its model store or an address; archive: the file to put into
    the store first, None if TorchServe downloads it; model_store: None where TorchServe's is not on our
    disk; deadline_s: how long a request may take, waited for where no gateway says that none is left.
    """

    model: str
    wanted: DeployedVersion
    url: str
    archive: Path | None
    model_store: Path | None
    strategy: BlueGreen | Canary | Shadow
    check: GoldenCheck
    ready_timeout_s: float
    drain_timeout_s: float
    settle_s: float
    deadline_s: float
    keep_previous: int
