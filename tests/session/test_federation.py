"""A federation: its names, its settings, its copies, and every way of giving it something that does not fit."""

import inspect
import json
import re
import threading

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import (
    DoesNotFit,
    FederationError,
    InvalidOption,
    InvalidParty,
    InvalidQuery,
    NoAnswer,
    UnknownName,
)  # fmt: skip
from fi_workbench.incentives import contribution_methods
from fi_workbench.privacy import make_mechanism, mechanisms
from tests.harness import CLASSES, SHAPE, linear_party, queries, registered
from tests.privacy.two_phase import CommitThenReveal
from tests.session.conftest import NAMES
from tests.session.toys import Laplace, SumsOnly


def test_the_names_are_those_of_the_issue():
    demo = inspect.signature(fi.Federation.demo).parameters
    assert {name: demo[name].default for name in ("dataset", "n_parties", "alpha", "seed", "model")} == {
        "dataset": "digits", "n_parties": 5, "alpha": 0.3, "seed": 0, "model": "mlp",
    }  # fmt: skip
    made = inspect.signature(fi.Federation).parameters
    assert made["rule"].default == "soft_vote"
    assert made["mechanism"].default == "plain"
    assert made["contribution"].default == "auto"
    assert list(inspect.signature(fi.Federation.ask).parameters)[:3] == ["self", "queries", "labels"]
    for name in ("with_", "ask", "ask_async", "stream", "astream", "history", "to_dict", "from_dict", "demo", "close"):
        assert hasattr(fi.Federation, name)
    assert inspect.iscoroutinefunction(fi.Federation.ask_async)


def test_a_record_holds_what_the_issue_says(make):
    record = make().ask(queries(4), labels=[0, 1, 2, 0])
    assert record.scores.shape == (4, 3)
    assert record.labels.shape == (4,)
    assert record.answers.shape == (3, 4, 3)
    np.testing.assert_allclose(record.answers.sum(axis=2), 1, atol=1e-5)
    assert record.contributions.shape == (3,)
    assert record.contributions.sum() == pytest.approx(1)
    assert record.absent == ()
    assert record.present == record.parties == NAMES
    assert (record.cost.messages_out, record.cost.messages_in) == (3, 3)
    assert record.cost.bytes_out > 0 < record.cost.bytes_in
    assert {"protect", "answer", "open", "contributions"} <= set(record.cost.stage_seconds)
    assert len(record.digest) == 64
    assert record.round == 1
    assert set(record.latency_seconds) == set(NAMES)
    assert record.accuracy == pytest.approx((record.labels == [0, 1, 2, 0]).mean())
    assert record.truth.tolist() == [0, 1, 2, 0]


def offline_rules():
    """Rules that need nothing but answers: no model to ask again, nothing fitted before."""
    return [name for name in fi.rules if not fi.rules[name].asks_again and name not in ("stacked", "deep_set")]


def test_scores_are_those_of_the_pure_function(make):
    asked, federation = queries(50), make()
    logits = np.stack([party.predict(asked) for party in federation.parties])
    counts = np.stack([party.facts.class_counts for party in federation.parties])
    for rule in offline_rules():
        record = federation.with_(rule=rule).ask(asked)
        expected = fi.aggregate(logits, rule=rule, class_counts=counts)
        np.testing.assert_allclose(record.scores, expected, atol=2e-5, err_msg=rule)
        np.testing.assert_array_equal(record.labels, expected.argmax(axis=1), err_msg=rule)


def test_contributions_are_those_of_the_pure_function(make):
    asked, truth = queries(50), np.arange(50) % 3
    federation = make()
    logits = np.stack([party.predict(asked) for party in federation.parties])
    of_answers = [name for name, method in contribution_methods.items() if method.asks is None]
    for method in of_answers:
        record = federation.with_(contribution=method).ask(asked, labels=truth)
        assert record.contribution == method
        expected = fi.contributions(logits, method=method, labels=truth)
        np.testing.assert_allclose(record.contribution_values, expected, atol=1e-5, err_msg=method)


def test_a_record_is_plain_data_for_json_even_with_numpy_options(make):
    federation = make(rule_options={}, deadline_seconds=np.float64(5), seed=np.int64(3))
    federation = federation.with_(contribution="shapley", contribution_options={"budget": np.int64(100)})
    record = federation.ask(queries(3), labels=np.array([0, 1, 2], np.uint8))
    for arrays in (True, False):
        text = json.dumps(record.to_dict(arrays=arrays), allow_nan=False)
        assert json.loads(text)["digest"] == record.digest
        assert ("scores" in json.loads(text)) is arrays
    assert json.loads(json.dumps(record.to_dict()))["labels"] == record.labels.tolist()


def test_settings_are_plain_data_too(make):
    federation = make(rule="prior_corrected", rule_options={"smoothing": np.float32(0.5)}, seed=np.int64(3))
    federation = federation.with_(contribution="shapley", contribution_options={"budget": np.int64(100)})
    assert json.loads(json.dumps(federation.to_dict()))["settings"]["rule_options"] == {"smoothing": 0.5}


def test_what_to_dict_returns_is_nobody_elses(make):
    record = make().ask(queries(3))
    record.to_dict()["settings"]["rule"] = "other"
    assert record.settings["rule"] == "soft_vote"


# what does not fit, when a federation is made


def party(name="P", classes=CLASSES, shape=SHAPE, **more):
    return fi.Party.from_callable(
        lambda asked: np.full((len(asked), len(classes)), 1 / len(classes)),
        name=name,
        classes=classes,
        input_shape=shape,
        **more,
    )


@pytest.mark.parametrize(
    ("parties", "error", "says"),
    [
        (list, InvalidParty, "at least one party"),
        (lambda: (), InvalidParty, "at least one party"),
        (lambda: [party("A"), party("A")], InvalidParty, "Two parties are called 'A'"),
        (lambda: [party("A"), party("B", classes=("cat", "dog"))], InvalidParty, "'B' knows 2 classes .cat, dog."),
        (
            lambda: [party("A"), party("B", classes=("cat", "dog", "cow"))],
            InvalidParty,
            "knows 3 classes .cat, dog, cow.",
        ),
        (lambda: [party("A"), party("B", classes=("dog", "cat", "owl"))], InvalidParty, "in another order"),
        (lambda: [party("A"), party("B", shape=(2, 2))], InvalidParty, r"'B' takes queries of shape \(2, 2\)"),
        (lambda: [party("A"), "B"], InvalidParty, "'B' is no party"),
        (lambda: [lambda x: x], InvalidParty, "is no party"),
        (lambda: party("A"), InvalidParty, r"give \[party\] for one"),
        (lambda: None, InvalidParty, "sequence of parties"),
    ],
)
def test_parties_that_do_not_fit_are_refused(parties, error, says):
    with pytest.raises(error, match=says):
        fi.Federation(parties(), history=None)


def test_parties_may_come_from_a_generator(make):
    assert make(parties=(linear_party(name) for name in NAMES)).ask(queries()).present == NAMES


BAD_SETTINGS = [
    ({"rule": "soft_vot"}, UnknownName, "no rule called 'soft_vot'. Did you mean 'soft_vote'.*Known: .*hard_vote"),
    ({"rule": None}, UnknownName, "no rule called None"),
    ({"rule_options": {"power": 2}}, InvalidOption, "'soft_vote' has no option 'power'. Its options: it has none"),
    ({"rule": "prior_corrected", "rule_options": {"smoothing": 1000}}, InvalidOption, "0.01 to 100, not 1000"),
    ({"rule": "prior_corrected", "rule_options": {"smoothing": float("nan")}}, InvalidOption, "smoothing"),
    ({"rule_options": ["x"]}, InvalidOption, "rule_options must be a mapping"),
    ({"contribution": "shaply"}, UnknownName, "Did you mean 'shapley'"),
    ({"contribution": "shapley", "contribution_options": {"budget": -1}}, InvalidOption, "budget"),
    ({"contribution_options": {"nothing": 1}}, InvalidOption, "no option 'nothing'"),
    ({"mechanism": "plane"}, UnknownName, "Did you mean 'plain'"),
    ({"mechanism": "plain", "mechanism_options": {"epsilon": 1}}, InvalidOption, "no option 'epsilon'"),
    ({"mechanism": ["plain", "plain"]}, DoesNotFit, "each decide how a round travels"),
    ({"mechanism": None}, InvalidOption, "a name, a Mechanism or a sequence"),
    ({"mechanism": 3}, InvalidOption, "a name, a Mechanism or a sequence"),
    ({"mechanism": [3]}, UnknownName, "no mechanism called 3"),
    ({"deadline_seconds": 0}, InvalidOption, "deadline_seconds must be a positive number"),
    ({"deadline_seconds": -1}, InvalidOption, "positive"),
    ({"deadline_seconds": float("nan")}, InvalidOption, "positive"),
    ({"deadline_seconds": float("inf")}, InvalidOption, "at most 3600"),
    ({"deadline_seconds": 1e9}, InvalidOption, "at most 3600"),
    ({"deadline_seconds": "1"}, InvalidOption, "positive"),
    ({"deadline_seconds": True}, InvalidOption, "positive"),
    ({"seed": 1.5}, InvalidOption, "seed must be a whole number"),
    ({"seed": True}, InvalidOption, "seed"),
    ({"seed": None}, InvalidOption, "seed"),
]


@pytest.mark.parametrize(("settings", "error", "says"), BAD_SETTINGS, ids=lambda value: str(value)[:50])
def test_settings_that_do_not_fit_are_refused_when_made_and_when_changed(make, settings, error, says):
    with pytest.raises(error, match=says) as refusal:
        make(**settings)
    assert isinstance(refusal.value, FederationError)
    federation = make()
    with pytest.raises(error, match=says):
        federation.with_(**settings)
    assert federation.ask(queries()).present == NAMES


def test_policies_and_keeps_that_do_not_exist_are_refused(make):
    with pytest.raises(UnknownName, match=r"no party with a policy called 'Bob'\. Did you mean 'Bo'"):
        make(policies={"Bob": fi.Policy()})
    with pytest.raises(UnknownName, match="no history keep called 'all'"):
        make(keep="all")


def test_rules_that_need_what_parties_lack_are_refused(make):
    bare = [linear_party("Ada"), party("Bo", outputs="probabilities")]
    with pytest.raises(DoesNotFit, match=r"Bo lacks class_counts.*What fits: .*soft_vote") as refusal:
        make(parties=bare, rule="class_competence")
    assert "soft_vote" in refusal.value.fits
    assert "class_competence" not in refusal.value.fits


def test_a_rule_or_contribution_that_must_see_more_is_refused_naming_what_fits(make, toys):
    def mean_of_each(answers):
        """The mean, of each answer."""
        return answers.mean(axis=0)

    fi.aggregation_rule(needs="each")(mean_of_each)
    try:
        with pytest.raises(DoesNotFit) as refusal:
            make(mechanism="sums_only", rule="mean_of_each")
        assert "each answer" in str(refusal.value)
        assert "the sum of the answers" in str(refusal.value)
        assert "plain" in str(refusal.value), "the mechanisms that would show it"
        assert "soft_vote" in refusal.value.fits
        assert "mean_of_each" not in refusal.value.fits
    finally:
        fi.rules.remove("mean_of_each")
    with pytest.raises(DoesNotFit, match=r"'shapley' must see 'each'.*'sums_only' shows 'sum'.*auto, equal") as refusal:
        make(mechanism="sums_only", contribution="shapley")
    assert refusal.value.fits == ("auto", "equal", "released_agreement")


def test_only_sums_are_shown_where_the_mechanism_says_so(make, toys):
    asked = queries(8)
    shown = make(mechanism="sums_only").ask(asked, labels=np.zeros(8, int))
    plain = make().ask(asked)
    assert shown.answers is None
    assert shown.contribution == "equal"
    np.testing.assert_allclose(shown.contributions, 1 / 3)
    np.testing.assert_array_equal(shown.scores, plain.scores)
    assert plain.contribution == "shapley"


def test_auto_picks_the_richest_that_fits(make):
    assert make().ask(queries()).contribution == "shapley"
    assert make(("Ada",)).ask(queries()).contribution == "equal"


def test_a_method_that_needs_labels_is_refused_before_anybody_is_asked(make):
    def lucky(view):
        """Needs labels."""
        return np.ones(view.n_parties)

    fi.contribution_method(needs="nothing", labels="required")(lucky)
    try:
        federation = make(contribution="lucky", policies={"Ada": fi.Policy(query_budget=6)})
        with pytest.raises(DoesNotFit, match="'lucky' needs true labels; give labels="):
            federation.ask(queries(6))
        assert len(federation.history) == 0
        assert federation.runtime.n_rounds == 0
        assert federation.ask(queries(6), labels=np.zeros(6, int)).present == NAMES, "its budget is whole"
    finally:
        contribution_methods.remove("lucky")


# bad questions


@pytest.mark.parametrize(
    ("asked", "labels", "says"),
    [
        (np.ones((2, 5)), None, r"shape \(2, 5\)"),
        (np.ones(4), None, "without its batch axis"),
        (np.ones((0, 4)), None, "empty"),
        (np.full((1, 4), np.nan), None, "NaN"),
        (np.full((1, 4), np.inf), None, "infinite"),
        (np.full((1, 4), 1e200), None, "too large"),
        (np.array([["a"] * 4]), None, "numbers are needed"),
        ([[1, 2], [3]], None, "no array"),
        (None, None, "numbers are needed"),
        (np.ones((2, 4)), [0], "one per query"),
        (np.ones((2, 4)), [0, 3], "the classes are 0 to 2"),
        (np.ones((2, 4)), [0.5, 1], "integer"),
    ],
)
def test_a_bad_question_is_refused_before_anybody_is_asked(make, asked, labels, says):
    federation = make()
    for way in (federation.ask, federation.stream):
        with pytest.raises(InvalidQuery, match=says):
            way(asked, labels)
    assert federation.runtime.n_rounds == 0
    assert len(federation.history) == 0


@pytest.mark.parametrize(
    ("mood", "kind", "says"),
    [
        ("raises", "raised", "RuntimeError"),
        ("garbage", "invalid", r"shape \(6, 2\)"),
        ("nan", "invalid", "NaN"),
        ("hangs", "late", "still at work"),
    ],
)
def test_one_partys_failure_is_an_absence(make, troubled, mood, kind, says):
    troubled.mood = mood
    federation = make(parties=[linear_party("Ada"), troubled.party, linear_party("Cy")], deadline_seconds=2.0)
    record = federation.ask(queries(6), labels=np.zeros(6, int))
    (absence,) = record.absent
    assert (absence.party, absence.kind, absence.phase) == ("Bo", kind, "answer")
    assert pytest.approx(0) == record.contributions[1]
    assert record.contributions.sum() == pytest.approx(1)
    assert not record.answers[1].any()
    assert record.present == ("Ada", "Cy")
    assert re.search(says, absence.reason)
    row = federation.history.table().query("party == 'Bo'").iloc[0]
    assert row.status == kind
    assert row.reason == absence.reason


def test_nobody_there_is_an_error_with_the_record_in_it(make, troubled):
    troubled.mood = "raises"
    federation = make(parties=[troubled.party])
    with pytest.raises(NoAnswer, match=r"None of 1 parties answered round 1\. Bo: raised, RuntimeError") as silence:
        federation.ask(queries(), labels=np.zeros(6, int))
    record = silence.value.record
    assert (record.scores, record.labels, record.contributions, record.answers) == (None, None, None, None)
    assert record.accuracy is None
    assert record.n_queries == 0
    assert federation.history[0]["digest"] == record.digest
    json.dumps(record.to_dict(), allow_nan=False)
    assert len(federation.history.table()) == 1


@pytest.mark.parametrize("bad", [[[0.5, 0.6, 0.1]], [[-0.2, 1.1, 0.1]], [[0.0, 0.0, 0.0]]])
def test_what_is_no_distribution_is_an_absence(make, bad):
    liar = fi.Party.from_callable(
        lambda asked: np.repeat(bad, len(asked), axis=0), name="Liar", classes=CLASSES, input_shape=SHAPE, probe=False
    )
    record = make(parties=[linear_party("Ada"), liar]).ask(queries())
    assert [(one.party, one.kind) for one in record.absent] == [("Liar", "invalid")]


@pytest.mark.parametrize("n", [1, 2, 30])
def test_federations_of_any_size(make, n):
    names = tuple(f"Party {k}" for k in range(n))
    record = make(names).ask(queries(3), labels=[0, 1, 2])
    assert record.parties == record.present == names
    assert record.answers.shape == (n, 3, 3)
    assert record.contributions.sum() == pytest.approx(1)


def test_names_may_be_any_printable_text(make):
    names = ("*", "Ärztehaus Nord", "<b>x</b>", "a.b", "sealed.x")
    record = make(names).ask(queries(3))
    assert record.present == names
    assert set(record.latency_seconds) == set(names)


# settings and copies


def test_settings_never_change(make):
    options = {"smoothing": 2.0}
    federation = make(rule="prior_corrected", rule_options=options)
    options["smoothing"] = 99
    assert federation.settings.rule_options == {"smoothing": 2.0}
    with pytest.raises(TypeError):
        federation.settings.rule_options["smoothing"] = 3
    with pytest.raises(AttributeError):
        federation.settings.rule = "hard_vote"
    for name in ("settings", "parties", "history", "runtime", "classes", "disclosure"):
        with pytest.raises(AttributeError):
            setattr(federation, name, None)


def test_a_copy_shares_the_runtime_and_leaves_the_first_alone(make):
    federation = make()
    copy = federation.with_(rule="hard_vote", deadline_seconds=3, seed=5)
    assert (federation.settings.rule, copy.settings.rule) == ("soft_vote", "hard_vote")
    assert (copy.settings.deadline_seconds, copy.settings.seed) == (3.0, 5)
    assert copy.runtime is federation.runtime
    assert copy.history is federation.history
    assert [federation.ask(queries()).round, copy.ask(queries()).round, federation.ask(queries()).round] == [1, 2, 3]
    assert len(copy.history) == 3


def test_options_go_back_to_their_defaults_with_the_method_they_belong_to(make):
    federation = make(rule="prior_corrected", rule_options={"smoothing": 2.0}, contribution="shapley",
                      contribution_options={"budget": 500})  # fmt: skip
    assert federation.with_(seed=1).settings.rule_options == {"smoothing": 2.0}
    assert federation.with_(rule="prior_corrected").settings.rule_options == {"smoothing": 2.0}
    other = federation.with_(rule="soft_vote")
    assert other.settings.rule_options == {}
    assert other.settings.contribution_options == {"budget": 500}
    assert other.with_(rule="prior_corrected").settings.rule_options == {}, "it does not remember"
    assert federation.with_(contribution="equal").settings.contribution_options == {}
    assert federation.with_(rule_options={}).settings.rule_options == {}
    assert federation.with_(rule_options=None).settings.rule_options == {}
    both = federation.with_(rule="prior_corrected", rule_options={"smoothing": 3})
    assert both.settings.rule_options == {"smoothing": 3}


def test_a_copy_takes_no_unknown_names(make):
    with pytest.raises(InvalidOption, match=r"rules.*Known: .*contribution.*mechanism_options.*parties.*rule"):
        make().with_(rules="soft_vote")


def test_a_copy_may_have_other_parties(make):
    federation = make(("Ada", "Bo", "Cy"))
    assert federation.with_(parties=["Cy", "Ada"]).ask(queries()).present == ("Cy", "Ada")
    new = linear_party("Di")
    assert federation.with_(parties=[*federation.parties, new]).ask(queries()).present == ("Ada", "Bo", "Cy", "Di")
    with pytest.raises(UnknownName, match=r"no party called 'Di'\. Known: Ada, Bo, Cy"):
        federation.with_(parties=["Di"])
    for wrong in ("Ada", None, 3):
        with pytest.raises(InvalidParty, match="sequence of parties"):
            federation.with_(parties=wrong)
    with pytest.raises(InvalidParty, match="at least one"):
        federation.with_(parties=[])
    with pytest.raises(InvalidParty, match="Two parties are called 'Ada'"):
        federation.with_(parties=["Ada", "Ada"])


def test_a_copy_gets_no_new_budget(make):
    federation = make(policies={"Bo": fi.Policy(query_budget=10)})
    assert federation.ask(queries(6)).present == NAMES
    for copy in (
        federation, federation.with_(rule="hard_vote"), federation.with_(seed=9),
        federation.with_(parties=["Bo", "Ada"]), federation.with_(mechanism="plain").with_(deadline_seconds=2),
    ):  # fmt: skip
        record = copy.ask(queries(6))
        (absence,) = record.absent
        assert (absence.party, absence.kind) == ("Bo", "refused")
        assert "4 of 10 left" in absence.reason
    assert federation.ask(queries(4)).present == NAMES
    assert (
        make(parties=federation.parties, policies={"Bo": fi.Policy(query_budget=10)}).ask(queries(6)).present == NAMES
    )


def test_rounds_of_copies_run_side_by_side(make):
    federation = make()
    copies = [
        federation.with_(rule=rule) for rule in ("soft_vote", "hard_vote", "entropy_weighted", "class_competence")
    ]
    logits = np.stack([party.predict(queries(40)) for party in federation.parties])
    counts = np.stack([party.facts.class_counts for party in federation.parties])
    expected = {copy: fi.aggregate(logits, rule=copy.settings.rule, class_counts=counts) for copy in copies}
    found = []

    def ask(copy, k):
        picked = np.random.default_rng(k).permutation(40)[:10]
        found.append((copy, picked, copy.ask(queries(40)[picked])))

    threads = [threading.Thread(target=ask, args=(copies[k % 4], k)) for k in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 32
    for copy, picked, record in found:
        np.testing.assert_allclose(record.scores, expected[copy][picked], atol=2e-5)
    assert sorted(record.round for *_, record in found) == list(range(1, 33))
    assert len(federation.history) == 32


def test_a_mechanism_may_be_registered_after_the_parties_were_taken_in(make):
    federation = make()
    federation.ask(queries())
    with registered(CommitThenReveal):

        def mean_each(answers):
            """The mean."""
            return answers.mean(axis=0)

        fi.aggregation_rule(needs="each")(mean_each)
        try:
            record = federation.with_(mechanism="commit_then_reveal", rule="mean_each").ask(queries())
        finally:
            fi.rules.remove("mean_each")
        assert record.absent == ()
        assert {"commit", "reveal"} <= set(record.cost.stage_seconds)


def test_a_mechanism_that_is_not_registered_is_refused_when_made(make):
    with pytest.raises(UnknownName, match="no mechanism called 'commit_then_reveal'"):
        make(mechanism=CommitThenReveal())
    with registered(Laplace), pytest.raises(InvalidOption, match="no plain data"):
        make(mechanism=Laplace(scale=np.ones(3)))


# stacks of mechanisms


def test_noise_acts_in_the_order_given(make, toys):
    asked = queries(20)
    one = make(mechanism=["toy_laplace", "toy_rounded"]).ask(asked)
    other = make(mechanism=["toy_rounded", "toy_laplace"]).ask(asked)
    clean = make().ask(asked)
    logs = np.log(one.answers) - np.log(one.answers[..., :1])
    np.testing.assert_allclose(logs, np.round(logs), atol=1e-3)
    logs = np.log(other.answers) - np.log(other.answers[..., :1])
    assert np.abs(logs - np.round(logs)).max() > 0.1
    assert not np.allclose(one.answers, clean.answers, atol=0.01)
    assert one.settings["mechanism"] == [
        {"name": "toy_laplace", "scale": 0.5}, {"name": "toy_rounded", "digits": 0}, {"name": "plain"},
    ]  # fmt: skip


def test_a_rule_that_asks_its_party_again_gets_no_answer_without_the_noise(make, toys):
    from fi_workbench.aggregation.normalise import simplex_component
    from fi_workbench.core.arrays import softmax

    def one_component(_n_classes, _on_absence):
        return {"again": simplex_component()}

    def asked_again(view):
        """As test-time augmentation does: the model is asked once more by the rule's local part."""
        return {"again": softmax(view.predict(view.queries))}

    fi.sum_rule(components=one_component, finish=lambda sums: sums["again"])(asked_again)
    try:
        asked = queries(20)
        clean = make(("Ada",), rule="asked_again").ask(asked).scores
        noisy = make(("Ada",), rule="asked_again", mechanism="toy_laplace").ask(asked).scores
        other = make(("Ada",), rule="asked_again", mechanism="toy_rounded").ask(asked).scores
    finally:
        fi.rules.remove("asked_again")
    np.testing.assert_allclose(clean, fi.aggregate(linear_party("Ada").predict(asked)[None], "soft_vote"), atol=1e-5)
    assert not np.allclose(noisy, clean, atol=1e-2)
    np.testing.assert_allclose(other, softmax(np.round(linear_party("Ada").predict(asked))), atol=1e-5)


def test_a_stack_survives_being_saved(make, toys):
    federation = make(mechanism=[Laplace(scale=0.25), "plain"])
    assert federation.disclosure.assumptions[0] == "each party adds its own noise"
    again = fi.Federation.from_dict(
        json.loads(json.dumps(federation.to_dict())), parties=federation.parties, history=None
    )
    assert again.settings.mechanism == federation.settings.mechanism
    assert again.ask(queries()).digest == federation.ask(queries()).digest
    again.close()


def test_noise_is_never_lost_by_changing_options(make, toys):
    federation = make(mechanism=["toy_laplace", "plain"])
    with pytest.raises(InvalidOption, match=r"which mechanism of 'toy_laplace\+plain'"):
        federation.with_(mechanism_options={})
    alone = federation.with_(mechanism="toy_laplace", mechanism_options={"scale": 2.0})
    assert alone.settings.mechanism.noise == (Laplace(2.0),)
    with pytest.raises(InvalidOption, match="for a mechanism given by name"):
        federation.with_(mechanism=Laplace(), mechanism_options={"scale": 2.0})
    with pytest.raises(InvalidOption, match="for a mechanism given by name"):
        make(mechanism=["toy_laplace"], mechanism_options={"scale": 2.0})


def test_stacks_are_checked_as_a_whole(toys):
    with registered(CommitThenReveal):
        with pytest.raises(DoesNotFit, match="'sums_only' and 'commit_then_reveal' each decide"):
            make_mechanism(["sums_only", "toy_laplace", "commit_then_reveal"])
        assert make_mechanism([SumsOnly(), "toy_laplace"]).name == "toy_laplace+sums_only"
    assert not make_mechanism(["toy_fresh", "toy_laplace"]).reproducible
    assert "plain" in mechanisms


# saving


def test_settings_load_again_from_json(make):
    federation = make(
        rule="prior_corrected",
        rule_options={"smoothing": 2.0},
        contribution="leave_one_out",
        deadline_seconds=4,
        seed=11,
    )
    text = json.dumps(federation.with_(parties=["Cy", "Ada"]).to_dict())
    again = fi.Federation.from_dict(json.loads(text), parties=federation.parties, history=None)
    assert again.settings.to_dict() == federation.settings.to_dict()
    assert [party.name for party in again.parties] == ["Cy", "Ada"]
    again.close()


def test_a_records_settings_make_the_same_federation(make):
    federation = make(rule="prior_corrected", contribution="shapley", seed=4)
    record = federation.ask(queries())
    again = make(**_as_arguments(record.settings))
    assert again.ask(queries()).digest == record.digest


def _as_arguments(settings):
    return {**settings, "mechanism": [make_mechanism([one]).carrier for one in settings["mechanism"]]}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "format is None"),
        ({"format": "other"}, "format is 'other'"),
        (None, "no settings of a federation"),
        ([1], "no settings of a federation"),
        ({"format": "fi-workbench federation 1"}, "lack parties, settings"),
        ({"format": "fi-workbench federation 1", "settings": {}, "parties": ["Ada"]}, "Give parties=.*Ada"),
        ({"format": "fi-workbench federation 1", "settings": {"rul": 1}, "parties": ["Ada"]}, "no field rul"),
        (
            {"format": "fi-workbench federation 1", "settings": {}, "parties": ["Ada"], "demo": {"n": 1}},
            "demo has no n",
        ),
    ],
)
def test_what_is_no_federation_is_refused(given, says):
    with pytest.raises(InvalidOption, match=says):
        fi.Federation.from_dict(given)


def test_a_demo_loads_again_from_json(make):
    with fi.Federation.demo(n_parties=2, model="logistic_regression", epochs=1, history=None) as federation:
        asked, labels = federation.dataset.test_images[:20], federation.dataset.test_labels[:20]
        record = federation.with_(rule="hard_vote").ask(asked, labels)
        text = json.dumps(federation.with_(rule="hard_vote").to_dict())
    with fi.Federation.from_dict(json.loads(text), history=None) as again:
        assert again.made_from == federation.made_from
        assert again.ask(asked, labels).digest == record.digest
        assert again.settings.rule == "hard_vote"


def test_a_closed_federation_says_so(make):
    federation = make()
    federation.ask(queries())
    federation.close()
    federation.close()
    for use in (
        lambda: federation.ask(queries()),
        lambda: federation.with_(seed=1),
        lambda: next(federation.stream(queries())),
    ):
        with pytest.raises(RuntimeError, match="closed; make a new one"):
            use()
    assert len(federation.history.table()) == 3
    assert "soft_vote" in repr(federation)
