"""What every command of the project does around its own work: arguments, configuration, exit code."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from torchserve_gateway.settings.composition import ConfigurationError, Settings, compose_yaml, load

SettingsT = TypeVar("SettingsT", bound=Settings)

DONE, FAILED, BAD_USAGE = 0, 1, 2


def run(
    root: str,
    settings_type: type[SettingsT],
    operation: Callable[[SettingsT], int | None],
    failures: tuple[type[Exception], ...] = (),
    argv: Sequence[str] | None = None,
) -> int:
    """Composes `config/<root>.yaml` with the command line's overrides and runs `operation`.

    failures: exceptions that mean "failed, and what served before still serves"; each becomes one line.
    argv: the arguments, where some were taken off the command line before.

    Returns:
        the exit code: 0 done, 1 failed, 2 bad usage or configuration, or what `operation` returned.
    """
    arguments = _parse_arguments(root, argv)
    _log_to_stderr()

    def compose_and_operate() -> int | None:
        if arguments.cfg:
            print(compose_yaml(root, arguments.overrides), end="")
            return DONE
        return operation(load(root, settings_type, arguments.overrides))

    return exit_code(compose_and_operate, failures)


def exit_code(operation: Callable[[], int | None], failures: tuple[type[Exception], ...]) -> int:
    """Runs `operation` and says in one line on stderr what ended it; arguments and result as of `run`."""
    try:
        return operation() or DONE
    except ConfigurationError as exc:
        print(f"configuration error: {exc}", file=sys.stderr)
        return BAD_USAGE
    except failures as exc:
        print(f"failed: {exc}", file=sys.stderr)
        return FAILED
    # The latter is a SIGTERM, as torchserve_gateway/deployment/deploy.py takes it.
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted", file=sys.stderr)
        return FAILED


def _parse_arguments(root: str, argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        epilog=f"Settings and their defaults: config/{root}.yaml and the files it lists. "
        "An override is KEY=VALUE in Hydra's syntax, for example model.batch_size=4."
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra override")
    parser.add_argument("--cfg", action="store_true", help="print the composed configuration and stop")
    return parser.parse_args(argv)


def _log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S"
    )
    # One line per HTTP call would bury ours.
    logging.getLogger("httpx").setLevel(logging.WARNING)
