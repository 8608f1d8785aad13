"""Tables of a study as text, CSV and one HTML file with charts, without anything from elsewhere."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.console import Console
from rich.table import Table

WIDTH, BAR, GAP, LEFT, RIGHT = 760, 18, 8, 130, 90
COLOURS = ("#1f6feb", "#d29922", "#2da44e", "#cf222e")
STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:800px}"
    "td,th{text-align:right;padding:2px 14px 2px 0}td:first-child,th:first-child{text-align:left}"
    "svg{width:100%}text{font-size:12px}"
)
Row = Mapping[str, str | int | float]


@dataclass(frozen=True)
class Chart:
    """Bars of stacked parts."""

    title: str
    bars: Mapping[str, Mapping[str, float]]
    """The parts by name, for each bar."""


@dataclass(frozen=True)
class StudyReport:
    """The result of a study."""

    title: str
    facts: Sequence[str]
    """Lines about machine and model."""
    rows: Sequence[Row]
    """The table; all rows have the keys of the first."""
    charts: Sequence[Chart]

    def show(self) -> None:
        """Prints the table."""
        table = Table(*(str(name) for name in self.rows[0]), box=None)
        for row in self.rows:
            table.add_row(*(_shown(value) for value in row.values()))
        console = Console(width=None if Console().is_terminal else 140)
        for fact in self.facts:
            console.print(fact, markup=False, highlight=False)
        console.print(table)

    def write(self, directory: Path, name: str) -> list[Path]:
        """Writes NAME.csv, NAME.html and each chart as NAME-1.svg; raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        pages = {"csv": self.as_csv(), "html": self.as_page()}
        texts = {f"{name}.{suffix}": text for suffix, text in pages.items()}
        texts |= {f"{name}-{number}.svg": svg(chart) for number, chart in enumerate(self.charts, 1)}
        for file, text in texts.items():
            (directory / file).write_text(text, "utf-8")
        return [directory / file for file in texts]

    def as_csv(self) -> str:
        """The table, unrounded."""
        file = io.StringIO()
        writer = csv.DictWriter(file, self.rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return file.getvalue()

    def as_page(self) -> str:
        """The whole page."""
        title = escape(self.title)
        head = "".join(f"<th>{escape(str(name))}</th>" for name in self.rows[0])
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(_shown(value))}</td>' for value in row.values())}</tr>"
            for row in self.rows
        )
        charts = "".join(f"<h2>{escape(chart.title)}</h2>{_drawn(chart)}" for chart in self.charts)
        facts = "".join(f"<p>{escape(fact)}</p>" for fact in self.facts)
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{STYLE}</style></head><body><h1>{title}</h1>{facts}"
            f"<table><tr>{head}</tr>{body}</table>{charts}</body></html>\n"
        )


def _shown(value: str | float) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def svg(chart: Chart) -> str:
    """A chart as a file of its own, dark on white."""
    drawn = _drawn(chart)
    head = '<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff;font:12px sans-serif"'
    return f"{drawn.replace('<svg', head, 1)}\n"


def _drawn(chart: Chart) -> str:
    longest = max((sum(parts.values()) for parts in chart.bars.values()), default=0) or 1
    scale = (WIDTH - LEFT - RIGHT) / longest
    names = list(dict.fromkeys(name for parts in chart.bars.values() for name in parts))
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    legend = "".join(
        f'<text x="{LEFT + 130 * index}" y="12" fill="{colours[name]}">{escape(name)}</text>'
        for index, name in enumerate(names)
    )
    drawn = "".join(
        _bar(label, parts, colours, scale, 24 + index * (BAR + GAP))
        for index, (label, parts) in enumerate(chart.bars.items())
    )
    height = 24 + len(chart.bars) * (BAR + GAP)
    title = escape(chart.title)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img"><title>{title}</title>{legend}{drawn}</svg>'


def _bar(label: str, parts: Mapping[str, float], colours: Mapping[str, str], scale: float, y: int) -> str:
    x, drawn = float(LEFT), f'<text x="0" y="{y + BAR - 5}">{escape(label)}</text>'
    for name, value in parts.items():
        width = value * scale
        drawn += f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colours[name]}"/>'
        x += width
    return f'{drawn}<text x="{x + 6:.1f}" y="{y + BAR - 5}">{sum(parts.values()):.2f}</text>'
