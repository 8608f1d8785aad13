"""Run by .venv-kserve: reads manifests from stdin as KServe's own classes; prints a line for each."""

import re
import sys
from typing import Any

import kserve
import yaml
from kubernetes import client


def read(data: Any, kind: str) -> Any:
    """An object of KServe's or Kubernetes' class of that name; what that class does not know is an error."""
    item = re.fullmatch(r"list\[(\w+)\]", kind)
    if item:
        return [read(each, item[1]) for each in data]
    model = getattr(kserve, kind, None) or getattr(client, kind, None)
    if model is None or not hasattr(model, "openapi_types"):
        return data
    names = {key: name for name, key in model.attribute_map.items()}
    # The classes refuse a required key that is missing.
    return model(**{names[key]: read(value, model.openapi_types[names[key]]) for key, value in data.items()})


for manifest in yaml.safe_load_all(sys.stdin):
    try:
        read(manifest, "V1beta1InferenceService")
    except KeyError as exc:
        print(f"unknown: {exc.args[0]}")
    else:
        print("known")
