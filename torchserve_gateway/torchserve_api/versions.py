"""Versions of a model on one TorchServe; a model that TorchServe does not know has none."""

from torchserve_gateway.torchserve_api.descriptions import ModelVersion
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError
from torchserve_gateway.torchserve_api.management import ManagementClient


async def registered(management: ManagementClient, model: str) -> dict[str, ModelVersion]:
    """All registered versions of a model by version.

    Raises:
        TorchServeError: TorchServe gives no valid answer.
    """
    try:
        return {each.model_version: each for each in await management.describe(model, "all")}
    except ModelNotFoundError:
        return {}


async def default_version(management: ManagementClient, model: str) -> str | None:
    """The version that answers requests without a version; None without the model.

    Raises:
        TorchServeError: TorchServe gives no valid answer.
    """
    try:
        return (await management.describe(model))[0].model_version
    except ModelNotFoundError:
        return None
