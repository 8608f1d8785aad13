"""What docs/operating.md lists is what there is."""

import re
from collections.abc import Iterator
from functools import cache

import pytest
import yaml

from tests.fake_torchserve import FakeTorchServe
from tests.served_gateway import gateway
from torchserve_gateway.gateway import errors
from torchserve_gateway.settings.composition import PROJECT_ROOT, compose_yaml
from torchserve_gateway.torchserve_api.errors import TorchServeError
from ts_serialize.explanation import UnknownClassError
from ts_serialize.image_header import InputError

OPERATING = (PROJECT_ROOT / "docs" / "operating.md").read_text()
# Groups whose keys are TorchServe's or the shell's, not ours.
FOREIGN = {"torchserve.environment", "torchserve.properties"}


def section(title: str) -> str:
    return OPERATING.split(f"\n## {title}\n")[1].split("\n## ")[0]


def leaves(node: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(node, dict) and node and path not in FOREIGN:
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}")
    else:
        yield path, node


@cache
def settings() -> dict[str, object]:
    composed = yaml.safe_load(compose_yaml("gateway"))
    return dict(pair for group in ("gateway", "torchserve") for pair in leaves(composed[group], group))


@cache
def documented_settings() -> dict[str, str]:
    rows = [line.split(" | ") for line in section("Settings").splitlines() if line.startswith("| `")]
    pairs = (zip(*(re.findall("`(.*?)`", cell) for cell in row[:2]), strict=True) for row in rows)
    return {name: default for row in pairs for name, default in row}


def test_every_setting_is_listed_and_none_that_is_not_there() -> None:
    assert documented_settings().keys() == settings().keys()


@pytest.mark.parametrize("name", sorted(settings().keys() - FOREIGN))
def test_the_default_that_is_listed_is_the_one_that_holds(name: str) -> None:
    assert yaml.safe_load(documented_settings()[name]) == settings()[name]


def subclasses(kind: type[Exception]) -> set[str]:
    return {kind.__name__}.union(*(subclasses(each) for each in kind.__subclasses__()))


def test_every_error_is_listed() -> None:
    assert issubclass(UnknownClassError, InputError)  # it is known to us only since it is imported
    answered = (
        {kind.__name__ for kind in errors.STATUS} | subclasses(InputError) | subclasses(errors.GatewayError)
    )
    listed = set(re.findall(r"`(\w+Error)`", section("Errors")))
    assert answered - listed - {"GatewayError"} == set()
    assert listed <= answered | subclasses(TorchServeError)


async def test_every_metric_is_listed() -> None:
    async with gateway(FakeTorchServe()) as client:
        page = (await client.get("/metrics")).text
    families = {name.removesuffix("_created") for name in re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)}
    ours = {name for name in families if name.startswith("gateway_")}
    assert ours
    listed = set(re.findall(r"`(gateway_\w+)", OPERATING + (PROJECT_ROOT / "docs/caching.md").read_text()))
    assert ours <= listed
