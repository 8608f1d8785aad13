"""Arguments of `serve` and `new-model`, and the command line that they make."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from torchserve_gateway.onboarding.errors import OnboardingError

EDGES = re.compile(r"(\d+)(?:[x,](\d+))?")


@dataclass(frozen=True)
class Asked:
    """Arguments about a model."""

    weights: str
    """Path or URL of the model."""
    labels: str | None = None
    """File with class names, or `numbers`."""
    name: str | None = None
    """Name of the model; None: that of the file."""
    image: str | None = None
    """Input size: `224`, or `192x128`, height x width; None: found out."""
    architecture: str | None = None
    """Python file with the network's class, for a state dict."""
    sha256: str | None = None
    """Checksum of the model."""
    image_file: str | None = None
    """Picture to predict; None: a picture of the package."""
    force: bool = False
    """Whether another file that describes the model is replaced."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the input.

        Raises:
            OnboardingError: `image` is no size.
        """
        if not self.image:
            return None
        edges = EDGES.fullmatch(self.image.strip().strip("[]").replace(" ", ""))
        if not edges or not int(edges[1]):
            raise OnboardingError(
                f"{self.image!r} is no input size; give pixels, or height x width", image="224"
            )
        return int(edges[1]), int(edges[2] or edges[1])

    @property
    def architecture_file(self) -> Path | None:
        """The Python file."""
        return Path(self.architecture).expanduser() if self.architecture else None

    def with_options(self, options: Mapping[str, str]) -> Self:
        """The same with other values of some fields."""
        force = self.force or "force" in options
        return type(self)(**{**asdict(self), **options, "force": force})

    def command(self, verb: str, *, make: bool) -> str:
        """The line to type for these arguments, as a make target or as the installed command."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        given = {name: value for name, value in given.items() if value}
        if make:
            words = [
                f"{name.upper()}={'1' if value is True else shlex.quote(value)}"
                for name, value in given.items()
            ]
            return " ".join(["make", verb.replace("-", "_"), *words])
        words = [shlex.quote(given.pop("weights"))]
        for name, value in given.items():
            words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [shlex.quote(value)])
        return " ".join(["torchserve-gateway", verb, *words])
