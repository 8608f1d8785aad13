"""Lines for people are logfmt, as structlog's own renderer writes it, and harmless on a terminal."""

import io
import logging
import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import PurePosixPath

import pytest
import structlog

from torchserve_gateway.gateway.telemetry.log_lines import MAX_FIELD_LENGTH, configure_logging

EXPECTED = structlog.processors.LogfmtRenderer(bool_as_flag=False)


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root, output = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    root.setLevel(logging.INFO)
    configure_logging("console", output)
    yield output
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def rendered(output: io.StringIO, **fields: object) -> str:
    """The fields of a line, without time, level and event."""
    structlog.get_logger().info("event", **fields)
    [line] = output.getvalue().splitlines()
    _, _, rest = line.partition(" event=event ")
    return rest


@pytest.mark.parametrize(
    "value",
    [
        *("", "plain", "two words", " ", " a", "a ", "a=b", "=", "/path?a=b&c", "a,b;c:d", "{}", "[x]"),
        *(
            '"',
            'a"b',
            '"quoted"',
            'two "words"',
            "it's",
            "back\\slash",
            "back\\slash and space",
            'a\\"b',
            "\\",
        ),
        *("\\\\", "a\\=b", "a\\nb", "ends with\\", "ü", "日本 語", "\N{SNOWMAN}", "%20", "100%"),
        *(0, 1, -1, 3.5, 1e300, 1e-9, math.inf, math.nan, 10**30, True, False, None),
        *(Decimal("1.50"), PurePosixPath("/a b"), ["a", 1], {"a": "b c"}, (), b"a b", ValueError('a "b"')),
    ],
)
def test_values_are_quoted_as_structlog_quotes_them(output: io.StringIO, value: object) -> None:
    assert rendered(output, field=value) == EXPECTED(None, "", {"field": value})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("a\r\nlevel=error", r'"a\r\nlevel=error"'),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\tb", r"a\tb"),
        ("\x00", r"\x00"),
        ("\u2028", r"\u2028"),
        ("\u202e", r"\u202e"),
        ("\ud800", r"\ud800"),
        ("\x85", r"\x85"),
    ],
)
def test_control_characters_are_escaped_and_start_no_line(
    output: io.StringIO, value: str, shown: str
) -> None:
    line = rendered(output, field=value)
    assert line.replace("\\\\", "\\") == f"field={shown}"
    assert line.isprintable()


@pytest.mark.parametrize("value", ["\xa0", "\u3000", "\u2003", "a\xa0b"])
def test_other_spaces_are_one_value_still(output: io.StringIO, value: str) -> None:
    line = rendered(output, field=value, following=1)
    assert line.endswith(" following=1")
    assert line.isprintable()


def test_time_level_and_event_come_first_and_the_others_in_their_order(output: io.StringIO) -> None:
    structlog.get_logger().warning("an event", zebra=1, ape=2, path="/x")
    [line] = output.getvalue().splitlines()
    names = [field.partition("=")[0] for field in line.replace('"an event"', "x").split()]
    assert names == ["timestamp", "level", "event", "zebra", "ape", "path"]
    assert ' level=warning event="an event" ' in line


def test_a_long_value_is_shortened(output: io.StringIO) -> None:
    for length in (MAX_FIELD_LENGTH, MAX_FIELD_LENGTH + 1, 100_000):
        output.truncate(0)
        output.seek(0)
        line = rendered(output, field="x" * length)
        assert ("x" * length in line) == (length == MAX_FIELD_LENGTH)
        assert len(line) < MAX_FIELD_LENGTH + 100


def test_lines_of_libraries_have_the_same_form(output: io.StringIO) -> None:
    logging.getLogger("library").info('says "%s"\n', "a=b")
    [line] = output.getvalue().splitlines()
    assert r"""event="says \"a=b\"""" in line
    assert line.endswith("logger=library")


def test_a_traceback_is_below_its_line_and_indented(output: io.StringIO) -> None:
    try:
        raise ValueError("level=error\nfake")
    except ValueError:
        structlog.get_logger().exception("failed", field=1)
    first, *others = output.getvalue().splitlines()
    assert first.endswith("level=error event=failed field=1")
    assert others
    assert all(line.startswith("    ") for line in others)
