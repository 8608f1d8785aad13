"""The manifests of deploy/k8s as `kubectl kustomize` renders them."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import require_program

Resource = dict[str, Any]


def rendered(folder: Path) -> list[Resource]:
    """Every resource of a folder with a kustomization.yaml."""
    return list(yaml.safe_load_all(_text(folder)))


def pod_template(resource: Resource) -> Resource | None:
    """The template of a workload's pods; None for a resource that makes no pods."""
    template = resource.get("spec", {}).get("template")
    return template if isinstance(template, dict) and "spec" in template else None


def containers(resource: Resource) -> list[dict[str, Any]]:
    """The containers of a workload's pods."""
    template = pod_template(resource)
    return list(template["spec"]["containers"]) if template else []


def environment_of(workload: Resource, resources: list[Resource]) -> dict[str, str]:
    """The variables that its container gets from ConfigMaps among the resources."""
    [container] = containers(workload)
    config_maps = {
        each["metadata"]["name"]: each["data"] for each in resources if each["kind"] == "ConfigMap"
    }
    names = [source["configMapRef"]["name"] for source in container.get("envFrom", [])]
    return {variable: value for name in names for variable, value in config_maps[name].items()}


def with_values(workload: Resource, resources: list[Resource]) -> list[str]:
    """The arguments of its container, with the values of their variables."""
    [container] = containers(workload)
    values = environment_of(workload, resources)
    return [re.sub(r"\$\((\w+)\)", lambda name: values[name[1]], each) for each in container.get("args", [])]


@cache
def _text(folder: Path) -> str:
    command = [require_program("kubectl"), "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
