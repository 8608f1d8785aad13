"""`make dashboard`: writes the Grafana dashboard from tools/dashboard/panels.py.

Grafana loads the file at start-up and discards changes made in the browser.
"""

from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import common, dashboard, prometheus, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import StackingMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from tools.dashboard.panels import DEPLOYED, ROWS, Panel
from torchserve_gateway.settings.composition import PROJECT_ROOT

FILE = PROJECT_ROOT / "docker" / "monitoring" / "grafana" / "dashboards" / "gateway.json"
# Columns of 24.
WIDTH = 12
HEIGHT = 8
SOURCE = models.DataSourceRef(type_val="prometheus", uid="prometheus")

DrawnT = TypeVar("DrawnT", timeseries.Panel, table.Panel)


def rendered() -> str:
    """The dashboard as Grafana's JSON."""
    board = (
        dashboard.Dashboard("TorchServe gateway")
        .uid("torchserve-gateway")
        .tags(["torchserve", "gateway"])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .refresh("10s")
        .time("now-30m", "now")
        .with_variable(_models())
        .annotation(_deployments())
    )
    for title, panels in ROWS.items():
        board.with_row(dashboard.Row(title))
        for panel in panels:
            board.with_panel(_table(panel) if panel.instant else _lines(panel))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def _models() -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable("model")
        .label("Model")
        .query("label_values(gateway_model_version_info, model)")
        .datasource(SOURCE)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .all_value(".*")
    )


def _deployments() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Deployments")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("purple")
        .expr(DEPLOYED)
    )


def _lines(panel: Panel) -> timeseries.Panel:
    drawn = _framed(timeseries.Panel(), panel).unit(panel.unit).min(0)
    if panel.stacked:
        drawn.fill_opacity(30).stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for ref_id, (legend, expression) in zip(ascii_uppercase, panel.queries.items(), strict=False):
        drawn.with_target(
            prometheus.Dataquery().ref_id(ref_id).expr(expression).legend_format(legend).range()
        )
    return drawn


def _table(panel: Panel) -> table.Panel:
    drawn = _framed(table.Panel(), panel)
    for ref_id, expression in zip(ascii_uppercase, panel.queries.values(), strict=False):
        query = prometheus.Dataquery().ref_id(ref_id)
        drawn.with_target(query.expr(expression).instant().format(PromQueryFormat.TABLE))
    return drawn


def _framed(drawn: DrawnT, panel: Panel) -> DrawnT:
    named = drawn.title(panel.title).description(panel.description).datasource(SOURCE)
    return named.span(WIDTH).height(HEIGHT)


if __name__ == "__main__":
    FILE.write_text(rendered())
