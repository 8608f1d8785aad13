"""What `config/gateway/<name>.yaml` says."""

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

from torchserve_gateway.settings.composition import ProjectPath, Settings, reachable_address
from torchserve_gateway.settings.model import ModelName
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
"""`600/minute`."""


class AuthSettings(Settings):
    """keys_file: see `gateway/access/api_keys.py`; own_key_file: holds the key that our own commands send."""

    enabled: bool
    keys_file: ProjectPath
    own_key_file: ProjectPath | None
    refresh_s: PositiveFloat


class RateLimitSettings(Settings):
    """None: no limit; redis_url: None for each gateway's own memory."""

    per_key: Rate | None
    per_address: Rate | None
    failed_keys_per_address: Rate | None
    redis_url: Annotated[str, StringConstraints(pattern=r"^rediss?://.")] | None
    redis_timeout_s: PositiveFloat


class CorsSettings(Settings):
    """Whose web pages may read answers."""

    allow_origins: list[Annotated[str, StringConstraints(pattern=r"^(\*|https?://[^/]+)$")]]


class TlsSettings(Settings):
    """PEM files; None for plain HTTP."""

    certificate: ProjectPath | None
    key: ProjectPath | None

    @model_validator(mode="after")
    def _both_or_none(self) -> "TlsSettings":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("TLS takes both certificate and key")
        return self


class AdmissionSettings(Settings):
    """max_in_flight: None for what the deployed workers can use."""

    max_in_flight: PositiveInt | None
    max_waiting: Annotated[int, Field(ge=0)]
    max_wait_s: PositiveFloat


class UpstreamSettings(Settings):
    """attempts: of one request, where the job never ran; breaker_failures: in a row, until it opens."""

    attempts: PositiveInt
    breaker_failures: PositiveInt
    breaker_open_s: PositiveFloat


class CacheSettings(Settings):
    """max_bytes: of the memory store; redis_url: None for the memory store."""

    enabled: bool
    max_bytes: PositiveInt
    max_entry_bytes: PositiveInt
    ttl_s: PositiveFloat
    redis_url: str | None
    redis_timeout_s: PositiveFloat


class TracingSettings(Settings):
    """otlp_endpoint: None for no traces; sampled_share: of the requests whose caller does not decide it."""

    otlp_endpoint: Annotated[str, StringConstraints(pattern=r"^https?://[^?#]+$")] | None
    service_name: Annotated[str, StringConstraints(min_length=1)]
    sampled_share: Annotated[float, Field(ge=0, le=1)]


class GatewaySettings(Settings):
    """The gateway's own settings. Times in seconds, sizes in bytes."""

    host: str
    port: Port
    auth: AuthSettings
    rate_limit: RateLimitSettings
    trusted_proxies: list[IPvAnyNetwork]
    allowed_hosts: list[Annotated[str, StringConstraints(pattern=r"^(\*\.)?[^*/:]+$|^\[[0-9a-fA-F:]+\]$")]]
    cors: CorsSettings
    tls: TlsSettings
    default_model: ModelName
    deadline_s: PositiveFloat
    max_request_bytes: PositiveInt
    body_timeout_s: PositiveFloat
    head_timeout_s: PositiveFloat
    max_batch_images: PositiveInt
    max_batch_request_bytes: PositiveInt
    batch_concurrency: PositiveInt
    admission: AdmissionSettings
    upstream: UpstreamSettings
    cache: CacheSettings
    health_timeout_s: PositiveFloat
    deployments_refresh_s: PositiveFloat
    routing_key_header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$")]
    shadow_max_in_flight: PositiveInt
    shadow_probability_tolerance: PositiveFloat
    keep_alive_s: PositiveInt
    shutdown_delay_s: Annotated[float, Field(ge=0)]
    shutdown_grace_s: PositiveInt
    log_format: Literal["console", "json"]
    tracing: TracingSettings

    @property
    def url(self) -> str:
        """Where clients on this machine reach it."""
        return f"http{'s' if self.tls.key else ''}://{reachable_address(self.host)}:{self.port}"

    @property
    def is_open_to_a_network(self) -> bool:
        """Whether others than this machine's users may call it without a key."""
        return not (self.auth.enabled or is_loopback(self.host))
