"""A gateway of four models: genre, another classifier, boxes in images, and any input and output."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe
from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.settings.project import ProjectSettings

OTHER: dict[str, object] = {"version": "1.0", "handler": "tests/handlers/answering.py"}
IMAGE = {"resize": [8, 8], "mean": [0.5], "std": [0.5], "max_pixels": 10_000}
MODELS: Mapping[str, Mapping[str, object]] = {
    "animals": OTHER | {"labels": ["cat", "dog"], "image": IMAGE},
    "boxes": OTHER | {"image": IMAGE},
    "echo": OTHER,
}


def several(*overrides: str, **changes: Mapping[str, object]) -> ProjectSettings:
    """Settings of these models. changes: other values of a model's keys."""
    others = {
        name: ModelSettings.model_validate({"name": name, **model, **changes.get(name, {})})
        for name, model in MODELS.items()
    }
    settings = gateway_settings("gateway.upstream.breaker_failures=1000", *overrides)
    return settings.model_copy(update={"other_models": others})


@asynccontextmanager
async def gateway_of(
    torchserve: FakeTorchServe, settings: ProjectSettings
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application itself."""
    transport = httpx.ASGITransport(
        create_app(settings, httpx.MockTransport(torchserve)), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client
