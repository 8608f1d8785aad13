"""A report as one HTML file with charts, without anything from elsewhere."""

from collections.abc import Sequence
from html import escape

from torchserve_gateway.load_test.report import Report

WIDTH, HEIGHT, MARGIN = 760, 200, 48
COLOURS = ("#1f6feb", "#d29922", "#cf222e")
STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:800px}"
    "td,th{text-align:right;padding:2px 14px 2px 0}td:first-child,th:first-child{text-align:left}"
    "svg{width:100%}text{font-size:11px}"
)
Point = tuple[float, float]


def report_page(report: Report) -> str:
    """The whole page."""
    timeline = report.timeline
    latency = {
        f"p{name}": [(each.at_s, each.latency_ms[name]) for each in timeline if name in each.latency_ms]
        for name in ("50", "95", "99")
    }
    charts = (
        _chart("Right answers a second", {"rate": [(each.at_s, each.rate) for each in timeline]}),
        _chart("Latency, ms", latency),
        _chart("Errors a second", {"errors": [(each.at_s, each.errors_per_s) for each in timeline]}),
    )
    facts = {
        "started": f"{report.started:%Y-%m-%d %H:%M:%S %Z}",
        "gateway": report.url,
        "load": report.load,
        "duration": f"{report.duration_s:.1f} s",
        "right answers": f"{report.answered}, {report.rate:.2f} a second",
        "answers by version": _counts(report.versions),
        "not verified": str(report.unverified),
        "errors": _counts(report.errors),
        "load generator": f"{report.cpu_percent:.0f} % of a core",
    }
    percentiles = {f"p{name}": f"{value:.1f}" for name, value in report.latency_ms.items()}
    title = escape(f"Load on {report.model}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>{_table(('', ''), facts)}"
        f"<h2>Latency</h2>{_table(('percentile', 'ms'), percentiles)}{''.join(charts)}</body></html>\n"
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items())) or "none"


def _table(head: tuple[str, str], rows: dict[str, str]) -> str:
    top = "".join(f"<th>{escape(each)}</th>" for each in head) if any(head) else ""
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in rows.items())
    return f"<table><tr>{top}</tr>{body}</table>" if top else f"<table>{body}</table>"


def _chart(title: str, lines: dict[str, list[Point]]) -> str:
    points = [point for line in lines.values() for point in line]
    right = max((x for x, _ in points), default=0) or 1
    top = max((y for _, y in points), default=0) or 1
    drawn = "".join(
        f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{_path(line, right, top)}"/>'
        f'<text x="{MARGIN + 70 * index}" y="12" fill="{colour}">{escape(name)}</text>'
        for index, ((name, line), colour) in enumerate(zip(lines.items(), COLOURS, strict=False))
    )
    bottom, end = HEIGHT - MARGIN / 2, WIDTH - MARGIN / 2
    return (
        f'<h2>{escape(title)}</h2><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(title)}</title>"
        f'<path d="M{MARGIN} 20V{bottom}H{end}" fill="none" stroke="#888"/>{drawn}'
        f'<text x="2" y="24">{top:.4g}</text><text x="2" y="{bottom}">0</text>'
        f'<text x="{end - 30}" y="{HEIGHT - 8}">{right:.0f} s</text></svg>'
    )


def _path(line: Sequence[Point], right: float, top: float) -> str:
    wide, high = WIDTH - 1.5 * MARGIN, HEIGHT - MARGIN / 2 - 20
    return " ".join(f"{MARGIN + x / right * wide:.1f},{20 + (1 - y / top) * high:.1f}" for x, y in line)
