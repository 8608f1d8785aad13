"""Failures of a conversion."""


class ConversionError(Exception):
    """The network cannot run on the engine in this precision, or answers too differently; says what helps."""
