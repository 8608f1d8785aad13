"""A real Prometheus that scrapes the real stack under load has an answer for every panel and every rule."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import require_program
from tests.free_ports import free_ports
from tests.http_client import HTTP, answers
from tests.processes import Process, until
from tests.running_stack import RunningStack
from tests.steady_load import steady_load
from tools.dashboard.dashboard import FILE, rendered
from tools.dashboard.panels import DEPLOYED
from torchserve_gateway.settings.composition import PROJECT_ROOT

PROMETHEUS = PROJECT_ROOT / "docker" / "monitoring" / "prometheus"
RULES = PROMETHEUS / "rules.yaml"
# What Grafana fills in.
VARIABLES = {"$__rate_interval": "10s", "$model": ".*"}


def dashboard_queries() -> list[str]:
    panels = json.loads(FILE.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def recorded() -> list[str]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["record"] for group in groups for rule in group["rules"] if "record" in rule]


def configuration(stack: RunningStack) -> dict[str, object]:
    settings = stack.settings
    addresses = {"gateway": settings.gateway.url, "torchserve": settings.torchserve.metrics_url}
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://")]}]}
        for job, url in addresses.items()
    ]
    interval = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    return {"global": interval, "rule_files": [str(RULES)], "scrape_configs": jobs}


class Prometheus:
    def __init__(self, url: str, stack: RunningStack, image: bytes) -> None:
        self._url, self._image = url, image
        self._predictions = f"{stack.settings.gateway.url}/predictions/genre"

    @property
    def ready(self) -> bool:
        return answers(f"{self._url}/-/ready")

    def query(self, expression: str) -> list[dict[str, str]]:
        """The labels of all that has a value now."""
        answer = HTTP.get(f"{self._url}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", answer
        return [each["metric"] for each in answer["data"]["result"] if each["value"][1] != "NaN"]

    def has_data(self, expression: str) -> bool:
        # There is an error rate only where requests fail: these end at the gateway or at TorchServe.
        for deadline_s in ("0.002", "0.005"):
            HTTP.put(self._predictions, content=self._image, headers={"X-Request-Timeout": deadline_s})
        return bool(self.query(expression))


@pytest.fixture(scope="module")
def prometheus(
    stack: RunningStack, tmp_path_factory: pytest.TempPathFactory, images: list[Path]
) -> Iterator[Prometheus]:
    """While requests come."""
    program, directory = require_program("prometheus"), tmp_path_factory.mktemp("prometheus")
    [port] = free_ports(1)
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration(stack)))
    process = Process(
        directory / "prometheus.log",
        [
            program,
            f"--config.file={directory}/prometheus.yaml",
            f"--storage.tsdb.path={directory}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
    )
    try:
        prometheus = Prometheus(f"http://127.0.0.1:{port}", stack, images[0].read_bytes())
        until(lambda: prometheus.ready)
        with steady_load(stack.settings.gateway.url):
            yield prometheus
    finally:
        process.terminate()
        process.until_gone()


@pytest.mark.parametrize("expression", [*dashboard_queries(), DEPLOYED, *recorded()])
def test_there_is_data_for_every_panel_and_rule(prometheus: Prometheus, expression: str) -> None:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    until(lambda: prometheus.has_data(expression))


def test_a_deployment_is_a_mark_in_every_panel(prometheus: Prometheus, stack: RunningStack) -> None:
    version = stack.deploy_fresh()
    until(lambda: {"model": "genre", "version": version} in prometheus.query(DEPLOYED))


def test_nothing_that_is_well_raises_an_alert(prometheus: Prometheus) -> None:
    until(lambda: prometheus.query('up{job="torchserve"}'))
    # Some requests were made to fail, and a version was deployed.
    assert prometheus.query('ALERTS{alertname!~"ServerErrors|VersionOnTrialForLong|WorkersMissing"}') == []


def test_the_dashboard_asks_the_data_source_that_grafana_is_given() -> None:
    given = yaml.safe_load((FILE.parents[1] / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert set(re.findall(r'"uid": "([^"]+)"', FILE.read_text())) == {given[0]["uid"], "torchserve-gateway"}


def test_the_dashboard_is_what_its_source_says() -> None:
    assert FILE.read_text() == rendered(), "run make dashboard"


@pytest.mark.parametrize(
    "what", [["check", "rules", str(RULES)], ["test", "rules", str(PROMETHEUS / "rules_test.yaml")]]
)
def test_the_rules_hold(what: list[str]) -> None:
    checked = subprocess.run(
        [require_program("promtool"), *what], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
