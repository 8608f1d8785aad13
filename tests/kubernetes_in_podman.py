"""Lines of kubectl, run as what they stand for where there is podman and no cluster.

podman knows pods, volumes and ConfigMaps. What makes pods in a cluster is made one pod here, a secret is a
volume with its file, and services are the pods' names. tests/unit/test_kubernetes.py reads the rest.
"""

import base64
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.conftest import require_program
from tests.kustomizations import Resource, environment_of, pod_template, rendered, with_values
from tests.processes import until
from tests.running_containers import Containers

ARCHIVES = "torchserve-gateway-kube-archives"
PODS = ("torchserve", "haproxy", "gateway", "upload-model", "rollback")
# As deploy/k8s has it.
USER = 10001
IMAGE = "localhost/torchserve-gateway/gateway:latest"


@dataclass
class Cluster:
    """A namespace in podman."""

    podman: Containers
    directory: Path
    """The folder in which kubectl is called."""
    gateway_port: str
    """Port of this machine for the gateway's."""
    namespace: str = ""
    volumes: list[str] = field(default_factory=list)
    played: list[Path] = field(default_factory=list)

    def run(self, line: str) -> str:
        """What a line of kubectl prints, as far as podman says it."""
        by_line: dict[str, Callable[..., str]] = {
            r"create namespace (\S+)": self._create_namespace,
            r"-n \S+ (create secret generic (\S+) --from-file=\S+)": self._create_secret,
            r"apply -k (\S+)": self._apply,
            r"-n \S+ wait --for=condition=complete --timeout=\d+s job/(\S+)": self._wait,
            r"-n \S+ rollout status statefulset/torchserve --timeout=\d+s": self._wait_for_torchserve,
            r"-n \S+ wait --for=condition=available --timeout=\d+s deployment/gateway": self._until_ready,
            r"-n \S+ logs job/(\S+)": self.logs,
            rf"-n \S+ port-forward service/gateway {self.gateway_port}:80 &": lambda: "",
        }
        for pattern, called in by_line.items():
            found = re.fullmatch(f"kubectl {pattern}", line.strip())
            if found:
                return called(*found.groups())
        raise AssertionError(f"{line}: nothing stands for this line")

    def delete(self) -> None:
        """Stops and forgets everything."""
        for file in reversed(self.played):
            self.podman.succeeds("kube", "down", str(file))
        self.podman.succeeds("rm", "--force", ARCHIVES)
        self.podman.succeeds("volume", "rm", "--force", *self.volumes)
        self.podman.succeeds("network", "rm", "--force", self.namespace)

    def serve_archives(self, folder: Path) -> None:
        """Starts a server of archives that the pods reach."""
        mounted = f"{folder}:/archives:ro"
        serving = ("-m", "http.server", "5002", "--directory", "/archives")
        self.podman(
            *("run", "-d", "--name", ARCHIVES, "--network", self.namespace),
            *("--volume", mounted, IMAGE, *serving),
        )

    def status(self, path: str) -> int:
        """Of the gateway; 0 while it cannot be reached."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.gateway_port}{path}").status_code
        except httpx.TransportError:
            return 0

    def logs(self, job: str) -> str:
        return self.podman.logs(f"{job}-upload-model")

    def exit_code(self, job: str) -> int:
        """Of a job, when it has ended."""
        return int(self.podman("wait", f"{job}-upload-model"))

    def _create_namespace(self, name: str) -> str:
        self.namespace = f"{name}-kube-test"
        self.podman("network", "create", self.namespace)
        for volume in ("model-store", "deployments", *(f"{pod}-tmp" for pod in PODS)):
            self._create_volume(volume)
        return ""

    def _create_volume(self, name: str) -> Path:
        self.podman("volume", "create", name)
        self.volumes.append(name)
        directory = Path(self.podman("volume", "inspect", "--format", "{{.Mountpoint}}", name).strip())
        os.chown(directory, USER, USER)
        return directory

    def _create_secret(self, command: str, name: str) -> str:
        kubectl = [require_program("kubectl"), *command.split(), "--dry-run=client", "-o", "yaml"]
        printed = subprocess.run(kubectl, cwd=self.directory, stdout=subprocess.PIPE, check=True).stdout
        volume = self._create_volume(name)
        for file, content in yaml.safe_load(printed)["data"].items():
            (volume / file).write_bytes(base64.b64decode(content))
            os.chown(volume / file, USER, USER)
        return ""

    def _apply(self, folder: str) -> str:
        resources = rendered(self.directory / folder)
        makers = {each["metadata"]["name"]: each for each in resources if pod_template(each)}
        for name in sorted(makers, key=PODS.index):
            pod = pod_of(makers[name], resources, self.gateway_port)
            file = self.directory / f"{name}.played.yaml"
            file.write_text(yaml.safe_dump(pod))
            self.podman("kube", "play", "--network", self.namespace, str(file))
            self.played.append(file)
        return ""

    def _wait(self, job: str) -> str:
        assert self.exit_code(job) == 0, self.logs(job)
        return ""

    def _wait_for_torchserve(self) -> str:
        asked = ("exec", "torchserve-torchserve", "python", "docker/answers.py", "http://127.0.0.1:8080/ping")
        until(lambda: self.podman.succeeds(*asked))
        return ""

    def _until_ready(self) -> str:
        until(lambda: self.status("/health/ready") == 200)
        return ""


def pod_of(workload: Resource, resources: list[Resource], gateway_port: str) -> Resource:
    """One pod of a workload, with what podman does not find out itself."""
    template = pod_template(workload)
    assert template
    spec: dict[str, Any] = template["spec"]
    name = workload["metadata"]["name"]
    [container] = spec["containers"]
    # podman does not look into ConfigMaps for what arguments name.
    container["args"] = with_values(workload, resources)
    variables = {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}
    # The pod's name is its address here.
    if "TORCHSERVE_NAME" in variables:
        variables["TORCHSERVE_NAME"] = "torchserve"
    variables |= environment_of(workload, resources)
    container["env"] = [{"name": variable, "value": value} for variable, value in variables.items()]
    container.pop("envFrom", None)
    # podman would publish them on the machine.
    container["ports"] = []
    if name == "gateway":
        container["ports"] = [{"containerPort": 5003, "hostIP": "127.0.0.1", "hostPort": int(gateway_port)}]
    spec["volumes"] = [without_secrets(volume, name) for volume in spec["volumes"]]
    metadata = {"name": name, "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def without_secrets(volume: dict[str, Any], pod: str) -> dict[str, Any]:
    """podman 4 does not decode secrets and shares empty directories: both become volumes."""
    if "secret" in volume:
        claim = volume["secret"]["secretName"]
    elif "emptyDir" in volume:
        claim = f"{pod}-{volume['name']}"
    else:
        return volume
    return {"name": volume["name"], "persistentVolumeClaim": {"claimName": claim}}
