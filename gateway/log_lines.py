"""One form for all log lines: ours, uvicorn's, everybody's."""

import logging
import sys
import textwrap

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.observability import current_record


def configure_logging(log_format: str) -> None:
    """Log lines on stdout, for people (`console`) or for machines (`json`)."""
    renderer: Processor = structlog.processors.JSONRenderer() if log_format == "json" else _for_people
    steps: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        _add_ids,
        structlog.processors.format_exc_info,
    ]
    # What it says of a form that cannot be read, the request's own line says.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    structlog.configure(processors=[*steps, renderer], logger_factory=structlog.PrintLoggerFactory())
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *steps],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    # In place of the one that entry_point.py made for commands.
    logging.getLogger().handlers = [handler]


def _add_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Which request, and which trace where tracing is on, a line belongs to."""
    record = current_record.get(None)
    if record:
        event.setdefault("request_id", record.request_id)
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
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
