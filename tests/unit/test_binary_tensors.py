"""Tensors as bytes: what is written is read again, and lengths that lie are found out."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchserve_gateway.gateway.errors import MalformedRequestError, TooManyFilesError
from torchserve_gateway.gateway.protocols.binary_tensors import bytes_tensor, fp32_tensor, read_bytes_tensor

ELEMENTS = st.lists(st.binary(max_size=300), max_size=8)


def test_an_element_is_its_length_and_its_bytes() -> None:
    raw = b"\x01\0\0\0a\0\0\0\0\x02\0\0\0bc"
    assert bytes_tensor([b"a", b"", b"bc"]) == raw
    assert read_bytes_tensor(raw, 3) == [b"a", b"", b"bc"]


@given(ELEMENTS)
def test_what_is_written_is_read_again(elements: list[bytes]) -> None:
    assert read_bytes_tensor(bytes_tensor(elements), 8) == elements


@given(ELEMENTS.filter(bool), st.data())
def test_a_tensor_that_breaks_off_loses_no_element_silently(
    elements: list[bytes], data: st.DataObject
) -> None:
    raw = bytes_tensor(elements)
    whole = {len(bytes_tensor(elements[:count])) for count in range(len(elements))}
    end = data.draw(st.integers(0, len(raw) - 1).filter(lambda end: end not in whole))
    with pytest.raises(MalformedRequestError):
        read_bytes_tensor(raw[:end], 8)


@given(st.binary(max_size=40), st.integers(1, 2**32 - 1))
def test_a_length_beyond_the_end_is_refused(content: bytes, more: int) -> None:
    length = min(len(content) + more, 2**32 - 1)
    with pytest.raises(MalformedRequestError, match=f"has {length} bytes by its length, but only"):
        read_bytes_tensor(struct.pack("<I", length) + content, 8)


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_tensor_or_refused(raw: bytes) -> None:
    try:
        elements = read_bytes_tensor(raw, 8)
    except (MalformedRequestError, TooManyFilesError):
        return
    assert bytes_tensor(elements) == raw


def test_more_elements_than_allowed_are_refused_before_they_are_read() -> None:
    with pytest.raises(TooManyFilesError, match="more than the 8"):
        read_bytes_tensor(bytes(4 * 9), 8)


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_singles_are_little_endian(values: list[float]) -> None:
    raw = fp32_tensor(values)
    assert [value for (value,) in struct.iter_unpack("<f", raw)] == values
