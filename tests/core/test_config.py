"""RunConfig: defaults and presets, ranges whose errors name the option, and values as text and back."""

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regtui.core.config import (
    ConfigError,
    RunConfig,
    fields,
    options_of,
    parse,
    policy_defaults,
    policy_fields,
    policy_only_fields,
    unparse,
)
from regtui.core.events import RunStarted, encode_lines
from regtui.core.fields import check
from regtui.core.policies import policies
from regtui.core.presets import PRESETS
from regtui.core.text import printable

FIELDS = fields()
NUMBERS = [field for field in FIELDS.values() if field.kind in {"integer", "number"}]
MNIST = {"dataset": "mnist", "hidden": (200, 100), "label_noise": 0.0, "train_rows": None}

POLICIES = policies()


def owner(name):
    """A policy that reads a field; the default one for fields of every policy."""
    return next((policy for policy in POLICIES if name in policy_fields(policy)), "constant")


def outside(field):
    """Values just beyond what a field allows."""
    step = 1 if field.kind == "integer" else 1e-6
    if field.at_least is not None:
        yield field.at_least - step
    if field.above is not None:
        yield field.above
    if field.at_most is not None:
        yield field.at_most * 1.001 + step
    if field.below is not None:
        yield field.below


def inside(field):
    """Values at the ends of what a field allows."""
    yield field.at_least if field.at_least is not None else (field.above or 0) + 1e-9
    if field.at_most is not None:
        yield field.at_most
    if field.below is not None:
        yield math.nextafter(field.below, 0)


class TestRanges:
    @pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
    def test_a_number_out_of_range_is_answered_with_the_option_and_the_range(self, field):
        for value in outside(field):
            given = int(value) if field.kind == "integer" else value
            with pytest.raises(ConfigError) as caught:
                RunConfig.create("plain", lr_policy=owner(field.name), **{field.name: given})
            assert caught.value.field == field.name
            assert str(caught.value) == f"{field.option} must be {field.range_text()}, not {given}"

    @pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
    def test_the_ends_of_a_range_are_in_it(self, field):
        for value in inside(field):
            check(field, int(value) if field.kind == "integer" else value)

    @pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
    @pytest.mark.parametrize(
        "text", ["nan", "inf", "-inf", "1e999", "x", "1,5", "--", "0x10", "9" * 400, "-" + "9" * 5000]
    )
    def test_what_is_no_number_is_answered_with_the_option(self, field, text):
        with pytest.raises(ConfigError) as caught:
            parse(field, text)
        assert str(caught.value).startswith(f"{field.option} must be {field.range_text()}, not ")

    @pytest.mark.parametrize("field", NUMBERS, ids=lambda field: field.name)
    def test_every_number_has_two_ends(self, field):
        """Whatever is computed from a checked number stays finite."""
        assert (field.at_least, field.above) != (None, None)
        assert (field.at_most, field.below) != (None, None)

    @pytest.mark.parametrize("text", ["200,,x", "200,,100", "0", "-5", "200,0", "1.5", "a", ",", "65537", "200 100"])
    def test_widths_that_are_none_are_answered_with_an_example(self, text):
        with pytest.raises(
            ConfigError, match=r"--hidden must be whole numbers from 1 to 65536 .* such as 200,100, not"
        ):
            parse(FIELDS["hidden"], text)

    def test_no_hidden_layer_at_all_is_a_net_too(self):
        assert parse(FIELDS["hidden"], "") == ()

    @pytest.mark.parametrize(
        ("option", "value"), [("optimizer", "sgdm"), ("lr_policy", "warp"), ("device", "tpu"), ("plateau_rule", "jax")]
    )
    def test_a_choice_that_is_none_is_answered_with_the_choices(self, option, value):
        with pytest.raises(ConfigError) as caught:
            RunConfig.create("plateau", **{option: value})
        choices = ", ".join(FIELDS[option].choices)
        assert str(caught.value) == f"{FIELDS[option].option} must be one of {choices}, not {value!r}"

    @pytest.mark.parametrize(
        ("text", "value"), [("yes", True), ("TRUE", True), ("0", False), ("off", False), ("", False)]
    )
    def test_a_flag_is_yes_or_no(self, text, value):
        assert parse(FIELDS["keep_going"], text) is value

    def test_a_flag_that_is_neither_is_an_error(self):
        with pytest.raises(ConfigError, match="--keep-going must be yes or no, not 'maybe'"):
            parse(FIELDS["keep_going"], "maybe")

    @pytest.mark.parametrize("value", [True, "1", 1.0, [1], None])
    def test_a_value_of_another_type_is_an_error(self, value):
        with pytest.raises(ConfigError, match="--seed must be a whole number of at least 0 and at most 2147483647"):
            check(FIELDS["seed"], value)

    def test_an_unknown_preset_is_answered_with_the_known_ones(self):
        with pytest.raises(ConfigError, match=r"--preset must be one of overfit, plain, .*, not 'plane'"):
            RunConfig.create("plane")

    def test_an_unknown_field_is_named(self):
        with pytest.raises(ConfigError, match="--warp-speed is not a field of a run"):
            RunConfig.create("plain", warp_speed=9)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"lr_policy": "exponential", "lr_decay": 1.1}, "--lr-decay must be at most 1 for the exponential policy"),
            ({"lr_policy": "linear", "lr_floor": 0.1}, "--lr-floor must be at most the learning rate 0.001, not 0.1"),
            ({"lr_policy": "plateau", "threshold": 1.0}, "--threshold must be below 1 with --threshold-mode rel"),
            (
                {"lr_policy": "plateau", "plateau_rule": "keras", "threshold_mode": "rel"},
                "--threshold-mode must be abs with --plateau-rule keras",
            ),
            (
                {"lr_policy": "plateau", "plateau_rule": "keras", "lr_eps": 1e-8},
                "--lr-eps must be 0 with --plateau-rule keras",
            ),
        ],
    )
    def test_fields_that_contradict_each_other_are_named(self, given, message):
        with pytest.raises(ConfigError, match=message):
            RunConfig.create("plain", **given)

    def test_all_problems_are_found_not_only_the_first(self):
        broken = RunConfig(dropout=1.0, batch_size=0, learning_rate=math.nan)
        assert [problem.field for problem in broken.problems()] == ["learning_rate", "dropout", "batch_size"]


class TestPolicyFields:
    @pytest.mark.parametrize("policy", POLICIES)
    @pytest.mark.parametrize("name", policy_only_fields())
    def test_a_field_of_one_policy_is_refused_beside_another(self, policy, name):
        value = policy_defaults(owner(name))[name]
        if name in policy_fields(policy):
            RunConfig.create("plain", lr_policy=policy, **{name: min(value, 1) if name == "lr_decay" else value})
            return
        with pytest.raises(ConfigError) as caught:
            RunConfig.create("plain", lr_policy=policy, **{name: value})
        owners = " or ".join(other for other in POLICIES if name in policy_fields(other))
        assert str(caught.value) == f"{FIELDS[name].option} belongs to --lr-policy {owners}, not to {policy}"

    @pytest.mark.parametrize("policy", POLICIES)
    def test_a_policy_fills_in_its_own_fields_and_no_others(self, policy):
        config = RunConfig.create("plain", lr_policy=policy)
        assert {name for name in policy_only_fields() if getattr(config, name) is not None} == set(
            policy_fields(policy)
        )

    def test_the_defaults_are_those_of_the_table(self):
        assert policy_defaults("exponential") == {"lr_decay": 0.995, "lr_floor": 1e-6}
        assert policy_defaults("step") == {"gamma": 0.5, "every": 10}
        assert policy_defaults("cosine")["lr_floor"] == 0
        assert policy_defaults("plateau") == {
            "plateau_per": "step", "patience": 200, "factor": 0.1, "threshold": 1e-4, "threshold_mode": "rel",
            "cooldown": 0, "lr_floor": 0.0, "lr_eps": 1e-8, "plateau_rule": "torch",
        }  # fmt: skip
        assert policy_defaults("plateau", "epoch")["patience"] == 5
        assert RunConfig().warmup == 0

    def test_the_keras_rule_has_an_absolute_threshold_and_no_smallest_drop(self):
        config = RunConfig.create("plateau", plateau_rule="keras")
        assert (config.threshold_mode, config.lr_eps) == ("abs", 0.0)

    def test_a_policy_beside_a_preset_does_not_inherit_another_policys_fields(self):
        config = RunConfig.create("lr-decay", lr_policy="inverse_time")
        assert (config.lr_decay, config.lr_floor) == (0.01, None)

    def test_a_plateau_of_epochs_beside_the_preset_has_the_patience_of_epochs(self):
        assert RunConfig.create("plateau", plateau_per="epoch").patience == 5


class TestPrecision:
    def test_a_log_from_before_it_was_a_field_ran_in_float32(self):
        config = msgspec.json.decode(b'{"framework":"tensorflow","dataset":"mnist","l2":0.001}', type=RunConfig)
        assert (config.framework, config.precision) == ("tensorflow", "float32")

    def test_it_is_logged_with_the_configuration(self):
        started = RunStarted(run_id="r", time=0.0, config=RunConfig.create(precision="float64"))
        assert b'"precision":"float64"' in encode_lines([started])

    def test_any_other_is_refused_by_name(self):
        with pytest.raises(ConfigError, match="--precision must be one of float32, float64, not 'float16'"):
            RunConfig.create(precision="float16")


class TestPresets:
    @pytest.mark.parametrize(
        ("preset", "values"),
        [
            (
                "overfit",
                {
                    "dataset": "digits", "train_rows": 1000, "label_noise": 0.2, "batch_size": 32, "epochs": 60,
                    "optimizer": "adam", "learning_rate": 3e-3, "l2": 0.0, "dropout": 0.0, "hidden": (200, 100),
                },
            ),
            ("plain", {**MNIST, "l2": 0.0, "dropout": 0.0, "lr_policy": "constant"}),
            ("l2", {**MNIST, "l2": 0.001, "dropout": 0.0}),
            ("dropout", {**MNIST, "l2": 0.0, "dropout": 0.4}),
            ("l2+dropout", {**MNIST, "l2": 0.001, "dropout": 0.4}),
            (
                "lr-decay",
                {
                    **MNIST, "optimizer": "sgd", "learning_rate": 0.2, "lr_policy": "exponential", "lr_decay": 0.995,
                    "lr_floor": 1e-6,
                },
            ),
            (
                "plateau",
                {
                    **MNIST, "optimizer": "adam", "lr_policy": "plateau", "plateau_per": "step", "patience": 200,
                    "factor": 0.1, "plateau_rule": "torch",
                },
            ),
        ],
    )  # fmt: skip
    def test_a_preset_has_the_tutorials_values(self, preset, values):
        config = RunConfig.create(preset)
        assert {name: getattr(config, name) for name in values} == values

    def test_there_are_no_presets_but_these(self):
        assert list(PRESETS) == ["overfit", "plain", "l2", "dropout", "l2+dropout", "lr-decay", "plateau"]

    def test_nothing_given_at_all_is_the_overfit_lab(self):
        assert RunConfig.create() == RunConfig.create("overfit")

    def test_a_data_set_given_alone_is_no_preset(self):
        assert RunConfig.create(dataset="digits") == RunConfig(dataset="digits")

    def test_an_option_beside_a_preset_wins(self):
        assert RunConfig.create("l2", l2=0.5).l2 == 0.5
        assert RunConfig.create("overfit", train_rows=None).train_rows is None

    def test_nothing_given_for_a_field_leaves_the_presets_value(self):
        assert RunConfig.create("lr-decay", learning_rate=None, lr_decay=None) == RunConfig.create("lr-decay")


def values_of(field):
    """Any value a field allows."""
    if field.kind == "choice":
        return st.sampled_from(field.choices)
    if field.kind == "widths":
        return st.lists(st.integers(1, 65536), max_size=4).map(tuple)
    if field.kind == "flag":
        return st.booleans()
    if field.kind == "text":
        return st.text(min_size=1).map(lambda text: printable(text).strip()).filter(bool)
    if field.kind == "integer":
        return st.integers(int(field.at_least), int(field.at_most))
    low = field.above if field.at_least is None else field.at_least
    high = field.below if field.at_most is None else field.at_most
    return st.floats(
        low, high, exclude_min=field.at_least is None, exclude_max=field.at_most is None, allow_subnormal=False
    )


class TestText:
    @settings(max_examples=200, deadline=None)
    @given(data=st.data())
    def test_what_is_written_is_read_back_as_it_was(self, data):
        field = data.draw(st.sampled_from(list(FIELDS.values())))
        value = data.draw(st.none() | values_of(field) if field.optional else values_of(field))
        assert parse(field, unparse(field, value)) == value

    @pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
    def test_every_default_reads_back(self, field):
        assert parse(field, unparse(field, field.default)) == field.default

    @pytest.mark.parametrize(("value", "text"), [(0.1, "0.1"), (1e-6, "1e-6"), (3e-3, "0.003"), (1.0, "1")])
    def test_numbers_are_written_short(self, value, text):
        assert unparse(FIELDS["learning_rate"], value) == text

    @pytest.mark.parametrize("preset", PRESETS)
    def test_a_configuration_survives_the_log(self, preset):
        config = RunConfig.create(preset, hidden=[30, 20], learning_rate=1)
        assert msgspec.json.decode(msgspec.json.encode(config), type=RunConfig) == config


@pytest.mark.parametrize("field", FIELDS.values(), ids=lambda field: field.name)
def test_every_field_has_a_label_and_a_line_that_says_what_it_does(field):
    assert field.label
    assert 10 < len(field.hint) < 100
    assert "\n" not in field.hint


@pytest.mark.parametrize(
    ("preset", "given"),
    [
        (None, {}),
        *((preset, {}) for preset in PRESETS),
        (None, {"dataset": "my own.csv", "train_rows": None, "hidden": (), "keep_going": True}),
        (None, {"lr_policy": "plateau", "plateau_rule": "keras", "learning_rate": 0.1 + 0.2}),
        *((None, {"dataset": "digits", "lr_policy": policy}) for policy in POLICIES),
    ],
)
def test_a_configuration_typed_as_options_is_made_again_from_them(preset, given):
    config = RunConfig.create(preset, **given)
    words = iter(options_of(config))
    typed = {}
    for word in words:
        field = FIELDS[word.removeprefix("--").replace("-", "_")]
        typed[field.name] = True if field.kind == "flag" else parse(field, next(words))
    assert RunConfig.create(None, **typed) == config


def test_options_say_what_is_not_as_it_is_by_default_and_no_more():
    config = RunConfig.create(dataset="digits", dropout=0.4, lr_policy="plateau")
    typed = ["--framework", "torch", "--dataset", "digits", "--dropout", "0.4", "--lr-policy", "plateau"]
    assert sorted(options_of(config)) == sorted(typed)
