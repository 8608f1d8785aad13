"""RequestContext: one deadline, and times that add up."""

from dataclasses import replace

import pytest

from tests.unit.stages import ANSWER, context
from torchserve_gateway.gateway.telemetry.request_context import RequestContext


def test_the_time_left_falls_to_the_deadline_and_below() -> None:
    assert 0 < context(left_s=60).left_s <= 60
    assert context(left_s=-1).left_s < 0


def test_a_context_without_a_deadline_has_all_the_time() -> None:
    assert RequestContext("id").left_s == float("inf")


def test_a_detached_job_has_a_deadline_of_its_own_and_the_facts_of_its_request() -> None:
    request = context(left_s=1, requested="2.0")
    job = request.detached(60)
    assert job.left_s > 50
    assert (job.request_id, job.routing_key, job.requested_version) == ("id", "key", "2.0")
    job.answer_with(ANSWER)
    assert request.version == "2.0"


def test_stages_add_up_to_the_time_so_far() -> None:
    asked = context()
    asked.started -= 5
    asked.answer_with(replace(ANSWER, torchserve_s=2.0, admission_s=1.0, handler_s={"inference": 0.5}))
    before_s = asked.elapsed_s
    stages_s = asked.stages_s
    after_s = asked.elapsed_s
    assert stages_s.keys() == {"gateway", "admission", "queue", "inference"}
    assert stages_s["queue"] == pytest.approx(1.5)
    assert before_s - 1e-6 <= sum(stages_s.values()) <= after_s + 1e-6


def test_a_kept_answer_has_no_stages_of_its_own() -> None:
    asked = context()
    asked.answer_with(replace(ANSWER, torchserve_s=0.0, cache="hit"))
    assert asked.answers == []
    assert (asked.cache, asked.version) == ("hit", "1.10")
    assert asked.stages_s["torchserve"] == 0.0
