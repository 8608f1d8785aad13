"""Explains in one line why TorchServe refused a call and how to make it right."""

from torchserve_gateway.torchserve_api.errors import (
    ApiDisabledError,
    ModelNotFoundError,
    RefusedError,
    TorchServeError,
)
from torchserve_gateway.torchserve_api.management import ManagementClient

MAX_LISTED = 20


async def reason(error: RefusedError, management: ManagementClient, model: str | None) -> str:
    """TorchServe's message with advice; asks TorchServe which models or versions are registered."""
    if isinstance(error, ApiDisabledError):
        return (
            "TorchServe's model API is off: set torchserve.properties.enable_model_api=true "
            "and start TorchServe anew"
        )
    advice = await _advice(error, management, model)
    return f"{error}; {advice}" if advice else str(error)


async def _advice(error: RefusedError, management: ManagementClient, model: str | None) -> str | None:
    if error.type == "InvalidModelVersionException":
        return "make another version the default first, with set-default"
    if error.message.startswith("Failed to start workers"):
        return "the reason is in TorchServe's model_log.log"
    if error.type == "ModelVersionNotFoundException" and model:
        return f"registered: {await _versions(management, model)}"
    if error.message.startswith("Model not found: "):
        return f"registered: {await _models(management)}"
    if isinstance(error, ModelNotFoundError):
        return "an archive is a file in TorchServe's model store or a URL of torchserve.allowed_urls"
    return None


async def _versions(management: ManagementClient, model: str) -> str:
    try:
        return ", ".join(each.model_version for each in await management.describe(model, "all"))
    except TorchServeError as exc:
        return f"unknown: {exc}"


async def _models(management: ManagementClient) -> str:
    try:
        page = await management.list_models(limit=MAX_LISTED)
    except TorchServeError as exc:
        return f"unknown: {exc}"
    names = [each.model_name for each in page.models] or ["none"]
    return ", ".join(names + ["..."] * (len(names) == MAX_LISTED))
