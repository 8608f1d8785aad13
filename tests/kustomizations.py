"""What `kubectl kustomize` makes of the folders in deploy/k8s, as far as they use it.

Resources, a namespace, images, JSON patches and ConfigMaps from literals; anything else is refused.
"""

import copy
import re
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

Resource = dict[str, Any]
KNOWN = {"apiVersion", "kind", "namespace", "resources", "images", "patches", "configMapGenerator"}


def rendered(folder: Path) -> list[Resource]:
    """Every resource, those of other folders first."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert kustomization.keys() <= KNOWN, kustomization.keys() - KNOWN
    found: list[Resource] = []
    for name in kustomization["resources"]:
        path = folder / name
        found += rendered(path) if path.is_dir() else _documents(path)
    found += [_config_map(each) for each in kustomization.get("configMapGenerator", [])]
    for patch in kustomization.get("patches", []):
        found = _patched(found, patch)
    images = {each["name"]: f"{each['newName']}:{each['newTag']}" for each in kustomization.get("images", [])}
    for resource in found:
        if "namespace" in kustomization:
            resource["metadata"]["namespace"] = kustomization["namespace"]
        for container in containers(resource):
            name = container["image"].rpartition(":")[0]
            container["image"] = images.get(name, container["image"])
    return found


def pod_template(resource: Resource) -> Resource | None:
    """Of what makes pods."""
    template = resource.get("spec", {}).get("template")
    return template if isinstance(template, dict) and "spec" in template else None


def containers(resource: Resource) -> list[dict[str, Any]]:
    """Of the pods it makes, if it does."""
    template = pod_template(resource)
    return list(template["spec"]["containers"]) if template else []


def with_values(workload: Resource, config_map: Resource) -> list[str]:
    """The arguments of its container, with the values that a ConfigMap has for their variables."""
    [container] = containers(workload)
    return [
        re.sub(r"\$\((\w+)\)", lambda name: config_map["data"][name[1]], each) for each in container["args"]
    ]


def _documents(file: Path) -> list[Resource]:
    # Anchors of YAML are the same object in each place.
    return [copy.deepcopy(document) for document in yaml.safe_load_all(file.read_text())]


def _config_map(generator: dict[str, Any]) -> Resource:
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}


def _patched(resources: list[Resource], patch: dict[str, Any]) -> list[Resource]:
    target = patch["target"]
    matches = [
        (each["kind"], each["metadata"]["name"]) == (target["kind"], target["name"]) for each in resources
    ]
    assert matches.count(True) == 1, target
    operations = jsonpatch.JsonPatch(yaml.safe_load(patch["patch"]))
    return [operations.apply(each) if match else each for each, match in zip(resources, matches, strict=True)]
