"""Engine and parity of an archive, from the `engine.json` that packing wrote into it."""

import zipfile
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ts_serialize.engine_choice import ENGINE_FILE

# The archive may be foreign, and the table and the gateway's answers show it.
Name = Annotated[str, StringConstraints(pattern="^[a-z0-9_]{1,30}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Parity(BaseModel):
    """Result of the comparison with the fp32 original."""

    model_config = ConfigDict(frozen=True)

    images: int
    """Images compared."""
    agreement: Share
    """Share with the same class on top."""
    max_difference: Share
    """Largest difference of a probability."""
    labelled: int
    """Images whose label is known."""
    accuracy: Share | None
    """Share of these with the right class on top."""
    accuracy_of_original: Share | None
    """The same of the original."""


class Engine(BaseModel):
    """Engine of a network."""

    model_config = ConfigDict(frozen=True)

    engine: Name
    """Name as in `model.engine`."""
    precision: Name
    """Precision as in `model.precision`."""
    gate: Parity | None = None
    """Parity; None for the checkpoint as it is."""

    def __str__(self) -> str:
        """Engine, precision and parity in a line."""
        name, gate = f"{self.engine} {self.precision}", self.gate
        if gate is None:
            return name
        return f"{name}, {gate.agreement:.1%} of {gate.images} alike, Δp {gate.max_difference:.4f}"


def engine_of(archive: Path) -> Engine | None:
    """Reads the engine of an archive; None if its packing noted none, as of foreign archives."""
    with zipfile.ZipFile(archive) as content:
        try:
            return Engine.model_validate_json(content.read(ENGINE_FILE))
        except (KeyError, ValidationError):
            return None
