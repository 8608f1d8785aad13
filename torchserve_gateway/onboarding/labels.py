"""Class names from what the caller names: a file, or the word `numbers`."""

from pathlib import Path

from torchserve_gateway.onboarding.errors import OnboardingError
from torchserve_gateway.settings.model_parts.labels import read_labels, refuse_twice

NUMBERS = "numbers"
USUAL_FILES = ("labels.txt", "classes.txt", "index_to_name.json", "class_names.txt")
MAX_SHOWN = 3


def labels_setting(asked: str | None, weights: Path, outputs: int) -> str | list[str]:
    """The value of `labels` in the model's file: the file that the caller names, or invented names.

    Args:
        asked: a file with a name per line, an `index_to_name.json`, `numbers`, or nothing.
        weights: the model, for messages; files with usual names beside it are suggested.
        outputs: numbers that the network answers per image.

    Raises:
        OnboardingError: no labels, or another number of them.
    """
    if not asked:
        raise OnboardingError(
            f"{weights.name} answers {outputs} numbers per image, so it needs {outputs} class names in the "
            f"order of the outputs, a name per line in a file; or, instead of a file, {NUMBERS}, which names "
            f"them class_0 to class_{outputs - 1}",
            labels=_suggestion(weights),
        )
    if asked == NUMBERS:
        return [f"class_{index}" for index in range(outputs)]
    try:
        labels = read_labels(asked)
        refuse_twice(labels)
    except ValueError as exc:
        raise OnboardingError(f"labels: {exc}") from exc
    if len(labels) != outputs:
        count = abs(len(labels) - outputs)
        raise OnboardingError(
            f"{asked} has {len(labels)} labels ({_shown(labels)}), {weights.name} answers {outputs} numbers "
            f"per image: {count} {'is' if count == 1 else 'are'} "
            f"{'too many' if len(labels) > outputs else 'missing'}; give a name per output, in the order of "
            "the training's classes"
        )
    return asked


def _suggestion(weights: Path) -> str:
    folders = dict.fromkeys((Path(), weights.parent))
    files = (folder / name for folder in folders for name in USUAL_FILES)
    return str(next(filter(Path.is_file, files), "labels.txt"))


def _shown(labels: list[str]) -> str:
    return ", ".join(labels if len(labels) <= MAX_SHOWN else [labels[0], labels[1], "...", labels[-1]])
