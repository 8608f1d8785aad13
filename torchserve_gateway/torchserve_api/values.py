"""The decorator of values that every request makes."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Makes a dataclass that the type checker, not the interpreter, keeps from being changed.

    A frozen dataclass takes three times as long to make: it sets every field through `object.__setattr__`.
    """
    return dataclass(slots=True)(cls)
