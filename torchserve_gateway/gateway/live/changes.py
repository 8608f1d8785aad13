"""Deploys, rollbacks and trials, told from two revisions of the record."""

from collections.abc import Iterator

from torchserve_gateway.record.record import DeployedModel, Record, Trial

Mark = dict[str, str]
"""`label` for the time axis, `text` for a list."""


def changes(before: Record, now: Record) -> list[Mark]:
    """Deploys, rollbacks and steps of trials between two revisions; empty if they are the same."""
    if before.revision == now.revision:
        return []
    found = (_of_model(name, before.models.get(name), model) for name, model in now.models.items())
    return [{"label": label, "text": text} for each in found for label, text in each]


def _of_model(name: str, before: DeployedModel | None, now: DeployedModel) -> Iterator[tuple[str, str]]:
    version = now.serving.version
    if before is None:
        yield version, f"{name} {version} serves"
        yield from _trial(name, None, now.trial)
        return
    if version != before.serving.version:
        back = version in {each.version for each in before.previous}
        how = "serves again, rolled back from" if back else "serves, replaces"
        yield version, f"{name} {version} {how} {before.serving.version}"
    ended = before.trial and not now.trial and before.trial.version != version
    if before.trial and ended:
        yield "end", f"{before.trial.kind} {name} {before.trial.version} ended"
    yield from _trial(name, before.trial, now.trial)


def _trial(name: str, before: Trial | None, now: Trial | None) -> Iterator[tuple[str, str]]:
    if now and now != before:
        share = f"{now.share * 100:g} %"
        yield share, f"{now.kind} {name} {now.version} at {share}"
