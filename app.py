"""`make run_app`: the gateway in the foreground."""

import asyncio
import resource
import signal
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from entry_point import run
from gateway.admission import Admission
from gateway.application import create_app
from gateway.http_protocol import BoundedHttpProtocol
from gateway.log_lines import configure_logging
from gateway.settings import GatewaySettings
from project_settings import ProjectSettings


def server_config(app: FastAPI, settings: GatewaySettings) -> uvicorn.Config:
    """How uvicorn serves the gateway."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=BoundedHttpProtocol.with_timeout(settings.head_timeout_s),
        ws="none",  # some package of the tests brings one
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_grace_s,
        access_log=False,  # observability.py logs one line a request
        log_config=None,
        server_header=False,
    )


class DrainingServer(uvicorn.Server):
    """Stops in two steps: first it admits nothing new and says so, then it closes its sockets.

    delay_s: between the two. A second signal closes them at once.
    """

    def __init__(self, config: uvicorn.Config, admission: Admission, delay_s: float) -> None:
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


def allow_connections() -> None:
    """As many as the system lets this process have; what most start with, 1024, idle clients use up."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def serve(settings: ProjectSettings) -> int:
    """Runs until SIGTERM or SIGINT; requests in flight are finished.

    Returns:
        0, or 1 if the address cannot be bound.
    """
    configure_logging(settings.gateway.log_format)
    allow_connections()
    app = create_app(settings)
    server = DrainingServer(
        server_config(app, settings.gateway), app.state.admission, settings.gateway.shutdown_delay_s
    )
    # uvicorn shuts down properly and then sends itself the signal again; by default that would end in an
    # exit code other than 0.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: None)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(run("gateway", ProjectSettings, serve))
