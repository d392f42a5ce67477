"""What is paid: exact sums over a stream, the Rewards page, the ledger's line, and running out of money."""

from fractions import Fraction

import numpy as np
import pytest
import traitlets

import fi_workbench as fi
from fi_workbench.core.errors import InvalidAmount
from fi_workbench.core.records import Cost, RoundRecord
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.payout import MICRO, split
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.running.earning import POINTS, Earnings
from fi_workbench.widgets.running.funding import amount_of, deposit
from fi_workbench.widgets.running.members import Member
from fi_workbench.widgets.views.pay_bars import PayBars
from fi_workbench.widgets.views.traits import CannotDraw
from tests.widgets.conftest import eventually, toy_party


def paying(payments, parties="AB", n_queries=10):
    """A record of which the earnings see what it paid and how much it asked."""
    return RoundRecord(
        round=1, round_id="", started="", settings={}, parties=tuple(parties), classes=("x", "y"),
        scores=np.ones((n_queries, 2)), truth=None, answers=None, contributions=None, contribution_values=None,
        contribution="", present=tuple(parties), absent=(), latency_seconds={}, cost=Cost(), digest="",
        query_digest="", payments=None if payments is None else np.array(payments, dtype=np.int64),
    )  # fmt: skip


def amounts(earned, name):
    return {one.name: getattr(one, name) for one in earned.accounts}


class TestEarnings:
    def test_nothing_yet(self):
        earned = Earnings().snapshot()
        assert (earned.accounts, earned.pot, earned.each.shape) == ((), 0, (0, 0))

    def test_sums_are_exact_where_floats_are_not(self):
        earnings, big = Earnings(), 2**61 + 1
        earnings.book(paying([big, 1]), [0, 1], {})
        earnings.book(paying([1, big]), [0, 1], {})
        earned = earnings.snapshot()
        assert amounts(earned, "paid") == {"A": 2**61 + 2, "B": 2**61 + 2}
        assert earned.pot == 2 * (2**61 + 2)
        assert amounts(earned, "equal") == {"A": 2**61 + 2, "B": 2**61 + 2}

    def test_merit_is_the_pot_by_right_answers(self):
        earnings = Earnings()
        earnings.book(paying([30, 70]), [0, 1], {0: 9, 1: 1})
        earnings.book(paying([100, 0]), [0, 1], {0: 6, 1: 4})
        earned = earnings.snapshot()
        assert amounts(earned, "merit") == {"A": 150, "B": 50}  # 15 and 5 right of 20
        assert amounts(earned, "accuracy") == {"A": 0.75, "B": 0.25}
        assert earned.last == {0: 100, 1: 0}

    def test_every_standard_splits_the_same_pot(self):
        earnings, rng = Earnings(), np.random.default_rng(3)
        for step in range(40):
            names = "ABC" if step < 20 else "BC"
            numbers = [ord(name) - ord("A") for name in names]
            pay = rng.integers(0, 1000, len(names))
            earnings.book(paying(pay, names), numbers, {n: int(rng.integers(0, 11)) for n in numbers})
        earned = earnings.snapshot()
        for name in ("paid", "equal", "merit"):
            assert sum(amounts(earned, name).values()) == earned.pot > 0

    def test_who_left_earns_nothing_more_by_any_standard(self):
        earnings = Earnings()
        earnings.book(paying([50, 50]), [0, 1], {0: 5, 1: 5})
        before = earnings.snapshot().accounts[0]
        earnings.begin_cohort()
        earnings.book(paying([100], "B"), [1], {1: 10})
        gone, stays = earnings.snapshot().accounts
        assert gone == before
        assert (stays.paid, stays.equal, stays.merit) == (150, 150, 150)

    def test_merit_is_not_known_without_labels(self):
        earnings = Earnings()
        earnings.book(paying([50, 50]), [0, 1], {})
        assert amounts(earnings.snapshot(), "merit") == {"A": None, "B": None}
        earnings.book(paying([50, 50]), [0, 1], {0: 8, 1: 2})  # known of this one, and taken from it
        assert amounts(earnings.snapshot(), "merit") == {"A": 160, "B": 40}
        assert earnings.snapshot().n_known == 1

    def test_all_wrong_deserve_the_same(self):
        earnings = Earnings()
        earnings.book(paying([90, 10]), [0, 1], {0: 0, 1: 0})
        assert amounts(earnings.snapshot(), "merit") == {"A": 50, "B": 50}

    def test_a_round_that_nobody_answered_pays_nothing(self):
        earnings = Earnings()
        earnings.book(paying([60, 40]), [0, 1], {})
        earnings.book(paying(None), [0, 1], {})
        earned = earnings.snapshot()
        assert (earned.n_rounds, earned.pot, earned.last) == (1, 100, {})
        np.testing.assert_allclose(earned.each, [[60 / MICRO, 0], [40 / MICRO, 0]])

    def test_lines_keep_the_last_points_and_begin_at_zero_for_who_joins(self):
        earnings = Earnings()
        for _ in range(2 * POINTS + 100):
            earnings.book(paying([MICRO], "A"), [0], {})
        earnings.book(paying([MICRO, MICRO], "AB"), [0, 1], {})
        earned = earnings.snapshot()
        assert earned.total.shape == (2, POINTS)
        assert earned.first_round == POINTS + 102
        assert earned.total[0].tolist() == [float(k) for k in range(POINTS + 102, 2 * POINTS + 102)]
        assert earned.total[1].tolist() == [0.0] * (POINTS - 1) + [1.0]
        assert np.isnan(earned.each[1, :-1]).all()
        assert earned.each[1, -1] == 1.0

    def test_one_who_is_not_on_the_list_any_more_is_passed_over(self):
        earnings = Earnings()
        earnings.book(paying([60, 40]), [0, -1], {})
        assert amounts(earnings.snapshot(), "paid") == {"A": 60}


class TestPayBars:
    def test_values_of_others_are_refused(self):
        bars = PayBars(parties=["A", "B"])
        with pytest.raises(CannotDraw, match="1 entries for 2 parties"):
            bars.update(paid=[1.0])
        with pytest.raises(traitlets.TraitError):
            bars.update(paid=[-1.0, 2.0])
        bars.update(paid=[1.0, 2.0], merit=[None, float("nan")], equal=[1.5, 1.5])
        assert bars.merit == (None, None)


@pytest.mark.parametrize(("text", "micro"), [("0", 0), (" 0.00 ", 0), ("1", MICRO), ("2.500001", 2_500_001)])
def test_a_budget_is_read_exactly(text, micro):
    assert amount_of(text) == micro


def test_a_range_is_said_in_units():
    with pytest.raises(InvalidAmount, match=r"from 0.000005 to 9007199254.740992 units, not 0.000004"):
        amount_of("0.000004", least=5)
    with pytest.raises(InvalidAmount, match=r"from 0 to .* units, not -1"):
        amount_of("-1")


@pytest.mark.parametrize("text", ["", ".", "a lot", "-1", "0.0000001", "1e400", "nan", "0.0.0"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(InvalidAmount):
        amount_of(text)


@pytest.fixture
def workbench(toy, toy_data):
    workbench = fi.Workbench(toy, queries=toy_data[0], labels=toy_data[1])
    workbench.state.rate = None
    workbench.state.batch_size = 12
    workbench._tabs.open("Rewards")
    yield workbench
    workbench.close()
    assert workbench.wait(10)


def ran(workbench, n_rounds):
    workbench.run(n_rounds)
    return eventually(lambda: workbench.state.status == "paused") and workbench.wait(5)


def test_the_page_says_what_would_fill_it(workbench):
    page = workbench._tabs.page
    assert page.accounts.rows == page.fair.rows == page.credit.rows == ()
    assert "press Run" in page.accounts.empty_text
    assert "press Run" in page.credit.empty_text
    assert "payments are promised" in page.ledger._text.value
    assert page.ledger._form.layout.display == "none"


def test_the_page_shows_what_the_records_paid(workbench):
    paid = np.zeros(4, dtype=np.int64)
    workbench.state.observe(lambda change: kept.append(change["new"].record), "frame")
    kept = []
    for _ in range(6):
        assert ran(workbench, 1)
        paid += kept[-1].payments
    page, pot = workbench._tabs.page, int(paid.sum())
    assert pot == 6 * MICRO
    rows = page.accounts.rows
    assert [int(row[2].replace(".", "")) for row in rows] == paid.tolist()
    assert sum(row[1] for row in rows) == pytest.approx(1.0)
    merit = [int(row[3].replace(".", "")) for row in rows]
    assert sum(merit) == pot
    assert [row[4] for row in rows] == [f"{(p - m) / MICRO:.6f}" for p, m in zip(paid, merit, strict=True)]
    accuracies = [row[6] for row in rows]
    np.testing.assert_allclose(np.array(merit) / pot, np.array(accuracies) / sum(accuracies), atol=1e-6)
    expected = fi.fairness(accuracies, paid)
    figures = {row[0]: row[1:] for row in page.fair.rows}
    assert figures["F_skill"] == pytest.approx((expected.f_skill, expected.equal_f_skill), abs=1e-5)
    assert figures["inequality of pay (Gini)"] == pytest.approx((expected.gini, 0.0))
    assert page.bars.paid == pytest.approx(paid / MICRO)
    np.testing.assert_allclose(page.lines.array[:, -1], paid / MICRO, rtol=1e-6)
    page.over.value = "each round"
    np.testing.assert_allclose(page.lines.array[:, -1], kept[-1].payments / MICRO, rtol=1e-6)
    assert page.lines.first_round == 1
    contributed = workbench.federation.contributed
    assert [row[1] for row in page.credit.rows] == pytest.approx(contributed.values.tolist())


def test_sampled_contributions_have_standard_errors(toy_data):
    parties = [toy_party(name, 3.0) for name in "ABCDEFGH"]  # 256 coalitions, of which 100 are valued
    options = {"exact_up_to": 1, "budget": 100}
    with fi.Federation(parties, history=None, contribution="shapley", contribution_options=options) as federation:
        workbench = fi.Workbench(federation, queries=toy_data[0], labels=toy_data[1])
        workbench._tabs.open("Rewards")
        assert ran(workbench, 3)
        page, errors = workbench._tabs.page, federation.contributed.standard_errors
        assert [column["name"] for column in page.credit.columns][2] == "standard error"
        assert [row[2] for row in page.credit.rows] == pytest.approx(errors.tolist())
        assert errors.max() > 0
        assert "sampled" in page._credit_note.value
        workbench.close()
        assert workbench.wait(10)


def test_merit_needs_labels(toy, toy_data):
    workbench = fi.Workbench(toy, queries=toy_data[0])
    workbench._tabs.open("Rewards")
    assert ran(workbench, 2)
    page = workbench._tabs.page
    assert [row[3:5] for row in page.accounts.rows] == [(None, None)] * 4
    assert page.bars.merit == (None,) * 4
    assert page.fair.rows == ()
    assert "true labels" in page.fair.empty_text
    workbench.close()


def test_fairness_is_refused_where_no_vote_is_seen(workbench, only_sum):
    assert ran(workbench, 2)
    workbench.state.choose(mechanism=only_sum)
    page = workbench._tabs.page
    assert "each party's vote" in page.fair.refusal
    page._way_out("votes")
    assert workbench.federation.settings.mechanism.name == "plain"
    assert page.fair.refusal == ""


def test_a_party_that_misbehaves_or_is_left_out_is_marked(workbench):
    assert ran(workbench, 2)
    page = workbench._tabs.page
    assert "state" not in [column["name"] for column in page.accounts.columns]
    assert workbench._desk.cohort.behave(1, "constant_label")
    assert workbench._desk.cohort.enable(3, False)
    assert ran(workbench, 2)
    assert [row[-1] for row in page.accounts.rows] == ["", "constant label", "", "not asked"]
    assert page.bars.statuses == ("present", "constant label", "present", "not asked")
    workbench.state.simulation = False
    assert page.bars.statuses == ("present", "present", "present", "not asked")


@pytest.fixture
def with_ledger(toy_data):
    parties = [toy_party(name, 3.0) for name in "AB"]
    with fi.Federation(parties, history=None, ledger=Ledger(), budget_micro=2_000_000) as federation:
        federation.deposit(5_000_000)
        workbench = fi.Workbench(federation, queries=toy_data[0], labels=toy_data[1])
        workbench.state.rate = None
        workbench._tabs.open("Rewards")
        yield workbench
        workbench.close()
        assert workbench.wait(10)


def test_the_ledger_line(with_ledger):
    line = with_ledger._tabs.page.ledger
    assert "5.000000" in line._text.value
    assert "No round was settled" in line._text.value
    assert ran(with_ledger, 2)
    assert "1.000000" in line._text.value
    last = next(entry for entry in with_ledger.federation.ledger.entries() if entry.kind == "settle")
    assert last.hash[:16] in line._text.value
    line.amount.value = "0.000001"
    line.go.click()
    assert "1.000001" in line._text.value
    line.amount.value = "plenty"
    line.go.click()
    assert "plenty" in line._wrong.value
    assert "1.000001" in line._text.value


def test_running_out_of_money_keeps_what_was_asked_and_offers_a_deposit(with_ledger):
    state = with_ledger.state
    with_ledger.run()
    assert eventually(lambda: state.status == "spent" and state.notice is not None)
    assert with_ledger._header.line.status == "spent"
    assert eventually(lambda: state.frame.round == 2)
    assert "pays 2 units, and 1 are in the ledger" in state.notice.text
    assert eventually(lambda: with_ledger._header._ways.children)  # the notice is drawn in the rounds' thread
    with_ledger._header._ways.children[0].click()
    assert state.status == "paused"
    assert state.notice is None
    assert with_ledger.federation.ledger.balance(with_ledger.federation.client.public.verify_key.hex()) == 201 * MICRO
    assert ran(with_ledger, 1)
    assert state.frame.round == 3  # it went on


def test_out_of_money_one_may_go_on_for_nothing(with_ledger):
    with_ledger.run()
    assert eventually(lambda: with_ledger.state.status == "spent" and with_ledger.state.notice is not None)
    assert eventually(lambda: len(with_ledger._header._ways.children) > 1)  # the notice is drawn in the rounds' thread
    with_ledger._header._ways.children[1].click()
    assert with_ledger.federation.settings.budget_micro == 0
    assert with_ledger.state.status == "paused"
    assert "rounds pay nothing" in with_ledger._header.line.sentence
    assert ran(with_ledger, 2)
    assert with_ledger.state.frame.round == 4


def test_a_deposit_without_a_ledger_says_how_to_have_one(toy, toy_data):
    desk = Desk.new()
    assert not deposit(desk.state, MICRO)
    desk.driver.take(toy, *toy_data)
    assert not deposit(desk.state, MICRO)
    assert "ledger=" in desk.state.notice.text


def test_an_absent_party_is_paid_nothing_and_deserves_nothing_for_what_it_missed(toy_data):
    def broken(queries):
        raise RuntimeError

    with fi.Federation([toy_party("A"), toy_party("B", behave=broken)], history=None) as federation:
        desk = Desk.new()
        desk.driver.take(federation, *toy_data)
        desk.driver.run(2)
        assert eventually(lambda: desk.state.status == "paused")
        there, missing = desk.state.frame.earned.accounts
        assert (there.paid, there.merit, there.equal) == (2 * MICRO, 2 * MICRO, MICRO)
        assert (missing.paid, missing.merit, missing.accuracy) == (0, 0, None)
        desk.close()


def test_another_model_begins_a_merit_of_its_own(desk):
    """What a party answered with its former model is settled by that one's answers."""

    def one_round(n):
        desk.driver.run(1)
        assert eventually(lambda: desk.state.status == "paused" and desk.state.frame.round == n)
        record = desk.state.frame.record
        return [int(one) for one in (record.answers.argmax(axis=2) == record.truth).sum(axis=1)]

    first = one_round(1)
    party = toy_party("B", 0.0)  # always right
    members = tuple(Member(party, 1) if one.number == 1 else one for one in desk.state.members)
    desk.driver.bring_in(desk.state.federation.with_(parties=[one.party for one in members]), members)
    second = one_round(2)
    assert second[1] == 8 > first[1]
    expected = np.add(*(split(MICRO, [Fraction(right) for right in rights]) for rights in (first, second)))
    assert [one.merit for one in desk.state.frame.earned.accounts] == expected.tolist()


def test_split_of_merit_is_that_of_payments():
    earnings = Earnings()
    earnings.book(paying([1, 1, 1], "ABC"), [0, 1, 2], {0: 1, 1: 1, 2: 1})
    earnings.book(paying([33, 33, 34], "ABC"), [0, 1, 2], {0: 2, 1: 3, 2: 4})
    assert list(amounts(earnings.snapshot(), "merit").values()) == split(103, [Fraction(3), Fraction(4), Fraction(5)])
