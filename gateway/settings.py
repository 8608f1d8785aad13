"""What `config/gateway/<name>.yaml` says."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints

from configuration import Settings, reachable_address
from torchserve_api.settings import Port
from ts_serialize.settings import ModelName


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
        return f"http://{reachable_address(self.host)}:{self.port}"
