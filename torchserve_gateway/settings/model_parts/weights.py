"""`weights` of a model: its checkpoint."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import StringConstraints, ValidationInfo, field_validator, model_validator

from torchserve_gateway.settings.composition import Settings, existing_or_own

Sha256 = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{64}$")]


class WeightsSettings(Settings):
    """Where the checkpoint lies, and where it is fetched from."""

    url: str | None = None
    """Any address that fsspec reads; None: nothing is fetched."""
    sha256: Sha256 | None = None
    """Checksum of the file; None: not checked."""
    path: Path
    """The file: the working folder's with a URL, else maybe the package's demo checkpoint."""

    @field_validator("path")
    @classmethod
    def _downloads_stay_out_of_the_package(cls, path: Path, info: ValidationInfo) -> Path:
        return Path.cwd() / path if info.data.get("url") else existing_or_own(path)

    @model_validator(mode="after")
    def _downloads_are_verified(self) -> Self:
        if self.url and not self.sha256:
            raise ValueError(f"sha256 is required with url = {self.url}: the checksum of the file behind it")
        return self
