"""The manifests in deploy/: valid, closed, and with settings that our commands take."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.kustomizations import Resource, containers, pod_template, rendered, with_values
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.deployment import UploadSettings
from torchserve_gateway.settings.local_stack import StackSettings
from torchserve_gateway.settings.project import ProjectSettings

KUBERNETES = "1.30"
K8S = PROJECT_ROOT / "deploy" / "k8s"
FOLDERS = ("overlays/cpu", "overlays/gpu", "upload_model", "rollback")
WORKLOADS = (
    "Deployment gateway",
    "Deployment haproxy",
    "StatefulSet torchserve",
    "Job upload-model",
    "Job rollback",
)
APPLICATION = "app.kubernetes.io/name"
# Who may speak to whom, by port. The deployer also goes out to where archives are.
WAYS = {
    ("gateway", "haproxy"): {8080},
    ("gateway", "torchserve"): {8080, 8081},
    ("haproxy", "torchserve"): {8080, 8081},
    ("deployer", "torchserve"): {8080, 8081},
}


def resources(*folders: str) -> list[Resource]:
    return [resource for folder in folders for resource in rendered(K8S / folder)]


def name_of(resource: Resource) -> str:
    return f"{resource['kind']} {resource['metadata']['name']}"


def of_kind(kind: str) -> dict[str, Resource]:
    return {each["metadata"]["name"]: each for each in resources("overlays/cpu") if each["kind"] == kind}


def workloads() -> list[Resource]:
    return [each for each in resources(*FOLDERS) if pod_template(each)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_resource_is_what_kubernetes_takes(folder: str) -> None:
    for resource in resources(folder):
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)


def test_a_mistake_would_be_found() -> None:
    [gateway] = [each for each in resources("overlays/cpu") if name_of(each) == "Deployment gateway"]
    gateway["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(gateway, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", WORKLOADS)
def test_no_pod_has_more_rights_than_it_needs(name: str) -> None:
    for workload in workloads():
        if name_of(workload) == name:
            has_no_more_rights_than_it_needs(workload)


def test_every_workload_is_known() -> None:
    assert {name_of(each) for each in workloads()} == set(WORKLOADS)


def has_no_more_rights_than_it_needs(workload: Resource) -> None:
    template = pod_template(workload)
    assert template
    pod = template["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(workload):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("name", ["gateway", "haproxy", "torchserve"])
def test_what_serves_is_probed_kept_and_found(name: str) -> None:
    workload = (of_kind("Deployment") | of_kind("StatefulSet"))[name]
    [container] = containers(workload)
    assert {"readinessProbe", "livenessProbe"} <= container.keys()
    labels = workload["spec"]["template"]["metadata"]["labels"]
    selectors = [
        workload["spec"]["selector"]["matchLabels"],
        of_kind("Service")[name]["spec"]["selector"],
        of_kind("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    for port in of_kind("Service")[name]["spec"]["ports"]:
        target = port.get("targetPort", port["port"])
        assert target in (*named, *named.values())


def ways() -> Iterator[tuple[str, str, set[int]]]:
    """From, to and ports that both sides' policies allow."""
    policies = of_kind("NetworkPolicy")
    for name in ("gateway", "haproxy", "deployer"):
        for rule in policies[name]["spec"]["egress"]:
            for peer in rule.get("to", []):
                target = peer["podSelector"]["matchLabels"][APPLICATION]
                out = {port["port"] for port in rule["ports"]}
                let_in = {
                    port["port"]
                    for each in policies[target]["spec"]["ingress"]
                    if any(_selects(source, name) for source in each.get("from", []))
                    for port in each["ports"]
                }
                yield name, target, out & let_in


def _selects(peer: dict[str, Any], name: str) -> bool:
    selector = peer.get("podSelector", {})
    expressions = selector.get("matchExpressions", [])
    values = [
        selector.get("matchLabels", {}).get(APPLICATION),
        *(v for each in expressions for v in each["values"]),
    ]
    return name in values


def test_nobody_reaches_anybody_but_for_what_is_allowed() -> None:
    nothing = of_kind("NetworkPolicy")["nothing-by-default"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    found: dict[tuple[str, str], set[int]] = {}
    for source, target, ports in ways():
        found[source, target] = found.get((source, target), set()) | ports
    assert found == WAYS


def test_torchserve_has_no_way_out_and_only_the_gateway_lets_everybody_in() -> None:
    policies = of_kind("NetworkPolicy")
    assert "egress" not in policies["torchserve"]["spec"]
    open_ports = {
        name: [rule["ports"] for rule in policy["spec"].get("ingress", []) if not rule.get("from")]
        for name, policy in policies.items()
    }
    assert {name: ports for name, ports in open_ports.items() if ports} == {"gateway": [[{"port": 5003}]]}


def test_the_labels_that_policies_select_are_those_of_pods() -> None:
    labels = {each["spec"]["template"]["metadata"]["labels"][APPLICATION] for each in workloads()}
    assert labels == {"gateway", "haproxy", "torchserve", "deployer"}


def test_every_argument_is_a_setting_that_the_command_takes() -> None:
    known = resources(*FOLDERS)
    by_name = {name_of(each): with_values(each, known) for each in known if pod_template(each)}
    gateway = load("gateway", ProjectSettings, by_name["Deployment gateway"][1:])
    assert gateway.gateway.auth.enabled
    assert gateway.torchserve.inference_url == "http://haproxy:8080"
    assert gateway.torchserve.management_urls == ["http://torchserve:8081"]
    grace_s = gateway.gateway.shutdown_delay_s + gateway.gateway.shutdown_grace_s
    pod = of_kind("Deployment")["gateway"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > grace_s
    load("stack", StackSettings, by_name["StatefulSet torchserve"])
    upload = load("upload", UploadSettings, by_name["Job upload-model"][1:])
    assert upload.archive_source.url == "https://archives.example.com/genre-1.0.mar"
    assert re.fullmatch(upload.torchserve.allowed_urls[0], upload.archive_source.url)
    assert by_name["Job rollback"][:3] == ["-m", "torchserve_gateway", "rollback"]


def test_the_overlay_of_the_page_serves_several_models(tmp_path: Path) -> None:
    page = (PROJECT_ROOT / "docs" / "kubernetes.md").read_text()
    [overlay] = re.findall(r"^```yaml\n(apiVersion: kustomize.*?)^```$", page, re.DOTALL | re.MULTILINE)
    base = os.path.relpath((K8S / "overlays" / "cpu").resolve(), tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(overlay.replace("../cpu", base))
    made = rendered(tmp_path)
    by_name = {name_of(each): with_values(each, made) for each in made if pod_template(each)}
    gateway = load("gateway", ProjectSettings, by_name["Deployment gateway"][1:])
    assert list(gateway.models) == ["genre", "imagenet", "digits"]
    assert "model=genre" in by_name["StatefulSet torchserve"]


def test_the_images_are_those_that_make_builds() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    for workload in workloads():
        for container in containers(workload):
            name, tag = container["image"].removeprefix("localhost/torchserve-gateway/").split(":")
            assert re.search(rf"-t \$\(IMAGES\)/{name}:({tag}|\$\(CUDA_VERSION\))", makefile)


def test_the_gpu_overlay_asks_for_a_gpu_and_the_cpu_overlay_does_not() -> None:
    limits = {
        folder: containers(each)[0]["resources"]["limits"].get("nvidia.com/gpu")
        for folder in ("overlays/cpu", "overlays/gpu")
        for each in resources(folder)
        if name_of(each) == "StatefulSet torchserve"
    }
    assert limits == {"overlays/cpu": None, "overlays/gpu": "1"}


@pytest.mark.slow
def test_kserve_knows_its_service_and_no_key_that_it_lacks() -> None:
    manifest = (PROJECT_ROOT / "deploy" / "kserve" / "inference-service.yaml").read_text()
    assert "storageUri" in manifest
    python = PROJECT_ROOT / ".venv-kserve/bin/python"
    if not python.exists() and not os.environ.get("CI"):
        pytest.skip("KServe's client is not installed: make .venv-kserve/.installed")
    checked = subprocess.run(
        [python, PROJECT_ROOT / "tests" / "kserve_manifest.py"],
        input=f"{manifest}\n---\n{manifest.replace('storageUri', 'storageUrl')}",
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout.splitlines() == ["known", "unknown: storageUrl"], checked.stderr
