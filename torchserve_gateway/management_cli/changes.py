"""The calls that start workers, and the version they leave."""

from collections.abc import Mapping

from torchserve_gateway.management_cli.results import Changed
from torchserve_gateway.management_cli.session import CommandError
from torchserve_gateway.torchserve_api.descriptions import ModelVersion
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError
from torchserve_gateway.torchserve_api.management import ManagementClient
from torchserve_gateway.torchserve_api.readiness import WorkersNotReadyError, until_ready


async def register(
    management: ManagementClient,
    model: str,
    parameters: Mapping[str, str | int],
    *,
    synchronous: bool,
    wait_s: float | None,
) -> Changed:
    """Registers an archive and returns its version, which only the archive knows.

    wait_s: Seconds to wait for its workers; None: not at all. The same for `scale`.

    Raises:
        CommandError: it is registered, but does not answer within wait_s.
        TorchServeError: it is not registered.
    """
    before = {each.model_version for each in await _registered(management, model)}
    status = await management.register(model, parameters, synchronous=synchronous)
    new = [each for each in await _registered(management, model) if each.model_version not in before]
    if len(new) != 1:
        raise CommandError(f"{model} was registered, but another caller changes it too; see describe --all")
    return Changed(status=status, version=await _after(management, new[0], wait_s))


async def scale(
    management: ManagementClient,
    model: str,
    version: str | None,
    parameters: Mapping[str, str | int],
    *,
    synchronous: bool,
    wait_s: float | None,
) -> Changed:
    """Starts or kills workers; version None: of the default version. Raises as `register`."""
    status = await management.scale(model, version, parameters, synchronous=synchronous)
    described = (await management.describe(model, version))[0]
    return Changed(status=status, version=await _after(management, described, wait_s))


async def _registered(management: ManagementClient, model: str) -> list[ModelVersion]:
    try:
        return await management.describe(model, "all")
    except ModelNotFoundError:
        return []


async def _after(management: ManagementClient, version: ModelVersion, wait_s: float | None) -> ModelVersion:
    if wait_s is None:
        return version
    name, number = version.model_name, version.model_version
    try:
        return await until_ready(management, name, number, version.min_workers, wait_s)
    except WorkersNotReadyError as exc:
        where = "the reason is in TorchServe's model_log.log"
        raise CommandError(f"{name} {number} is registered, but {exc}; {where}") from exc
