"""Two reports beside each other."""

from torchserve_gateway.load_test.report import PERCENTILES, Report


def comparison(before: Report, after: Report) -> str:
    """A table with the ratio after / before of every figure; `-` where a figure is missing or 0."""
    rows = [
        ("right answers/s", before.rate, after.rate),
        *(
            (f"p{name} ms", before.latency_ms.get(name), after.latency_ms.get(name))
            for name in map("{:g}".format, PERCENTILES)
        ),
        ("errors", sum(before.errors.values()), sum(after.errors.values())),
        ("load generator, % of a core", before.cpu_percent, after.cpu_percent),
    ]
    lines = [f"{'':<28}{'before':>12}{'after':>12}{'ratio':>8}"]
    for name, old, new in rows:
        ratio = f"{new / old:.2f}" if old and new is not None else "-"
        lines.append(f"{name:<28}{_figure(old):>12}{_figure(new):>12}{ratio:>8}")
    if (before.model, before.load) != (after.model, after.load):
        lines.append(f"not the same load: {before.model}, {before.load}; after: {after.model}, {after.load}")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
