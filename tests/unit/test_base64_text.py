"""Base64 is read in all the ways in which clients write it, and an error says what is wrong with it."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encoded_images import FORMATS, SMALL
from ts_serialize.base64_text import decoded, is_text

# Its base64 has + and /, and ends with two =.
CONTENT = b"\xfb\xff\xfe" * 40 + b"\x00"
STANDARD = base64.b64encode(CONTENT).decode()
URL_SAFE = base64.urlsafe_b64encode(CONTENT).decode()


@pytest.mark.parametrize(
    "text",
    [
        STANDARD,
        base64.encodebytes(CONTENT).decode(),
        base64.encodebytes(CONTENT).decode().replace("\n", "\r\n"),
        f" {STANDARD}\t\n",
        URL_SAFE,
        STANDARD.rstrip("="),
        URL_SAFE.rstrip("="),
        f"data:image/jpeg;base64,{STANDARD}",
        f"data:image/svg+xml;charset=utf-8;base64,{URL_SAFE}",
        f"DATA:;BASE64,{STANDARD}",
        f"data:image/png;base64,{STANDARD.replace('+', '%2B').replace('=', '%3D')}",
    ],
)
def test_every_way_to_write_base64_is_read(text: str) -> None:
    assert decoded(text) == CONTENT
    assert is_text(text.strip().encode()) or "%" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not base64!", "'!'"),
        ("b'AAAA'", '"\'"'),
        ("AA=A", "'='"),
        ("AAAA\ud800", r"'\ud800'"),
        ("日本", "'日'"),
        ("AAAAA", "5 characters are no whole number of bytes"),
        ("data:image/jpeg,AAAA", "the data: URL does not begin as 'data:image/jpeg;base64,' does"),
        ("data:", "the data: URL does not begin as"),
    ],
)
def test_an_error_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        decoded(text)


@given(content=st.binary(), width=st.integers(1, 80))
def test_any_bytes_in_lines_of_any_width_come_back(content: bytes, width: int) -> None:
    text = base64.b64encode(content).decode()
    lines = "\n".join(text[start : start + width] for start in range(0, len(text), width))
    assert decoded(lines) == content


@pytest.mark.parametrize("content", [b"", b"x", b"word", b"a sentence of several words, which has spaces"])
def test_words_are_not_taken_for_base64(content: bytes) -> None:
    assert not is_text(content)


@pytest.mark.parametrize("format_", FORMATS)
def test_no_image_is_taken_for_base64(format_: str) -> None:
    assert not is_text(SMALL[format_])
    assert is_text(base64.b64encode(SMALL[format_]))
