"""The machine's samples in the log of a recorder."""

import pytest

from regtui.core.events import RunEnded, RunStarted, StepEnded, SystemSampled


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Look at the machine without waiting."""
    monkeypatch.setattr("regtui.system.PERIOD_SECONDS", 0.01)


def sampled(history):
    return len(history().system) > 0


def test_a_recorded_run_has_samples_between_its_first_line_and_its_end(recorder, log, history, records, until):
    run = recorder()
    run.step(loss=1.0)
    until(lambda: log.stat().st_size and sampled(history))
    run.finish()
    kinds = [type(event) for event in records()]
    assert kinds[:2] == [RunStarted, StepEnded]
    assert SystemSampled in kinds
    assert kinds[-1] is RunEnded


def test_a_knob_may_be_registered_as_long_as_there_is_no_number(recorder, log, history, records, until):
    run = recorder()
    run.start()
    until(lambda: run._sampler.cost_seconds > 0)
    assert not log.stat().st_size
    run.knob("dropout", set=lambda value: None, value=0.1)
    run.step(loss=1.0)
    until(lambda: log.stat().st_size and sampled(history))
    assert "knob" in records()[0].listens
