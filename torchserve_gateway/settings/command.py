"""The frame of every command: overrides, configuration, exit code."""

import argparse
import asyncio
import importlib.util
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from torchserve_gateway.settings.composition import ConfigurationError, Settings, load
from torchserve_gateway.terminal import waits
from torchserve_gateway.terminal.interruption import INTERRUPTED, TerminatedError

SettingsT = TypeVar("SettingsT", bound=Settings)

DONE, FAILED, BAD_USAGE = 0, 1, 2


def run(
    root: str,
    settings_type: type[SettingsT],
    operation: Callable[[SettingsT], int | None],
    failures: tuple[type[Exception], ...] = (),
    argv: Sequence[str] | None = None,
) -> int:
    """Composes `config/<root>.yaml` with Hydra overrides and runs `operation`.

    Args:
        root: Name of the root file.
        settings_type: Type of the settings.
        operation: The command's own work.
        failures: Exceptions that mean "failed, and the versions that served before still serve"; each becomes
            one line.
        argv: The overrides; None: those of the command line.

    Returns:
        The exit code: 0 done, 1 failed, 2 bad usage or configuration, 130 after Ctrl-C, or the result of
        `operation`.
    """
    overrides = _parse_overrides(root, argv)
    log_to_stderr()
    return exit_code(lambda: operation(load(root, settings_type, overrides)), failures)


def exit_code(operation: Callable[[], int | None], failures: tuple[type[Exception], ...]) -> int:
    """Runs `operation` and reports a failure in one line on stderr; arguments and result as of `run`."""
    try:
        return operation() or DONE
    except ConfigurationError as exc:
        _fail(f"configuration error: {exc}")
        return BAD_USAGE
    except failures as exc:
        _fail(f"failed: {exc}")
        return FAILED
    except KeyboardInterrupt:
        _fail("interrupted")
        return INTERRUPTED
    # torchserve_gateway/deployment/deploy.py turns a SIGTERM into CancelledError.
    except (TerminatedError, asyncio.CancelledError):
        _fail("interrupted")
        return FAILED


def log_to_stderr(level: int = logging.INFO, form: str = "%(asctime)s %(levelname)s %(message)s") -> None:
    """Logs to stderr from this level on; waits are always said, on a terminal by a spinner."""
    handler = _ToStderr()
    handler.setFormatter(logging.Formatter(form, "%H:%M:%S"))
    if _is_coloured():
        from torchserve_gateway.terminal.log_lines import ColouredFormatter  # noqa: PLC0415
        from torchserve_gateway.terminal.spinner import Spinners  # noqa: PLC0415

        handler.setFormatter(ColouredFormatter(form, "%H:%M:%S"))
        waits.show_with(Spinners())
    logging.basicConfig(level=level, handlers=[handler])
    waits.logger.setLevel(logging.INFO)
    # One line per HTTP call would bury ours.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _is_coloured() -> bool:
    # TorchServe's image has no rich.
    return sys.stderr.isatty() and importlib.util.find_spec("rich") is not None


def _fail(said: str) -> None:
    if _is_coloured():
        from torchserve_gateway.terminal.log_lines import failure  # noqa: PLC0415

        said = failure(said)
    print(said, file=sys.stderr)


def _parse_overrides(root: str, argv: Sequence[str] | None) -> list[str]:
    # Not typer: TorchServe's image does without it.
    parser = argparse.ArgumentParser(
        epilog=f"Settings and their defaults: config/{root}.yaml and the files it lists. "
        "An override is KEY=VALUE in Hydra's syntax, for example model.batch_size=4."
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra override")
    return list(parser.parse_args(argv).overrides)


class _ToStderr(logging.Handler):
    """Writes to what sys.stderr is at that moment: a progress bar replaces it, to keep below the lines."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        # As the handlers of `logging` do: a line that cannot be written ends no command.
        except Exception:  # noqa: BLE001
            self.handleError(record)
