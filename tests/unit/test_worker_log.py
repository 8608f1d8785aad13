"""The handler's own error, from TorchServe's log of its workers."""

from pathlib import Path

from torchserve_gateway.torchserve_api.worker_log import WorkerLog

FRAMES = (
    '  File "ts/service.py", line 135, in predict',
    "    ret = self._entry_point(batch)",
    "          ^^^^",
)


def add(folder: Path, *lines: str, worker: str = "W-9000-genre_2.0-stdout") -> None:
    """Adds lines as TorchServe writes them."""
    with (folder / "model_log.log").open("a") as file:
        for line in lines:
            file.write(f"2026-11-26T01:03:01,188 [INFO ] {worker} MODEL_LOG - {line}\n")


def traceback(*error: str) -> tuple[str, ...]:
    return "Traceback (most recent call last):", *FRAMES, *error


def test_the_last_error_of_the_version_is_quoted(tmp_path: Path) -> None:
    add(tmp_path, *traceback("ValueError: of an earlier deploy"))
    log = WorkerLog(tmp_path)
    add(tmp_path, *traceback("ValueError: first"), "Backend received inference at: 1")
    add(tmp_path, *traceback("KeyError: of another version"), worker="W-9001-genre_1.0-stdout")
    add(tmp_path, *traceback("RuntimeError: Error(s) in loading:", "\tsize mismatch for fc"), "bye")
    add(tmp_path, "a line of no traceback", worker="W-9002-genre_2.0-stdout")
    said = log.reason("genre", "2.0")
    assert said == (
        "the handler's last error: RuntimeError: Error(s) in loading: size mismatch for fc "
        "(all of it: make logs OF=handler)"
    )


def test_lines_of_two_workers_are_told_apart(tmp_path: Path) -> None:
    log = WorkerLog(tmp_path)
    other = "W-9001-genre_2.0-stdout"
    begin, *rest = traceback("OSError: no weights")
    add(tmp_path, begin)
    add(tmp_path, "Torch worker started.", worker=other)
    add(tmp_path, *rest)
    assert log.last_error("genre", "2.0") == "OSError: no weights"


def test_a_warning_on_the_other_stream_does_not_end_a_traceback(tmp_path: Path) -> None:
    log = WorkerLog(tmp_path)
    begin, *rest = traceback("OSError: no weights")
    add(tmp_path, begin)
    add(tmp_path, "/usr/lib/handler.py:12: FutureWarning: old", worker="W-9000-genre_2.0-stderr")
    add(tmp_path, *rest)
    assert log.last_error("genre", "2.0") == "OSError: no weights"


def test_torchserves_second_try_to_import_does_not_hide_the_first(tmp_path: Path) -> None:
    log = WorkerLog(tmp_path)
    again = "During handling of the above exception, another exception occurred:"
    second = "ModuleNotFoundError: No module named 'ts.torch_handler.handler'"
    add(tmp_path, *traceback("ModuleNotFoundError: No module named 'cv2'"), "", again, "", *traceback(second))
    assert log.last_error("genre", "2.0") == "ModuleNotFoundError: No module named 'cv2'"


def test_the_end_of_the_worker_does_not_hide_why_the_model_did_not_load(tmp_path: Path) -> None:
    log = WorkerLog(tmp_path)
    add(tmp_path, "Failed to load model", *traceback("RuntimeError: not a ZIP archive"))
    add(tmp_path, "Backend worker process died.", *traceback("RuntimeError: 500 - Unknown exception"))
    assert log.last_error("genre", "2.0") == "RuntimeError: not a ZIP archive"


def test_a_log_that_was_rotated_is_read_from_its_start(tmp_path: Path) -> None:
    add(tmp_path, *["old"] * 100)
    log = WorkerLog(tmp_path)
    (tmp_path / "model_log.log").unlink()
    add(tmp_path, *traceback("ValueError: new"))
    assert log.last_error("genre", "2.0") == "ValueError: new"


def test_without_an_error_to_quote_its_place_is_named(tmp_path: Path) -> None:
    log = WorkerLog(tmp_path)
    file = tmp_path / "model_log.log"
    assert log.reason("genre", "2.0").endswith(f"there is none to read at {file}")
    add(tmp_path, "Killed")
    assert log.reason("genre", "2.0") == f"the reason is in {file}"
    assert WorkerLog(None).reason("genre", "2.0").endswith("model_log.log, on its machine")
