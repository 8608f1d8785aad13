"""Recorded answers come into a model's file, and everything else in it stays."""

import difflib

import pytest
import yaml

from torchserve_gateway.commands.samples.samples_text import Recorded, SamplesTextError, with_samples
from torchserve_gateway.settings.composition import PROJECT_ROOT

NEW = Recorded("input", "in put: 1.json", "s/1.json")


def recorded(text: str) -> list[Recorded]:
    """The samples of a text, with a file of an answer each."""
    samples = yaml.safe_load(text).get("samples") or []
    return [
        Recorded("image", each["image"], f"s/{each['image']}.json", each.get("content_type"))
        for each in samples
    ]


def test_of_the_demo_model_nothing_but_the_expectations_changes() -> None:
    before = (PROJECT_ROOT / "config/model/genre.yaml").read_text()
    after = with_samples(before, recorded(before), [])
    changed = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
    keys = ["+ expected_file", "- expected_class", "- probability"]
    assert sorted(" ".join(line.split(":")[0].split()) for line in changed) == sorted(3 * keys)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: 1\n", "a: 1\n\nsamples:\n{new}\n"),
        ("samples: [] # none\nb: 1\n", "samples: # none\n{new}\nb: 1\n"),
        ("samples:\n# c\nb: 1\n", "samples:\n{new}\n# c\nb: 1\n"),
        ("samples: null # c\n", "samples: # c\n{new}\n"),
        (
            "samples:\n  - image: a.jpg # c",
            "samples:\n  - image: a.jpg # c\n    expected_file: s/a.jpg.json\n{new}",
        ),
        (
            "samples:\n  - image: a.jpg\n    expected:\n      x: 1\n      y: [1,\n        2]\n# next\nb: 1\n",
            "samples:\n  - image: a.jpg\n    expected_file: s/a.jpg.json\n{new}\n# next\nb: 1\n",
        ),
        (
            (
                "samples:\n  - expected_class: B # b\n    image: a.jpg\n    probability: 0.3\n"
                "    content_type: t/x\n"
            ),
            "samples:\n  - expected_file: s/a.jpg.json # b\n    image: a.jpg\n    content_type: t/x\n{new}\n",
        ),
        (
            "samples:\n  - {{image: a.jpg, content_type: t/x}} # c\nb: 1\n",
            (
                "samples:\n  - image: a.jpg\n    content_type: t/x\n    expected_file: s/a.jpg.json # c\n"
                "{new}\nb: 1\n"
            ),
        ),
        (
            "samples: [{{image: a.jpg,\n  expected_class: A}}] # c\nb: 1\n",
            "samples: # c\n  - image: a.jpg\n    expected_file: s/a.jpg.json\n{new}\nb: 1\n",
        ),
        (
            "samples:\n  - image: a.jpg\n    expected: |\n      text\n      more\n\nb: 1\n",
            "samples:\n  - image: a.jpg\n    expected_file: s/a.jpg.json\n{new}\n\nb: 1\n",
        ),
    ],
)
def test_samples_get_their_files_and_new_samples_follow(before: str, after: str) -> None:
    before = before.format()
    entry = '  - input: "in put: 1.json"\n    expected_file: s/1.json'
    changed = with_samples(before, recorded(before), [NEW])
    assert changed == after.format(new=entry)
    assert with_samples(changed, [*recorded(before), NEW], []) == changed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "samples:\n  - image: a.jpg\n  - image: b.jpg\n",
            "does not hold the 1 samples of the configuration",
        ),
        ("samples: [", "is no YAML: "),
        ("- a\n", "is no YAML of keys and values"),
        ("a: &x\n  - image: a.jpg\nsamples: *x\n", "is written in a way that cannot be changed"),
    ],
)
def test_a_file_that_cannot_be_changed_is_told(text: str, said: str) -> None:
    with pytest.raises(SamplesTextError, match=said):
        with_samples(text, [Recorded("image", "a.jpg", "s/a.jpg.json")], [])
