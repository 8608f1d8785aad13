"""One listening socket for all processes, and connections spread evenly over them.

All processes accept from the socket that their parent bound, so a connection that waits in it outlives the
process that would have accepted it. The kernel wakes idle processes in an order of its own, which gives most
connections to one of them; so a process with more connections than another lets the other go first.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Collection, Sequence

import uvicorn

from torchserve_gateway.gateway.processes.shared_memory import integers

logger = logging.getLogger(__name__)

# Seconds that a process with fewer connections gets before this process takes a waiting connection.
OTHERS_FIRST_S = 0.002
# Of so many connections, a process may have one more than the others without letting them go first.
TOLERATED = 8
# Seconds until a process tries again that has no descriptor left for another connection.
EXHAUSTED_PAUSE_S = 1.0
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to every address of the host, as asyncio's servers have them.

    They do not listen yet: clients are refused until a process can answer.

    Raises:
        OSError: an address cannot be bound.
    """
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sockets.append(listening := socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
            listening.setblocking(False)
    except BaseException:
        for each in sockets:
            each.close()
        raise
    return sockets


class ConnectionCounts:
    """Open connections of each process; -1 for a process that accepts none."""

    def __init__(self, processes: int) -> None:
        self._counts = integers(processes)
        for process in range(processes):
            self.stops(process)

    def report(self, process: int, connections: int) -> None:
        """Tells the other processes of this process's connections."""
        self._counts[process] = connections

    def stops(self, process: int) -> None:
        """The process accepts no more."""
        self._counts[process] = -1

    def fewest(self) -> int:
        """The connections of the process with the fewest."""
        return min((each for each in self._counts if each >= 0), default=0)


class Acceptor:
    """Accepts connections for one process, until it is closed.

    Args:
        config: uvicorn's, for TLS.
        counts: Connections of all processes.
        process: Number of this process.
        connections: uvicorn's open connections.
        new_protocol: Makes the protocol of a connection.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        counts: ConnectionCounts,
        process: int,
        connections: Collection[object],
        new_protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        self._config, self._counts, self._process = config, counts, process
        self._connections, self._new_protocol = connections, new_protocol
        self._loop = asyncio.get_running_loop()
        self._sockets: Sequence[socket.socket] = ()
        self._handed_over: set[asyncio.Task[None]] = set()

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accepts from these sockets."""
        self._sockets = sockets
        self._report()
        for each in sockets:
            each.listen(self._config.backlog)
            self._loop.add_reader(each, self._ready, each)

    def close(self) -> None:
        """Accepts no more and closes the sockets; connections stay open."""
        self._counts.stops(self._process)
        for each in self._sockets:
            self._loop.remove_reader(each)
            each.close()
        self._sockets = ()

    def _report(self) -> int:
        # Connections whose protocol does not exist yet, as their TLS handshake runs.
        connections = len(self._connections) + len(self._handed_over)
        self._counts.report(self._process, connections)
        return connections

    def _ready(self, listening: socket.socket) -> None:
        connections = self._report()
        if connections - connections // TOLERATED > self._counts.fewest():
            self._pause(listening, OTHERS_FIRST_S)
        else:
            self._accept(listening)

    def _pause(self, listening: socket.socket, seconds: float) -> None:
        self._loop.remove_reader(listening)
        self._loop.call_later(seconds, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening, self._ready, listening)
            self._accept(listening)

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except OSError as exc:
            # Otherwise another process was faster, or the client has gone.
            if exc.errno in EXHAUSTED:
                logger.error("no connection can be accepted: %s", exc)
                self._pause(listening, EXHAUSTED_PAUSE_S)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._hand_over(connection))
        self._handed_over.add(task)
        task.add_done_callback(self._handed_over.discard)
        self._report()

    async def _hand_over(self, connection: socket.socket) -> None:
        # A TLS handshake may fail, or its client go away.
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(self._new_protocol, connection, ssl=self._config.ssl)
