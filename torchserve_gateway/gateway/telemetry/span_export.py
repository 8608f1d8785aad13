"""Sends spans to a collector. Imported only where traces are configured: it loads slowly."""

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

# For a batch of spans with all attempts. The gateway ends when the last spans are sent or given up.
TIMEOUT_S = 2.0


def exporting_provider(endpoint: str, service_name: str, sampled_share: float) -> TracerProvider:
    """Makes spans and sends them in the background, until it is shut down. endpoint: without `/v1/traces`."""
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(sampled_share),
        resource=Resource({"service.name": service_name}),
    )
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
