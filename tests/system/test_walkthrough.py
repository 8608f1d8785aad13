"""docs/walkthrough.md up to its containers: a file is served, replaced, rolled back and closed to others."""

from pathlib import Path

import pytest

from tests.printed_output import Shown
from tests.walkthrough import DEPLOYED, LIMITED, PREPARED, SERVED, Reader

pytestmark = [pytest.mark.long, pytest.mark.begins_first]


def test_every_line_prints_what_the_page_shows(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "checkout")
    reader.clones()
    reader.takes_ports()
    try:
        reader.follows(PREPARED, SERVED, DEPLOYED, LIMITED)
    finally:
        reader.types(Shown("make down", ""))
