"""What the studies read: stages from TorchServe's log, counters from its page; and what they write."""

from pathlib import Path

import pytest
from PIL import Image

from tools.studies.charts import BAR, GAP, HEAD, LEFT, SCALE, Chart, write_png
from tools.studies.compare_workers import INFERENCE, QUEUE, counters
from tools.studies.profile import with_profile
from tools.studies.report import StudyReport
from tools.studies.settings import CompareWorkersSettings, ProfileSettings
from tools.studies.stage_log import STAGES, StageLog, StageLogError
from torchserve_gateway.settings.composition import PROJECT_ROOT, ConfigurationError, load

LINE = (
    "2026-11-26T07:05:30,258 [INFO ] W-9000-digits_1.0-stdout org.pytorch.serve.wlm.WorkerLifeCycle - "
    "result=[METRICS]{name}.Milliseconds:{value}|#ModelName:digits,Level:Model|#type:GAUGE|"
    "#hostname:vm,17956,{id}, pattern=[METRICS]\n"
)
PAGE = """# TYPE ts_inference_requests_total counter
ts_inference_requests_total{model_name="digits",model_version="default",hostname="vm",} 4.0
ts_inference_requests_total{model_name="digits",model_version="2.0",hostname="vm",} 2.0
ts_inference_requests_total{model_name="digits2",model_version="default",hostname="vm",} 9.0
ts_queue_latency_microseconds{model_name="digits",model_version="default",hostname="vm",} 3.2E7
"""


def batch(number: int, names: tuple[str, str, str]) -> str:
    """The lines of a batch; TorchServe logs each twice."""
    return "".join(
        2 * LINE.format(name=name, value=number + index, id=number) for index, name in enumerate(names)
    )


@pytest.mark.parametrize(
    "names",
    [
        ("PreprocessTime", "InferenceTime", "PostprocessTime"),
        ("ts_handler_preprocess", "ts_handler_inference", "ts_handler_postprocess"),
    ],
)
def test_each_batch_is_read_once(tmp_path: Path, names: tuple[str, str, str]) -> None:
    file = tmp_path / "ts_log.log"
    log = StageLog(file)
    file.write_text(batch(10, names))
    assert log.batches(1, 0) == [{"preprocess": 10, "inference": 11, "postprocess": 12}]
    file.write_text(batch(10, names) + "another line\n" + batch(20, names) + batch(30, names))
    assert [each["inference"] for each in log.batches(2, 0)] == [21, 31]


def test_a_stage_that_a_handler_of_ours_takes_from_torchserve_counts_once(tmp_path: Path) -> None:
    (tmp_path / "ts_log.log").write_text(
        batch(10, ("PreprocessTime", "InferenceTime", "PostprocessTime"))
        + 2 * LINE.format(name="ts_handler_inference", value=9, id=10)
    )
    assert StageLog(tmp_path / "ts_log.log").batches(1, 0) == [
        {"preprocess": 10, "inference": 11, "postprocess": 12}
    ]


def test_a_handler_that_does_not_report_is_an_error(tmp_path: Path) -> None:
    log = StageLog(tmp_path / "ts_log.log")
    with pytest.raises(StageLogError, match="it must report PreprocessTime"):
        log.batches(1, 0)


def test_counters_are_summed_over_versions_of_the_model_alone() -> None:
    assert counters(PAGE, "digits") == {"requests": 6, "queue": 3.2e7, "inference": 0}


def test_the_page_has_the_columns_of_the_table() -> None:
    page = (PROJECT_ROOT / "docs/timing.md").read_text()
    assert f"| workers | {QUEUE} | {INFERENCE} | requests/s |" in page
    assert f"| model | batch size | {' | '.join(STAGES)} | inference of all |" in page


@pytest.mark.parametrize("model", ["densenet161", "digits"])
def test_handlers_are_made_to_report_every_batch(tmp_path: Path, model: str) -> None:
    settings = load("profile", ProfileSettings, [f"model={model}"])
    file = with_profile(settings, tmp_path).model.model_config_file
    assert file
    assert file.read_text() == "handler:\n  profile: true\n"


def test_the_configuration_of_a_foreign_archive_is_not_replaced(tmp_path: Path) -> None:
    settings = load("profile", ProfileSettings, ["model=foreign", "model.name=pets"])
    assert with_profile(settings, tmp_path) is settings


@pytest.mark.parametrize("override", ["workers=[]", "workers=[0]", "clients=0"])
def test_impossible_studies_are_refused(override: str) -> None:
    with pytest.raises(ConfigurationError, match=override.partition("=")[0]):
        load("compare_workers", CompareWorkersSettings, [override])


def test_the_report_is_a_table_and_a_page_without_anything_from_elsewhere(tmp_path: Path) -> None:
    rows = [{"workers": 1, "queue, ms": 1.23456}, {"workers": 2, "queue, ms": 0.5}]
    bars = {"1": {"queue": 1.0, "worker": 3.0}, "2": {"queue": 0.5, "worker": 1.5}}
    report = StudyReport("Workers of <pets>", ["2 cores"], rows, [Chart("Milliseconds", bars)])
    table, page, picture = report.write(tmp_path / "new", "workers")
    assert table.read_text().splitlines() == ['workers,"queue, ms"', "1,1.23456", "2,0.5"]
    text = page.read_text()
    assert text.count("<rect") == 4
    assert "Workers of &lt;pets&gt;" in text
    assert "<td>1.23</td>" in text
    assert "http" not in text
    assert picture.name == "workers-1.png"


def test_the_picture_has_the_bars_of_the_page(tmp_path: Path) -> None:
    bars = {"1": {"queue": 1.0, "worker": 3.0}, "2": {"queue": 0.5, "worker": 1.5}}
    write_png(Chart("Milliseconds", bars), tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as file:
        image = file.convert("RGB")
    colours = {
        name: image.getpixel((LEFT * SCALE + x, HEAD * SCALE + 4))
        for name, x in (("queue", 4), ("worker", 400))
    }

    def pixels(bar: int, name: str) -> int:
        y = (HEAD + bar * (BAR + GAP)) * SCALE + 4
        return sum(image.getpixel((x, y)) == colours[name] for x in range(image.width))

    first = {name: pixels(0, name) for name in colours}
    assert first["worker"] == pytest.approx(3 * first["queue"], abs=3)
    assert {name: pixels(1, name) for name in colours} == pytest.approx(
        {name: width / 2 for name, width in first.items()}, abs=3
    )
