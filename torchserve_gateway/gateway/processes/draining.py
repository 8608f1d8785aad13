"""uvicorn's server, stopping in two steps: alone, or as a process among others."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Protocol

import uvicorn

from torchserve_gateway.gateway.processes.accepting import Acceptor
from torchserve_gateway.gateway.processes.siblings import Sibling

logger = logging.getLogger(__name__)


class Drainable(Protocol):
    """Admits requests until the gateway stops."""

    @property
    def draining(self) -> bool:
        """Whether this gateway is about to stop."""
        ...

    def drain(self) -> None:
        """Admits nothing new."""
        ...


class DrainingServer(uvicorn.Server):
    """Stops in two steps: it refuses new requests, then, delay_s seconds later, closes its sockets.

    A second signal closes them at once.
    """

    def __init__(self, config: uvicorn.Config, admission: Drainable, delay_s: float) -> None:
        super().__init__(config)
        self._admission = admission
        self._delay_s = delay_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Runs at SIGTERM and SIGINT."""
        if self._admission.draining:
            super().handle_exit(sig, frame)
            return
        self._admission.drain()
        asyncio.get_running_loop().call_later(self._delay_s, super().handle_exit, sig, frame)


CLOSE_NOW = signal.SIGUSR1
"""Sent by the parent for a second signal."""


class SiblingServer(DrainingServer):
    """Serves in one process of several.

    SIGINT is left to the parent, since a terminal sends it to both. SIGTERM may come twice, from the parent
    and from a signal to the whole group, and counts once. When the parent ends, this process finishes its
    requests in flight and ends, too.
    """

    def __init__(
        self, config: uvicorn.Config, admission: Drainable, delay_s: float, sibling: Sibling
    ) -> None:
        super().__init__(config, admission, delay_s)
        self._sibling = sibling
        self._acceptor: Acceptor | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Runs at SIGTERM and SIGINT."""
        if sig == signal.SIGTERM and not self._admission.draining:
            self._admission.drain()
            asyncio.get_running_loop().call_later(self._delay_s, self._close_now)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to accept from the sockets of the parent."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(CLOSE_NOW, self._close_now)
        loop.add_reader(self._sibling.parent_lives, self._parent_ended)
        self._acceptor = Acceptor(
            self.config,
            self._sibling.shared.connections,
            self._sibling.number,
            self.server_state.connections,
            self._protocol,
        )
        try:
            self._acceptor.start(sockets or [])
        except OSError as exc:
            # Another server bound the port at the same time and was the first to listen.
            logger.error("port %d is in use: %s", self.config.port, exc)
            await self.lifespan.shutdown()
            sys.exit(1)
        self._sibling.tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops accepting, then finishes the requests in flight."""
        if self._acceptor:
            self._acceptor.close()
        await super().shutdown(sockets=sockets)

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _close_now(self) -> None:
        self._admission.drain()
        self.should_exit = True

    def _parent_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._sibling.parent_lives)
        # At once: the next gateway needs the port.
        self._close_now()
