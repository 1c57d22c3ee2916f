"""The table of optimizers is what options, advice and backends go by."""

from regtui.core.config import RunConfig, fields
from regtui.core.optimizers import OPTIMIZERS


def test_a_run_can_be_given_each_optimizer_of_the_table_and_no_other():
    assert fields()["optimizer"].choices == tuple(OPTIMIZERS)
    assert RunConfig().optimizer in OPTIMIZERS
    assert [name for name, optimizer in OPTIMIZERS.items() if name != optimizer.name] == []


def test_the_option_says_what_sets_them_apart():
    assert fields()["optimizer"].hint == "momentum is SGD with momentum 0.9; adamw decouples weight decay"
    assert OPTIMIZERS["momentum"].momentum == 0.9
    assert [name for name, optimizer in OPTIMIZERS.items() if optimizer.decoupled] == ["adamw"]


def test_each_has_a_usual_rate_that_a_run_may_have():
    for optimizer in OPTIMIZERS.values():
        RunConfig.create(optimizer=optimizer.name, learning_rate=optimizer.usual_rate)
