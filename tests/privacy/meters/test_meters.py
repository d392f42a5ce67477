"""What holds of every meter; then each of them against what is known by construction."""

import dataclasses

import numpy as np
import pytest

from fi_workbench.core.errors import InvalidData, InvalidOption, UnknownName
from fi_workbench.privacy.meters import Sample, Sight, meters
from fi_workbench.privacy.meters.prior import guessed_prior, total_variation
from fi_workbench.privacy.meters.sight import MIN_SAMPLES
from tests.privacy.meters.sights import N_CLASSES, blobs, constant, fair, honest, sight, surer

MEMBERSHIP = ("confidence_attack", "quantile_attack", "lira_lite")
QUICK = {
    "quantile_attack": {"n_trees": 5},
    "lira_lite": {"n_shadows": 2, "n_epochs": 3},
    "extraction": {"n_points": 2, "n_epochs": 5},
}


def main_figure(name, seen, **options):
    few = {"n_shadows": 4, "n_epochs": 12} if name == "lira_lite" else {}
    return meters[name](seen, seed=1, options=few | options).readings[0]


# ---- the contract


def test_they_are_listed_in_the_order_in_which_they_are_shown():
    assert tuple(meters) == (*MEMBERSHIP, "extraction", "label_distribution")


@pytest.mark.parametrize("name", list(meters))
def test_equal_seeds_measure_equally(name):
    seen, options = sight(surer, n=40), QUICK.get(name, {})
    one, two = (meters[name](seen, 3, options=options) for _ in range(2))
    assert one.readings == two.readings


@pytest.mark.parametrize("name", list(meters))
def test_figures_lie_in_their_intervals_and_are_those_of_chance(name):
    found = meters[name](sight(surer, n=40), options=QUICK.get(name, {}))
    for one in found.readings:
        assert one.low <= one.value <= one.high
        assert one.n > 0
    chance = meters[name].chance(N_CLASSES, np.array([0.5, 0.3, 0.2]))
    assert [figure for figure, _ in chance] == [one.figure for one in found.readings]
    assert all(np.isfinite(value) for _, value in chance)


@pytest.mark.parametrize("name", list(meters))
def test_each_step_is_told_before_it_is_taken_and_may_be_refused(name):
    told = []

    def stop_at_the_second(step, share):
        told.append((step, share))
        if len(told) == 2:
            raise KeyboardInterrupt

    seen, options = sight(surer, n=40), QUICK.get(name, {})
    steps = []
    meters[name](seen, 0, lambda step, share: steps.append((step, share)), options)
    shares = [share for _, share in steps]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] < 1
    if len(steps) > 1:
        with pytest.raises(KeyboardInterrupt):
            meters[name](seen, 0, stop_at_the_second, options)
        assert told == steps[:2]


@pytest.mark.parametrize("name", list(meters))
def test_what_it_needs_and_lacks_is_named(name):
    whole = sight(fair, n=40)
    for part in meters[name].needs:
        with pytest.raises(InvalidData, match=part.replace("_", " ")):
            meters[name](dataclasses.replace(whole, **{part: None}))


@pytest.mark.parametrize("name", list(meters))
def test_what_it_does_not_need_may_be_missing(name):
    whole = sight(fair, n=40)
    rest = {one.name: None for one in dataclasses.fields(Sight) if one.name not in meters[name].needs}
    assert meters[name](dataclasses.replace(whole, **rest), options=QUICK.get(name, {})).readings


@pytest.mark.parametrize("name", list(meters))
def test_too_few_samples_say_nothing(name):
    with pytest.raises(InvalidData, match="at least"):
        meters[name](sight(fair, n=MIN_SAMPLES - 1))


@pytest.mark.parametrize("name", list(meters))
def test_unknown_options_are_refused_and_every_meter_explains_itself(name):
    with pytest.raises(InvalidOption, match="no option 'typo'"):
        meters[name](sight(fair, n=40), options={"typo": 1})
    assert len(meters[name].explanation) > 60


def test_unknown_meters_are_refused_by_name():
    with pytest.raises(UnknownName, match="lira_lite"):
        meters["lira"]


def test_a_sample_must_fit_together():
    queries, labels = blobs(12, 0)
    with pytest.raises(InvalidData, match="as many queries as labels"):
        Sample(queries, labels[:-1], honest(queries))
    with pytest.raises(InvalidData, match="0 to 2"):
        Sample(queries, labels + 1, honest(queries))
    with pytest.raises(InvalidData, match="NaN"):
        Sample(queries, labels, honest(queries) * np.nan)


# ---- membership


@pytest.mark.parametrize("name", MEMBERSHIP)
def test_an_overfitted_party_is_told_apart(name):
    found = main_figure(name, sight(surer))
    assert found.low > 0.6
    assert found.value > 0.7


@pytest.mark.parametrize("name", MEMBERSHIP)
@pytest.mark.parametrize("seen_of", [fair, constant])
def test_a_party_that_treats_all_alike_is_not(name, seen_of):
    found = main_figure(name, sight(seen_of))
    assert found.low <= 0.5 <= found.high


@pytest.mark.parametrize("name", ["quantile_attack", "lira_lite"])
def test_knowing_how_hard_a_query_is_helps(name):
    # a small surplus drowns in how sure the model is of different queries, unless that is taken off
    seen = sight(lambda *of: surer(*of, by=0.8), n=300)
    assert main_figure(name, seen).value > main_figure("confidence_attack", seen).value + 0.02


@pytest.mark.parametrize("statistic", ["confidence", "entropy", "modified_entropy"])
def test_every_statistic_of_sureness_is_higher_for_members(statistic):
    def certain(part, queries, labels):
        return np.eye(N_CLASSES)[labels] * 0.9 + 0.1 / 3 if part == "members" else np.full((len(labels), 3), 1 / 3)

    assert main_figure("confidence_attack", sight(certain), statistic=statistic).value == 1


def test_entropy_is_deceived_by_who_is_surely_wrong_and_its_modification_is_not():
    def seen(part, queries, labels):
        return np.eye(N_CLASSES)[labels if part == "members" else (labels + 1) % 3] * 0.9 + 0.1 / 3

    assert main_figure("confidence_attack", sight(seen), statistic="entropy").value == 0.5
    assert main_figure("confidence_attack", sight(seen), statistic="modified_entropy").value == 1


def test_modified_entropy_minds_the_true_label_first():
    # -(1 - p_y) log p_y - sum of -p_c log(1 - p_c) over wrong c: -0.69 against -1.14
    def seen(part, queries, labels):
        one, other, third = (0.5, 0.5, 0.0) if part == "members" else (0.3, 0.35, 0.35)
        return one * np.eye(3)[labels] + other * np.eye(3)[(labels + 1) % 3] + third * np.eye(3)[(labels + 2) % 3]

    assert main_figure("confidence_attack", sight(seen), statistic="modified_entropy").value == 1


def test_a_model_that_learnt_its_few_samples_by_heart_leaks_them():
    members, labels = blobs(60, 100)

    def memory(part, queries, _):
        distance = ((queries[:, None] - members[None]) ** 2).sum(axis=2)
        return 0.97 * np.eye(N_CLASSES)[labels[distance.argmin(axis=1)]] + 0.01

    whole = sight(memory, n=120)
    whole = dataclasses.replace(whole, members=Sample(members, labels, memory("", members, None)))
    for name in MEMBERSHIP:
        assert main_figure(name, whole).low > 0.55, name


# ---- copying


def test_a_copy_grows_better_with_queries_and_follows_what_is_seen():
    found = meters["extraction"](sight(fair), options={"n_epochs": 40})
    assert found.readings[0].value > 0.85
    assert found.curve.y[-1] > found.curve.y[0]
    assert found.curve.x[-1] == 200
    np.testing.assert_array_less(found.curve.low, found.curve.high)


def test_only_what_lies_above_the_baseline_was_learnt_from_the_target():
    def liar(part, queries, labels):
        return np.roll(honest(queries), 1, axis=1)

    queries = blobs(200, 6)[0]
    found = main_figure("extraction", sight(liar, held_out=(queries, liar("", queries, None))))
    assert found.value > 0.8
    assert found.baseline < 0.2  # the true labels teach another model
    blind = main_figure("extraction", sight(constant, held_out=(queries, liar("", queries, None))))
    assert blind.value < 0.5


# ---- label distribution


def test_a_party_that_answers_its_prior_shows_it():
    prior = np.array([0.7, 0.2, 0.1])
    found = main_figure(
        "label_distribution", sight(lambda part, queries, labels: np.tile(prior, (len(labels), 1)), prior=prior)
    )
    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.baseline == pytest.approx(total_variation(np.full(3, 1 / 3), prior)) == pytest.approx(0.7 - 1 / 3)
    assert found.leaks_below


def test_the_mix_of_queries_does_not_pass_for_the_prior():
    # a perfect model, asked mostly about one class, is guessed to hold all classes alike
    labels = np.repeat([0, 1, 2], [80, 10, 10])
    np.testing.assert_allclose(guessed_prior(labels, np.eye(3)[labels]), 1 / 3)
    assert total_variation(np.array([1.0, 0, 0]), np.array([0, 0.5, 0.5])) == 1
