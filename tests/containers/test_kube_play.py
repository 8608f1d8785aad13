"""The Kubernetes of docs/walkthrough.md, played by podman: closed pods, which are deployed to and predict."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from tests.kubernetes_in_podman import ARCHIVES, Cluster
from tests.printed_output import Shown, assert_printed
from tests.processes import until
from tests.running_containers import Containers
from tests.walkthrough import ON_KUBERNETES, Reader, lines

OVERLAY = "deploy/k8s/overlays/posters"
JOB = f"kubectl apply -k {OVERLAY}/upload_model"


@dataclass(frozen=True)
class Pods:
    """Pods of the walkthrough."""

    reader: Reader
    cluster: Cluster

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.reader.gateway_port}/predictions/posters"

    def predict(self, image: Path) -> httpx.Response:
        key = (self.reader.checkout / "mobile.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.put(self.url, content=image.read_bytes(), headers=headers, timeout=60)

    def types(self, line: Shown) -> None:
        """Runs a line; those of kubectl as what stands for them here."""
        command = re.sub(r"https://archives(\.|\[\.\])example\1com", f"http://{ARCHIVES}:5002", line.command)
        here = Shown(command, line.output)
        if not here.command.startswith("kubectl "):
            self.reader.types(here)
            return
        printed = self.cluster.run(self.reader.on_own_ports(here.command))
        if here.output:
            assert_printed(printed, here.output)


@pytest.fixture(scope="module")
def applied(reader: Reader) -> Iterator[Pods]:
    """The page's pods, and a server of archives; nothing is deployed."""
    if not shutil.which("podman"):
        pytest.skip("podman alone plays Kubernetes' files")
    by_podman = replace(reader, environment={"CONTAINER_ENGINE": "podman"})
    by_podman.types(Shown("make generate_mar MODEL=posters VERSION=2.0", ""))
    by_podman.types(Shown("make build_ts_cpu build_gateway build_haproxy", ""))
    pods = Pods(by_podman, Cluster(Containers("podman", 0, 0), reader.checkout, reader.gateway_port))
    try:
        for line in lines(ON_KUBERNETES):
            if line.command.strip() == JOB:
                break
            pods.types(line)
        pods.cluster.serve_archives(reader.checkout / "model_mars")
        until(lambda: pods.cluster.status("/health/live") == 200)
        yield pods
    finally:
        pods.cluster.delete()


@pytest.fixture(scope="module")
def pods(applied: Pods) -> Pods:
    """The same when the page's last line has been typed."""
    rest = lines(ON_KUBERNETES)
    first = [line.command.strip() for line in rest].index(JOB)
    for line in rest[first:]:
        applied.types(line)
    return applied


def test_before_a_model_is_deployed_the_gateway_is_alive_and_not_ready(applied: Pods) -> None:
    assert (applied.cluster.status("/health/live"), applied.cluster.status("/health/ready")) == (200, 503)


def test_the_job_deploys_and_the_pods_predict(pods: Pods, images: list[Path]) -> None:
    for image in images:
        answer = pods.predict(image)
        assert next(iter(answer.json())) == image.stem.removesuffix("-2").replace("-", " ").title()


def test_who_has_no_key_is_refused(pods: Pods, images: list[Path]) -> None:
    assert httpx.put(pods.url, content=images[0].read_bytes()).status_code == 401


def test_where_there_is_nothing_to_go_back_to_the_rollback_job_says_so(pods: Pods) -> None:
    overlay = pods.reader.checkout / OVERLAY
    text = (overlay / "upload_model" / "kustomization.yaml").read_text()
    (overlay / "rollback").mkdir()
    (overlay / "rollback" / "kustomization.yaml").write_text(text.replace("/upload_model", "/rollback"))
    pods.cluster.run(f"kubectl apply -k {OVERLAY}/rollback")
    assert pods.cluster.exit_code("rollback") == 1
    assert "posters" in pods.cluster.logs("rollback")
    assert pods.cluster.status("/health/ready") == 200


@pytest.mark.parametrize("name", ["torchserve", "haproxy", "gateway"])
def test_a_pod_runs_as_it_says(pods: Pods, name: str) -> None:
    container = f"{name}-{name}"
    described = pods.cluster.podman.inspect(container)
    assert described["HostConfig"]["ReadonlyRootfs"]
    assert not described["EffectiveCaps"]
    assert pods.cluster.podman("exec", container, "id", "-u").strip() == "10001"
