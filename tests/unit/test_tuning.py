"""The search of `make tune` finds the best combination with few measurements, and goes on where it ended."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from PIL import Image

from tests.composed_settings import load_once
from tests.free_ports import free_ports
from torchserve_gateway.commands.tuning.choice import charted, write_choice
from torchserve_gateway.load_test.sender import Sender
from torchserve_gateway.load_test.statistics import Tally
from torchserve_gateway.settings.composition import ConfigurationError
from torchserve_gateway.settings.tuning import TuneSettings
from torchserve_gateway.tuning.candidates import Candidate, Space, present, space
from torchserve_gateway.tuning.finalists import MAX_CONFIRMATIONS, confirmed, finals
from torchserve_gateway.tuning.journal import Journal, JournalError, OutOfTimeError, Remembered
from torchserve_gateway.tuning.race import Measure, Race, Rules
from torchserve_gateway.tuning.requests import CheckedRequest, NoRequestsError, bodies, is_same
from torchserve_gateway.tuning.result import DOUBTFUL_CPU_PERCENT, Result, line
from torchserve_gateway.tuning.windows import Plan, Window, front

LIMIT_MS = 100.0
RULES = Rules(LIMIT_MS, trials=100, min_gain=1.05)
SPACE = Space([1, 2, 4, 8], [0, 10, 20], [(1, 1), (1, 2), (2, 1)])
START = Candidate(batch_size=2, max_batch_delay=20, workers=1, threads=1)
BEST = Candidate(batch_size=8, max_batch_delay=10, workers=2, threads=1)


def capacity(candidate: Candidate) -> float:
    """Requests a second within the limit: more with larger batches, both cores and a delay that fits."""
    per_worker = 20 * math.sqrt(candidate.batch_size)
    delay = 1 - abs(candidate.max_batch_delay - 10) / 50
    return per_worker * delay * (candidate.workers + 0.5 * (candidate.threads - 1))


class Machine:
    """Measures without a stack. broken: combinations whose workers do not load."""

    def __init__(self, of: Callable[[Candidate], float] = capacity, broken: set[Candidate] | None = None):
        self.of, self.broken = of, broken or set()
        self.plans: list[Plan] = []

    def __call__(self, plan: Plan) -> Window:
        self.plans.append(plan)
        if plan.candidate in self.broken:
            return Window(plan=plan, failure="its workers die")
        most = self.of(plan.candidate)
        rate = plan.rate or 1.3 * most
        holds = rate <= most
        return Window(
            plan=plan,
            complete=holds or plan.rate is None,
            requests=300,
            images_per_s=min(rate, 1.3 * most),
            p50_ms=LIMIT_MS / 3,
            p99_ms=LIMIT_MS * (0.5 if holds else 2) * rate / most,
        )

    @property
    def candidates(self) -> list[Candidate]:
        return [each.candidate for each in self.plans]


def raced(measure: Measure, rules: Rules = RULES) -> Race:
    race = Race(SPACE, START, measure, rules)
    race.run()
    return race


def test_the_best_combination_wins_close_to_its_capacity() -> None:
    race = raced(Machine())
    assert race.best == BEST
    assert 0.9 * capacity(BEST) <= race.held[BEST] <= capacity(BEST)
    assert race.is_over
    assert set(race.tried) == set(SPACE.all())


def test_a_combination_that_does_not_beat_the_best_costs_one_measurement() -> None:
    machine = Machine()
    race = raced(machine)
    losers = set(race.tried) - race.held.keys()
    assert losers
    assert all(machine.candidates.count(each) == 1 for each in losers)


def test_the_first_steps_already_lead_to_the_best() -> None:
    few = replace(RULES, trials=8)
    race = raced(Machine(), few)
    assert len(race.tried) == 8
    assert race.best is not None
    assert capacity(race.best) > 2 * capacity(START)


def test_a_combination_that_does_not_load_is_out_and_the_search_goes_on() -> None:
    machine = Machine(broken={BEST, START})
    race = raced(machine)
    assert machine.candidates.count(BEST) == 1
    assert race.best is not None
    assert race.best not in machine.broken
    assert set(race.tried) == set(SPACE.all())


def test_without_a_combination_within_the_limit_there_is_no_best() -> None:
    def never(plan: Plan) -> Window:
        return Window(plan=plan, complete=True, requests=9, images_per_s=9, p99_ms=LIMIT_MS + 1)

    race = raced(never, replace(RULES, trials=2))
    assert race.is_over
    assert (race.best, race.held) == (None, {})


def test_a_best_that_was_luck_is_confirmed_at_a_lower_rate_or_not_at_all() -> None:
    window = confirmed(BEST, 1.1 * capacity(BEST), Machine(), LIMIT_MS)
    assert window is not None
    assert window.images_per_s <= capacity(BEST)
    machine = Machine()
    assert confirmed(BEST, 9 * capacity(BEST), machine, LIMIT_MS) is None
    assert len(machine.plans) == MAX_CONFIRMATIONS


def test_a_best_that_does_not_hold_any_more_makes_room_for_the_next() -> None:
    race = raced(Machine())
    ranked = sorted(race.held, key=lambda each: -race.held[each])
    later = Machine(broken={ranked[0]})
    final = finals(result([]), race, later, RULES.min_gain)
    assert [each.plan.candidate for each in final.confirmed] == [ranked[1], START]
    assert final.chosen is final.confirmed[0]


def test_the_present_combination_stays_without_a_clear_gain() -> None:
    machine = Machine(of=lambda _: 200)
    race = Race(SPACE, START, machine, RULES, held={START: 100.0, BEST: 103.0})
    final = finals(result([]), race, machine, RULES.min_gain)
    assert len(final.confirmed) == 2
    assert final.chosen is not None
    assert final.chosen.plan.candidate == START


def remembered(journal: Journal, measure: Measure, until_s: float = math.inf) -> Remembered:
    return Remembered(journal, measure, until_s, log=lambda _: None)


def test_a_search_that_was_interrupted_goes_on_where_it_ended(tmp_path: Path) -> None:
    whole = Machine()
    expected = raced(whole)
    first, second = Machine(), Machine()

    def until_ctrl_c(plan: Plan) -> Window:
        if len(first.plans) == 7:
            raise KeyboardInterrupt
        return first(plan)

    with pytest.raises(KeyboardInterrupt):
        raced(remembered(Journal(tmp_path, {}), until_ctrl_c))
    race = raced(remembered(Journal(tmp_path, {}), second))
    assert (race.held, race.tried) == (expected.held, expected.tried)
    assert [*first.plans, *second.plans] == whole.plans
    third = Machine()
    assert raced(remembered(Journal(tmp_path, {}), third)).held == expected.held
    assert third.plans == []


def test_no_measurement_begins_when_the_time_is_over(tmp_path: Path) -> None:
    machine = Machine()
    race = raced(remembered(Journal(tmp_path, {}), machine, until_s=0))
    assert (race.is_over, race.tried, machine.plans) == (False, [START], [])
    with pytest.raises(OutOfTimeError):
        confirmed(BEST, 1, remembered(Journal(tmp_path, {}), machine, until_s=0), LIMIT_MS)


def test_half_a_line_of_a_killed_run_is_measured_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {})
    raced(remembered(journal, Machine()))
    text = journal.file.read_text()
    journal.file.write_text(text[:-30])
    machine = Machine()
    raced(remembered(Journal(tmp_path, {}), machine))
    assert len(machine.plans) == 1
    assert journal.file.read_text() == text


def test_measurements_under_other_circumstances_are_kept_apart(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"cores": 2})
    raced(remembered(journal, Machine()))
    assert Journal(tmp_path, {"cores": 4}).windows == []
    assert Journal(tmp_path, {"cores": 2}).windows == journal.windows
    assert Journal(tmp_path, {"cores": 2}, fresh=True).windows == []
    journal.file.write_text("{}\nno JSON\n")
    with pytest.raises(JournalError, match="fresh=true"):
        Journal(tmp_path, {"cores": 2})


def test_the_present_combination_is_that_of_the_files_and_in_the_space() -> None:
    settings = load_once("tune", TuneSettings, ["model.batch_size=7", "model.max_batch_delay=33"])
    start = present(settings, cores=4)
    assert start == Candidate(batch_size=7, max_batch_delay=33, workers=4, threads=1)
    found = space(settings, start, cores=4).all()
    assert start in found
    assert {(each.workers, each.threads) for each in found} == {(1, 1), (1, 4), (2, 1), (2, 2), (4, 1)}
    assert {each.max_batch_delay for each in found if each.batch_size == 1} == {0}


def test_workers_and_threads_that_are_named_are_tried_whatever_the_cores() -> None:
    settings = load_once("tune", TuneSettings, ["workers=[3]", "threads=[2]"])
    found = space(settings, START, cores=2).all()
    assert {(each.workers, each.threads) for each in found} == {(1, 1), (3, 2)}


def test_a_limit_that_a_measurement_is_too_short_for_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"max_window_s = 20 .* 20 times p99_ms, 40: "):
        load_once("tune", TuneSettings, ["p99_ms=2000"])
    assert load_once("tune", TuneSettings, ["p99_ms=2000", "max_window_s=40"]).least_window_s == 40


def window(rate: float, p99_ms: float, candidate: Candidate = START, **more: object) -> Window:
    plan = Plan(candidate=candidate, purpose="race", rate=rate)
    values = {"complete": True, "requests": 300, "images_per_s": rate, "p50_ms": 1.0, "p99_ms": p99_ms}
    return Window.model_validate({"plan": plan, **values, **more})


def test_the_front_leaves_out_what_another_beats_in_both() -> None:
    slow, fast, beaten = window(10, 20), window(30, 50), window(9, 60)
    cut_off, wrong = window(99, 1, complete=False), window(99, 1, errors={"wrong answer": 1})
    assert front([fast, beaten, slow, cut_off, wrong]) == [slow, fast]


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        (window(10, LIMIT_MS), None),
        (window(10, LIMIT_MS + 1), "p99 above 100 ms"),
        (window(10, 1, complete=False), "p99 above 100 ms"),
        (window(10, 1, errors={"HTTP 503": 2}), "2 x HTTP 503"),
        (Window(plan=window(1, 1).plan, failure="no memory"), "no memory"),
    ],
)
def test_every_problem_is_a_line(found: Window, problem: str | None) -> None:
    assert found.problem(LIMIT_MS) == problem
    assert line(found, LIMIT_MS).endswith(problem or "holds")


def result(confirmed_windows: list[Window], windows: list[Window] | None = None) -> Result:
    return Result("pets 1.0", LIMIT_MS, 2, START, windows or confirmed_windows, confirmed_windows)


def test_a_busy_load_generator_is_warned_of_and_the_machine_described() -> None:
    busy = window(10, 20, generator_percent=DOUBTFUL_CPU_PERCENT + 5)
    assert "1 of 2 measurements" in str(result([], [busy, window(10, 20)]).warning)
    assert "75 % of a core" in line(busy, LIMIT_MS)
    assert "2 cores" in result([], [busy]).machine
    assert result([], [window(10, 20)]).warning is None


def test_both_charts_are_written_also_after_ctrl_c(tmp_path: Path) -> None:
    found = result([window(40, 50, BEST)], [window(20, 30), window(60, 900, BEST), window(40, 50, BEST)])
    with pytest.raises(KeyboardInterrupt), charted(tmp_path, lambda: found):
        raise KeyboardInterrupt
    text = (tmp_path / "report.html").read_text()
    assert text.count("<circle") == 3
    assert f"{BEST}: 40.0 images/s, p99 50 ms" in text
    with Image.open(tmp_path / "report.png") as image:
        assert image.format == "PNG"
        assert len(image.getcolors(100_000) or []) > 5
    with charted(tmp_path, lambda: result([])):
        pass
    assert "<circle" not in (tmp_path / "report.html").read_text()


def test_the_best_is_written_and_other_lines_stay(tmp_path: Path) -> None:
    file = tmp_path / "pets.yaml"
    file.write_text("name: pets\nbatch_size: 2 # images\nworkers: null\n")
    write_choice(file, result([window(40, 50, BEST)]))
    assert "batch_size: 8 # images\n" in file.read_text()
    assert yaml.safe_load(file.read_text()) == {
        "name": "pets",
        "batch_size": 8,
        "workers": 2,
        "max_batch_delay": 10,
    }


def test_the_best_with_the_present_threads_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "pets.yaml"
    file.write_text("name: pets\nworkers: null\n")
    other = BEST.model_copy(update={"workers": 1, "threads": 2})
    kept = BEST.model_copy(update={"workers": 1})
    write_choice(file, result([window(50, 50, other), window(40, 50, kept)]))
    assert yaml.safe_load(file.read_text()) == {
        "name": "pets",
        "workers": None,
        "batch_size": 8,
        "max_batch_delay": 10,
    }
    assert "set OMP_NUM_THREADS" in capsys.readouterr().out


def test_without_a_confirmed_combination_the_file_stays(tmp_path: Path) -> None:
    file = tmp_path / "pets.yaml"
    file.write_text("name: pets\n")
    write_choice(file, result([]))
    write_choice(None, result([window(40, 50)]))
    assert file.read_text() == "name: pets\n"


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        (b'{"cat": 0.9, "dog": 0.1}', b'{"cat": 0.6, "dog": 0.4}', True),
        (b'{"cat": 0.9, "dog": 0.1}', b'{"dog": 0.9, "cat": 0.1}', False),
        (b'{"cat": 0.9, "dog": 0.1}', b'{"code": 500, "message": "no"}', False),
        (b"[1, 2.0]", b"[1, 2.01]", True),
        (b"[1, 2.0]", b"[1, 3.0]", False),
        (b"a text", b"another", False),
    ],
)
def test_answers_are_the_same_class_or_the_same_value(expected: bytes, found: bytes, *, same: bool) -> None:
    assert is_same(expected, found, tolerance=0.05) is same


def test_models_without_images_get_their_samples(tmp_path: Path) -> None:
    sample = tmp_path / "in.json"
    sample.write_text("[1]")
    echo = [
        "model.handler=tests/handlers/answering.py",
        *(f"model.{key}=null" for key in ("labels", "image", "weights", "calibration_images")),
    ]
    with_sample = load_once("tune", TuneSettings, [*echo, f"model.samples=[{{input: {sample}}}]"])
    assert bodies(with_sample) == [(b"[1]", "application/json")]
    with pytest.raises(NoRequestsError, match="no samples"):
        bodies(load_once("tune", TuneSettings, [*echo, "model.samples=[]"]))
    assert len(bodies(load_once("tune", TuneSettings, ["clients=20"]))) == 20


async def test_every_answer_is_checked_against_the_first() -> None:
    answers = iter([(200, b'{"cat": 0.9}'), (200, b'{"cat": 0.8}'), (200, b'{"dog": 1}'), (503, b"full")])

    async def predict(_: web.Request) -> web.Response:
        status, body = next(answers)
        return web.Response(status=status, body=body)

    [port] = free_ports(1)
    application = web.Application()
    application.router.add_post("/predictions/pets", predict)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    tally, ended = Tally(), list[float | None]()
    async with Sender(f"http://127.0.0.1:{port}", 5) as sender:
        request = CheckedRequest(sender, "/predictions/pets", b"image", 0.05, ended.append)
        assert await request.ask() is None
        assert [await request.send(tally, 0) for _ in range(3)] == [True, False, False]
    await runner.cleanup()
    assert tally.errors == {"wrong answer": 1, "HTTP 503": 1}
    assert tally.answered == 1
    assert [each is None for each in ended] == [False, True, True]
