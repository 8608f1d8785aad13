"""Checks Python files as TorchServe will load them, without running them."""

import ast
from collections.abc import Iterator
from pathlib import Path

# Statements that may define a name without naming it at the top level.
COMPOUND = (ast.If, ast.Try, ast.With, ast.For, ast.While)


class SourceError(Exception):
    """TorchServe cannot load the file; the message names it."""


def check_handler(file: Path) -> None:
    """Checks that TorchServe finds the handler: a function `handle`, or the only class of the file.

    Raises:
        SourceError: no Python, or neither.
    """
    tree = _parsed(file)
    names = set(_names(tree))
    classes = _classes(tree)
    if {"handle", "*"} & names or len(classes) == 1:
        return
    if not classes and not _may_define_more(tree):
        raise SourceError(
            f"{file} has neither a class nor a function handle(data, context), so TorchServe finds no handler"
        )
    if classes:
        raise SourceError(
            f"{file} has the classes {', '.join(classes)}, and TorchServe takes the only class of the file: "
            "move the others into a file of extra_files, or define a function handle(data, context)"
        )


def check_model_file(file: Path) -> None:
    """Checks that TorchServe finds the network: the only class of the file.

    Raises:
        SourceError: no Python, or no or several classes.
    """
    tree = _parsed(file)
    classes = _classes(tree)
    if len(classes) > 1:
        raise SourceError(
            f"{file} has the classes {', '.join(classes)}, and TorchServe takes the only class of model_file "
            "for the network: move the others into a file of extra_files and import them"
        )
    if not classes and not _may_define_more(tree):
        raise SourceError(f"{file} has no class, and TorchServe takes the only class of model_file")


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes())
    except SyntaxError as exc:
        raise SourceError(f"{file}, line {exc.lineno or 1}: {exc.msg}") from exc


def _classes(tree: ast.Module) -> list[str]:
    """Names of classes that the file defines in any case."""
    return list(dict.fromkeys(node.name for node in tree.body if isinstance(node, ast.ClassDef)))


def _may_define_more(tree: ast.Module) -> bool:
    return any(isinstance(node, COMPOUND) for node in tree.body)


def _names(tree: ast.Module) -> Iterator[str]:
    """Names that the file may define besides classes."""
    for statement in tree.body:
        for node in ast.walk(statement) if isinstance(statement, COMPOUND) else (statement,):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name
            elif isinstance(node, ast.Import | ast.ImportFrom):
                yield from (each.asname or each.name for each in node.names)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                yield from (each.id for each in targets if isinstance(each, ast.Name))
