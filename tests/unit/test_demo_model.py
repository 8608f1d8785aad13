"""The poster generator, the committed checkpoint and the training that made it."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.genre.checkpoint import load_checkpoint, save_checkpoint
from examples.genre.dataset import poster_set
from examples.genre.evaluate import confusion_counts, predictions
from examples.genre.posters import GENRES, draw_poster
from examples.genre.sample_images import SAMPLES, write_samples
from examples.genre.settings import EvaluateSettings, TrainSettings
from examples.genre.train import fit
from torchserve_gateway.settings.composition import PROJECT_ROOT, ConfigurationError, load
from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import image_transform

IMAGES = PROJECT_ROOT / "imgs"


@pytest.fixture(scope="module")
def settings() -> EvaluateSettings:
    return load("evaluate", EvaluateSettings, ["held_out.posters_per_genre=10"])


@pytest.fixture(scope="module")
def checkpoint(settings: EvaluateSettings) -> torch.jit.ScriptModule:
    return load_checkpoint(settings.model.checkpoint.path)


@pytest.mark.parametrize("genre", GENRES)
def test_the_same_seed_draws_the_same_poster(genre: str) -> None:
    first, second, other = (draw_poster(genre, seed, (128, 192)).tobytes() for seed in (5, 5, 6))
    assert first == second
    assert first != other


def test_each_genre_draws_its_own_poster_from_one_seed() -> None:
    assert len({draw_poster(genre, 8, (128, 192)).tobytes() for genre in GENRES}) == len(GENRES)


@pytest.mark.parametrize(
    "size",
    [(1, 1), (7, 300), (300, 7), (64, 96), (501, 333), pytest.param((780, 1170), marks=pytest.mark.long)],
)
def test_a_poster_has_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    for genre in GENRES:
        poster = draw_poster(genre, 1, size)
        assert (poster.mode, poster.size) == ("RGB", size)


def test_impossible_posters_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown genre 'Opera'; known: Action, "):
        draw_poster("Opera", 1, (20, 30))
    with pytest.raises(ValueError, match="0x30"):
        draw_poster("Drama", 1, (0, 30))


def test_labels_are_the_genres_in_order(settings: EvaluateSettings) -> None:
    assert tuple(settings.model.labels) == GENRES


@pytest.mark.parametrize("batch_size", [1, 8])
def test_the_checkpoint_answers_ten_logits_per_image(
    checkpoint: torch.jit.ScriptModule, batch_size: int
) -> None:
    with torch.inference_mode():
        assert checkpoint(torch.zeros(batch_size, 3, 192, 128)).shape == (batch_size, len(GENRES))


def test_an_image_gets_the_same_logits_alone_and_in_a_batch(checkpoint: torch.jit.ScriptModule) -> None:
    images = torch.randn(8, 3, 192, 128, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        together = checkpoint(images)
        alone = torch.cat([checkpoint(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.long
def test_the_checkpoint_knows_posters_it_was_not_trained_on(
    checkpoint: torch.jit.ScriptModule, settings: EvaluateSettings
) -> None:
    posters = poster_set(settings.held_out, settings.model.labels, settings.model.preprocessing, processes=1)
    predicted = predictions(checkpoint, posters.images, settings.batch_size)
    confusion = confusion_counts(posters.targets, predicted, len(GENRES))
    assert int(confusion.sum()) == 100
    assert int(confusion.trace()) > 80


def test_the_checkpoint_names_no_file_of_the_machine_that_made_it(settings: EvaluateSettings) -> None:
    content = settings.model.checkpoint.path.read_bytes()
    assert len(content) < 2 * 1024**2
    assert b"site-packages" not in content


def test_every_sample_image_is_recognised(
    checkpoint: torch.jit.ScriptModule, settings: EvaluateSettings
) -> None:
    transform = image_transform(settings.model.preprocessing.model_dump())
    answers = set()
    for sample in SAMPLES:
        image = decode_image(
            (IMAGES / sample.file_name).read_bytes(), settings.model.preprocessing.max_pixels
        )
        with torch.inference_mode():
            probabilities = torch.softmax(checkpoint(transform(image)[None]), dim=1)[0]
        assert settings.model.labels[int(probabilities.argmax())] == sample.genre, sample.file_name
        answers.add(tuple(round(value, 4) for value in probabilities.tolist()))
    assert len(answers) == len(SAMPLES)


def test_sample_images_cover_the_genres_and_are_named_after_them() -> None:
    assert {sample.genre for sample in SAMPLES} == set(GENRES)
    assert sorted(path.name for path in IMAGES.iterdir()) == sorted(sample.file_name for sample in SAMPLES)
    for sample in SAMPLES:
        stem = re.sub(r"-\d+$", "", Path(sample.file_name).stem)
        assert stem == sample.genre.lower().replace(" ", "-")


@pytest.mark.long
def test_sample_images_are_written_the_same_every_time(tmp_path: Path) -> None:
    write_samples(tmp_path / "once")
    write_samples(tmp_path / "twice")
    for sample in SAMPLES:
        once, twice = (tmp_path / folder / sample.file_name for folder in ("once", "twice"))
        assert once.read_bytes() == twice.read_bytes()


@pytest.mark.long
def test_training_twice_gives_the_same_weights(tmp_path: Path) -> None:
    settings = load(
        "train", TrainSettings, ["training.posters_per_genre=2", "epochs=2", "batch_size=10", "threads=1"]
    )
    posters = poster_set(settings.training, settings.model.labels, settings.model.preprocessing, processes=1)
    first, second = fit(posters, settings), fit(posters, settings)
    for name, weights in first.state_dict().items():
        assert torch.equal(weights, second.state_dict()[name]), name
    images, path = posters.images[:3], tmp_path / "genre.pt"
    assert save_checkpoint(first, images, path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [file.name for file in tmp_path.iterdir()] == ["genre.pt"]
    with torch.inference_mode():
        torch.testing.assert_close(load_checkpoint(path)(images[:1]), first(images[:1]))


@pytest.mark.long
def test_posters_are_the_same_however_many_processes_draw_them(settings: EvaluateSettings) -> None:
    few = settings.held_out.model_copy(update={"posters_per_genre": 1})
    alone, shared = (
        poster_set(few, GENRES[:4], settings.model.preprocessing, processes) for processes in (1, 2)
    )
    assert torch.equal(alone.images, shared.images)
    assert torch.equal(alone.targets, shared.targets)


def test_a_missing_or_foreign_checkpoint_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model\.weights\.path = .*: no such file"):
        load_checkpoint(tmp_path / "genre.pt")
    (tmp_path / "genre.pt").write_text("no model")
    with pytest.raises(ConfigurationError, match="not a TorchScript file"):
        load_checkpoint(tmp_path / "genre.pt")


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("training.seed=2", "same posters"),
        ("model.labels=[Action,Opera]", "no posters of Opera"),
        ("model.image.resize=192", "resize has to be"),
    ],
)
def test_settings_that_cannot_work_are_refused(override: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load("train", TrainSettings, [override])


def test_confusion_counts_rows_by_truth() -> None:
    counts = confusion_counts(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]), 2)
    assert np.array_equal(counts.numpy(), [[1, 1], [0, 1]])
