"""`handler` of a model: our own, TorchServe's by name, or a file; and the modules that it imports."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from torchserve_gateway.settings.composition import PROJECT_ROOT, existing_or_own

StockHandler = Literal["image_classifier", "object_detector", "image_segmenter", "text_classifier"]
STOCK_HANDLERS: tuple[str, ...] = get_args(StockHandler)
OWN_HANDLER = Path("ts_serialize/handler.py")
FOREIGN_HANDLER = "foreign"
"""The handler of an archive that comes as it is; no archive can be built with it."""


def found_handler(handler: Path) -> Path:
    """The file, or the name of a stock handler as it is.

    Raises:
        ValueError: neither.
    """
    if str(handler) in (*STOCK_HANDLERS, FOREIGN_HANDLER):
        return handler
    if len(handler.parts) == 1 and not handler.suffix:
        raise ValueError(
            f"neither a .py file nor one of TorchServe's own handlers {', '.join(STOCK_HANDLERS)}"
        )
    return existing_or_own(handler)


def is_own_handler(handler: Path) -> bool:
    """Whether it is the handler of this project, of this or another copy."""
    return handler.parts[-2:] == OWN_HANDLER.parts


def own_modules(files: Iterable[Path]) -> list[Path]:
    """Modules of `ts_serialize` that the files import, themselves or through each other, sorted by path."""
    found: set[Path] = set()
    waiting = list(files)
    while waiting:
        new = set(_imported(waiting.pop())) - found
        found |= new
        waiting += new
    return sorted(found)


def _imported(file: Path) -> Iterable[Path]:
    # Files of the package do not change while it runs.
    return _imported_by_own(file) if file.is_relative_to(PROJECT_ROOT / "ts_serialize") else _modules(file)


@cache
def _imported_by_own(file: Path) -> frozenset[Path]:
    return frozenset(_modules(file))


def _modules(file: Path) -> Iterator[Path]:
    try:
        tree = ast.parse(file.read_bytes())
    # Packing says what is wrong with the file.
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield from _files(node.module)
            for each in node.names:
                yield from _files(f"{node.module}.{each.name}")
        elif isinstance(node, ast.Import):
            for each in node.names:
                yield from _files(each.name)


def _files(module: str) -> Iterator[Path]:
    """Files of a module of `ts_serialize`, with the packages above it; none for any other module."""
    parts = module.split(".")
    if parts[0] != "ts_serialize":
        return
    package = PROJECT_ROOT
    for part in parts:
        package /= part
        if (init := package / "__init__.py").is_file():
            yield init
        elif (file := package.with_suffix(".py")).is_file():
            yield file
