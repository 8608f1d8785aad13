"""Serves the gateway with uvicorn until a signal stops it."""

import asyncio
import gc
import logging
import resource
import signal
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.gateway.http1.protocol import BoundedHttpProtocol
from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.gateway.telemetry.log_lines import configure_logging
from torchserve_gateway.gateway.telemetry.log_output import LogOutput
from torchserve_gateway.settings.composition import ConfigurationError
from torchserve_gateway.settings.gateway import GatewaySettings
from torchserve_gateway.settings.project import ProjectSettings

logger = logging.getLogger("gateway")

# Seconds that the last log lines get if their reader does not read.
CLOSE_LOG_S = 2.0


def server_config(app: FastAPI, settings: GatewaySettings) -> uvicorn.Config:
    """Configures uvicorn."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.tls.certificate,
        ssl_keyfile=settings.tls.key,
        proxy_headers=bool(settings.trusted_proxies),
        # uvicorn's default trusts every process of this machine, and an environment variable.
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        http=BoundedHttpProtocol.with_timeout(settings.head_timeout_s),
        ws="none",  # no route is a WebSocket, whatever packages are installed
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_grace_s,
        access_log=False,  # gateway/telemetry logs one line a request
        log_config=None,
        server_header=False,
    )


class DrainingServer(uvicorn.Server):
    """Stops in two steps: it refuses new requests, then, delay_s seconds later, closes its sockets.

    A second signal closes them at once.
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
    """Raises the limit of open files to the hard limit: idle clients alone use up the usual 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _load_certificate(config: uvicorn.Config) -> None:
    try:
        config.load()
    except OSError as exc:
        raise ConfigurationError(f"gateway.tls: {config.ssl_certfile}, {config.ssl_keyfile}: {exc}") from exc


def serve(settings: ProjectSettings) -> int:
    """Runs until SIGTERM or SIGINT; requests in flight are finished.

    Returns:
        0, or 1 if the address cannot be bound.

    Raises:
        ConfigurationError: the API keys or the certificate cannot be read.
    """
    log = LogOutput(sys.stdout.fileno())
    configure_logging(settings.gateway.log_format, log)
    try:
        return _serve(settings, log)
    finally:
        log.close(CLOSE_LOG_S)


def _serve(settings: ProjectSettings, log: LogOutput) -> int:
    allow_connections()
    app = create_app(settings, lost_log_lines=lambda: log.lost)
    config = server_config(app, settings.gateway)
    _load_certificate(config)
    if settings.gateway.is_open_to_a_network:
        logger.warning(
            "whoever reaches %s may use this gateway: gateway.auth.enabled is false and gateway.host is not "
            "loopback; see docs/security.md",
            settings.gateway.url,
        )
    server = DrainingServer(config, app.state.admission, settings.gateway.shutdown_delay_s)
    # uvicorn shuts down properly and then sends itself the signal again; by default that would end in an
    # exit code other than 0.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: None)
    # Modules and settings stay: the garbage collector need not look at them again.
    gc.collect()
    gc.freeze()
    server.run()
    return 0 if server.started else 1
