"""Samples in the text of a model's file; all other lines, and their comments, stay as they are."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import yaml

# Keys of a sample that say what is expected; a recorded answer takes their place.
EXPECTATIONS = ("expected_file", "expected_class", "probability", "expected")


class SamplesTextError(Exception):
    """The text has no place for the samples; the message continues a sentence about the file."""


@dataclass(frozen=True)
class Recorded:
    """A sample with its recorded answer."""

    kind: str
    """`image` or `input`."""
    request: str
    """File of the request body, as written in the file."""
    answer: str
    """File of the answer."""
    content_type: str | None = None
    """Content-Type of the request, where the configuration sets it."""


def with_samples(text: str, samples: Sequence[Recorded], new: Sequence[Recorded]) -> str:
    """The text with a recorded answer for every sample.

    Args:
        text: the model's file.
        samples: those that the configuration has, in order.
        new: samples to add.

    Raises:
        SamplesTextError: the text is no YAML of keys and values, or has other samples.
    """
    changed = _with_samples(text, samples, new)
    before, after = yaml.safe_load(text), yaml.safe_load(changed)
    answers = [each["expected_file"] for each in after.pop("samples")]
    before.pop("samples", None)
    if (before, [each.answer for each in (*samples, *new)]) != (after, answers):
        raise SamplesTextError("is written in a way that cannot be changed; write its samples as a list")
    return changed


def _with_samples(text: str, samples: Sequence[Recorded], new: Sequence[Recorded]) -> str:
    value = _value_of_samples(text)
    if value is None or not isinstance(value, yaml.SequenceNode) or value.flow_style:
        return _replaced(text, value, [*samples, *new])
    if len(value.value) != len(samples):
        raise SamplesTextError(f"does not hold the {len(samples)} samples of the configuration itself")
    edits = [
        edit for node, each in zip(value.value, samples, strict=True) for edit in _edits(text, node, each)
    ]
    end, indent = _line_end(text, _end(text, value)), " " * value.start_mark.column
    edits.append((end, end, "".join(f"\n{line}" for line in _lines(new, indent))))
    return _edited(text, edits)


def _value_of_samples(text: str) -> yaml.Node | None:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as exc:
        raise SamplesTextError(f"is no YAML: {' '.join(str(exc).split())}") from exc
    if not isinstance(root, yaml.MappingNode):
        raise SamplesTextError("is no YAML of keys and values")
    return next((value for key, value in root.value if key.value == "samples"), None)


def _replaced(text: str, value: yaml.Node | None, samples: Sequence[Recorded]) -> str:
    """The text with a whole new list."""
    lines = _lines(samples, "  ")
    if value is None:
        return "\n".join([text.rstrip("\n"), "", "samples:", *lines, ""])
    start, end = value.start_mark.index, _end(text, value)
    comment_and_rest = text[end:]
    line_end = _line_end(comment_and_rest, 0)
    head = text[:start].rstrip() + comment_and_rest[:line_end].rstrip()
    return "\n".join([head, *lines]) + comment_and_rest[line_end:]


def _lines(samples: Iterable[Recorded], indent: str) -> list[str]:
    return [
        line
        for each in samples
        for line in (
            f"{indent}- {each.kind}: {_scalar(each.request)}",
            *([f"{indent}  content_type: {_scalar(each.content_type)}"] if each.content_type else []),
            f"{indent}  expected_file: {_scalar(each.answer)}",
        )
    ]


def _edits(text: str, node: yaml.Node, sample: Recorded) -> list[tuple[int, int, str]]:
    """Replacements of one sample: its first expectation becomes the file, the others go."""
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        indent = " " * (node.start_mark.column - 2)
        block = "\n".join(_lines([sample], indent)).lstrip("- ")
        return [(node.start_mark.index, node.end_mark.index, block)]
    entry = f"expected_file: {_scalar(sample.answer)}"
    given = [(key, value) for key, value in node.value if key.value in EXPECTATIONS]
    if not given:
        [end] = [_line_end(text, _end(text, value)) for key, value in node.value if key.value == sample.kind]
        return [(end, end, f"\n{' ' * node.start_mark.column}{entry}")]
    (first, value), *others = given
    edits = [(first.start_mark.index, _end(text, value), entry)]
    for key, value in others:
        start = text.rindex("\n", 0, key.start_mark.index)
        edits.append((start, _line_end(text, _end(text, value)), ""))
    return edits


def _end(text: str, node: yaml.Node) -> int:
    """Index behind the last character of a node; the mark of a block collection is at the next token."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    start, end = node.start_mark.index, node.end_mark.index
    return start + len(text[start:end].rstrip())


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end


def _edited(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _scalar(path: str) -> str:
    # JSON's strings are YAML's, too.
    return path if re.fullmatch(r"[A-Za-z/.][\w/. -]*\w", path) and ": " not in path else json.dumps(path)
