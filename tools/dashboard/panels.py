"""Panels of the dashboard with their Prometheus queries."""

from dataclasses import dataclass

MODEL = 'model=~"$model"'
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """A panel of the dashboard."""

    title: str
    queries: dict[str, str]
    """PromQL by legend."""
    unit: str
    """Unit in Grafana's notation."""
    description: str = ""
    stacked: bool = False
    instant: bool = False
    """Whether the panel is a table of current values, not a graph over time."""


def _rate(counter: str, by: str, also: str = "") -> str:
    return f"sum by ({by}) (rate({counter}{{{MODEL}{also}}}{RATE}))"


def _percentile(percentile: float, histogram: str, by: str = "le") -> str:
    return f"histogram_quantile({percentile}, sum by ({by}) (rate({histogram}_bucket{{{MODEL}}}{RATE})))"


def _mean_stage(stages: str) -> str:
    metric = "gateway_stage_duration_seconds"
    seconds = f'sum(rate({metric}_sum{{{MODEL}, stage=~"{stages}"}}{RATE}))'
    return f'{seconds} / scalar(sum(rate({metric}_count{{{MODEL}, stage="gateway"}}{RATE})))'


DURATION, STAGE = "gateway_request_duration_seconds", "gateway_stage_duration_seconds"

ROWS: dict[str, list[Panel]] = {
    "Traffic": [
        Panel(
            "Images per second",
            {"{{model}} {{version}}": _rate("gateway_batch_size_count", "model, version")},
            "ops",
            "Predictions by the version that answered.",
        ),
        Panel(
            "Requests per second by status",
            {"{{status}}": _rate("gateway_requests_total", "status")},
            "reqps",
            "499: the client disconnected.",
            stacked=True,
        ),
        Panel(
            "Errors by kind",
            {"{{error}}": _rate("gateway_errors_total", "error")},
            "ops",
            "docs/operating.md names a remedy for each.",
            stacked=True,
        ),
        Panel(
            "Share of server errors",
            {
                "{{version}}": _rate("gateway_requests_total", "version", ', status=~"5.."')
                + " / "
                + _rate("gateway_requests_total", "version")
            },
            "percentunit",
            "Compares a canary with the serving version.",
        ),
    ],
    "Latency": [
        Panel(
            "Latency",
            {f"p{percentile:g}": _percentile(percentile / 100, DURATION) for percentile in (50, 95, 99)},
            "s",
            "From a request's head to the last byte of its answer.",
        ),
        Panel(
            "Where the time goes, on average",
            {
                "gateway": _mean_stage("gateway"),
                "admission": _mean_stage("admission"),
                "queue": _mean_stage("queue"),
                "inference": _mean_stage("preprocess|inference|postprocess|explain|torchserve"),
            },
            "s",
            "queue: in TorchServe, with max_batch_delay and the way to the worker; inference: the handler.",
            stacked=True,
        ),
        Panel(
            "p99 of each stage",
            {"{{stage}}": _percentile(0.99, STAGE, "le, stage")},
            "s",
        ),
        Panel(
            "Observed batch size",
            {
                "mean": f"sum(rate(gateway_batch_size_sum{{{MODEL}}}{RATE})) "
                f"/ sum(rate(gateway_batch_size_count{{{MODEL}}}{RATE}))",
                "p95": _percentile(0.95, "gateway_batch_size"),
            },
            "none",
            "Batches that requests ran in, as the handler reports them.",
        ),
    ],
    "Capacity": [
        Panel(
            "Requests at the gateway",
            {
                "with TorchServe": f"sum(gateway_admission_in_flight{{{MODEL}}})",
                "waiting": f"sum(gateway_admission_waiting{{{MODEL}}})",
                "limit": f"sum(gateway_admission_limit{{{MODEL}}})",
            },
            "none",
            "Requests above the limit wait; autoscaling uses these figures.",
        ),
        Panel(
            "Queue depth in TorchServe",
            {"{{version}}": f"sum by (version) (gateway_model_queued{{{MODEL}}})"},
            "none",
        ),
        Panel(
            "Workers",
            {"{{version}} {{state}}": f"sum by (version, state) (gateway_model_workers{{{MODEL}}})"},
            "none",
            "Each gateway counts the workers of all TorchServes.",
        ),
        Panel(
            "TorchServes",
            {
                "answer": "min(gateway_torchserve_reachable)",
                "there should be": "max(gateway_torchserve_replicas)",
            },
            "none",
        ),
    ],
    "Versions and machines": [
        Panel(
            "Versions",
            {"versions": f"max by (model, version, state) (gateway_model_version_info{{{MODEL}}})"},
            "none",
            "Deployed versions and their roles.",
            instant=True,
        ),
        Panel(
            "Memory",
            {
                "gateway {{instance}}": 'process_resident_memory_bytes{job="gateway"}',
                "TorchServe's machine {{instance}}": 'MemoryUsed{job="torchserve"} * 1024 * 1024',
            },
            "bytes",
        ),
        Panel(
            "CPU of the gateway",
            {"{{instance}}": f'rate(process_cpu_seconds_total{{job="gateway"}}{RATE})'},
            "percentunit",
            "Cores in use, over all processes of a gateway; each uses at most one.",
        ),
        Panel(
            "Requests by TorchServe",
            {"{{instance}}": f"sum by (instance) (rate(ts_inference_requests_total{RATE}))"},
            "reqps",
            "From TorchServe's own metrics, port 8082; shows whether the load is balanced.",
        ),
    ],
}

# Annotation at the start of a serving version.
DEPLOYED = (
    'max by (model, version) (gateway_model_version_info{state="serving"}) '
    'unless max by (model, version) (gateway_model_version_info{state="serving"} offset 1m)'
)
