"""Connections to one socket, accepted by several processes; here each process is an acceptor in this one."""

import asyncio
import socket
from collections.abc import Callable

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from tests.free_ports import free_ports
from torchserve_gateway.gateway.processes.accepting import Acceptor, ConnectionCounts, bound_sockets

HOST = "127.0.0.1"


class Connection(asyncio.Protocol):
    """Open until its client closes it."""

    def __init__(self, open_connections: set["Connection"]) -> None:
        self._open = open_connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)


def server() -> uvicorn.Config:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """Never called."""

    config = uvicorn.Config(app, log_config=None)
    config.load()
    return config


def acceptors(counts: ConnectionCounts, number: int) -> list[tuple[Acceptor, set[Connection]]]:
    made = []
    for process in range(number):
        connections: set[Connection] = set()

        def new(connections: set[Connection] = connections) -> Connection:
            return Connection(connections)

        made.append((Acceptor(server(), counts, process, connections, new), connections))
    return made


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if holds():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it never holds")


async def test_connections_are_spread_evenly_however_few_and_however_fast_they_come() -> None:
    [port] = free_ports(1)
    [listening] = bound_sockets(HOST, port)
    processes = acceptors(ConnectionCounts(3), 3)
    for acceptor, _ in processes:
        acceptor.start([listening.dup()])
    clients = [await asyncio.open_connection(HOST, port) for _ in range(12)]
    await until(lambda: sum(len(connections) for _, connections in processes) == 12)
    assert all(3 <= len(connections) <= 5 for _, connections in processes)
    for _, writer in clients:
        writer.close()
    for acceptor, _ in processes:
        acceptor.close()


async def test_a_process_takes_connections_that_no_other_takes() -> None:
    [port] = free_ports(1)
    [listening] = bound_sockets(HOST, port)
    counts = ConnectionCounts(2)
    # It hangs: the other process has fewer connections, and accepts none.
    counts.report(1, 0)
    [(acceptor, connections)] = acceptors(counts, 1)
    acceptor.start([listening])
    clients = [await asyncio.open_connection(HOST, port) for _ in range(5)]
    await until(lambda: len(connections) == 5)
    counts.stops(1)
    assert counts.fewest() == 5
    acceptor.close()
    for _, writer in clients:
        writer.close()


def test_clients_are_refused_until_a_process_listens_and_a_taken_port_is_an_error() -> None:
    [port] = free_ports(1)
    [bound] = bound_sockets(HOST, port)
    with socket.socket() as client:
        assert client.connect_ex((HOST, port)) != 0
    bound.listen()
    with pytest.raises(OSError, match="in use"):
        bound_sockets(HOST, port)
    bound.close()
    bound_sockets(HOST, port)[0].close()
