"""The format of all log lines, ours and the libraries', and their longest length."""

import logging
import re
import textwrap
from datetime import UTC, datetime
from typing import Protocol, TextIO, cast

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from torchserve_gateway.gateway.shortening import shortened

# Characters of one field: paths, names and values of clients have any length.
MAX_FIELD_LENGTH = 1_000
MAX_TRACEBACK_LENGTH = 16_000


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
    event = {"timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", "level": method, **event}
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


def _for_people(_: WrappedLogger, __: str, event: EventDict) -> str:
    """One line, in which control characters that a client sent are harmless; below it a traceback.

    The line is logfmt. structlog's renderer looks at every character in Python.
    """
    traceback, name = event.pop("exception", ""), event.pop("event", "")
    begin = {"timestamp": event.pop("timestamp"), "level": event.pop("level"), "event": name}
    line = " ".join([f"{key}={_logfmt(value)}" for key, value in {**begin, **event}.items()])
    return f"{line}\n{textwrap.indent(traceback, '    ')}" if traceback else line


def _logfmt(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = "" if value is None else str(value)
    if text.isalnum():
        return text
    if not text.isprintable():
        text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    if not _QUOTED.search(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
