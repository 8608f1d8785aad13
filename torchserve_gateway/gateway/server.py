"""Serves the gateway with uvicorn, in one process or in several, until a signal stops it."""

import gc
import logging
import resource
import signal
import socket
import sys
from functools import partial

import uvicorn
from fastapi import FastAPI

from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.gateway.http1.protocol import BoundedHttpProtocol
from torchserve_gateway.gateway.processes.accepting import bound_sockets
from torchserve_gateway.gateway.processes.draining import DrainingServer, SiblingServer
from torchserve_gateway.gateway.processes.number import number_of_processes, usable_cores
from torchserve_gateway.gateway.processes.parent import Parent, hold_signals
from torchserve_gateway.gateway.processes.siblings import Shared, Sibling
from torchserve_gateway.gateway.telemetry.log_lines import configure_logging
from torchserve_gateway.gateway.telemetry.log_output import LogOutput
from torchserve_gateway.record.reports import report_of
from torchserve_gateway.settings.command import exit_code
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
        0, or 1 if the address cannot be bound; with several processes the code of a process that does not
        start.

    Raises:
        ConfigurationError: the API keys or the certificate cannot be read.
    """
    processes = number_of_processes(settings, usable_cores())
    shared = Shared(processes) if processes > 1 else None
    if shared:
        # Before any other thread, which would take them.
        hold_signals()
    log = LogOutput(sys.stdout.fileno(), alone=shared.log if shared else None)
    configure_logging(settings.gateway.log_format, log)
    try:
        allow_connections()
        return _supervise(settings, shared) if shared else _serve_alone(settings, log)
    finally:
        log.close(CLOSE_LOG_S)


def _serve_alone(settings: ProjectSettings, log: LogOutput) -> int:
    app = create_app(settings, lost_log_lines=lambda: log.lost)
    config = server_config(app, settings.gateway)
    _load_certificate(config)
    _warn_if_open(settings.gateway)
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


def _supervise(settings: ProjectSettings, shared: Shared) -> int:
    gateway = settings.gateway
    try:
        sockets = bound_sockets(gateway.host, gateway.port)
    except OSError as exc:
        logger.error("%s cannot be bound: %s", gateway.url, exc)
        return 1
    _warn_if_open(gateway)
    logger.info("%d processes serve %s", shared.processes, gateway.url)
    # The processes share the pages of what is imported until something writes to them.
    gc.collect()
    gc.freeze()
    parent = Parent(
        shared,
        sockets,
        run=lambda sibling: exit_code(partial(_serve_beside_others, settings, sockets, sibling), ()),
        forget=partial(_remove_report, settings),
        stop_s=gateway.shutdown_delay_s + gateway.shutdown_grace_s,
    )
    return parent.supervise()


def _serve_beside_others(settings: ProjectSettings, sockets: list[socket.socket], sibling: Sibling) -> int:
    log = LogOutput(sys.stdout.fileno(), alone=sibling.shared.log)
    configure_logging(settings.gateway.log_format, log)
    try:
        app = create_app(settings, lost_log_lines=lambda: log.lost, sibling=sibling)
        config = server_config(app, settings.gateway)
        _load_certificate(config)
        delay_s = settings.gateway.shutdown_delay_s
        gc.collect()
        gc.freeze()
        SiblingServer(config, app.state.admission, delay_s, sibling).run(sockets=sockets)
    finally:
        log.close(CLOSE_LOG_S)
    return 0


def _remove_report(settings: ProjectSettings, ended: Sibling) -> None:
    """Removes a killed process's report: a deploy would wait for the requests that it took with it."""
    report = report_of(settings.torchserve.deployments_dir, ended.name)
    try:
        report.unlink(missing_ok=True)
        report.with_suffix(".part").unlink(missing_ok=True)
    except OSError as exc:
        logger.error("%s cannot be removed: %s", report, exc)


def _warn_if_open(settings: GatewaySettings) -> None:
    if settings.is_open_to_a_network:
        logger.warning(
            "whoever reaches %s may use this gateway: gateway.auth.enabled is false and gateway.host is not "
            "loopback; see docs/security.md",
            settings.url,
        )
