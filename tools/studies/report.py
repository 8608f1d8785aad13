"""The result of a study: table, CSV, charts as PNG, and a page without anything from elsewhere."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.studies.charts import Chart, svg, write_png

STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em auto;max-width:800px}"
    "td,th{text-align:right;padding:2px 14px 2px 0}td:first-child,th:first-child{text-align:left}"
    "svg{width:100%}"
)
Row = Mapping[str, str | int | float]


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
        """Writes NAME.csv, NAME.html and each chart as NAME-1.png; raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        table, page = directory / f"{name}.csv", directory / f"{name}.html"
        table.write_text(self.as_csv(), "utf-8")
        page.write_text(self.as_page(), "utf-8")
        pictures = [directory / f"{name}-{number}.png" for number, _ in enumerate(self.charts, 1)]
        for chart, picture in zip(self.charts, pictures, strict=True):
            write_png(chart, picture)
        return [table, page, *pictures]

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
        charts = "".join(map(svg, self.charts))
        facts = "".join(f"<p>{escape(fact)}</p>" for fact in self.facts)
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f"<style>{STYLE}</style></head><body><h1>{title}</h1>{facts}"
            f"<table><tr>{head}</tr>{body}</table>{charts}</body></html>\n"
        )


def _shown(value: str | float) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
