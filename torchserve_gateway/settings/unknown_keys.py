"""A mistyped key of an override: the message names the keys that it may have meant."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

MAX_SUGGESTIONS = 3
# Below it, suggestions of `difflib` are other words.
SIMILARITY = 0.7


def unknown_key(exc: Exception) -> str | None:
    """The key that Hydra could not override, None for another failure."""
    found = re.match(r"Could not override '([^']+)'\.\s+To append to your config", str(exc))
    return found[1] if found else None


def with_suggestion(root: str, key: str, known: object) -> str:
    """The message about an unknown key.

    Args:
        root: name of the root file.
        key: as it was typed.
        known: the configuration without overrides.
    """
    keys = list(_dotted(known))
    nearest = _same_last_part(key, keys) or _near_siblings(key, keys) or _near_last_part(key, keys)
    hint = f"; did you mean {' or '.join(nearest)}?" if nearest else f"; see torchserve-gateway config {root}"
    return f"config/{root}.yaml has no key {key}{hint}"


def _same_last_part(key: str, keys: list[str]) -> list[str]:
    return [each for each in keys if _last(each) == _last(key)][:MAX_SUGGESTIONS]


def _near_siblings(key: str, keys: list[str]) -> list[str]:
    parent = key.rpartition(".")[0]
    return get_close_matches(
        key, [each for each in keys if each.rpartition(".")[0] == parent], MAX_SUGGESTIONS, _cutoff(key)
    )


def _cutoff(key: str) -> float:
    """The similarity of whole keys at which their last parts have SIMILARITY: the parents are equal."""
    return 1 - (1 - SIMILARITY) * len(_last(key)) / len(key)


def _near_last_part(key: str, keys: list[str]) -> list[str]:
    # `bachsize` is no sibling of `model.batch_size`.
    near = get_close_matches(_last(key), {_last(each) for each in keys}, 1, SIMILARITY)
    return _same_last_part(near[0], keys) if near else []


def _last(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def _dotted(node: object, prefix: str = "") -> Iterator[str]:
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        key = f"{prefix}{name}"
        yield key
        yield from _dotted(value, f"{key}.")
