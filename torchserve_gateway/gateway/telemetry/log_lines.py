"""The format of all log lines, ours and the libraries', and their longest length."""

import logging
import textwrap
from typing import Protocol, TextIO, cast

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from torchserve_gateway.gateway.shortening import shortened

# Characters of one field: paths, names and values of clients have any length.
MAX_FIELD_LENGTH = 1_000
MAX_TRACEBACK_LENGTH = 16_000


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
    steps: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        _add_ids,
        structlog.processors.format_exc_info,
        _shorten,
    ]
    # The request's own line reports a form that cannot be read.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    # Unlike print, this logger writes a line and its end by one call, as the handler does.
    write_lines = structlog.WriteLoggerFactory(cast("TextIO", output))
    structlog.configure(processors=[*steps, renderer], logger_factory=write_lines)
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *steps],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    # Replaces the handler that torchserve_gateway/settings/command.py made for commands.
    logging.getLogger().handlers = [handler]


def _add_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Names the request, and the trace where tracing is on, that a line belongs to."""
    for key, value in structlog.contextvars.get_contextvars().items():
        event.setdefault(key, value)
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
    return event


def _shorten(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Bounds every text of a line."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = shortened(value, MAX_TRACEBACK_LENGTH if key == "exception" else MAX_FIELD_LENGTH)
    return event


_logfmt = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])


def _for_people(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """One line, in which control characters that a client sent are harmless; below it a traceback."""
    traceback = event.pop("exception", "")
    line = _logfmt(logger, name, {key: _printable(value) for key, value in event.items()})
    return f"{line}\n{textwrap.indent(traceback, '    ')}" if traceback else line


def _printable(value: object) -> object:
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in value)
