"""Settings of several models: composed from their files, each once, with names of their own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from torchserve_gateway.settings.composition import CONFIG_DIR, ConfigurationError, load
from torchserve_gateway.settings.project import ProjectSettings

Load = Callable[..., ProjectSettings]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads settings in a folder with further models."""
    models = tmp_path / "config" / "model"
    models.mkdir(parents=True)
    genre = (CONFIG_DIR / "model" / "genre.yaml").read_text()
    (models / "posters.v2.yaml").write_text(genre.replace("name: genre", "name: posters"))
    (models / "twin.yaml").write_text(genre.replace("name: genre", "name: posters"))
    (models / "echo.yaml").write_text(
        'name: echo\nversion: "1.0"\nhandler: image_classifier\nweights: {path: x.pt}\n'
    )
    monkeypatch.chdir(tmp_path)
    return lambda *overrides: load("gateway", ProjectSettings, overrides)


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ((), ["genre"]),
        (("gateway.models=[]",), ["genre"]),
        (("gateway.models=[genre]",), ["genre"]),
        (("gateway.models=[genre,posters.v2,echo]",), ["genre", "posters", "echo"]),
        (("model=echo", "gateway.models=[echo,genre]"), ["echo", "genre"]),
        # MODEL= beside the models of a file.
        (("model=echo", "gateway.models=[genre,posters.v2]"), ["echo", "genre", "posters"]),
    ],
)
def test_the_chosen_model_comes_first_then_the_others(
    loaded: Load, overrides: tuple[str, ...], names: list[str]
) -> None:
    settings = loaded(*overrides)
    assert list(settings.models) == names
    assert settings.gateway.default_model == names[0]
    assert settings.models[names[0]] == settings.model


def test_overrides_are_the_chosen_models(loaded: Load) -> None:
    settings = loaded("gateway.models=[genre,posters.v2]", "model.batch_size=3")
    assert [model.batch_size for model in settings.models.values()] == [3, 8]
    assert settings.models["posters"].image is not None


def test_the_chosen_model_is_no_other_files_namesake(loaded: Load) -> None:
    with pytest.raises(ConfigurationError, match="the chosen model and posters_v2"):
        loaded("model=twin", "gateway.models=[posters.v2,genre]")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("gateway.models=[genre,nope]", "Could not find 'model/nope'"),
        ("gateway.models=[genre,echo,genre]", "genre is named more than once"),
        (
            "gateway.models=[genre,twin,posters.v2]",
            "twin and posters_v2, of gateway.models, both name their model posters",
        ),
        ("gateway.models=genre", "gateway.models = 'genre': Input should be a valid list"),
        ("gateway.models=[1]", "gateway.models.0 = 1"),
        ("gateway.models=[../genre]", "gateway.models.0 = '../genre'"),
        ("gateway.ready_models=[]", "gateway.ready_models"),
        (
            "model.limits.deadline_s=30",
            "limits.deadline_s of genre = 30 must be below model.response_timeout",
        ),
        ("model.limits.max_request_bytes=6553501", "limits.max_request_bytes of genre = 6553501 must not be"),
        ("model.limits.max_in_flight=0", "model.limits.max_in_flight = 0"),
    ],
)
def test_a_wrong_value_is_named(loaded: Load, override: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(override)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
