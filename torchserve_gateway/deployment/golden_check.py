"""Golden check: a new version must give known answers before it gets requests."""

import logging
from collections.abc import Sequence

from torchserve_gateway.deployment.answers.problems import find_problem
from torchserve_gateway.deployment.answers.samples import KnownAnswer, Sample, read_samples
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.torchserve_api.errors import TorchServeError
from torchserve_gateway.torchserve_api.inference import InferenceClient, Job

logger = logging.getLogger(__name__)


class UnexpectedStatusError(Exception):
    """The handler answered without 2xx; the message continues a sentence about the sample."""


async def answer_to(inference: InferenceClient, job: Job, deadline_s: float) -> bytes:
    """The body of a version's answer.

    Raises:
        UnexpectedStatusError: the handler's status is not 2xx.
        TorchServeError: TorchServe gives no answer.
    """
    prediction = await inference.predict(job, deadline_s)
    if prediction.error:
        raise UnexpectedStatusError(str(prediction.error))
    if not 200 <= prediction.status < 300:
        raise UnexpectedStatusError(f"the handler answered {prediction.status}, not 2xx")
    return prediction.body


class GoldenCheck:
    """The samples of a model.

    Args:
        samples: requests with what is known of their answers.
        labels: classes of the model; empty: not known.
        tolerance: largest difference of a number from the known number.
        deadline_s: time for each answer.
    """

    def __init__(
        self, samples: Sequence[Sample], labels: Sequence[str], tolerance: float, deadline_s: float
    ) -> None:
        self._samples = samples
        self._labels = labels
        self._tolerance = tolerance
        self._deadline_s = deadline_s

    @classmethod
    def of(cls, model: ModelSettings, deadline_s: float) -> "GoldenCheck":
        """Reads the configured samples.

        Raises:
            DeploymentError: a file cannot be read.
        """
        return cls(read_samples(model), model.labels, model.sample_tolerance, deadline_s)

    async def __call__(
        self, inference: InferenceClient, model: str, version: str, serving: str | None = None
    ) -> None:
        """Sends every sample to the version's own URL.

        Args:
            inference: of one TorchServe.
            model: name of the served model.
            version: the version to check.
            serving: another version, whose answers are compared where a sample has no expectation;
                differences are logged as a warning.

        Raises:
            DeploymentError: an answer is wrong; the message names the sample.
            TorchServeError: TorchServe gives no answer.
        """
        if not self._samples:
            logger.warning(
                "%s %s: no answer was checked, model.samples is empty; make record_samples fills it",
                *(model, version),
            )
        for sample in self._samples:
            body = await self._answer(inference, model, version, sample)
            problem = find_problem(body, self._labels, sample, self._tolerance)
            if problem:
                raise DeploymentError(f"{model} {version} was not deployed: on {sample.name} it {problem}")
            if serving and not sample.has_expectation:
                await self._compare(inference, model, (version, serving), sample, body)

    async def _answer(self, inference: InferenceClient, model: str, version: str, sample: Sample) -> bytes:
        job = Job(model, version, sample.body, sample.content_type)
        try:
            with waiting(f"the answer of {model} {version} to {sample.name}", limit_s=self._deadline_s):
                return await answer_to(inference, job, self._deadline_s)
        except UnexpectedStatusError as exc:
            raise DeploymentError(f"{model} {version} was not deployed: on {sample.name} {exc}") from exc

    async def _compare(
        self, inference: InferenceClient, model: str, versions: tuple[str, str], sample: Sample, body: bytes
    ) -> None:
        version, serving = versions
        try:
            known = KnownAnswer(await self._answer(inference, model, serving, sample))
        except (TorchServeError, DeploymentError) as exc:
            logger.warning("%s: %s was not compared with %s: %s", sample.name, version, serving, exc)
            return
        if difference := known.difference(body, self._tolerance):
            logger.warning(
                "%s: %s %s answers otherwise than %s, which serves: %s",
                *(sample.name, model, version, serving, difference),
            )
