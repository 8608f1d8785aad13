"""A search as one HTML file with its chart, without anything from elsewhere."""

from collections.abc import Sequence
from html import escape

from torchserve_gateway.load_test.report_page import STYLE
from torchserve_gateway.tuning.chart import Chart, svg
from torchserve_gateway.tuning.result import COLUMNS, Result


def page(result: Result, chart: Chart) -> str:
    """The whole page."""
    title = escape(f"Tuning of {result.model}: p99 within {result.limit_ms:g} ms")
    said = "".join(
        f"<p>{escape(each)}</p>" for each in (result.ended, result.machine, result.warning) if each
    )
    head = "".join(f"<th>{escape(each)}</th>" for each in COLUMNS)
    rows = "".join(f"<tr>{_cells(row)}</tr>" for row in result.rows())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>{svg(chart)}{said}"
        f"<table><tr>{head}</tr>{rows}</table></body></html>\n"
    )


def _cells(row: Sequence[str]) -> str:
    return "".join(f"<td>{escape(each)}</td>" for each in row)
