"""A Redis on loopback."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.conftest import require_program
from tests.free_ports import free_ports
from tests.processes import until


class RedisServer:
    """Can be stopped and started again at the same address; it starts empty."""

    def __init__(self) -> None:
        self._program, [self._port] = require_program("redis-server"), free_ports(1)
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Returns when it answers."""
        command = [self._program, "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self._answers)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def freeze(self) -> None:
        """It accepts connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """One that runs."""
    server = RedisServer()
    server.start()
    try:
        yield server
    finally:
        server.thaw()
        server.stop()
