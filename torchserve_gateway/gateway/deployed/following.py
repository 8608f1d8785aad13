"""Repeated reading of files while the gateway runs, so that a change needs no restart."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable


@contextlib.asynccontextmanager
async def repeated(refresh: Callable[[], Awaitable[None]], every_s: float) -> AsyncIterator[None]:
    """Refreshes in the background, for the first time after every_s, until the context ends."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(every_s)
            await refresh()

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Trouble:
    """Logs why a file cannot be read: once, not at every try."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said = ""

    def say(self, trouble: str) -> None:
        """Logs a new trouble; empty: there is none."""
        if trouble and trouble != self._said:
            self._logger.error(trouble)
        self._said = trouble
