"""One version onto replicas, one after the other; each step is noted before, so that it can be undone.

Undoing takes away what this deploy brought and nothing else: a version that was registered before it, by
whomever, stays, and so does an archive that the model store held before.
"""

import logging

from torchserve_gateway.deployment.archives.model_config import refuse_short_timeout
from torchserve_gateway.deployment.archives.model_store import holds, stage
from torchserve_gateway.deployment.plan import Deployment
from torchserve_gateway.deployment.registration import bring_up, remove_everywhere
from torchserve_gateway.deployment.retirement import Retirement
from torchserve_gateway.record.begun import Begun, BegunDeploys
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeployedModel, DeployedVersion
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import VersionConflictError
from torchserve_gateway.torchserve_api.versions import registered

logger = logging.getLogger(__name__)


class Rollout:
    """Of one deploy's version. runs: the version, once it is registered with its real parameters."""

    def __init__(
        self, deployment: Deployment, replicas: list[TorchServe], begun: BegunDeploys, retirement: Retirement
    ) -> None:
        self._deployment = deployment
        self._replicas = replicas
        self._begun_deploys = begun
        self._retirement = retirement
        self._name = deployment.model
        self._begun = Begun(version=deployment.wanted.version)
        self.runs = deployment.wanted

    async def take_away_what_was_left(self, before: DeployedModel | None) -> None:
        """Removes the version that an earlier deploy was killed over.

        Raises:
            DeploymentError: it cannot be removed.
        """
        left = self._begun_deploys.read(self._name)
        if left is None:
            return
        # It may have been killed right after the record said that its version serves.
        if before and left.version == before.serving.version and not left.served:
            self._begun_deploys.write(self._name, None)
            return
        logger.warning("an earlier deploy did not end; taking its %s %s away", self._name, left.version)
        if await self._take_away(left):
            raise DeploymentError(f"{self._name} {left.version} of an earlier deploy cannot be removed")

    async def refuse_if_registered(self, before: DeployedModel | None) -> None:
        """Looks at all replicas before any is touched.

        Raises:
            DeploymentError: somebody else registered the version, so that it may answer somebody.
        """
        version = self.runs.version
        for torchserve in self._replicas:
            found = await registered(torchserve.management, self._name)
            there = ", ".join(f"{self._name} {each}" for each in found)
            logger.info("%s: found %s", torchserve.name, there or f"no version of {self._name}")
            if version not in found:
                continue
            if before and version in before.retiring:
                logger.warning("%s: %s %s was not retired; removing it", torchserve.name, self._name, version)
                await torchserve.management.unregister(self._name, version)
                continue
            other = found[version]
            raise DeploymentError(
                f"nothing was changed: {torchserve.name} has {self._name} {version} already, from "
                f"{other.archive_name} with {other.ready_workers} workers READY, and no deploy on record put "
                "it there; take another VERSION, or remove that one first: "
                f'make manage ARGS="unregister {self._name} {version}"'
            )

    def stage(self, *, noted: bool) -> None:
        """Puts the archive into the model store. noted: undoing takes it out again, if it was not there."""
        deployment, name = self._deployment, self.runs.archive
        if deployment.model_store and deployment.archive:
            if noted and not holds(name, deployment.model_store):
                self._note(self._begun.model_copy(update={"archive": name}))
            stage(deployment.archive, self.runs.sha256, deployment.model_store)

    async def bring_up(self, torchserve: TorchServe, before: DeployedModel | None) -> None:
        """Registers the version on one replica and returns when it has passed its check.

        Raises:
            DeploymentError, TorchServeError: it has not; see `undo`.
        """
        deployment, without = self._deployment, self._begun
        on_record = (before.serving, *before.previous) if before else ()
        self._note(without.model_copy(update={"replicas": (*without.replicas, torchserve.name)}))
        try:
            self.runs = await bring_up(
                *(torchserve, self._name, self.runs, deployment.url, deployment.ready_timeout_s),
                was_deployed=any(
                    (each.archive, each.sha256) == (self.runs.archive, self.runs.sha256) for each in on_record
                ),
            )
        except VersionConflictError:
            # Somebody else was faster: it is not ours to remove.
            self._note(without)
            raise
        await self.check(torchserve, self.runs)

    async def bring_back(self, torchserve: TorchServe, serving: DeployedModel) -> None:
        """As `bring_up`, on one replica that lacks the version that serves; undone there if it fails."""
        self._begun = Begun(version=self.runs.version, served=True)
        try:
            await self.bring_up(torchserve, serving)
        except BaseException:
            await self.undo()
            raise
        self.end()

    async def check(self, torchserve: TorchServe, runs: DeployedVersion) -> None:
        """Asks for the samples' answers.

        Raises:
            DeploymentError: an answer is wrong, or its parameters do not suit the gateway.
            TorchServeError: there is no answer.
        """
        refuse_short_timeout(runs, self._deployment.deadline_s)
        await self._deployment.check(torchserve.inference, self._name, runs.version)

    async def undo(self) -> None:
        """Only what was there before remains; what cannot be taken away now, the next deploy takes away."""
        logger.info("taking %s %s away again", self._name, self._begun.version)
        await self._take_away(self._begun)

    def end(self) -> None:
        """From now on the version is on record, and nothing is to be undone."""
        self._begun_deploys.write(self._name, None)

    async def _take_away(self, begun: Begun) -> bool:
        """Whether something is left of it."""
        reached = [each for each in self._replicas if each.name in begun.replicas]
        left = await remove_everywhere(reached, self._name, begun.version)
        if begun.archive:
            self._retirement.unstage_unless_kept({begun.archive})
        self._begun_deploys.write(self._name, begun.model_copy(update={"replicas": left}) if left else None)
        return bool(left)

    def _note(self, begun: Begun) -> None:
        self._begun_deploys.write(self._name, begun)
        self._begun = begun
