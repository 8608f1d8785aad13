"""Refuses a precision that torch would emulate."""

from ts_serialize.conversion.errors import ConversionError
from ts_serialize.reduced_precision import computes

NAMES = {"bf16": "bfloat16", "fp16": "float16"}


def check_precision(precision: str) -> None:
    """Checks that a device of this machine computes in the precision.

    Raises:
        ConversionError: none does.
    """
    if not computes(precision):
        raise ConversionError(
            f"this machine has neither a processor with {NAMES[precision]} instructions nor a GPU with them; "
            "use precision=fp32"
        )
