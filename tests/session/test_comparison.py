"""Rules on the same answers: figures against independent ones, when the parties are asked again, what is refused."""

import threading

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import accuracy_score, recall_score

import fi_workbench as fi
from fi_workbench.aggregation import aggregation_rule, rules
from fi_workbench.aggregation.abstention import risk_coverage
from fi_workbench.aggregation.bounds import bound
from fi_workbench.core.errors import DoesNotFit, InvalidOption, NoAnswer, UnknownName
from fi_workbench.core.messages import Question
from fi_workbench.core.records import RoundRecord
from fi_workbench.session.comparing import compare_rules, fitting_rules
from fi_workbench.session.comparison import Comparison, Outcome, Side, selective
from tests.harness import CLASSES, HANG, SHAPE, linear_party

N_QUERIES = 40


@pytest.fixture
def asked():
    rng = np.random.default_rng(3)
    return rng.normal(size=(N_QUERIES, *SHAPE)).astype(np.float32), rng.integers(0, 3, N_QUERIES)


def party(name, **traits):
    """A party of probabilities, for those of the harness hold private facts and logits."""
    logits = linear_party(name).function

    def model(queries):
        powers = np.exp(logits(queries))
        return powers / powers.sum(axis=1, keepdims=True)

    return fi.Party.from_callable(model, name=name, classes=CLASSES, input_shape=SHAPE, probe=False, **traits)


def made_up(*labels, truth, bounds=(), baseline=None, n_classes=2):
    """A comparison of rules that give these labels, with confidence 0.9."""

    def outcome(name, given):
        scores = np.full((len(given), n_classes), 0.1 / (n_classes - 1))
        scores[np.arange(len(given)), given] = 0.9
        return Outcome(name, name, scores, None if name.startswith("bound") else Side(name))

    names = ["soft_vote", "hard_vote", "median"]
    record = RoundRecord(
        round=1, round_id="", started="", settings={}, parties=("A",), classes=tuple("abcdefgh"[:n_classes]),
        scores=None,
        truth=None if truth is None else np.array(truth), answers=None, contributions=None, contribution_values=None,
        contribution="equal", present=("A",), absent=(), latency_seconds={}, cost=None, digest="", query_digest="",
    )  # fmt: skip
    outcomes = tuple(outcome(name, given) for name, given in zip(names, labels, strict=False))
    there = tuple(outcome(f"bound{k}", given) for k, given in enumerate(bounds))
    base = None if baseline is None else outcome("base", baseline).scores
    return Comparison(outcomes, there, base, record, Question(np.zeros((len(labels[0]), 1))), "")


class TestFigures:
    def test_known_answers(self):
        truth = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
        soft, hard = [0, 0, 0, 0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
        oracle = [0, 0, 0, 0, 1, 1, 1, 1, 0, 0]
        comparison = made_up(soft, hard, truth=truth, bounds=[oracle], baseline=soft)
        first, second, bounded = comparison.figures
        assert (first.accuracy, second.accuracy, bounded.accuracy) == (0.6, 0.7, 0.8)
        assert (first.gain, first.gap_closed) == (0, 0)
        assert (second.gain, second.gap_closed) == pytest.approx((0.1, 0.5))
        assert (bounded.bound, bounded.gap_closed) == (True, 1)
        assert (first.agreement, second.agreement, bounded.agreement) == pytest.approx((1, 0.9, 0.8))
        assert first.aurc == pytest.approx(0.4)  # all equally sure: one step
        assert comparison.agreement == pytest.approx(0.9)
        assert comparison.differ.tolist() == [6]
        n_asked, shares = comparison.per_class()
        assert n_asked.tolist() == [4, 6]
        np.testing.assert_allclose(shares, [[1, 2 / 6], [1, 3 / 6], [1, 4 / 6]])

    @pytest.mark.parametrize(("n_right", "n_queries"), [(0, 5), (5, 5), (1, 1), (37, 90)])
    def test_interval_is_wilson_s(self, n_right, n_queries):
        truth = [0] * n_queries
        (figures,) = made_up([0] * n_right + [1] * (n_queries - n_right), truth=truth).figures
        z, share = norm.ppf(0.975), n_right / n_queries
        centre = (share + z**2 / (2 * n_queries)) / (1 + z**2 / n_queries)
        half = z / (1 + z**2 / n_queries) * np.sqrt(share * (1 - share) / n_queries + z**2 / (4 * n_queries**2))
        assert (figures.low, figures.high) == pytest.approx((centre - half, centre + half), abs=1e-12)

    def test_where_the_oracle_gains_nothing_no_gap_is_closed(self):
        comparison = made_up([0, 1], [1, 1], truth=[0, 1], bounds=[[0, 1]], baseline=[0, 1])
        assert [one.gap_closed for one in comparison.figures] == [None] * 3
        assert comparison.figures[1].gain == -0.5

    def test_without_a_soft_vote_there_is_no_gain(self):
        figures = made_up([0, 1], [1, 1], truth=[0, 1]).figures
        assert [(one.gain, one.gap_closed) for one in figures] == [(None, None)] * 2

    def test_without_labels(self):
        comparison = made_up([0, 1], [1, 1], truth=None)
        assert [one.accuracy for one in comparison.figures] == [None, None]
        assert comparison.figures[1].agreement == 0.5
        assert comparison.ranked() is comparison
        with pytest.raises(DoesNotFit, match="no accuracy; compare with"):
            comparison.per_class()
        with pytest.raises(DoesNotFit, match="no risk"):
            _ = comparison.curves
        assert next(iter(comparison.labels_frame().columns)) == "soft_vote"

    def test_a_class_that_nobody_asked_is_nan(self):
        _, shares = made_up([0, 1], truth=[0, 1], n_classes=3).per_class()
        assert np.isnan(shares[0, 2])

    def test_most_disputed_first(self):
        comparison = made_up([0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 1], truth=None, n_classes=3)
        assert comparison.differ.tolist() == [2, 1, 3]
        assert comparison.n_same.tolist() == [[3, 0, 0], [2, 1, 0], [1, 1, 1], [1, 2, 0]]
        assert made_up([0], [0], truth=[1]).differ.size == 0

    def test_ranked(self):
        comparison = made_up([0, 0, 1], [1, 1, 1], [1, 0, 1], truth=[1, 1, 1], bounds=[[1, 1, 1]])
        ranked = comparison.ranked()
        assert [one.title for one in ranked.figures] == ["hard_vote", "median", "soft_vote", "bound0"]
        assert ranked.reference == 2
        assert [one.agreement for one in ranked.figures][2] == 1

    def test_selective(self):
        curve = risk_coverage([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], [0, 1, 1])
        assert selective(curve, 0.0) == pytest.approx((1, 1 / 3))
        assert selective(curve, 0.8) == pytest.approx((2 / 3, 0))
        assert selective(curve, 0.95) == (0.0, None)


class TestCompareRules:
    def test_same_as_asking_under_each(self, make, asked):
        federation = make()
        names = [name for name in fitting_rules(federation) if not rules[name].asks_again]
        assert {"soft_vote", "hard_vote", "median", "energy_weighted"} <= set(names)
        comparison = compare_rules(federation, asked, names)
        assert comparison.failed == ()
        for outcome in comparison.outcomes:
            record = federation.with_(rule=outcome.name).ask(*asked)
            np.testing.assert_allclose(outcome.scores, record.scores, atol=2e-5)
        frame = comparison.to_frame()
        for outcome in comparison.outcomes:
            assert frame.loc[outcome.title, "accuracy"] == accuracy_score(asked[1], outcome.labels)
            recalls = recall_score(asked[1], outcome.labels, average=None)
            place = comparison.outcomes.index(outcome)
            np.testing.assert_allclose(comparison.per_class()[1][place], recalls)
        answers = comparison.record.answers
        oracle = bound(answers, asked[1], outputs="probabilities").argmax(axis=1)
        assert frame.loc["Oracle", "accuracy"] == accuracy_score(asked[1], oracle)
        assert frame.loc["Oracle", "bound"]

    def test_asked_once(self, make, asked):
        federation = make()
        comparison = compare_rules(federation, asked, ["soft_vote", ("trimmed_mean", {"trim": 0.4})])
        assert "asked once, under soft vote; trimmed mean (trim 0.4) was computed" in comparison.how
        assert federation.ask(asked[0]).round == 2

    def test_reference_is_the_rule_in_force(self, make, asked):
        federation = make(rule="median")
        assert compare_rules(federation, asked, ["soft_vote", "median"]).reference == 1
        assert compare_rules(federation, asked, ["soft_vote", "hard_vote"]).reference == 0

    def test_raw_logits_are_asked_for_again(self, make, asked):
        federation = make()
        comparison = compare_rules(federation, asked, ["soft_vote", "energy_weighted", "hard_vote"])
        assert "asked twice" in comparison.how
        assert "energy weighted (the parties' logits are needed" in comparison.how
        assert comparison.how.endswith("; hard vote was computed from the same answers.")
        assert federation.ask(asked[0]).round == 3

    def test_private_facts_stay_with_their_parties(self, make, asked):
        federation = make(parties=[party(name, class_counts=[5, 1, 2]) for name in "AB"])
        comparison = compare_rules(federation, asked, ["soft_vote", "class_competence", "size_weighted"])
        assert "asked 3 times" in comparison.how
        assert "private facts are needed, which stay with A and B" in comparison.how

    def test_facts_of_parties_made_here_are_used_unless_they_may_lie(self, asked):
        with fi.Federation.demo(n_parties=3, epochs=1, history=None) as federation:
            few = federation.test_set[0][:20], federation.test_set[1][:20]
            names = ["soft_vote", "class_competence", "size_weighted", "two_way_prior_corrected"]
            honest = compare_rules(federation, few, names)
            assert "asked once" in honest.how
            for outcome in honest.outcomes:
                record = federation.with_(rule=outcome.name).ask(*few)
                np.testing.assert_allclose(outcome.scores, record.scores, atol=2e-5)
            federation.behave("B", "over_claimed_counts")
            lying = compare_rules(federation, few, names)
            assert "B may claim others than they hold" in lying.how
            assert not np.allclose(lying.outcomes[1].scores, honest.outcomes[1].scores)
            np.testing.assert_allclose(lying.outcomes[0].scores, honest.outcomes[0].scores, atol=1e-6)

    def test_calibration_stays(self, asked):
        with fi.Federation.demo(n_parties=3, epochs=1, history=None) as federation:
            few = federation.test_set[0][:20], federation.test_set[1][:20]
            cool = federation.with_(calibration="temperature")
            comparison = compare_rules(cool, few, ["hard_vote", "soft_vote"])
            np.testing.assert_allclose(comparison.outcomes[1].scores, cool.ask(*few).scores, atol=2e-5)
            assert not np.allclose(comparison.outcomes[1].scores, federation.ask(*few).scores)

    def test_where_answers_are_hidden_each_rule_is_asked(self, make, toys, asked):
        federation = make(mechanism="sums_only")
        assert "median" not in fitting_rules(federation)
        comparison = compare_rules(federation, asked, ["hard_vote", "mean_logit"])
        assert "asked twice" in comparison.how
        assert "sums only does not show each answer" in comparison.how
        assert comparison.bounds == ()
        assert comparison.baseline is None
        assert comparison.figures[0].gain is None

    def test_absent_parties_are_left_out(self, make, troubled, asked):
        federation = make(parties=[linear_party("Ada"), troubled.party, linear_party("Cy")])
        troubled.mood = "raises"
        comparison = compare_rules(federation, asked, ["soft_vote", "median", "class_competence"])
        two = make(("Ada", "Cy"))
        np.testing.assert_allclose(
            comparison.outcomes[1].scores, two.with_(rule="median").ask(*asked).scores, atol=1e-6
        )

    def test_says_where_not_the_same_parties_answered(self, make, troubled, asked):
        federation = make(parties=[linear_party("Ada"), troubled.party])
        troubled.mood = lambda n_asked: "raises" if n_asked > 1 else "well"
        comparison = compare_rules(federation, asked, ["soft_vote", "energy_weighted"])
        assert "Not the same parties answered under energy weighted." in comparison.how

    def test_a_rule_that_fails_is_told_and_the_others_go_on(self, make, asked):
        @aggregation_rule()
        def faulty_for_a_test(answers):
            """Fails on every answer."""
            return answers[0] * np.nan

        try:
            federation = make()
            assert "faulty_for_a_test" not in fitting_rules(federation)
            comparison = compare_rules(federation, asked, ["faulty_for_a_test", "soft_vote", "hard_vote"])
            assert [one.name for one in comparison.outcomes] == ["soft_vote", "hard_vote"]
            ((title, why),) = comparison.failed
            assert title == "Faulty for a test"
            assert "NaN" in why or "nobody" in why.lower() or "None of" in why
            with pytest.raises(fi.FederationError, match="Faulty for a test"):
                compare_rules(federation, asked, ["faulty_for_a_test"])
        finally:
            rules.remove("faulty_for_a_test")

    @pytest.mark.parametrize(
        ("sides", "error"),
        [
            ([], InvalidOption),
            (["soft_vote", "soft_vote"], InvalidOption),
            (["soft_vote", "softvote"], UnknownName),
            (["soft_vote", ("trimmed_mean", {"trim": 3.0})], InvalidOption),
            (["soft_vote", ("median", {"trim": 0.1})], InvalidOption),
        ],
    )
    def test_refused_before_anything_is_asked(self, make, asked, sides, error):
        federation = make()
        with pytest.raises(error):
            compare_rules(federation, asked, sides)
        assert federation.ask(asked[0]).round == 1

    def test_nobody_answers(self, make, troubled, asked):
        federation = make(parties=[troubled.party])
        troubled.mood = "raises"
        with pytest.raises(NoAnswer):
            compare_rules(federation, asked, ["soft_vote", "hard_vote"])

    def test_one_party_one_query(self, make):
        federation = make(("Ada",))
        comparison = compare_rules(federation, (np.ones((1, *SHAPE), np.float32), [0]), fitting_rules(federation))
        assert comparison.failed == ()
        assert len({tuple(one.labels) for one in comparison.outcomes if not rules[one.name].asks_again}) == 1

    def test_progress_is_told_and_can_give_up(self, make, troubled, asked):
        federation = make(parties=[linear_party("Ada"), troubled.party], deadline_seconds=2 * HANG)
        told = []
        compare_rules(federation, asked, ["soft_vote", "hard_vote"], on_progress=told.append)
        assert {one.task for one in told} == {"Soft vote", "Hard vote"}
        assert [one.share for one in told if one.task == "Soft vote"][-1] == 1
        assert all(0 <= one.share <= 1 for one in told)
        troubled.mood = "hangs"

        class Enough(Exception):
            pass

        def stop(progress):
            if progress.unit == "parties":
                raise Enough

        ended = threading.Event()

        def run():
            with pytest.raises(Enough):
                compare_rules(federation, asked, ["soft_vote", "hard_vote"], on_progress=stop)
            ended.set()

        thread = threading.Thread(target=run)
        thread.start()
        assert ended.wait(HANG)  # it does not wait for the party that hangs
        thread.join()
