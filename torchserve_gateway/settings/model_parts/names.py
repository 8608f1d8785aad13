"""`name` and `version` of a model."""

from typing import Annotated

from pydantic import BeforeValidator, StringConstraints

# TorchServe accepts names such as `../x` and then cannot remove them over its API.
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def _refuse_number(value: object) -> object:
    if isinstance(value, int | float):
        raise ValueError("a version is text, quote it: model.version='\"1.10\"' (as a number 1.10 is 1.1)")
    return value


ModelName = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=100)]
ModelVersion = Annotated[
    str, BeforeValidator(_refuse_number), StringConstraints(pattern=NAME_PATTERN, max_length=50)
]
