"""The start that both frameworks share, and the rows that a large split is measured on."""

import numpy as np

from regtui.core.config import RunConfig
from regtui.core.weights import evaluation_rows, initial_weights, layer_names, layer_widths


def config_of(**given) -> RunConfig:
    return RunConfig.create("overfit", **{"hidden": (200, 100), **given})


def test_kernels_are_he_uniform_and_biases_zero():
    weights = initial_weights(config_of(), 784, 10)
    assert [part.shape for part in weights] == [(784, 200), (200,), (200, 100), (100,), (100, 10), (10,)]
    assert all(part.dtype == np.float32 for part in weights)
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        limit = np.sqrt(6 / kernel.shape[0])
        assert 0.98 * limit < np.abs(kernel).max() <= limit
        # The variance that He et al. ask for is 2 / inputs; a thousand weights tell it to within a few percent.
        assert abs(kernel.var() * kernel.shape[0] / 2 - 1) < 0.1
        assert not bias.any()


def test_the_seed_alone_decides():
    first, again = initial_weights(config_of(seed=5), 64, 10), initial_weights(config_of(seed=5, l2=0.1), 64, 10)
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first[0], initial_weights(config_of(seed=6), 64, 10)[0])


def test_a_net_without_hidden_layers_is_one_kernel():
    assert layer_widths(config_of(hidden=()), 64, 10) == [(64, 10)]
    assert layer_names(config_of(hidden=())) == ["output"]
    assert layer_names(config_of()) == ["hidden_1", "hidden_2", "output"]


def test_only_a_split_of_more_than_ten_thousand_rows_is_measured_in_part():
    assert evaluation_rows(config_of(), 10_000) is None
    chosen = evaluation_rows(config_of(), 10_001)
    assert chosen is not None
    assert len(np.unique(chosen)) == 10_000
    assert chosen.max() <= 10_000
    assert not np.array_equal(chosen, evaluation_rows(config_of(seed=1), 10_001))
