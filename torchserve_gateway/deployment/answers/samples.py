"""Requests of the golden check with what is known of their answers."""

import json
from dataclasses import dataclass
from pathlib import Path

from torchserve_gateway.deployment.answers.json_differences import find_difference
from torchserve_gateway.deployment.answers.shown import shown_bytes
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.settings.model_parts.samples import SampleSettings


@dataclass(frozen=True)
class KnownAnswer:
    """An answer to compare with."""

    body: bytes
    """As the handler gives it."""

    def difference(self, body: bytes, tolerance: float) -> str | None:
        """The words behind "it answers" of an answer that differs; None of one that is alike.

        JSON is compared by its values, with numbers within the tolerance; everything else byte by byte.
        """
        if body == self.body:
            return None
        try:
            wanted, got = json.loads(self.body), json.loads(body)
        except (ValueError, RecursionError):
            return f"{shown_bytes(body)}, not {shown_bytes(self.body)}"
        return find_difference(wanted, got, tolerance)


@dataclass(frozen=True)
class Sample:
    """A request with what is known of its answer; nothing known: any answer with 2xx is right."""

    name: str
    """File name, for messages."""
    body: bytes
    """Content of the file."""
    content_type: str = "application/octet-stream"
    top_class: str | None = None
    """Class with the highest probability; None: not checked."""
    probability: float | None = None
    """Probability of that class, 0 to 1; None: not checked."""
    answer: KnownAnswer | None = None
    """The whole answer; None: not known."""

    @property
    def has_expectation(self) -> bool:
        """Whether anything is known of the answer."""
        return (self.top_class, self.probability, self.answer) != (None, None, None)


def read_samples(model: ModelSettings) -> list[Sample]:
    """The configured samples.

    Raises:
        DeploymentError: a file cannot be read.
    """
    return [_read(each) for each in model.samples]


def _read(sample: SampleSettings) -> Sample:
    return Sample(
        sample.file.name,
        read_file(sample.file),
        sample.media_type,
        top_class=sample.expected_class,
        probability=sample.probability,
        answer=_known(sample),
    )


def _known(sample: SampleSettings) -> KnownAnswer | None:
    if sample.expected_file:
        return KnownAnswer(read_file(sample.expected_file))
    if sample.expected is None:
        return None
    # Text is the body itself, whether or not it is JSON.
    is_text = isinstance(sample.expected, str)
    return KnownAnswer(str(sample.expected).encode() if is_text else json.dumps(sample.expected).encode())


def read_file(file: Path) -> bytes:
    """The content of a sample's file.

    Raises:
        DeploymentError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as exc:
        raise DeploymentError(f"a sample cannot be read: {exc}") from exc
