"""The pods of deploy/k8s, played by podman: they come up closed as they are, are deployed to, and predict.

podman knows pods, volumes and ConfigMaps. What makes pods in a cluster is made one pod here, a secret is a
volume with its file, and services are the pods' names. The rest is read by tests/unit/test_kubernetes.py.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.free_ports import free_ports
from tests.kustomizations import Resource, pod_template, rendered, with_values
from tests.processes import until
from tests.running_containers import Containers
from torchserve_gateway.gateway.access.api_keys import Caller, new_key, sha256, write_callers
from torchserve_gateway.settings.composition import PROJECT_ROOT

K8S = PROJECT_ROOT / "deploy" / "k8s"
NETWORK = "torchserve-gateway-kube-test"
ARCHIVES = "torchserve-gateway-kube-archives"
PODS = ("torchserve", "haproxy", "gateway", "upload-model", "rollback")
VOLUMES = ("model-store", "deployments", "gateway-keys", *(f"{pod}-tmp" for pod in PODS))
# As deploy/k8s has it.
USER = 10001
IMAGE = "localhost/torchserve-gateway/gateway:latest"


@dataclass(frozen=True)
class Pods:
    """What runs. key: one that may predict."""

    podman: Containers
    directory: Path
    gateway_url: str
    key: str

    def play(self, *documents: Resource) -> Path:
        """Starts them; returns the file, to take them down with."""
        file = self.directory / f"{documents[-1]['metadata']['name']}.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        self.podman("kube", "play", "--network", NETWORK, str(file))
        return file

    def predict(self, image: Path) -> httpx.Response:
        url, headers = f"{self.gateway_url}/predictions/genre", {"Authorization": f"Bearer {self.key}"}
        return httpx.put(url, content=image.read_bytes(), headers=headers, timeout=60)

    def status(self, path: str) -> int:
        try:
            return httpx.get(f"{self.gateway_url}{path}").status_code
        except httpx.TransportError:
            return 0


def pod_of(workload: Resource, **environment: str) -> Resource:
    """One pod of a workload. environment: values that only a cluster has, or others than there."""
    template = pod_template(workload)
    assert template
    spec: dict[str, Any] = template["spec"]
    [container] = spec["containers"]
    variables = {each["name"]: each for each in container.get("env", [])}
    variables |= {name: {"name": name, "value": value} for name, value in environment.items()}
    container["env"] = [each for each in variables.values() if "value" in each]
    # podman would publish them on the machine.
    container["ports"] = []
    name = workload["metadata"]["name"]
    spec["volumes"] = [without_secrets(volume, name) for volume in spec["volumes"]]
    metadata = {"name": name, "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def workloads(folder: str) -> dict[str, Resource]:
    return {each["metadata"]["name"]: each for each in rendered(K8S / folder) if pod_template(each)}


def without_secrets(volume: dict[str, Any], pod: str) -> dict[str, Any]:
    """podman 4 does not decode secrets and shares empty directories: both become volumes."""
    if "secret" in volume:
        return {
            "name": volume["name"],
            "persistentVolumeClaim": {"claimName": volume["secret"]["secretName"]},
        }
    if "emptyDir" in volume:
        return {"name": volume["name"], "persistentVolumeClaim": {"claimName": f"{pod}-{volume['name']}"}}
    return volume


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    """TorchServe, HAProxy and gateway of the CPU overlay, and a server of archives; nothing is deployed."""
    if not shutil.which("podman"):
        pytest.skip("podman alone plays Kubernetes' files")
    podman, directory, key = Containers("podman", 0, 0), tmp_path_factory.mktemp("kube"), new_key()
    for target in ("generate_mar", "build_ts_cpu", "build_gateway", "build_haproxy"):
        podman.make(target)
    [port] = free_ports(1)
    pods, files = Pods(podman, directory, f"http://127.0.0.1:{port}", key), []
    made, directories = workloads("overlays/cpu"), dict[str, Path]()
    gateway = pod_of(made["gateway"])
    published = {"containerPort": 5003, "hostIP": "127.0.0.1", "hostPort": port}
    gateway["spec"]["containers"][0]["ports"] = [published]
    try:
        podman("network", "create", NETWORK)
        for volume in VOLUMES:
            podman("volume", "create", volume)
            directories[volume] = Path(
                podman("volume", "inspect", "--format", "{{.Mountpoint}}", volume).strip()
            )
            os.chown(directories[volume], USER, USER)
        keys_file = directories["gateway-keys"] / "api_keys.json"
        write_callers(keys_file, {"test": Caller(rights=frozenset({"predict"}), sha256=(sha256(key),))})
        os.chown(keys_file, USER, USER)
        files.append(pods.play(pod_of(made["torchserve"])))
        files.append(pods.play(pod_of(made["haproxy"], TORCHSERVE_NAME="torchserve")))
        files.append(pods.play(gateway))
        mounted = f"{PROJECT_ROOT}/model_mars:/archives:ro"
        serving = ("-m", "http.server", "5002", "--directory", "/archives")
        podman("run", "-d", "--name", ARCHIVES, "--network", NETWORK, "--volume", mounted, IMAGE, *serving)
        until(lambda: pods.status("/health/live") == 200)
        yield pods
    finally:
        for file in reversed(files):
            podman.succeeds("kube", "down", str(file))
        podman.succeeds("rm", "--force", ARCHIVES)
        podman.succeeds("volume", "rm", "--force", *VOLUMES)
        podman.succeeds("network", "rm", "--force", NETWORK)


def deployed(pods: Pods, folder: str) -> tuple[int, str]:
    """Exit code and log of a job, which gets the archive from the server here."""
    [(name, job)] = workloads(folder).items()
    [settings] = [each for each in rendered(K8S / folder) if each["kind"] == "ConfigMap"]
    digest = (PROJECT_ROOT / "model_mars" / "genre-1.0.mar.sha256").read_text().split()[0]
    url = f"http://{ARCHIVES}:5002/genre-1.0.mar"
    settings["data"] |= {"WORKERS": "1", "URL": url, "SHA256": digest, "ALLOWED_URL": url}
    pod = pod_of(job)
    # podman does not look into ConfigMaps for what arguments name.
    pod["spec"]["containers"][0]["args"] = with_values(job, settings)
    file = pods.play(settings, pod)
    container = f"{name}-{pod['spec']['containers'][0]['name']}"
    code = int(pods.podman("wait", container))
    log = pods.podman.logs(container)
    pods.podman.succeeds("kube", "down", str(file))
    return code, log


def test_before_a_model_is_deployed_the_gateway_is_alive_and_not_ready(pods: Pods) -> None:
    assert (pods.status("/health/live"), pods.status("/health/ready")) == (200, 503)


def test_the_job_deploys_and_the_pods_predict(pods: Pods, images: list[Path]) -> None:
    code, log = deployed(pods, "upload_model")
    assert code == 0, log
    until(lambda: pods.status("/health/ready") == 200)
    until(lambda: pods.predict(images[0]).status_code == 200)
    for image in images:
        answer = pods.predict(image)
        assert next(iter(answer.json())) == image.stem.removesuffix("-2").replace("-", " ").title()


def test_who_has_no_key_is_refused(pods: Pods, images: list[Path]) -> None:
    url = f"{pods.gateway_url}/predictions/genre"
    assert httpx.put(url, content=images[0].read_bytes()).status_code == 401


def test_where_there_is_nothing_to_go_back_to_the_rollback_job_says_so(pods: Pods) -> None:
    code, log = deployed(pods, "rollback")
    assert code == 1, log
    assert pods.status("/health/ready") == 200


@pytest.mark.parametrize("name", ["torchserve", "haproxy", "gateway"])
def test_a_pod_runs_as_it_says(pods: Pods, name: str) -> None:
    container = f"{name}-{name}"
    described = pods.podman.inspect(container)
    assert described["HostConfig"]["ReadonlyRootfs"]
    assert not described["EffectiveCaps"]
    assert pods.podman("exec", container, "id", "-u").strip() == "10001"
