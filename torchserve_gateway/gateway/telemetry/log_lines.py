"""The format of all log lines, ours and the libraries', and their longest length."""

import logging
import re
import textwrap
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol, TextIO, cast

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from torchserve_gateway.gateway.shortening import shortened

# Characters of one field: paths, names and values of clients have any length.
MAX_FIELD_LENGTH = 1_000
MAX_TRACEBACK_LENGTH = 16_000


# Nearly every text: it is written as it is.
_PLAIN = re.compile("[!#-<>-~]*")
# Characters that need quotes around a value.
_QUOTED = re.compile(r'[\s="]')


class Output(Protocol):
    """Takes lines, for example `LogOutput`."""

    def write(self, line: str, /) -> int:
        """Takes one line, with its line end."""
        ...

    def flush(self) -> None:
        """Called after every line."""
        ...


def configure_logging(log_format: str, output: Output) -> None:
    """Sends log lines to `output`, for people (`console`) or for machines (`json`)."""
    renderer: Processor = structlog.processors.JSONRenderer() if log_format == "json" else _for_people
    # The request's own line reports a form that cannot be read.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    # Unlike print, this logger writes a line and its end by one call, as the handler does.
    write_lines = structlog.WriteLoggerFactory(cast("TextIO", output))
    structlog.configure(processors=[_complete, renderer], logger_factory=write_lines)
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _complete],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    # Replaces the handler that torchserve_gateway/settings/command.py made for commands.
    logging.getLogger().handlers = [handler]


def _complete(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Adds time, level and ids, and bounds every text.

    A single processor: structlog's own, called in sequence for every request, take three times as long.
    """
    event = {"timestamp": _now(), "level": method, "event": event.pop("event", ""), **event}
    if "request_id" not in event:
        event |= structlog.contextvars.get_contextvars()
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(logger, method, event)
    for key, value in event.items():
        if isinstance(value, str) and len(value) > MAX_FIELD_LENGTH:
            event[key] = shortened(value, MAX_TRACEBACK_LENGTH if key == "exception" else MAX_FIELD_LENGTH)
    return event


def _now() -> str:
    seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_until_second(seconds)}.{microseconds:06}Z"


@lru_cache(maxsize=2)
def _until_second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def _for_people(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One line, in which control characters that a client sent are harmless; below it a traceback.

    The line is logfmt. structlog's renderer looks at every character in Python.
    """
    traceback = event.pop("exception", "")
    line = _line_of(tuple(event)) % tuple(map(_logfmt, event.values()))
    return f"{line}\n{textwrap.indent(traceback, '    ')}" if traceback else line


@lru_cache
def _line_of(keys: tuple[str, ...]) -> str:
    """A line with places for the values."""
    return " ".join(f"{key.replace('%', '%%')}=%s" for key in keys)


def _logfmt(value: object) -> object:
    """The value as in a line; a number as it is."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value):
            return value
    elif isinstance(value, bool):
        return "true" if value else "false"
    elif isinstance(value, int | float):
        return value
    text = "" if value is None else str(value)
    if not text.isprintable():
        text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    if not _QUOTED.search(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
