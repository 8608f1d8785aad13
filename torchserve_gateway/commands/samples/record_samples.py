"""`make record_samples`: the serving version's answers become the expected answers of the model's samples.

Exit codes: 0 recorded; 1 nothing was written; 2 bad configuration.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torchserve_gateway.commands.samples.samples_text import Recorded, SamplesTextError, with_samples
from torchserve_gateway.deployment.answers.samples import KnownAnswer, read_file
from torchserve_gateway.deployment.golden_check import UnexpectedStatusError, answer_to
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeploymentRecord, replace_text
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.composition import PROJECT_ROOT, RESOURCES
from torchserve_gateway.settings.model_parts.samples import SampleSettings
from torchserve_gateway.settings.samples import RecordSamplesSettings
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.torchserve_api.connection import TorchServe
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, TorchServeError
from torchserve_gateway.torchserve_api.inference import Job

# Numbers of an answer that differ by less are the same answer, rounded otherwise.
ROUNDING = 1e-6


@dataclass(frozen=True)
class AnsweredSample:
    """A sample and the serving version's answer."""

    settings: SampleSettings
    body: bytes
    """The answer."""
    file: Path
    """File for the answer."""

    def save(self) -> str:
        """Writes the answer, unless the file has it already; returns what was done."""
        is_there = self.file.is_file()
        if is_there and KnownAnswer(read_file(self.file)).difference(self.body, ROUNDING) is None:
            return "unchanged"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(_readable(self.body))
        return "changed" if is_there else "new"

    @property
    def recorded(self) -> Recorded:
        """The entry of the model's file."""
        sample = self.settings
        kind = "image" if sample.image else "input"
        return Recorded(kind, _written(sample.file), _written(self.file), sample.content_type)


def record_samples(settings: RecordSamplesSettings) -> None:
    """Asks the serving version, writes its answers and the samples, and prints a line each.

    Raises:
        DeploymentError: nothing was written; the message says why.
    """
    write, known = settings.write, settings.model.samples
    if not write.is_file():
        raise DeploymentError(f"{write} does not exist; write=FILE names the model's file")
    samples = [*known, *_added(settings)]
    if not samples:
        raise DeploymentError(
            f"{settings.model.name} has no samples; give files to send, for example "
            f"make record_samples MODEL={settings.model.name} INPUTS=cat.jpg, or inputs=[cat.jpg]"
        )
    version, bodies = asyncio.run(_ask(settings, samples))
    answered = _with_files(samples, bodies, write.with_suffix(".samples"))
    entries = [each.recorded for each in answered]
    try:
        before = write.read_text()
        text = with_samples(before, entries[: len(known)], entries[len(known) :])
        for each in answered:
            print(f"{_written(each.settings.file)}: {each.save()} {_written(each.file)}")
    except (SamplesTextError, OSError, UnicodeDecodeError) as exc:
        raise DeploymentError(f"{write} {exc}") from exc
    if text != before:
        replace_text(write, text)
    print(f"answers of {settings.served.name} {version or 'as registered'} in {_written(write)}")


def _added(settings: RecordSamplesSettings) -> list[SampleSettings]:
    """Samples of the files that no sample sends yet."""
    there = {each.file.resolve() for each in settings.model.samples}
    added = {file.resolve(): file for file in settings.inputs}
    return [
        SampleSettings(image=file) if settings.model.image else SampleSettings(input=file)
        for resolved, file in added.items()
        if resolved not in there
    ]


async def _ask(
    settings: RecordSamplesSettings, samples: Sequence[SampleSettings]
) -> tuple[str | None, list[bytes]]:
    """The serving version, None for a model that is not on record, and its answers."""
    record, model = DeploymentRecord(settings.torchserve.deployments_dir).read(), settings.served.name
    version = record.models[model].serving.version if model in record.models else None
    torchserve, bodies = TorchServe.at(settings.torchserve), []
    async with torchserve.http:
        for sample in samples:
            job = Job(model, version, read_file(sample.file), sample.media_type)
            limit_s = settings.model.response_timeout
            try:
                with waiting(f"the answer to {sample.file.name}", limit_s=limit_s):
                    bodies.append(await answer_to(torchserve.inference, job, limit_s))
            except ModelNotFoundError as exc:
                raise DeploymentError(f"{exc}; {record.summary}") from exc
            except (UnexpectedStatusError, TorchServeError) as exc:
                raise DeploymentError(f"nothing was written: {sample.file.name}: {exc}") from exc
    return version, bodies


def _with_files(
    samples: Sequence[SampleSettings], bodies: Sequence[bytes], folder: Path
) -> list[AnsweredSample]:
    """Answers with a file each: the sample's own in the folder, else a new one named after the request."""
    own = [each.expected_file if _is_in(folder, each.expected_file) else None for each in samples]
    taken = {each for each in own if each}
    answered = []
    for sample, body, file in zip(samples, bodies, own, strict=True):
        number, chosen = 1, file or folder / f"{sample.file.name}{_suffix(body)}"
        while file is None and chosen in taken:
            number += 1
            chosen = folder / f"{sample.file.name}-{number}{_suffix(body)}"
        taken.add(chosen)
        answered.append(AnsweredSample(sample, body, chosen))
    return answered


def _is_in(folder: Path, file: Path | None) -> bool:
    return file is not None and file.parent.resolve() == folder.resolve()


def _suffix(body: bytes) -> str:
    if _json(body) is not None:
        return ".json"
    try:
        return ".txt" if body.decode() else ".bin"
    except UnicodeDecodeError:
        return ".bin"


def _readable(body: bytes) -> bytes:
    """JSON with a line a value; everything else as it is."""
    text = _json(body)
    return body if text is None else f"{text}\n".encode()


def _json(body: bytes) -> str | None:
    try:
        return json.dumps(json.loads(body), indent=1, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def _written(path: Path) -> str:
    """The path as a model's file names it."""
    root = next((each for each in (Path.cwd(), RESOURCES, PROJECT_ROOT) if path.is_relative_to(each)), None)
    return str(path.relative_to(root) if root else path)


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("record_samples", RecordSamplesSettings, record_samples, (DeploymentError,), argv)
