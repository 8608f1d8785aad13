"""`labels` of a model: a list, `labels.txt`, or `index_to_name.json`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from torchserve_gateway.settings.composition import existing_or_own

# Words that YAML reads as another value unless they are quoted.
UNQUOTED = {True: "yes, on or true", False: "no, off or false", None: "null, ~ or nothing"}


def read_labels(value: object) -> list[str]:
    """Class names in the order of the network's outputs; an empty list if there are none.

    Args:
        value: a list, the path of a file, or None.

    Raises:
        ValueError: the message names the entry and its remedy.
    """
    if value is None:
        return []
    if isinstance(value, str | Path):
        return _of_file(existing_or_own(Path(value)))
    if isinstance(value, Sequence):
        for position, label in enumerate(value):
            refuse_other_than_text(f"entry {position}", label)
        return [str(label) for label in value]
    raise ValueError("give a list of class names, or the path of a labels.txt or an index_to_name.json")


def refuse_twice(labels: Sequence[str]) -> None:
    """Refuses names that stand for several classes.

    Raises:
        ValueError: a name is there twice.
    """
    twice = sorted(label for label, times in Counter(labels).items() if times > 1)
    if twice:
        raise ValueError(f"labels name {', '.join(twice)} more than once; each class needs its own name")


def refuse_other_than_text(what: str, label: object) -> None:
    """Checks the name of a class.

    Args:
        what: place of the name, for the message.
        label: the name, or what YAML made of it.

    Raises:
        ValueError: it is empty, or YAML read it as another value.
    """
    if isinstance(label, str):
        if not label.strip():
            raise ValueError(f"{what} is empty; give the class a name")
        return
    if label is None or isinstance(label, bool):
        words = UNQUOTED[label]
        raise ValueError(
            f"{what} is {json.dumps(label)}: YAML reads {words} so unless it is quoted; quote the class "
            f'name, for example "{words.split(",")[0]}"'
        )
    if isinstance(label, int | float):
        raise ValueError(f'{what} is the number {label}; a class name is text, quote it: "{label}"')
    raise ValueError(
        f"{what} is {label!r}; a class name is text, quote it if it has a colon, brackets or braces"
    )


def _of_file(file: Path) -> list[str]:
    try:
        text = file.read_text("utf-8-sig")
    except OSError as exc:
        raise ValueError(f"{file} cannot be read ({exc.strerror}); labels are a list or a file") from exc
    except UnicodeDecodeError as exc:
        raise ValueError(f"{file} is not UTF-8 ({exc.reason}); save it as UTF-8 text") from exc
    labels = _of_json(file, text) if file.suffix.lower() == ".json" else _of_lines(file, text)
    if not labels:
        raise ValueError(f"{file} names no class; null is for a model without classes")
    return labels


def _of_lines(file: Path, text: str) -> list[str]:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    if "" in lines:
        raise ValueError(
            f"{file}, line {lines.index('') + 1} is empty; each line names the class of the next output"
        )
    return lines


def _of_json(file: Path, text: str) -> list[str]:
    try:
        content = json.loads(text)
    except ValueError as exc:
        raise ValueError(f"{file} is no JSON: {exc}") from exc
    # Of TorchServe's older examples.
    if isinstance(content, dict) and isinstance(content.get("object_type_names"), list):
        content = content["object_type_names"]
    if isinstance(content, list):
        content = {str(index): name for index, name in enumerate(content)}
    if not isinstance(content, dict):
        raise ValueError(f'{file} is no map of class numbers to names, such as {{"0": "cat", "1": "dog"}}')
    return _distinct([_pair(file, content, str(index)) for index in range(len(content))])


def _pair(file: Path, content: Mapping[str, object], key: str) -> tuple[str, str]:
    """Synset and name, or twice the name."""
    if key not in content:
        raise ValueError(
            f'{file} has {len(content)} entries, and none with the key "{key}"; the keys are the numbers of '
            'the network\'s outputs: {"0": "cat", "1": "dog"}'
        )
    value = content[key]
    names = value if isinstance(value, list) and value else [value]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(f'{file}: "{key}" is {value!r}; a name, or ["n02123045", "tabby"], would be right')
    return str(names[0]), str(names[-1])


def _distinct(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Names of the classes; ImageNet's two cranes and two maillots get their synset in brackets."""
    times = Counter(name for _, name in pairs)
    return [f"{name} ({synset})" if times[name] > 1 and synset != name else name for synset, name in pairs]
