"""A JPEG whose tables are damaged or missing is recognised without decoding it."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.jpeg_segments import without_segments
from ts_serialize.jpeg_tables import has_its_tables

SHOWN = (Path(__file__).parents[2] / "imgs/drama.jpg").read_bytes()
TABLES = b"\xff\xc4"


def saved(**options: Any) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(SHOWN)).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quality": 5},
        {"progressive": True},
        {"optimize": True},
        {"subsampling": "4:4:4"},
        {"restart_marker_blocks": 10},
        {"comment": b"a photograph"},
    ],
    ids=str,
)
def test_what_encoders_write_has_its_tables(options: dict[str, Any]) -> None:
    assert has_its_tables(saved(**options))


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xff\xd8\xff\xd9",
        SHOWN[: SHOWN.index(TABLES) + 9],
        without_segments(SHOWN, TABLES),
        without_segments(SHOWN, b"\xff\xdb"),
        without_segments(SHOWN, b"\xff\xc0"),
        # 255 codes of one bit.
        SHOWN.replace(TABLES, TABLES + b"\x00\x14\x00\xff" + bytes(16), 1),
        # In the pixels' data.
        SHOWN[:20_000] + TABLES + b"\xff\x00" + SHOWN[20_004:],
        SHOWN[:20_000] + b"\xff\xf0\x00\x02" + SHOWN[20_004:],
    ],
    ids=range(9),
)
def test_a_table_that_is_damaged_or_missing_is_found(damaged: bytes) -> None:
    assert not has_its_tables(damaged)


def test_a_progressive_image_needs_the_tables_of_each_scan() -> None:
    assert not has_its_tables(without_segments(saved(progressive=True), TABLES))


@given(st.integers(2, 700), st.binary(min_size=1, max_size=8))
def test_no_header_raises(at: int, instead: bytes) -> None:
    assert has_its_tables(SHOWN[:at] + instead + SHOWN[at + len(instead) :]) in (True, False)
