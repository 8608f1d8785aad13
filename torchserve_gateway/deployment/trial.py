"""Trials of a new version beside the serving version: canary and shadow.

The gateways divide the requests by the shares on record and count the outcomes. A trial sets the shares and
judges the counts.
"""

import asyncio
import logging
from time import monotonic

from torchserve_gateway.deployment.errors import TrialFailedError
from torchserve_gateway.deployment.plan import Deployment, Target
from torchserve_gateway.record.record import DeployedModel, Trial
from torchserve_gateway.record.reports import VersionCounts, Window
from torchserve_gateway.settings.deployment import BlueGreen, Canary, Shadow
from torchserve_gateway.terminal.waits import Wait, waiting

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.5


async def passes_trial(deployment: Deployment, target: Target, before: DeployedModel | None) -> bool:
    """Runs the trial of the deploy's strategy, if it has one.

    Args:
        deployment: the plan.
        target: its place.
        before: the model's entry in the record; without it there is no serving version to compare with.

    Returns:
        whether to promote the version; False after a shadow trial with promote=false.

    Raises:
        TrialFailedError: the version failed; its share is still on record.
    """
    strategy = deployment.strategy
    if isinstance(strategy, BlueGreen):
        return True
    if before is None:
        logger.info("no version serves yet, so %s has no trial", deployment.wanted.version)
        return True
    trials = Trials(deployment, target, before)
    if isinstance(strategy, Canary):
        await trials.canary(strategy)
        return True
    await trials.shadow(strategy)
    return strategy.promote


class Trials:
    """Trials of the deployed version beside the serving version."""

    def __init__(self, deployment: Deployment, target: Target, serving: DeployedModel) -> None:
        self._name, self._version = deployment.model, deployment.wanted.version
        self._record = target.record
        self._gateways = target.gateways
        self._serving = serving

    async def canary(self, settings: Canary) -> None:
        """Returns when the version has kept to the bounds at every step.

        Raises:
            TrialFailedError: it has not; its share is still on record.
        """
        for percent in settings.steps:
            await self._share(Trial(kind="canary", version=self._version, share=percent / 100))
            try:
                with waiting(f"the canary at {percent:g} %", limit_s=settings.step_timeout_s) as wait:
                    await self._step(settings, wait)
            except TrialFailedError as exc:
                raise TrialFailedError(
                    f"{self._name} {self._version} was rolled back at {percent:g} %: it {exc}"
                ) from exc

    async def _step(self, settings: Canary, wait: Wait) -> None:
        new = Window(self._gateways, self._name, self._version)
        old = Window(self._gateways, self._name, self._serving.serving.version)
        started = monotonic()
        while True:
            problem = find_problem(new.counts(), old.counts(), settings)
            if problem:
                raise TrialFailedError(problem)
            elapsed_s, seen = monotonic() - started, _ended(new.counts())
            wait.state = f"{seen} of {settings.min_requests} requests, {new.counts().failed} failed"
            if elapsed_s >= settings.step_s and seen >= settings.min_requests:
                break
            if elapsed_s >= settings.step_timeout_s:
                raise TrialFailedError(
                    f"got only {seen} of {settings.min_requests} requests within "
                    f"step_timeout_s = {settings.step_timeout_s:g} s"
                )
            await asyncio.sleep(POLL_INTERVAL_S)
        logger.info("new: %s; old: %s", _figures(new.counts()), _figures(old.counts()))

    async def shadow(self, settings: Shadow) -> None:
        """Returns when the answers to copies agree with the clients' answers within the bounds.

        Raises:
            TrialFailedError: they do not, or there were too few; the trial is still on record.
        """
        await self._share(Trial(kind="shadow", version=self._version, share=settings.share / 100))
        window = Window(self._gateways, self._name, self._version)
        started = monotonic()
        with waiting("the shadow's answers", limit_s=settings.timeout_s) as wait:
            while (seen := _compared(window.counts())) < settings.min_requests:
                wait.state = f"{seen} of {settings.min_requests} copied requests"
                if monotonic() - started >= settings.timeout_s:
                    raise TrialFailedError(
                        f"{self._name} {self._version} is not judged: only {seen} of "
                        f"{settings.min_requests} copied requests were answered within "
                        f"timeout_s = {settings.timeout_s:g} s"
                    )
                await asyncio.sleep(POLL_INTERVAL_S)
        self._judge(window.counts(), seen, settings)

    def _judge(self, counts: VersionCounts, seen: int, settings: Shadow) -> None:
        shadow = counts.shadow
        same, failed = shadow.same_class / max(shadow.compared, 1), shadow.failed / seen
        logger.info(
            "shadow: %d compared, %.1f %% same class, %d within tolerance, %d failed, %d not copied; %s",
            *(shadow.compared, same * 100, shadow.within_tolerance, shadow.failed, shadow.skipped),
            _figures(counts),
        )
        if same < settings.min_same_class or failed > settings.max_failed:
            raise TrialFailedError(
                f"{self._name} {self._version} was shadowed: {same:.1%} of {shadow.compared} answers name "
                f"the same class (min_same_class = {settings.min_same_class:.1%}), {failed:.1%} of the "
                f"copies failed (max_failed = {settings.max_failed:.1%})"
            )

    async def _share(self, trial: Trial) -> None:
        self._serving = self._serving.model_copy(update={"trial": trial})
        revision = self._record.write(self._name, self._serving)
        with waiting("the gateways to follow the record"):
            follows = await self._gateways.follow(revision)
        if not follows:
            raise TrialFailedError(
                f"{self._name} {trial.version} cannot be tried: no gateway reports in "
                f"{self._record.directory}; start a gateway, or deploy with strategy=blue_green"
            )
        logger.info("%s: %s %s gets %g %%", trial.kind, self._name, trial.version, trial.share * 100)


def find_problem(new: VersionCounts, old: VersionCounts, bounds: Canary) -> str | None:
    """Compares a canary's counts with the old version's.

    Returns:
        the end of a sentence that begins with "it"; None within the bounds, or below min_requests.
    """
    if _ended(new) < bounds.min_requests:
        return None
    allowed = old.error_rate + bounds.max_error_rate_increase
    if new.error_rate > allowed:
        return f"failed {new.failed} of {_ended(new)} requests ({new.error_rate:.1%}, allowed {allowed:.1%})"
    new_p95, old_p95 = new.latency_s(0.95), old.latency_s(0.95)
    if old_p95 and new_p95 > bounds.max_latency_ratio * old_p95:
        return (
            f"has a p95 of {new_p95 * 1000:.0f} ms where the old version has {old_p95 * 1000:.0f} ms "
            f"(max_latency_ratio = {bounds.max_latency_ratio:g})"
        )
    return None


def _ended(counts: VersionCounts) -> int:
    return counts.answered + counts.failed


def _compared(counts: VersionCounts) -> int:
    return counts.shadow.compared + counts.shadow.failed


def _figures(counts: VersionCounts) -> str:
    p95_ms = counts.latency_s(0.95) * 1000
    return f"{_ended(counts)} requests, {counts.error_rate:.1%} failed, p95 {p95_ms:.0f} ms"
