"""The settings of the gateway, `config/gateway/<name>.yaml`."""

from typing import Annotated, Literal

import limits
from pydantic import (
    AfterValidator,
    Field,
    IPvAnyNetwork,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from torchserve_gateway.settings.composition import Settings, WorkingPath, reachable_address
from torchserve_gateway.settings.model_parts.names import ModelName
from torchserve_gateway.settings.torchserve import Port, is_loopback


def _is_rate(value: str) -> str:
    try:
        [rate] = limits.parse_many(value)
    except ValueError as exc:
        raise ValueError("write it as 600/minute or 10/second") from exc
    if rate.amount == 0:
        raise ValueError("0 would refuse every request")
    return value


Rate = Annotated[str, AfterValidator(_is_rate)]
"""A number per time, for example `600/minute`."""


def _are_distinct(names: list[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is named more than once")
    return names


class AuthSettings(Settings):
    """API keys."""

    enabled: bool
    """Whether a key is needed."""
    keys_file: WorkingPath
    """File of names, rights and hashes, see `gateway/access/api_keys.py`."""
    own_key_file: WorkingPath | None
    """File with the key that our own commands send; None: they send none."""
    refresh_s: PositiveFloat
    """Seconds after which the keys file is read again."""


class RateLimitSettings(Settings):
    """Requests per time; None: no limit."""

    per_key: Rate | None
    """Requests with one key."""
    per_address: Rate | None
    """Requests from one IPv4 address or one IPv6 /64."""
    failed_keys_per_address: Rate | None
    """Requests without a valid key from one address."""
    redis_url: Annotated[str, StringConstraints(pattern=r"^rediss?://.")] | None
    """Redis in which gateways count together; None: each counts in memory."""
    redis_timeout_s: PositiveFloat
    """Seconds after which a request is let through without Redis."""


class CorsSettings(Settings):
    """Web pages that may read answers."""

    allow_origins: list[Annotated[str, StringConstraints(pattern=r"^(\*|https?://[^/]+)$")]]
    """Origins, or `*` for all."""


class PageSettings(Settings):
    """The web page at `/`."""

    enabled: bool
    """Whether it is served; otherwise `/` redirects to Swagger UI."""


class TlsSettings(Settings):
    """PEM files; both None: plain HTTP."""

    certificate: WorkingPath | None
    """The gateway's certificate, followed by its chain."""
    key: WorkingPath | None
    """The certificate's private key."""

    @model_validator(mode="after")
    def _both_or_none(self) -> "TlsSettings":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("TLS takes both certificate and key")
        return self


class AdmissionSettings(Settings):
    """Requests of one model at TorchServe."""

    max_in_flight: PositiveInt | None
    """Requests of one model at TorchServe at once; None: as many as its deployed workers can use."""
    max_waiting: Annotated[int, Field(ge=0)]
    """Requests that wait for that."""
    max_wait_s: PositiveFloat
    """Seconds a request waits at most."""


class UpstreamSettings(Settings):
    """Retries and the circuit breaker in front of TorchServe."""

    attempts: PositiveInt
    """Attempts of one request in all, where the job never ran."""
    max_isolated: Annotated[int, Field(ge=0)]
    """Requests of a model that may wait to be asked again after their batch failed; 0: none is."""
    breaker_failures: PositiveInt
    """Failures in a row that open the breaker."""
    breaker_open_s: PositiveFloat
    """Seconds between the attempts of an open breaker."""


class CacheSettings(Settings):
    """Answers to images that were predicted before."""

    enabled: bool
    """Whether answers are kept."""
    max_bytes: PositiveInt
    """Bytes of all answers in the memory store."""
    max_entry_bytes: PositiveInt
    """Bytes of the largest answer that is kept."""
    ttl_s: PositiveFloat
    """Seconds an answer is kept."""
    redis_url: str | None
    """Redis that all gateways share; None: each keeps its own in memory."""
    redis_timeout_s: PositiveFloat
    """Seconds after which a prediction goes on without Redis."""


class TracingSettings(Settings):
    """OpenTelemetry traces."""

    otlp_endpoint: Annotated[str, StringConstraints(pattern=r"^https?://[^?#]+$")] | None
    """Address that traces go to, OTLP over HTTP; None: no traces."""
    service_name: Annotated[str, StringConstraints(min_length=1)]
    """The gateway's name in traces."""
    sampled_share: Annotated[float, Field(ge=0, le=1)]
    """Share (0 to 1) of the requests that are traced, where the caller leaves it open."""


class GatewaySettings(Settings):
    """The gateway's own settings."""

    host: str
    """Address that the gateway binds to."""
    port: Port
    """TCP port."""
    processes: PositiveInt | None
    """Processes that share the port; None: as many as the workers need, by the cores."""
    auth: AuthSettings
    """API keys."""
    rate_limit: RateLimitSettings
    """Requests per time."""
    trusted_proxies: list[IPvAnyNetwork]
    """Proxies whose X-Forwarded-For and -Proto count."""
    allowed_hosts: list[Annotated[str, StringConstraints(pattern=r"^(\*\.)?[^*/:]+$|^\[[0-9a-fA-F:]+\]$")]]
    """Accepted names of the Host header; empty: any."""
    cors: CorsSettings
    """Web pages that may read answers."""
    tls: TlsSettings
    """Certificate and key."""
    page: PageSettings
    """The web page at `/`."""
    default_model: ModelName
    """The model of POST /predict without `model=`, and of /health/ready."""
    models: Annotated[list[ModelName], AfterValidator(_are_distinct)] | None = None
    """Files in config/model/ that are served besides the chosen model; None: no others."""
    ready_models: Annotated[list[ModelName], Field(min_length=1), AfterValidator(_are_distinct)] | None = None
    """Models that /health/ready waits for; None: the default model."""
    deadline_s: PositiveFloat
    """Seconds from a request's first byte to its answer."""
    max_request_bytes: PositiveInt
    """Bytes of a request's body."""
    body_timeout_s: PositiveFloat
    """Seconds a body may take to arrive."""
    head_timeout_s: PositiveFloat
    """Seconds a request's head may take to arrive."""
    max_batch_images: PositiveInt
    """Files of one request to /predict/batch."""
    max_batch_request_bytes: PositiveInt
    """Bytes of one request to /predict/batch."""
    batch_concurrency: PositiveInt
    """Images of one such request at TorchServe at once."""
    admission: AdmissionSettings
    """Requests of one model at TorchServe."""
    upstream: UpstreamSettings
    """Retries and the circuit breaker."""
    cache: CacheSettings
    """Answers to images that were predicted before."""
    health_timeout_s: PositiveFloat
    """Seconds /ping and /health/ready wait for TorchServe."""
    deployments_refresh_s: PositiveFloat
    """Seconds between two looks at the deployment record."""
    routing_key_header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")]
    """Header whose value keeps requests with one version during a canary."""
    shadow_max_in_flight: PositiveInt
    """Copies of requests in flight during a shadow."""
    shadow_probability_tolerance: PositiveFloat
    """Largest difference of a probability that counts as the same."""
    keep_alive_s: PositiveInt
    """Seconds an idle connection is kept."""
    shutdown_delay_s: Annotated[float, Field(ge=0)]
    """Seconds after SIGTERM in which connections are still accepted, but no requests."""
    shutdown_grace_s: PositiveInt
    """Seconds that requests in flight get after that."""
    log_format: Literal["console", "json"]
    """Text for people, or JSON for machines."""
    tracing: TracingSettings
    """OpenTelemetry traces."""

    @property
    def url(self) -> str:
        """The gateway's address for clients on this machine."""
        return f"http{'s' if self.tls.key else ''}://{reachable_address(self.host)}:{self.port}"

    @property
    def is_open_to_a_network(self) -> bool:
        """Whether other machines may call the gateway without a key."""
        return not (self.auth.enabled or is_loopback(self.host))
