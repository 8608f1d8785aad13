"""Models of TorchServes that run already; nothing is changed there."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.descriptions import ModelVersion
from torchserve_gateway.torchserve_api.errors import InvalidRequestError, ModelNotFoundError
from torchserve_gateway.torchserve_api.management import ManagementClient
from torchserve_gateway.torchserve_api.versions import default_version, registered


@dataclass
class RunningModel:
    """One model on all replicas, by the replicas' names."""

    defaults: dict[str, str] = field(default_factory=dict)
    """Default versions."""
    versions: dict[str, dict[str, ModelVersion]] = field(default_factory=dict)
    """All versions by version."""

    @property
    def described(self) -> list[ModelVersion]:
        """The default version, as each replica describes it."""
        return [self.versions[replica][version] for replica, version in self.defaults.items()]

    @property
    def others(self) -> list[str]:
        """Versions that are nowhere the default."""
        found = {version for versions in self.versions.values() for version in versions}
        return sorted(found - set(self.defaults.values()))


async def running_models(replicas: Sequence[TorchServe]) -> dict[str, RunningModel]:
    """All models by name; without versions where TorchServe lists a name that it cannot describe.

    Raises:
        TorchServeError: a replica gives no valid answer.
    """
    found: dict[str, RunningModel] = {}
    for torchserve in replicas:
        for name in await _names(torchserve.management):
            model = found.setdefault(name, RunningModel())
            try:
                default = await default_version(torchserve.management, name)
                versions = await registered(torchserve.management, name)
            # TorchServe accepts names such as `../x` that are no segment of a path.
            except (ModelNotFoundError, InvalidRequestError):
                continue
            if default in versions:
                model.defaults[torchserve.name] = default
                model.versions[torchserve.name] = versions
    return dict(sorted(found.items()))


async def _names(management: ManagementClient) -> list[str]:
    names: list[str] = []
    token: int | None = None
    while True:
        page = await management.list_models(next_page_token=token)
        names += [each.model_name for each in page.models]
        token = page.next_page_token
        if token is None:
            return names
