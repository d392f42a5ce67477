"""A round of secure sum: the plain round's scores with no answer shown, and what happens when parties fall out."""

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.aggregation import rules
from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.errors import DoesNotFit, NoAnswer
from fi_workbench.privacy import make_mechanism
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.event import UNPROTECTED, Event
from fi_workbench.privacy.secure_sum import SecureSum
from fi_workbench.protocol.ports import CAPABILITIES
from tests.harness import linear_party, queries
from tests.privacy.secure_sum.rounds import NAMES, PHASES, Cohort, falls_out, simplex

SUM_RULES = [name for name, rule in rules.items() if satisfies("sum", rule.needs)]
FLAT_RULES = [name for name in SUM_RULES if not rules[name].asks_again]
N_QUERIES = 4


def answers(n_parties=5, n_queries=N_QUERIES):
    return [simplex(n_queries, seed) for seed in range(n_parties)]


@pytest.fixture
def cohort():
    return Cohort(answers())


def party_of(name):
    return linear_party(name, class_counts=[5 + len(name), 3, 9], data_size=17 + len(name))


@pytest.fixture(scope="module")
def federation():
    with fi.Federation([party_of(name) for name in NAMES], history=None, deadline_seconds=60) as made:
        yield made


# ---- the same as in the clear


@pytest.mark.parametrize("rule", FLAT_RULES)
def test_every_rule_of_a_sum_scores_as_in_the_clear(rule, federation):
    asked = queries(16)
    clear = federation.with_(rule=rule).ask(asked)
    hidden = federation.with_(rule=rule, mechanism="secure_sum").ask(asked)
    np.testing.assert_allclose(hidden.scores, clear.scores, atol=1e-6, rtol=0)
    assert hidden.answers is None
    assert hidden.present == NAMES
    assert hidden.absent == ()


def test_rules_that_ask_again_score_as_in_the_clear():
    rng = np.random.default_rng(0)

    def party(name, weights):
        return fi.Party.from_callable(
            lambda images: images.reshape(len(images), -1) @ weights, name=name, classes=("a", "b", "c"),
            input_shape=(8, 8), outputs="logits",
        )  # fmt: skip

    parties = [party(name, rng.normal(size=(64, 3))) for name in NAMES]
    asked = rng.random((3, 8, 8)).astype(np.float32)
    with fi.Federation(parties, history=None, deadline_seconds=60) as federation:
        for rule in sorted(set(SUM_RULES) - set(FLAT_RULES)):
            clear = federation.with_(rule=rule).ask(asked).scores
            hidden = federation.with_(rule=rule, mechanism="secure_sum").ask(asked).scores
            np.testing.assert_allclose(hidden, clear, atol=1e-6, rtol=0)


def test_the_digest_is_the_same_again(federation):
    hidden, asked = federation.with_(mechanism="secure_sum"), queries(8)
    first, second = hidden.ask(asked), hidden.ask(asked)
    assert hidden.settings.mechanism.reproducible
    np.testing.assert_array_equal(first.scores, second.scores)


def test_paid_rounds_are_receipted_by_who_is_in_them(tmp_path):
    parties = [linear_party(name) for name in NAMES]
    with fi.Federation(parties, mechanism="secure_sum", history=None, ledger=tmp_path / "ledger") as federation:
        federation.deposit(5_000_000)
        record = federation.ask(queries(4))
        assert record.payment == "settled"
        assert record.payments.sum() == federation.settings.budget_micro


# ---- what is refused before anything is asked


@pytest.mark.parametrize("n_parties", [1, 2])
def test_fewer_than_three_parties_are_refused_with_the_reason(n_parties):
    with pytest.raises(DoesNotFit, match=r"needs 3 parties.*tells each of them the other's answer"):
        fi.Federation([linear_party(name) for name in NAMES[:n_parties]], mechanism="secure_sum", history=None)


def test_a_client_that_asks_two_all_the_same_is_refused_by_each():
    cohort = Cohort(answers(2))
    outcome, link = cohort.run()
    assert outcome.release.present == ()
    assert all(absence.kind == "refused" for absence in outcome.log.absent)
    assert "the other's answer" in outcome.log.absent[0].reason
    assert len(link.replies) == 2, "nothing but the refusals was sent"


def test_rules_that_must_see_more_are_refused_with_those_that_fit(federation):
    with pytest.raises(DoesNotFit) as refusal:
        federation.with_(rule="median", mechanism="secure_sum")
    assert "soft_vote" in refusal.value.fits
    assert set(refusal.value.fits) <= set(SUM_RULES)


def test_a_runtime_without_phases_is_refused():
    assert SecureSum.requires == frozenset({"phases"})
    assert SecureSum.requires <= CAPABILITIES


# ---- dropouts


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("who", [("Ada",), ("Cy",), ("Bo", "Ed")])
def test_the_sum_is_of_those_whose_part_came(phase, who, cohort):
    options = {"tolerated_dropouts": 0.4}  # two of five
    outcome, _ = cohort.run(settings=cohort.settings(options=options), after=falls_out(dict.fromkeys(who, phase)))
    present = NAMES if phase in ("agree", "unmask") else tuple(name for name in NAMES if name not in who)
    assert outcome.release.present == present
    assert [(absence.party, absence.phase) for absence in outcome.log.absent] == [(name, phase) for name in who]
    expected = np.mean([answer for name, answer in zip(NAMES, answers(), strict=True) if name in present], axis=0)
    np.testing.assert_allclose(outcome.scores, expected, atol=1e-6)


def test_parties_fall_out_in_every_phase_of_one_round():
    names = tuple(f"party {number:02}" for number in range(16))
    given = answers(16)
    cohort = Cohort(given, names)
    gone = {names[2]: "keys", names[5]: "shares", names[8]: "masked", names[11]: "unmask"}
    outcome, _ = cohort.run(after=falls_out(gone))
    left = [answer for name, answer in zip(names, given, strict=True) if gone.get(name, "unmask") == "unmask"]
    assert len(outcome.release.present) == len(left) == 13
    np.testing.assert_allclose(outcome.scores, np.mean(left, axis=0), atol=1e-6)


@pytest.mark.parametrize("phase", PHASES)
def test_too_many_dropouts_give_no_output_and_say_how_many_were_needed(phase, cohort):
    gone = dict.fromkeys(("Ada", "Bo", "Cy"), phase)
    outcome, link = cohort.run(after=falls_out(gone))
    assert outcome.release.present == ()
    assert outcome.release.sums is None
    assert outcome.scores is None
    reasons = {absence.party: absence.reason for absence in outcome.log.absent}
    assert set(reasons) == set(NAMES)
    assert "are needed" in reasons["Di"], reasons
    if phase != "unmask":
        assert not [reply for when, _, reply in link.replies if when == "unmask"], "no share was opened"


def test_the_client_is_told_why_there_is_no_answer(federation):
    parties = [linear_party(name) for name in NAMES[:3]]
    object.__setattr__(parties[0], "function", lambda queries: np.full((len(queries), 3), np.nan))
    with (
        fi.Federation(parties, mechanism="secure_sum", history=None, deadline_seconds=60) as made,
        pytest.raises(NoAnswer, match=r"2 parties are in the sum; 3 are needed"),
    ):
        made.ask(queries(4))


@pytest.mark.parametrize("phase", ["agree", "unmask"])
def test_three_of_three_survive_a_loss_after_their_parts_came(phase):
    cohort = Cohort(answers(3))
    outcome, _ = cohort.run(after=falls_out({"Bo": phase}))
    assert outcome.release.present == NAMES[:3]
    np.testing.assert_allclose(outcome.scores, np.mean(answers(3), axis=0), atol=1e-6)


def test_the_model_is_asked_once_and_only_when_there_will_be_a_sum(cohort):
    asked = []
    for party in cohort.parties:
        model = party.function
        object.__setattr__(
            party, "function", lambda batch, model=model, name=party.name: asked.append(name) or model(batch)
        )
    cohort.run(after=falls_out(dict.fromkeys(("Ada", "Bo", "Cy"), "shares")))
    assert asked == []
    cohort.renew()
    cohort.run()
    assert asked == list(NAMES)


# ---- enrolment, with and without noise


def counts():
    return {name: {"class_counts": [10 * place + 3, 5, 40 - place]} for place, name in enumerate(NAMES)}


def test_the_enrolment_sum_goes_through_it():
    cohort = Cohort(answers(), **counts())
    settings = cohort.settings("class_competence")
    outcome, link = cohort.run(None, settings, after=falls_out({"Bo": "masked"}))
    left = [given["class_counts"] for name, given in counts().items() if name != "Bo"]
    np.testing.assert_array_equal(outcome.release.sums["class_totals"], np.sum(left, axis=0))
    assert outcome.release.present == ("Ada", "Cy", "Di", "Ed")
    assert {phase for phase, *_ in link.replies} == set(PHASES)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0])
def test_noise_on_the_counts_is_laplace_of_each_partys_own(epsilon):
    cohort = Cohort(answers(), **counts())
    settings = cohort.settings("class_competence", options={"enrolment_epsilon": epsilon})
    exact = np.sum([given["class_counts"] for given in counts().values()], axis=0)
    errors = []
    for _ in range(12):
        cohort.renew()
        outcome, _ = cohort.run(None, settings)
        errors.extend(outcome.release.sums["class_totals"] - exact)
    # 36 sums of 5 Laplace variables: standard deviation sqrt(10)/epsilon each; both bounds fail once in 10^10 and less
    assert 0.1 * np.sqrt(10) / epsilon < np.std(errors) < 4 * np.sqrt(10) / epsilon
    assert np.max(np.abs(errors)) < 60 / epsilon


def test_noise_may_push_a_count_below_zero_and_the_round_goes_on():
    empty = {name: {"class_counts": [0, 0, 1]} for name in NAMES}
    cohort = Cohort(answers(), **empty)
    settings = cohort.settings("class_competence", options={"enrolment_epsilon": 0.01})
    totals = []
    for _ in range(8):
        cohort.renew()
        outcome, _ = cohort.run(None, settings)
        assert outcome.release.present == NAMES
        totals.append(outcome.release.sums["class_totals"])
    assert np.min(totals) < 0


def test_what_noise_on_the_counts_costs_is_booked_once_and_nothing_else_is_promised():
    noisy, clear = SecureSum(enrolment_epsilon=0.5), SecureSum()
    enrol = Occasion("enrol", "class_competence", {}, 5, 0, 10)
    answer = Occasion("answer", "class_competence", {}, 5, 16, 10)
    assert noisy.events(enrol) == {Event("laplace", multiplier=2.0, relation="participate"): 1}
    assert clear.events(enrol) == {UNPROTECTED: 1}
    assert noisy.events(answer) == clear.events(answer) == {UNPROTECTED: 16}
    assert not make_mechanism("secure_sum", enrolment_epsilon=0.5).reproducible
    assert make_mechanism("secure_sum").reproducible


def test_two_questions_with_noise_on_the_counts_score_as_fits_the_noise():
    parties = [linear_party(name, class_counts=[500, 400, 900]) for name in NAMES]
    with fi.Federation(parties, history=None, rule="class_competence", deadline_seconds=60) as federation:
        asked = queries(8)
        clear = federation.ask(asked).scores
        noisy = federation.with_(mechanism="secure_sum", mechanism_options={"enrolment_epsilon": 1.0}).ask(asked)
        np.testing.assert_allclose(noisy.scores, clear, atol=0.1)
        assert not np.array_equal(noisy.scores, clear)


def test_the_statement_says_the_numbers():
    stated = SecureSum().disclosure
    text = " ".join(stated.assumptions)
    assert "2 t - h - 1" in text
    assert "exact sum" in text
    assert "epsilon 0.5" in " ".join(SecureSum(enrolment_epsilon=0.5).disclosure.assumptions)
    assert not any(stated.allows(role, item) for role in stated.sees for item in ("answers", "votes", "class_counts"))
    assert stated.allows("coordinator", "query")
