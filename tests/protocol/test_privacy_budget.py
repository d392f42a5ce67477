"""The privacy budget of a party: what is refused, what is remembered, and that nothing is ever under-counted."""

import logging
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from fi_workbench.core.errors import InvalidOption, Refused
from fi_workbench.core.identity import Identity
from fi_workbench.core.messages import Question
from fi_workbench.privacy.accountant import epsilon_of, n_affordable
from fi_workbench.privacy.event import UNPROTECTED, Event
from fi_workbench.protocol import account as account_module
from fi_workbench.protocol.account import Account
from fi_workbench.protocol.batch import Batch
from fi_workbench.protocol.journal import FileJournal, MemoryJournal, NotAJournal, contract, file, memory, schema
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.policy import Policy
from tests.harness import Table, linear_party, queries

CLIENT = "ab" * 32
NOISY, LOUD = Event("gaussian", 10.0), Event("gaussian", 0.5)
NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC


def asking(n=3, client=CLIENT):
    """What a journal reads of a header."""
    return SimpleNamespace(client=client, round_id=os.urandom(16).hex(), n_queries=n)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "party.key.journal"


@pytest.fixture(params=["memory", "file"])
def journal(request, path):
    clock = SimpleNamespace(now=NOON)
    made = (
        MemoryJournal(wall_clock=lambda: clock.now)
        if request.param == "memory"
        else FileJournal(path, lambda: clock.now)
    )
    made.test_clock = clock
    yield made
    made.close()


def test_each_clients_releases_are_counted_by_kind(journal):
    journal.book(asking(3), Policy(), {NOISY: 3})
    journal.book(asking(4), Policy(), {NOISY: 4, LOUD: 1})
    journal.book(asking(2, "cd" * 32), Policy(), {UNPROTECTED: 2})
    assert journal.account(CLIENT) == Account(7, {NOISY: 7, LOUD: 1}, NOON)
    assert journal.account("cd" * 32).n_unprotected == 2
    assert journal.account("00" * 32) == Account()
    assert journal.clients() == (CLIENT, "cd" * 32)


@pytest.mark.parametrize("accounting", ["rdp", "pld"])
def test_as_much_is_granted_as_the_budget_holds_and_no_more(journal, accounting):
    policy = Policy(epsilon=2.0, accounting=accounting)
    holds = n_affordable({NOISY: 3}, 2.0, policy.delta, accounting)
    for _ in range(holds):
        journal.book(asking(), policy, {NOISY: 3})
    with pytest.raises(Refused, match="privacy budget spent"):
        journal.book(asking(), policy, {NOISY: 3})
    account = journal.account(CLIENT)
    assert account == Account(3 * holds, {NOISY: 3 * holds}, NOON), "nothing of what is refused is booked"
    assert epsilon_of(account.events, policy.delta, accounting) <= 2.0
    journal.book(asking(client="cd" * 32), policy, {NOISY: 3})


def test_the_tight_way_grants_more():
    assert n_affordable({NOISY: 3}, 2.0, 1e-5, "pld") > n_affordable({NOISY: 3}, 2.0, 1e-5, "rdp")


def test_the_refusal_says_what_is_left_what_it_would_cost_and_since_when(journal):
    policy = Policy(epsilon=2.0)
    journal.book(asking(), policy, {NOISY: 9})
    journal.test_clock.now += 3600
    with pytest.raises(Refused) as told:
        journal.book(asking(), policy, {LOUD: 1})
    spent = epsilon_of({NOISY: 9}, 1e-5)
    cost = epsilon_of({NOISY: 9, LOUD: 1}, 1e-5) - spent
    assert str(told.value) == (
        f"privacy budget spent: epsilon {2 - spent:.3g} of 2 left for this client at delta 1e-05, and this question "
        f"costs {cost:.3g}; {spent:.3g} was spent by 2026-01-01 12:00 UTC, and does not come back."
    )
    journal.book(asking(), policy, {NOISY: 1})


def test_a_question_that_is_over_the_whole_budget_is_told_so(journal):
    with pytest.raises(Refused, match=r"costs epsilon 10\.\d .*whole privacy budget for a client is 2: ask fewer"):
        journal.book(asking(), Policy(epsilon=2.0), {LOUD: 1})


def test_without_a_guarantee_no_budget_holds_and_none_can_afterwards(journal):
    policy = Policy(epsilon=2.0)
    with pytest.raises(Refused, match="has no privacy guarantee"):
        journal.book(asking(), policy, {UNPROTECTED: 3})
    assert journal.account(CLIENT) == Account()
    journal.book(asking(), Policy(), {UNPROTECTED: 3})
    with pytest.raises(Refused, match="told 3 answers without any privacy guarantee, last 2026-01-01 12:00 UTC"):
        journal.book(asking(), policy, {NOISY: 1})


def test_a_budget_does_not_hang_on_the_order(journal):
    events = [
        {NOISY: 4},
        {Event("laplace", 30.0): 5},
        {Event("gaussian", 5.0, sampling=0.1, relation="participate"): 9},
    ]
    for client, order in ((CLIENT, events), ("cd" * 32, events[::-1])):
        for one in order:
            journal.book(asking(client=client), Policy(), one)
    one, other = journal.account(CLIENT).events, journal.account("cd" * 32).events
    assert epsilon_of(one, 1e-5) == epsilon_of(other, 1e-5) > 0


def test_a_client_cannot_make_the_account_long(journal, monkeypatch):
    """It chooses the options that tell kinds of release apart, and each booking reads them all."""
    monkeypatch.setattr(account_module, "MAX_KINDS", 20)
    policy = Policy(epsilon=1e6)
    for k in range(20):
        journal.book(asking(1), Policy(), {Event("gaussian", 100.0 + k): 1})
    journal.book(asking(1), policy, {Event("gaussian", 100.0): 1})
    with pytest.raises(Refused, match="budget"):
        journal.book(asking(1), policy, {Event("gaussian", 99.0): 1})
    journal.book(asking(1), Policy(), {Event("gaussian", 99.0): 4})
    account = journal.account(CLIENT)
    assert len(account.events) == 21
    assert account.n_unprotected == 4, "what is not told apart counts as without a guarantee"


def test_a_restart_forgets_nothing_that_was_spent(path):
    policy = Policy(epsilon=1.0)
    first = FileJournal(path)
    first.book(asking(), policy, {NOISY: 4})
    first.close()
    again = FileJournal(path)
    assert again.account(CLIENT).events == {NOISY: 4}
    with pytest.raises(Refused, match="privacy budget"):
        again.book(asking(), policy, {NOISY: 9})
    again.close()


def test_two_processes_spend_one_budget(path):
    one, other, policy = FileJournal(path), FileJournal(path), Policy(epsilon=1.0)
    one.book(asking(), policy, {NOISY: 4})
    with pytest.raises(Refused, match="privacy budget"):
        other.book(asking(), policy, {NOISY: 4})
    other.book(asking(), policy, {NOISY: 1})
    assert one.account(CLIENT).events == {NOISY: 5}
    one.close()
    other.close()


def test_nobody_spends_between_the_check_and_the_booking(path):
    one, other, said = FileJournal(path), FileJournal(path), []

    def book_too():
        try:
            other.book(asking(), Policy(epsilon=1.0), {NOISY: 4})
        except Refused as refusal:
            said.append(str(refusal))

    thread = threading.Thread(target=book_too)

    class Interrupted(Policy):
        def check_amounts(self, *amounts):  # within the booking, after the account was read
            super().check_amounts(*amounts)
            thread.start()
            thread.join(0.5)

    one.book(asking(), Interrupted(epsilon=1.0), {NOISY: 4})
    thread.join(20)
    assert [text.partition(":")[0] for text in said] == ["privacy budget spent"]
    assert one.account(CLIENT).events == {NOISY: 4}
    one.close()
    other.close()


SPENDING = """
import sys
from types import SimpleNamespace
from fi_workbench.privacy.event import Event
from fi_workbench.protocol.journal import FileJournal
from fi_workbench.protocol.policy import Policy
journal, policy = FileJournal(sys.argv[1]), Policy(epsilon=1e9)
for n in range(10**6):
    event = Event("gaussian", 10.0 + n % 3)
    round_id = f"{int(sys.argv[2]):016x}{n:016x}"
    journal.book(SimpleNamespace(client="ab" * 32, round_id=round_id, n_queries=2), policy, {event: 2})
    print(round_id, flush=True)
"""


def test_killed_processes_under_count_nothing_that_has_left(path):
    processes = [
        subprocess.Popen([sys.executable, "-c", SPENDING, str(path), str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    said = []
    for process in processes:
        said += [process.stdout.readline().strip() for _ in range(100)]
        process.send_signal(signal.SIGKILL)
        said += process.communicate(timeout=60)[0].split()
    n_left = sum(len(line) == 32 for line in said)  # the last line may be cut
    journal = FileJournal(path)
    account = journal.account(CLIENT)
    n_asked = journal._connection.execute("SELECT count(*) FROM asked").fetchone()[0]
    assert n_left >= 200
    assert sum(account.events.values()) == account.n_queries == 2 * n_asked >= 2 * n_left
    journal.close()


DYING = """
import os, signal, sys
import numpy as np
import fi_workbench as fi
from fi_workbench.core.messages import Question
from fi_workbench.privacy import make_mechanism
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.protocol.journal import FileJournal
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.policy import Policy
from fi_workbench.protocol.settings import RoundSettings

def model(queries):
    if len(queries) == 6:
        os.kill(os.getpid(), signal.SIGKILL)  # the answer can never leave
    return np.zeros((len(queries), 3), np.float32)

party = fi.Party.from_callable(model, name="Ada", classes=("a", "b", "c"), input_shape=(4,), outputs="logits")
side, client = PartySide(party, policy=Policy(epsilon=8.0), journal=FileJournal(sys.argv[1])), ClientSide()
settings = RoundSettings(fi.rules["soft_vote"], {}, make_mechanism("gaussian"), 30.0)
asked = client.protect(Question(np.zeros((6, 4), np.float32)), settings, {"Ada": side.identity.public}, {}, 7)
print(client.identity.public.verify_key.hex(), flush=True)
print(side.handle("answer", asked.messages["Ada"]), flush=True)
"""


def test_a_party_that_is_killed_while_its_model_answers_has_spent(path):
    done = subprocess.run([sys.executable, "-c", DYING, str(path)], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    [client] = done.stdout.split()
    journal = FileJournal(path)
    account = journal.account(client)
    assert account.n_queries == sum(account.events.values()) == 6
    assert 0 < epsilon_of(account.events, 1e-5) < 8
    journal.close()


def test_what_cannot_be_booked_is_refused_and_not_spent(path, monkeypatch):
    journal = FileJournal(path)
    with pytest.raises(Refused, match="cannot book the question"):
        journal.book(asking(), Policy(), {NOISY: 2**63})
    assert journal.account(CLIENT) == Account()
    journal._connection.execute("INSERT INTO granted VALUES (?, 1, 1.0)", (bytes.fromhex(CLIENT),))
    journal._connection.execute("INSERT INTO released VALUES (?, 'spoilt', 1)", (bytes.fromhex(CLIENT),))
    with pytest.raises(Refused, match="cannot book the question"):
        journal.book(asking(), Policy(epsilon=9.0), {NOISY: 1})
    journal.close()


VERSION_1 = """
CREATE TABLE granted(client BLOB PRIMARY KEY, n_queries INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE lately(client BLOB, second INTEGER, n_queries INTEGER NOT NULL, PRIMARY KEY (client, second))
    STRICT, WITHOUT ROWID;
CREATE TABLE asked(round_id BLOB PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX asked_at ON asked(at);
CREATE TABLE pinned(address TEXT PRIMARY KEY, fingerprint TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO granted VALUES (x'abababababababababababababababababababababababababababababababab', 12);
INSERT INTO granted VALUES (x'cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd', 0);
INSERT INTO asked VALUES (x'00112233445566778899aabbccddeeff', 1e12);
INSERT INTO pinned VALUES ('host:1', 'aa');
PRAGMA application_id = 1179208268;
PRAGMA user_version = 1;
"""


@pytest.fixture
def version_1(path):
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.close()
    return path


def test_a_journal_of_version_1_is_taken_over_as_it_stands(version_1):
    """What it granted was granted without a guarantee; an enrolment told something too."""
    for _ in range(2):
        journal = FileJournal(version_1)
        assert journal.account(CLIENT) == Account(12, {UNPROTECTED: 12}, None)
        assert journal.account("cd" * 32) == Account(0, {UNPROTECTED: 1}, None)
        assert journal.pinned("host:1") == "aa"
        header = asking()
        header.round_id = "00112233445566778899aabbccddeeff"
        with pytest.raises(Refused, match="asked before"):
            journal.book(header, Policy())
        with pytest.raises(Refused, match="4 of 16 left"):
            journal.book(asking(5), Policy(query_budget=16))
        with pytest.raises(Refused, match="told 12 answers without any privacy guarantee, last at a time not known"):
            journal.book(asking(), Policy(epsilon=8.0), {NOISY: 1})
        journal.close()


def test_a_takeover_that_fails_leaves_version_1_as_it_was(version_1, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(schema, "_PRIVACY", (*schema._PRIVACY, "CREATE TABLE pinned(again)"))
        with pytest.raises(OSError, match="cannot be written"):
            FileJournal(version_1)
    connection = sqlite3.connect(version_1)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert connection.execute("SELECT * FROM granted").fetchall()[0][1:] == (12,)
    connection.close()
    FileJournal(version_1).close()


def test_a_journal_from_the_future_is_not_touched(path):
    journal = FileJournal(path)
    journal._connection.execute("PRAGMA user_version=3")
    journal.close()
    with pytest.raises(NotAJournal, match="version 2"):
        FileJournal(path)


COHORT, OTHER = b"c" * 16, b"o" * 16


def test_a_query_is_answered_in_one_cohort_only(journal):
    policy, batch = Policy(same_cohort=True), Batch((b"q1", b"q2", b"q3"), COHORT)
    journal.book(asking(), policy, {UNPROTECTED: 3}, batch)
    journal.book(asking(), policy, {UNPROTECTED: 3}, batch)
    spent = journal.account(CLIENT)
    with pytest.raises(Refused, match="1 of 3 queries were asked by this client in another cohort"):
        journal.book(asking(), policy, {UNPROTECTED: 3}, Batch((b"q4", b"q2", b"q5"), OTHER))
    assert journal.account(CLIENT) == spent
    journal.book(asking(2), policy, {UNPROTECTED: 2}, Batch((b"q4", b"q5"), OTHER))
    journal.book(asking(client="cd" * 32), policy, {UNPROTECTED: 3}, Batch((b"q1",), OTHER))
    with pytest.raises(Refused, match="this cohort's facts were asked"):
        journal.book(asking(0), policy, {UNPROTECTED: 1}, Batch((b"q1",), OTHER))


def test_where_it_is_not_refused_the_owner_is_warned_once(journal, caplog):
    with caplog.at_level(logging.WARNING, logger=contract.__name__):
        journal.book(asking(), Policy(), {UNPROTECTED: 3}, Batch((b"q1",), COHORT))
        assert not caplog.records
        for _ in range(2):
            journal.book(asking(), Policy(), {UNPROTECTED: 3}, Batch((b"q1",), OTHER))
    assert [CLIENT[:16] in record.message for record in caplog.records] == [True]


def test_of_very_many_queries_the_oldest_are_forgotten(path, monkeypatch):
    for module in (file, memory):
        monkeypatch.setattr(module, "REMEMBERED_QUERIES", 5)
    clock, policy = SimpleNamespace(now=NOON), Policy(same_cohort=True)
    for journal in (MemoryJournal(), FileJournal(path, lambda: clock.now)):
        for k in range(8):
            clock.now += file._SWEEP_SECONDS + 1
            journal.book(asking(1), policy, {UNPROTECTED: 1}, Batch((b"%d" % k,), COHORT))
        clock.now += file._SWEEP_SECONDS + 1
        journal.book(asking(1), policy, {UNPROTECTED: 1}, Batch((b"0",), OTHER))
        with pytest.raises(Refused, match="another cohort"):
            journal.book(asking(1), policy, {UNPROTECTED: 1}, Batch((b"7",), OTHER))
        journal.close()


@pytest.mark.parametrize(
    "limits",
    [
        {"epsilon": 0}, {"epsilon": -1.0}, {"epsilon": math.inf}, {"epsilon": math.nan}, {"epsilon": True},
        {"epsilon": "8"}, {"delta": 0.0}, {"delta": 1.0}, {"delta": None}, {"accounting": "zcdp"}, {"peers": "all"},
        {"peers": ["Ada"]}, {"same_cohort": "yes"}, {"same_cohort": None},
    ],
    ids=repr,
)  # fmt: skip
def test_a_limit_that_cannot_be_is_refused_by_name(limits):
    with pytest.raises(InvalidOption, match="peer's key|" + next(iter(limits))):
        Policy(**limits)


@pytest.fixture
def tables():
    made = []

    def table(policy, n=3):
        made.append(Table([linear_party(name) for name in ("Ada", "Bo", "Cy", "Di")[:n]], policies={"Ada": policy}))
        return made[-1]

    yield table
    for one in made:
        one.close()


def refusal(table, mechanism, rule="soft_vote", asked=None, **options):
    """Why Ada refused a round, or None."""
    settings = table.settings(mechanism, rule, **options)
    outcome, _, _ = table.run(queries() if asked is None else asked, settings)
    return {one.party: one.reason for one in outcome.log.absent}.get("Ada")


def test_a_question_without_a_guarantee_is_refused_naming_those_with_one(tables):
    table = tables(Policy(epsilon=8.0))
    reason = refusal(table, "plain")
    assert "mechanism 'plain' gives rule 'soft_vote' no guarantee; one with it: " in reason
    named = reason.rpartition(": ")[2].rstrip(".").split(", ")
    assert {"gaussian", "laplace", "randomised_response"} <= set(named)
    assert not {"plain", "commit_reveal", "top_k", "rounded", "secure_sum"} & set(named)
    assert refusal(table, "gaussian") is None
    key = table.client.identity.public.verify_key.hex()
    assert sum(table.sides["Ada"].journal.account(key).events.values()) == 6, "what was refused is not booked"


def test_only_what_the_owner_allows_is_named(tables):
    table = tables(Policy(epsilon=8.0, mechanisms={"plain", "laplace"}))
    assert refusal(table, "plain").endswith("one with it: laplace.")
    table = tables(Policy(epsilon=8.0, mechanisms={"plain"}))
    assert refusal(table, "plain").endswith("one with it: none here.")


def test_noise_from_a_public_seed_is_no_guarantee(tables):
    table = tables(Policy(epsilon=8.0))
    stack = [{"name": "gaussian", "epsilon": 1.0, "reproducible": True}]
    assert "reproducible noise of gaussian protects nobody" in refusal(table, stack)


@pytest.mark.parametrize("rule", ["size_weighted", "two_way_prior_corrected", "prior_corrected"])
def test_noise_on_the_answer_is_no_guarantee_for_private_facts(rule, tables):
    """What the rule makes of counts and sizes leaves as it is, however noisy the answer beside it."""
    table = tables(Policy(epsilon=8.0))
    table.sides["Ada"].party = linear_party("Ada", class_counts=[5, 33, 9], data_size=47)
    reason = refusal(table, "laplace", rule)
    assert f"gives rule {rule!r} no guarantee" in reason
    assert "laplace" not in reason.rpartition("one with it: ")[2]
    assert refusal(table, "laplace") is None
    key = table.client.identity.public.verify_key.hex()
    assert table.sides["Ada"].journal.account(key).n_unprotected == 0


def test_a_rule_that_asks_again_and_again_is_not_answered_at_the_price_of_once(tables):
    """The client's side refuses it; another client's might not."""
    table = tables(Policy(epsilon=8.0))
    assert refusal(table, "gaussian", "tta_soft") == (
        "rule 'tta_soft' asks again about each query, which 'gaussian' does not bear."
    )


def test_the_model_is_not_asked_once_the_budget_is_spent(tables):
    asked = []
    table = tables(Policy(epsilon=2.0))
    side = table.sides["Ada"]
    side.party = linear_party("Ada")
    predict = side.party.predict
    object.__setattr__(side.party, "predict", lambda given: asked.append(len(given)) or predict(given))
    reasons = []
    for _ in range(20):
        if (reason := refusal(table, "gaussian", asked=queries(1))) is not None:
            reasons.append(reason)
            break
    assert reasons[0].startswith("privacy budget spent: ")
    assert 0 < len(asked) < 20
    before = len(asked)
    assert refusal(table, "gaussian", asked=queries(1)) is not None
    assert len(asked) == before


def test_a_cohort_of_strangers_is_refused(tables):
    table = tables(None)
    keys = {name: side.card.identity.verify_key.hex() for name, side in table.sides.items()}
    table.sides["Ada"].policy = Policy(peers={keys["Bo"], keys["Cy"]})
    assert refusal(table, "plain") is None
    table.sides["Ada"].policy = Policy(peers={keys["Bo"]})
    assert refusal(table, "plain") == "Cy is in the cohort, and not on this party's list of peers."


def test_the_same_queries_in_a_cohort_less_one_are_refused_where_the_difference_would_tell(tables):
    """The differencing attack: two sums over the same queries, one without a certain party."""
    table = tables(Policy(same_cohort=True), n=4)
    less = Table([linear_party(name) for name in ("Bo", "Cy", "Di")])
    less.client = table.client
    ada = table.sides["Ada"]
    ada_alone = table.protect(queries(), table.settings("secure_sum"))
    assert "absent.kind" not in ada.handle("keys", ada_alone.messages["Ada"])
    try:
        identities = {name: side.card.identity for name, side in table.sides.items() if name != "Bo"}
        for asked, refused in ((queries(), True), (queries(6, seed=9), False)):
            again = table.client.protect(Question(asked), table.settings("secure_sum"), identities, {}, 7)
            reply = ada.handle("keys", again.messages["Ada"])
            assert ("another cohort" in reply.get("absent.reason", "")) == refused, reply
        in_the_clear = table.client.protect(Question(queries()), table.settings("plain"), identities, {}, 7)
        assert "answer" in ada.handle("answer", in_the_clear.messages["Ada"]), "there is nothing left to tell"
    finally:
        less.close()


def test_a_round_of_an_owner_without_limits_books_its_events(tables):
    table = tables(None)
    assert refusal(table, "plain") is None
    key = table.client.identity.public.verify_key.hex()
    assert table.sides["Ada"].journal.account(key).events == {UNPROTECTED: 6}
    assert table.sides["Ada"].journal.account(Identity("x").public.verify_key.hex()) == Account()


def test_kept_in_a_file_the_budget_outlives_the_party(path):
    table = Table([linear_party("Ada")])
    identity, policy = table.sides["Ada"].identity, Policy(epsilon=4.0)
    outcomes = []
    for _ in range(3):
        journal = FileJournal(path)
        side = PartySide(linear_party("Ada"), identity, policy, journal)
        message = table.protect(queries(6), table.settings("gaussian")).messages["Ada"]
        outcomes.append("answer" in side.handle("answer", message))
        side.stop()
        journal.close()
    table.close()
    assert outcomes == [True, False, False]
