"""What a client has spent of each party's budget: from the party's own journal, or as the client itself counts it."""

import json
import math
from types import SimpleNamespace

import pytest

import fi_workbench as fi
from fi_workbench.cli import main
from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.identity import Identity
from fi_workbench.core.keyfile import KeyFile
from fi_workbench.privacy.accountant import epsilon_of, n_affordable
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.event import UNPROTECTED, Event
from fi_workbench.privacy.stack import make_mechanism
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.protocol.journal import FileJournal, MemoryJournal
from fi_workbench.protocol.policy import Policy
from fi_workbench.session.allowance import affordable
from fi_workbench.session.dry_run import dry_run
from fi_workbench.session.joining import journal_path
from fi_workbench.session.limits import read_limits
from tests.harness import linear_party, queries
from tests.session.far_parties import absences, asked, hosted, invitation, online
from tests.session.toy_link import ToyLink

NAMES = ("Ada", "Bo", "Cy")
NOISY = Event("gaussian", 100.0)


@pytest.fixture
def parties():
    return [linear_party(name) for name in NAMES]


def price(mechanism, n_queries, n_classes=3, n_parties=3):
    """What such a question costs each party."""
    return make_mechanism(mechanism).events(Occasion("answer", "soft_vote", {}, n_parties, n_queries, n_classes))


def test_before_the_first_question_nothing_is_spent(parties):
    with fi.Federation(parties, history=None, policies={"Bo": Policy(epsilon=8.0, delta=1e-6)}) as federation:
        rows = federation.budget
    assert [(row.party, row.epsilon, row.n_queries, row.since) for row in rows] == [
        (name, 0.0, 0, None) for name in NAMES
    ]
    assert [(row.limit, row.left, row.delta) for row in rows] == [
        (None, None, 1e-5),
        (8.0, 8.0, 1e-6),
        (None, None, 1e-5),
    ]
    assert {row.booked_by for row in rows} == {"party"}


@pytest.mark.parametrize("accounting", ["rdp", "pld"])
def test_what_is_spent_is_what_the_party_booked(parties, accounting):
    policies = {"Ada": Policy(epsilon=8.0, accounting=accounting)}
    with fi.Federation(parties, history=None, mechanism="gaussian", policies=policies) as federation:
        for seed in range(2):
            federation.ask(queries(6, seed))
        ada, bo, _ = federation.budget
        key = federation.client.public.verify_key.hex()
    spent = epsilon_of({event: 2 * count for event, count in price("gaussian", 6).items()}, 1e-5, accounting)
    assert (ada.client, ada.n_queries, ada.guaranteed) == (key, 12, True)
    assert ada.epsilon == pytest.approx(spent)
    assert ada.left == pytest.approx(8.0 - spent)
    assert ada.last.endswith("UTC")
    assert (bo.limit, bo.left, bo.accounting) == (None, None, "rdp")


def test_copies_share_what_is_spent_and_other_clients_have_their_own(parties):
    me = Identity("me")
    with fi.Federation(parties, history=None, mechanism="gaussian", client=me) as federation:
        federation.with_(rule="hard_vote").ask(queries(4))
        assert {row.n_queries for row in federation.budget} == {4}
        with fi.Federation([linear_party(name) for name in NAMES], history=None, client=me) as other:
            assert {row.n_queries for row in other.budget} == {0}, "other parties, other journals"


def test_a_question_in_the_clear_ends_all_guarantees(parties):
    with fi.Federation(parties, history=None, mechanism="gaussian") as federation:
        federation.ask(queries(2))
        federation.with_(mechanism="plain").ask(queries(2))
        row = federation.budget[0]
    assert (row.epsilon, row.guaranteed, row.n_queries) == (math.inf, False, 4)


def test_a_spent_budget_is_an_absence_that_says_so_and_the_others_answer(parties):
    policies = {"Ada": Policy(epsilon=3.0)}
    with fi.Federation(parties, history=None, mechanism="gaussian", policies=policies) as federation:
        records = [federation.ask(queries(2, seed)) for seed in range(6)]
        row = federation.budget[0]
    [absence] = records[-1].absent
    assert (absence.party, absence.kind) == ("Ada", "refused")
    assert "does not come back" in absence.reason
    assert records[-1].present == ("Bo", "Cy")
    assert 0 < row.epsilon <= 3.0
    n_granted = sum("Ada" in record.present for record in records)
    assert row.n_queries == 2 * n_granted < 12


def over(link, **settings):
    return fi.Federation._over(link, None, None, {"history": None, **settings})


@pytest.fixture
def link():
    link = ToyLink()
    yield link
    link.close()


def test_over_a_link_the_client_counts_what_it_asked_and_limits_are_the_owners(link):
    with over(link, mechanism="gaussian") as federation:
        for name in NAMES:
            link.join(linear_party(name))
        federation.ask(queries(6))
        rows = federation.budget
        key = federation.client.public.verify_key.hex()
    spent = epsilon_of(price("gaussian", 6), 1e-5)
    assert [row.party for row in rows] == list(NAMES)
    assert {(row.n_queries, row.booked_by, row.limit, row.left, row.client) for row in rows} == {
        (6, "client", None, None, key)
    }
    assert all(row.epsilon == pytest.approx(spent) for row in rows)


def test_over_a_link_who_refuses_or_is_gone_has_spent_nothing_and_enrolments_count(link):
    with over(link, mechanism="gaussian") as federation:
        for name in NAMES:
            link.join(linear_party(name)).policy = Policy(max_batch=3 if name == "Bo" else None)
        federation.ask(queries(6))
        assert [row.n_queries for row in federation.budget] == [6, 0, 6]
        federation.with_(mechanism="plain", rule="class_competence").ask(queries(2))
        assert [row.n_queries for row in federation.budget] == [8, 2, 8]
        assert federation.runtime.venue.account(federation.parties[1], "")[0].n_unprotected == 3, "the enrolment too"


def test_limits_for_privacy_come_from_a_file_and_from_options(tmp_path):
    file = tmp_path / "limits.toml"
    file.write_text(f'epsilon = 8\ndelta = 1e-6\naccounting = "pld"\npeers = ["{"ab" * 32}"]\nsame_cohort = true\n')
    policy = read_limits(file, {"epsilon": 4.0, "delta": None})
    assert policy == Policy(epsilon=4.0, delta=1e-6, accounting="pld", peers={"ab" * 32}, same_cohort=True)
    file.write_text('peers = "ab"')
    with pytest.raises(InvalidOption, match="peers is a list"):
        read_limits(file)


def test_what_a_budget_affords_under_each_mechanism():
    policy = Policy(epsilon=8.0, delta=1e-5)
    allowed = affordable(policy, n_classes=3)
    assert allowed["gaussian"] == n_affordable(price("gaussian", 1), 8.0, 1e-5) > 8
    assert allowed["plain"] == allowed["secure_sum"] == 0
    assert affordable(Policy(epsilon=8.0, accounting="pld"), 3)["gaussian"] > allowed["gaussian"]
    assert set(affordable(Policy(epsilon=8.0, mechanisms={"plain", "laplace"}), 3)) == {"plain", "laplace"}
    assert affordable(Policy(), 3) == {}


def test_a_dry_run_says_what_the_budget_allows_and_what_was_spent():
    journal = MemoryJournal()
    for client, event in (("ab" * 32, NOISY), ("cd" * 32, UNPROTECTED)):
        journal.book(SimpleNamespace(client=client, n_queries=5), Policy(), {event: 5})
    found = dry_run(linear_party("Ada"), Policy(epsilon=8.0), journal=journal)
    assert [(row.client[:2], row.guaranteed, row.left == 0.0) for row in found.accounts] == [
        ("cd", False, True),
        ("ab", True, False),
    ]
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["affordable"]["gaussian"] > 1
    assert "gaussian" not in plain["unserved"]
    assert "more with one query than the budget holds" in plain["unserved"]["plain"]
    assert [row["epsilon"] for row in plain["accounts"]] == [None, pytest.approx(epsilon_of({NOISY: 5}, 1e-5))]
    assert dry_run(linear_party("Ada")).affordable == {}


MY_PARTY = """
import numpy as np
import fi_workbench as fi

def model(queries):
    return np.ones((len(queries), 3), np.float32)

party = fi.Party.from_callable(model, name="Ada", classes=("cat", "dog", "owl"), input_shape=(4,), outputs="logits")
"""


def test_the_command_shows_the_budget(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_party.py").write_text(MY_PARTY)
    KeyFile.load_or_create(tmp_path / "ada.key", "Ada")
    journal = FileJournal(journal_path(tmp_path / "ada.key"))
    journal.book(SimpleNamespace(client="ab" * 32, round_id="00" * 16, n_queries=5), Policy(), {NOISY: 5})
    journal.close()
    usual = ["join", "--dry-run", "--model", "my_party.py:party", "--key", "ada.key"]
    more = ["--epsilon", "8", "--accounting", "pld", "--peer", "cd" * 32, "--same-cohort"]
    assert main([*usual, *more]) == 0
    shown = capsys.readouterr().out
    assert f"epsilon 8.0; delta 1e-05; accounting pld; peers {'cd' * 32}; same_cohort True." in shown
    assert "What its privacy budget allows one client, in all" in shown
    spent = epsilon_of({NOISY: 5}, 1e-5, "pld")
    [row] = [line.split() for line in shown.splitlines() if "ab" * 8 in line]
    assert row[:4] == ["ab" * 8, "5", f"{spent:.3g}", f"{8 - spent:.3g}"]
    assert main(usual) == 0
    shown = capsys.readouterr().out
    assert "Limits: none" in shown
    assert "budget allows" not in shown
    assert "no limit" in shown
    for wrong, said in ((["--epsilon", "0"], "epsilon is a number above 0"), (["--peer", "Ada"], "is no peer's key")):
        assert main([*usual, *wrong]) != 0
        assert said in capsys.readouterr().err


def test_a_party_that_is_joined_again_has_not_forgotten_what_it_told(tmp_path):
    """Over a real link, with a key in a file: the journal beside it carries the budget over a restart."""
    client, policy = ClientSide(), Policy(epsilon=epsilon_of(price("gaussian", 6), 1e-5))
    with hosted(tmp_path / "link") as link:
        address, trust = invitation(link)
        said = []
        for _ in range(2):
            with fi.join(linear_party("Ada"), address, key=tmp_path / "ada.key", policy=policy, **trust):
                assert online(link, "Ada")
                said += [absences(asked(link, 3, client=client, mechanism="gaussian")).get("Ada") for _ in range(2)]
            trust.pop("token", None)
            assert link.roster.wait_for(lambda: link.roster.entry("Ada").state != "online", 20)
    assert said[:2] == [None, None]
    assert all("privacy budget spent: epsilon 0 of" in one for one in said[2:]), said
    journal = FileJournal(journal_path(tmp_path / "ada.key"))
    [key] = journal.clients()
    assert key == client.identity.public.verify_key.hex()
    assert journal.account(key).n_queries == 6
    journal.close()
