"""docs/architecture.md is true to the code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
STAGES = ROOT / "torchserve_gateway/gateway/prediction/stages"


def rows(heading: str) -> dict[str, str]:
    """The first table below a heading: the second column by the name in the first."""
    [_, section] = PAGE.split(f"\n## {heading}\n")
    section = section.split("\n## ")[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", section, re.MULTILINE))


def modules(folder: Path) -> set[str]:
    """All but generated modules."""
    found = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    return {name for name in found if not re.search(r"_pb2(_grpc)?$", name)}


def test_the_page_lists_every_module_and_no_other() -> None:
    listed = {
        f"{package}/{name}"
        for package, described in rows("Packages").items()
        for name in re.findall(r"`([a-z0-9_]+)`", described)
    }
    folders = {
        path.parent for top in ("torchserve_gateway", "ts_serialize") for path in ROOT.glob(f"{top}/**/*.py")
    }
    there = {f"{folder.relative_to(ROOT)}/{name}" for folder in folders for name in modules(folder)}
    assert (there - listed, listed - there) == (set(), set()), "(not on the page, not in the code)"


def test_the_page_lists_the_stages_in_the_order_of_the_application() -> None:
    described = list(rows("The way of a request"))
    assert set(described) == modules(STAGES)
    source = (ROOT / "torchserve_gateway/gateway/application.py").read_text()
    [_, composed] = source.split("return chained(")
    classes = re.findall(r"stages\.(\w+)", composed.split("innermost")[0])
    snake = [re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in classes]
    assert described == [*snake, "torchserve_call"]


def test_a_folder_of_the_gateway_has_at_most_a_dozen_modules() -> None:
    folders = {path.parent for path in (ROOT / "torchserve_gateway/gateway").rglob("*.py")}
    too_many = {folder.name: len(modules(folder)) for folder in folders if len(modules(folder)) > 12}
    assert too_many == {}
