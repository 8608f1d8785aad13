"""Tensors as raw bytes: KServe's and Triton's "binary tensor data" extension of the Open Inference Protocol.

An element of a BYTES tensor is its length, 4 bytes, little-endian, followed by its bytes; an FP32 tensor is
IEEE 754 singles, little-endian. Both row-major without padding.
"""

import struct
from collections.abc import Iterable, Sequence

from torchserve_gateway.gateway.errors import MalformedRequestError, TooManyFilesError

_LENGTH = struct.Struct("<I")


def read_bytes_tensor(raw: bytes, max_elements: int) -> list[bytes]:
    """The elements, in row-major order.

    Raises:
        MalformedRequestError: it breaks off within an element.
        TooManyFilesError: it has more than max_elements.
    """
    elements: list[bytes] = []
    start = 0
    while start < len(raw):
        if len(elements) == max_elements:
            raise TooManyFilesError(f"the tensor has more than the {max_elements} images that are allowed")
        start += _LENGTH.size
        if start > len(raw):
            raise MalformedRequestError(f"the tensor breaks off in the length of element {len(elements)}")
        [length] = _LENGTH.unpack_from(raw, start - _LENGTH.size)
        if length > len(raw) - start:
            raise MalformedRequestError(
                f"element {len(elements)} of the tensor has {length} bytes by its length, "
                f"but only {len(raw) - start} follow"
            )
        elements.append(raw[start : start + length])
        start += length
    return elements


def bytes_tensor(elements: Iterable[bytes]) -> bytes:
    """A BYTES tensor."""
    return b"".join(_LENGTH.pack(len(element)) + element for element in elements)


def fp32_tensor(values: Sequence[float]) -> bytes:
    """An FP32 tensor; the values must fit into an IEEE 754 single."""
    return struct.pack(f"<{len(values)}f", *values)
