"""Decides on every key of a config.properties: kept, overridden or refused, and why."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from torchserve_gateway.migration import known_keys as known
from torchserve_gateway.migration.addresses import address, with_management_apart
from torchserve_gateway.migration.decision import Decision, kept
from torchserve_gateway.migration.environment import Value

ENVELOPES_OF_KSERVE = ("kserve", "kservev2")
JAVA_OPTIONS = "JAVA_TOOL_OPTIONS"


def decisions(values: Mapping[str, Value], folder: Path) -> list[Decision]:
    """A decision for each key, in the order of the file.

    folder: the one that relative paths count from, where `torchserve` is started.
    """
    decided = [_with_variable(_decided(key, value, folder), value) for key, value in values.items()]
    return with_management_apart(decided)


def _with_variable(decided: Decision, value: Value) -> Decision:
    if value.variable is None:
        return decided
    return replace(decided, reason="; ".join(filter(None, [f"from {value.variable}", decided.reason])))


def settings_of(decided: list[Decision]) -> dict[str, object]:
    """The content of `config/torchserve/<name>.yaml`, without its defaults list."""
    content: dict[str, object] = {}
    for each in decided:
        if each.entry:
            (*groups, key), value = each.entry
            node = content
            for group in groups:
                node = node.setdefault(group, {})  # type: ignore[assignment]
            node[key] = value
    # Groups last, as in config/torchserve/local.yaml.
    return dict(sorted(content.items(), key=lambda item: isinstance(item[1], dict)))


def _decided(key: str, value: Value, folder: Path) -> Decision:
    if key in known.NUMBERS and not re.fullmatch(r"-?[0-9]+", value.text.strip()):
        return Decision(key, value.written, "refused", reason="TorchServe wants a number here")
    if key in _RULES:
        return _RULES[key](key, value, folder)
    if key in known.KEPT:
        # Limits are numbers for us, too.
        text = value.text if key in known.NUMBERS else value.written
        return kept(key, value.written, ("properties", key), _scalar(text), known.KEPT[key])
    if key in known.OVERRIDDEN:
        return Decision(key, value.written, "overridden", reason=known.OVERRIDDEN[key])
    reason = known.REFUSED.get(key) or _unknown(key)
    return Decision(key, value.written, "refused", reason=reason)


def _unknown(key: str) -> str:
    close = difflib.get_close_matches(key, sorted(known.ALL), 1)
    return f"TorchServe 0.12.0 has no such key{f'; did you mean {close[0]}?' if close else ''}"


def _scalar(text: str) -> object:
    lower = text.strip().lower()
    if lower in ("true", "false"):
        return lower == "true"
    # 0 stays text, which no reader takes for a boolean.
    return int(lower) if re.fullmatch("[1-9][0-9]*", lower) else text


def _absolute(text: str, folder: Path) -> Path:
    return folder / Path(text).expanduser()


def _port(key: str, value: Value, _: Path) -> Decision:
    return kept(key, value.written, (key,), int(value.text))


def _path(key: str, value: Value, folder: Path) -> Decision:
    path = str(_absolute(value.text, folder))
    return kept(key, value.written, ("properties", key), path, known.KEPT_PATHS[key])


def _model_store(key: str, value: Value, folder: Path) -> Decision:
    return kept(key, value.written, ("model_store",), str(_absolute(value.text, folder)))


def _allowed_urls(key: str, value: Value, _: Path) -> Decision:
    patterns = [each for each in value.text.split(",") if each]
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as exc:
            return Decision(
                key, value.written, "refused", reason=f"{pattern} is no regular expression: {exc}"
            )
    remark = "any URL: name the places of your archives" if _is_any(patterns) else ""
    return kept(key, value.written, ("allowed_urls",), patterns, remark)


def _is_any(patterns: list[str]) -> bool:
    return any(re.fullmatch(each, "https://an.example/unknown/model.mar") for each in patterns)


def _tokens(key: str, value: Value, _: Path) -> Decision:
    required = value.text.strip().lower() != "true"
    return kept(key, value.written, ("token_authorization",), required)


def _jvm(key: str, value: Value, _: Path) -> Decision:
    return kept(key, value.written, ("environment", JAVA_OPTIONS), value.text, "read by Java itself")


def _envelope(key: str, value: Value, _: Path) -> Decision:
    if value.text.strip() in ENVELOPES_OF_KSERVE:
        reason = (
            "the gateway speaks KServe's protocols itself; this envelope fails batches of several requests"
        )
        return Decision(key, value.written, "refused", reason=reason)
    return kept(key, value.written, ("properties", key), value.written)


_RULES: dict[str, Callable[[str, Value, Path], Decision]] = {
    **dict.fromkeys(known.ADDRESSES, lambda key, value, _: address(key, value.text.strip())),
    **dict.fromkeys(known.PORTS, _port),
    **dict.fromkeys(known.KEPT_PATHS, _path),
    "model_store": _model_store,
    "allowed_urls": _allowed_urls,
    "disable_token_authorization": _tokens,
    "vmargs": _jvm,
    "service_envelope": _envelope,
}


def rows(decided: list[Decision]) -> Iterator[dict[str, str]]:
    """The decisions as JSON; secrets are not shown."""
    for each in decided:
        value = "***" if each.key == "keystore_pass" else each.value
        yield {
            "key": each.key,
            "value": value,
            "verdict": each.verdict,
            "setting": each.setting,
            "reason": each.reason,
        }
