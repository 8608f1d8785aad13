"""`make api_key`: keys are shown once and kept nowhere, two are valid while callers change over."""

import hmac
import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from torchserve_gateway.commands.api_key import app
from torchserve_gateway.gateway.access.api_keys import KeysFileError, caller_of, new_key, read_callers, sha256


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "api_keys.json"


def api_key(keys_file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, f"gateway.auth.keys_file={keys_file}"])


def made(keys_file: Path, *arguments: str) -> str:
    result = api_key(keys_file, *arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout.removesuffix("\n")


def test_a_key_is_printed_alone_and_only_its_hash_is_kept_for_the_owner_alone(keys_file: Path) -> None:
    key = made(keys_file, "mobile")
    assert len(key) > 40
    assert key.isascii()
    assert not set(key) & set(" \n")
    content = keys_file.read_text()
    assert key not in content
    assert json.loads(content) == {"mobile": {"rights": ["predict"], "sha256": [sha256(key)]}}
    assert stat.S_IMODE(keys_file.stat().st_mode) == 0o600
    assert list(keys_file.parent.iterdir()) == [keys_file]


def test_a_second_key_leaves_the_first_valid_until_it_is_revoked(keys_file: Path) -> None:
    first, second = made(keys_file, "mobile", "--rights=predict,models"), made(keys_file, "mobile")
    callers = read_callers(keys_file)
    assert (caller_of(first, callers), caller_of(second, callers)) == ("mobile", "mobile")
    assert callers["mobile"].rights == {"predict", "models"}
    assert made(keys_file, "mobile", "--revoke=old") == ""
    callers = read_callers(keys_file)
    assert (caller_of(first, callers), caller_of(second, callers)) == (None, "mobile")


def test_never_more_than_two_are_valid(keys_file: Path) -> None:
    keys = [made(keys_file, "mobile") for _ in range(3)]
    assert [caller_of(key, read_callers(keys_file)) for key in keys] == [None, "mobile", "mobile"]


def test_a_caller_can_be_removed_and_the_others_stay(keys_file: Path) -> None:
    gone, stays = made(keys_file, "gone"), made(keys_file, "stays")
    made(keys_file, "gone", "--revoke=all")
    callers = read_callers(keys_file)
    assert (caller_of(gone, callers), caller_of(stays, callers)) == (None, "stays")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("a b",), 2, "letters, digits"),
        (("",), 2, "letters, digits"),
        (("mobile", "--rights=predict,all"), 2, "some of predict,models,metrics"),
        (("mobile", "--revoke=new"), 2, "old"),
        (("nobody", "--revoke=old"), 1, "there is no key of nobody; there are those of mobile"),
        (("mobile", "gateway.nonesuch=1"), 2, "nonesuch"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    keys_file: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    made(keys_file, "mobile")
    before = keys_file.read_bytes()
    result = api_key(keys_file, *arguments)
    assert result.exit_code == code
    # Typer breaks lines in a box of the terminal's width.
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert keys_file.read_bytes() == before


BROKEN = [
    ("", "EOF"),
    ("[]", "object"),
    ('{"a b": {"rights": [], "sha256": ["' + "0" * 64 + '"]}}', "a b"),
    ('{"a": {"rights": ["all"], "sha256": ["' + "0" * 64 + '"]}}', "'predict', 'models' or 'metrics'"),
    ('{"a": {"rights": [], "sha256": ["tsgw_x"]}}', "a.sha256.0"),
    ('{"a": {"rights": [], "sha256": []}}', "at least 1"),
    ('{"a": {"rights": [], "sha256": ' + json.dumps(["0" * 64] * 3) + "}}", "at most 2"),
    ('{"a": {"rights": [], "sha256": ["' + "0" * 64 + '"], "key": "x"}}', "a.key"),
]


@pytest.mark.parametrize(("content", "said"), BROKEN)
def test_a_file_that_is_not_as_it_must_be_is_named_with_what_is_wrong_and_left_alone(
    keys_file: Path, content: str, said: str
) -> None:
    keys_file.write_text(content)
    with pytest.raises(KeysFileError) as caught:
        read_callers(keys_file)
    assert str(caught.value).startswith(f"{keys_file}: ")
    assert said in str(caught.value)
    assert api_key(keys_file, "mobile").exit_code == 1
    assert keys_file.read_text() == content


def test_every_hash_is_compared_wherever_the_key_is_found(
    keys_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [made(keys_file, name) for name in ("a", "b", "b")]
    compared: list[str] = []
    compare_digest = hmac.compare_digest

    def counted(presented: str, valid: str) -> bool:
        compared.append(valid)
        return compare_digest(presented, valid)

    monkeypatch.setattr("torchserve_gateway.gateway.access.api_keys.hmac.compare_digest", counted)
    for key in (*keys, new_key(), ""):
        compared.clear()
        caller_of(key, read_callers(keys_file))
        assert sorted(compared) == sorted(map(sha256, keys))
