"""Compares two JSON values: numbers within a tolerance anywhere, everything else exactly."""

import json
import math
import re
from collections.abc import Iterator

from torchserve_gateway.deployment.answers.shown import shortened, shown

Pair = tuple[str, object, object]


def find_difference(expected: object, found: object, tolerance: float) -> str | None:
    """The first difference with its JSON path, and the number of the others.

    Args:
        expected: as `json.loads` gives it.
        found: the value to judge.
        tolerance: largest difference of two numbers.

    Returns:
        words behind "it answers"; None without a difference.
    """
    differences = _differences(expected, found, tolerance)
    first = next(differences, None)
    if first is None:
        return None
    more = sum(1 for _ in differences)
    return f"{first}; {more} more differences" if more else first


def _differences(expected: object, found: object, tolerance: float) -> Iterator[str]:
    # No recursion: an answer may be nested as deeply as json.loads reads it.
    left: list[Iterator[Pair]] = [iter([("$", expected, found)])]
    while left:
        pair = next(left[-1], None)
        if pair is None:
            left.pop()
            continue
        path, wanted, got = pair
        if isinstance(wanted, dict) and isinstance(got, dict):
            yield from (f"nothing at {_shown(path, key)}" for key in wanted if key not in got)
            yield from (f"{_shown(path, key)}, which is not expected" for key in got if key not in wanted)
            left.append(_members(path, wanted, got))
        elif isinstance(wanted, list) and isinstance(got, list):
            if len(wanted) != len(got):
                yield f"{len(got)} items at {shortened(path)}, not {len(wanted)}"
            left.append(_items(path, wanted, got))
        elif not _is_same(wanted, got, tolerance):
            within = f" within {tolerance:g}" if _are_numbers(wanted, got) else ""
            yield f"{shown(got)} at {shortened(path)}, not {shown(wanted)}{within}"


def _members(path: str, wanted: dict[str, object], got: dict[str, object]) -> Iterator[Pair]:
    return ((path + _step(key), wanted[key], got[key]) for key in wanted if key in got)


def _items(path: str, wanted: list[object], got: list[object]) -> Iterator[Pair]:
    return ((f"{path}[{index}]", *both) for index, both in enumerate(zip(wanted, got, strict=False)))


def _shown(path: str, key: str) -> str:
    return shortened(path + _step(key))


def _step(key: str) -> str:
    return f".{key}" if re.fullmatch(r"[A-Za-z_]\w*", key) else f"[{json.dumps(key, ensure_ascii=False)}]"


def _are_numbers(*values: object) -> bool:
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in values)


def _is_same(wanted: object, got: object, tolerance: float) -> bool:
    if not isinstance(wanted, int | float) or not isinstance(got, int | float):
        return type(wanted) is type(got) and wanted == got
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    try:
        both_nan = math.isnan(wanted) and math.isnan(got)
        return both_nan or math.isclose(wanted, got, rel_tol=0, abs_tol=tolerance)
    # A whole number beyond the largest float.
    except OverflowError:
        return wanted == got
