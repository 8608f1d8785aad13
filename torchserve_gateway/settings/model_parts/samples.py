"""`samples` of a model: requests that a new version must answer before it gets traffic."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from torchserve_gateway.settings.composition import ResourcePath, Settings
from torchserve_gateway.settings.model_parts.labels import refuse_other_than_text

# Of an `input` by its suffix; an image is sent as bytes.
MEDIA_TYPES = {".json": "application/json", ".txt": "text/plain"}
OCTET_STREAM = "application/octet-stream"


def _class_name(value: object) -> object:
    if value is not None:
        refuse_other_than_text("expected_class", value)
    return value


class SampleSettings(Settings):
    """A request, and its right answer where that is known; otherwise any 2xx is right."""

    image: ResourcePath | None = None
    """Request body: an image file. Instead of `input`."""
    input: ResourcePath | None = None
    """Request body: any file. Instead of `image`."""
    content_type: str | None = None
    """Content-Type of the request; None: by the suffix of `input`."""
    expected_class: Annotated[str | None, BeforeValidator(_class_name)] = None
    """The class on top of an answer {class: probability}; None: not known."""
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """Probability of the class on top; None: any."""
    expected: JsonValue = None
    """The answer, numbers within sample_tolerance; None: not known."""
    expected_file: ResourcePath | None = None
    """File with the answer; None: not known."""

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.image is None and self.input is None:
            raise ValueError("give the request's body: image: FILE, or input: FILE for any other body")
        if self.image is not None and self.input is not None:
            raise ValueError(f"image and input are both set ({self.image.name}, {self.input.name}); keep one")
        return self

    @model_validator(mode="after")
    def _one_answer(self) -> Self:
        of_classes = self.expected_class is not None or self.probability is not None
        given = {
            "expected_class or probability": of_classes,
            "expected": self.expected is not None,
            "expected_file": self.expected_file is not None,
        }
        names = [name for name, is_set in given.items() if is_set]
        if len(names) > 1:
            raise ValueError(
                f"the right answer of {self.file.name} is given by {' and by '.join(names)}; keep one of them"
            )
        return self

    @property
    def file(self) -> Path:
        """File with the request's body."""
        file = self.image or self.input
        assert file is not None, "checked by _one_body"
        return file

    @property
    def media_type(self) -> str:
        """Content-Type of the request."""
        if self.content_type:
            return self.content_type
        return MEDIA_TYPES.get(self.file.suffix.lower(), OCTET_STREAM) if self.input else OCTET_STREAM
