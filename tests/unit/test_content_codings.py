"""A content coding is undone however it is cut, in pieces of bounded size, and damage is told."""

import gzip
import zlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchserve_gateway.gateway.errors import MalformedRequestError, UnsupportedEncodingError
from torchserve_gateway.gateway.intake.content_codings import MAX_MEMBERS, OUTPUT_BYTES, decoder_of

CONTENT = bytes(range(256)) * 40


def gzipped(content: bytes) -> bytes:
    """Reproducible bytes: test names contain them, and all workers of a run must agree on them."""
    return gzip.compress(content, mtime=0)


def raw_deflate(content: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(content) + stream.flush()


CODED = [
    (["gzip"], gzipped(CONTENT)),
    (["x-gzip"], gzipped(CONTENT)),
    (["GZip , identity"], gzipped(CONTENT)),
    (["identity", "gzip"], gzipped(CONTENT)),
    # RFC 1952: a file may have several members, which follow each other.
    (["gzip"], gzipped(CONTENT[:99]) + gzipped(b"") + gzipped(CONTENT[99:])),
    (["deflate"], zlib.compress(CONTENT)),
    (["deflate"], raw_deflate(CONTENT)),
    (["Identity"], CONTENT),
    ([""], CONTENT),
    ([], CONTENT),
]


def undone(encodings: Sequence[str], *chunks: bytes) -> bytes:
    decoder = decoder_of(encodings)
    content = b"".join(piece for chunk in chunks for piece in decoder.pieces(chunk))
    decoder.finish()
    return content


@pytest.mark.parametrize(("encodings", "body"), CODED)
def test_a_coding_is_undone(encodings: list[str], body: bytes) -> None:
    assert undone(encodings, body) == CONTENT
    assert undone(encodings, *(bytes([each]) for each in body)) == CONTENT


@given(coded=st.sampled_from(CODED), cuts=st.lists(st.integers(0, 12_000), max_size=10))
def test_it_is_the_same_however_it_is_cut(coded: tuple[list[str], bytes], cuts: list[int]) -> None:
    encodings, body = coded
    marks = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(marks)]
    assert undone(encodings, *chunks) == CONTENT


@pytest.mark.parametrize(
    "encodings", [["br"], ["zstd"], ["compress"], ["gzip, gzip"], ["gzip", "deflate"], ["né"]]
)
def test_another_coding_is_named(encodings: list[str]) -> None:
    with pytest.raises(UnsupportedEncodingError) as caught:
        decoder_of(encodings)
    assert ", ".join(encodings) in str(caught.value)
    assert "gzip or deflate" in str(caught.value)


@pytest.mark.parametrize(
    ("coding", "body", "said"),
    [
        ("gzip", CONTENT, "not gzip, or is damaged"),
        ("gzip", gzipped(CONTENT)[:-1], "ends before the end of its gzip"),
        ("gzip", gzipped(CONTENT)[:40], "ends before the end"),
        ("gzip", b"", "ends before the end"),
        ("gzip", b"\x1f", "ends before the end"),
        ("gzip", gzipped(CONTENT) + b"tail", "not gzip, or is damaged"),
        ("gzip", gzipped(CONTENT)[:-8] + bytes(8), "incorrect data check"),
        ("gzip", gzipped(b"") * (MAX_MEMBERS + 1), f"more than {MAX_MEMBERS} gzip members"),
        ("deflate", zlib.compress(CONTENT) + b"tail", "continues after the end of its deflate"),
        ("deflate", CONTENT, "not deflate, or is damaged"),
        ("deflate", raw_deflate(CONTENT)[:-1], "ends before the end"),
    ],
)
def test_damage_is_told(coding: str, body: bytes, said: str) -> None:
    with pytest.raises(MalformedRequestError) as caught:
        undone([coding], body)
    assert said in str(caught.value)


def test_a_bomb_comes_in_pieces_and_only_as_many_as_are_asked_for() -> None:
    bomb = gzipped(bytes(50_000_000))
    pieces = decoder_of(["gzip"]).pieces(bomb)
    assert [len(next(pieces)) for _ in range(3)] == [OUTPUT_BYTES] * 3


@given(coding=st.sampled_from(["gzip", "deflate"]), body=st.binary(max_size=200))
def test_random_bytes_are_undone_or_refused(coding: str, body: bytes) -> None:
    with suppress(MalformedRequestError):
        undone([coding], body)
