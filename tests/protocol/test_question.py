"""What a party accepts as a question: signed, fresh, addressed to it, agreed to by its policy, paid from its budget."""

import dataclasses
import json
import threading
import time

import numpy as np
import pytest

from fi_workbench.core.digest import canonical
from fi_workbench.core.identity import BadSignature, Identity, verify
from fi_workbench.protocol.header import MAX_AGE_SECONDS, MAX_DEADLINE_SECONDS, MAX_HEADER_BYTES, read_header
from fi_workbench.protocol.policy import Policy
from tests.harness import Table, linear_party, queries, registered
from tests.privacy.two_phase import CommitThenReveal


@pytest.fixture
def tables():
    made = []

    def make(**options):
        made.append(Table([linear_party("Ada"), linear_party("Bo")], **options))
        return made[-1]

    yield make
    for table in made:
        table.close()


def ask(table, *, to="Ada", phase="answer", asked=None, client=None, payload=None, raw=None, **changes):
    """What `to` replies to a question whose header has other fields than an honest client would sign."""
    signer = client if isinstance(client, Identity) else table.client.identity
    honest = table.protect(queries() if asked is None else asked, table.settings())
    body = {name: value for name, value in honest.messages[to].items() if name not in ("header", "signature")}
    changes["client"] = client if isinstance(client, str) else signer.public.verify_key.hex()
    fields = dataclasses.asdict(dataclasses.replace(honest.header, **changes))
    data = json.dumps(fields).encode() if raw is None else raw(json.dumps(fields).encode())
    signature = signer.sign(canonical(["fi-workbench question", data]))
    return table.sides[to].handle(phase, {**(payload or body), "header": data, "signature": signature})


def refusal(reply):
    assert set(reply) == {"absent.kind", "absent.reason"}, "nothing but the refusal leaves"
    assert reply["absent.kind"] == "refused"
    return reply["absent.reason"]


def test_an_honest_question_is_answered(tables):
    assert ask(tables())["answer"].shape == (6, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "whatever"},
        {"kind": None},
        {"kind": "whatever", "n_queries": 0},
        {"n_queries": -1000},
        {"n_queries": float("nan")},
        {"n_queries": 6.0},
        {"n_queries": True},
        {"n_queries": 0},
        {"kind": "enrol"},  # with queries
        {"issued_at": float("nan")},
        {"issued_at": "now"},
        {"deadline_seconds": float("inf")},
        {"deadline_seconds": float("nan")},
        {"deadline_seconds": -1},
        {"deadline_seconds": 0},
        {"deadline_seconds": MAX_DEADLINE_SECONDS + 1},
        {"round_id": "short"},
        {"round_id": 7},
        {"rule": ["soft_vote"]},
        {"rule_options": []},
        {"mechanism": "plain"},
        {"mechanism": [{}]},
        {"mechanism": [{"name": 1}]},
        {"on_absence": "forget"},
        {"seed": "0"},
        {"cohort": []},
        {"cohort": [["Ada"]]},
        {"payloads": []},
        {"version": 99},
        {"version": None},
    ],
    ids=repr,
)
def test_a_field_that_cannot_be_is_refused_and_nothing_is_booked(tables, changes):
    table = tables(policies={"Ada": Policy(query_budget=100)})
    said = refusal(ask(table, **changes))
    assert "header" in said or "version" in said
    assert table.sides["Ada"].journal.spent(table.client.identity.public.verify_key.hex()) == 0
    assert ask(table)["answer"].shape == (6, 3), "and the party goes on"


def test_the_numbers_of_json_that_python_reads_as_infinite_are_refused(tables):
    table = tables()
    said = refusal(ask(table, raw=lambda data: data.replace(b'"deadline_seconds": 30.0', b'"deadline_seconds": 1e400')))
    assert "deadline_seconds" in said


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b"null", b'{"a": 1}', b"\xff", b"[" * 100_000])
def test_a_header_that_cannot_be_read_is_refused(tables, header):
    said = refusal(ask(tables(), raw=lambda _: header))
    assert "header" in said or "version" in said


def test_a_header_that_is_too_long_is_not_even_read(tables):
    assert f"at most {MAX_HEADER_BYTES}" in refusal(ask(tables(), raw=lambda data: data + b" " * MAX_HEADER_BYTES))


def test_a_message_without_a_header_is_refused(tables):
    table = tables()
    for message in (
        {},
        {"header": b"x"},
        {"header": "x", "signature": b"y"},
        {"round_id": "f" * 32},
        {"round_id": b"x"},
    ):
        assert refusal(table.sides["Ada"].handle("answer", message))


def test_only_the_client_that_it_names_can_have_signed_it(tables):
    table, other = tables(), Identity("client")
    honest = table.protect(queries(), table.settings()).messages["Ada"]
    forged = {**honest, "signature": other.sign(canonical(["fi-workbench question", honest["header"]]))}
    assert "not signed by the client" in refusal(table.sides["Ada"].handle("answer", forged))
    touched = {**honest, "header": honest["header"].replace(b'"seed": 7', b'"seed": 8')}
    assert touched["header"] != honest["header"]
    assert "not signed" in refusal(table.sides["Ada"].handle("answer", touched))
    assert "answer" in table.sides["Ada"].handle("answer", honest), "a forgery does not use the honest one up"


def test_what_is_asked_must_be_what_was_signed(tables):
    table = tables()
    honest = table.protect(queries(), table.settings()).messages["Ada"]
    for other in (
        {**honest, "queries": honest["queries"] + 1},
        {**honest, "queries": honest["queries"].astype(np.float64)},
        {**honest, "totals.class_totals": np.ones(3)},
        {name: value for name, value in honest.items() if name != "queries"},
    ):
        assert "not what its client signed" in refusal(table.sides["Ada"].handle("answer", other))
    said = refusal(ask(table, asked=queries(6), n_queries=5))
    assert "6 queries came, 5 were announced" in said


def test_age_counts_both_ways(tables, monkeypatch):
    table = tables()
    message = table.protect(queries(), table.settings()).messages["Ada"]
    now = time.time()
    assert read_header(message, now).kind == "answer"
    assert read_header(message, now + MAX_AGE_SECONDS - 5)
    for when in (now + MAX_AGE_SECONDS + 5, now - MAX_AGE_SECONDS - 5):
        monkeypatch.setattr(time, "time", lambda when=when: when)
        assert "issued" in refusal(table.sides["Ada"].handle("answer", message))


def test_the_cohort_must_list_this_party_with_its_own_key_and_nobody_twice(tables):
    table, eve = tables(), Identity("Ada")
    honest = table.protect(queries(), table.settings()).header.cohort
    ada, bo = honest
    false_key = [
        eve.public.name,
        *(key.hex() for key in (eve.public.verify_key, eve.public.seal_key, eve.public.binding)),
    ]
    assert "not in the question's cohort" in refusal(ask(table, cohort=[bo]))
    assert "with another key" in refusal(ask(table, cohort=[false_key, bo]))
    assert "twice" in refusal(ask(table, cohort=[ada, bo, bo]))
    assert "twice" in refusal(ask(table, cohort=[ada, bo, ["Cy", *bo[1:]]])), "one key cannot fill a cohort"
    assert "header" in refusal(ask(table, cohort=[ada, ["Bo", "zz", "zz", "zz"]]))


def test_a_question_is_answered_once(tables):
    table = tables()
    message = table.protect(queries(), table.settings()).messages["Ada"]
    assert "answer" in table.sides["Ada"].handle("answer", message)
    assert "was asked before" in refusal(table.sides["Ada"].handle("answer", message))
    assert "answer" in table.sides["Bo"].handle("answer", message), "by each party"


def test_a_question_that_comes_twice_at_once_is_answered_once(tables):
    table = tables()
    message = table.protect(queries(), table.settings()).messages["Ada"]
    replies, start = [], threading.Barrier(8)

    def send():
        start.wait()
        replies.append(table.sides["Ada"].handle("answer", message))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("answer" in reply for reply in replies) == 1


def test_a_replay_costs_the_client_nothing(tables):
    table = tables(policies={"Ada": Policy(query_budget=12)})
    message = table.protect(queries(6), table.settings()).messages["Ada"]
    for _ in range(3):
        table.sides["Ada"].handle("answer", message)
    assert table.sides["Ada"].journal.spent(table.client.identity.public.verify_key.hex()) == 6


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (Policy(clients=frozenset({"00" * 32})), "is not on this party's list"),
        (Policy(mechanisms=frozenset({"secure_sum"})), "mechanism 'plain' is not allowed here; allowed: secure_sum"),
        (Policy(mechanisms=frozenset()), "allowed: none"),
        (Policy(rules=frozenset({"hard_vote"})), "rule 'soft_vote' is not allowed here; allowed: hard_vote"),
        (Policy(min_cohort=3), "the cohort has 2 parties; this party needs 3"),
        (Policy(max_batch=5), "6 queries at once; this party takes 5"),
        (Policy(query_budget=5), "5 of 5 left for this client, 6 asked"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_each_field_of_a_policy_is_kept(tables, policy, says):
    assert says in refusal(ask(tables(policies={"Ada": policy})))


def test_a_policy_that_agrees_lets_it_pass(tables):
    table = tables()
    key = table.client.identity.public.verify_key.hex()
    agreeing = Policy(frozenset({key}), frozenset({"plain"}), frozenset({"soft_vote"}), 2, 6, 6)
    table.sides["Ada"].policy = agreeing
    assert "answer" in ask(table)


def test_a_stack_without_a_name_is_still_held_against_the_policy(tables):
    # the carrier of an empty stack is "plain": it must not slip through because nobody named it
    table = tables(policies={"Ada": Policy(mechanisms=frozenset({"secure_sum"}))})
    assert "'plain' is not allowed" in refusal(ask(table, mechanism=[]))


@dataclasses.dataclass(frozen=True)
class Shy(CommitThenReveal):
    name = "shy"
    min_parties = 3
    hides_absence = True


def test_what_a_mechanism_promises_is_kept_by_the_party_not_by_the_client(tables):
    with registered(Shy):
        table = tables()
        said = refusal(ask(table, phase="commit", mechanism=[{"name": "shy"}], on_absence="keep"))
        assert "needs 3 parties; the cohort has 2" in said
        eve = Identity("Eve").public
        more = [*table.protect(queries(), table.settings()).header.cohort,
                ["Eve", eve.verify_key.hex(), eve.seal_key.hex(), eve.binding.hex()]]  # fmt: skip
        said = refusal(ask(table, phase="commit", mechanism=[{"name": "shy"}], cohort=more, on_absence="renormalise"))
        assert "hides who is absent" in said
        assert "commitment" in ask(table, phase="commit", mechanism=[{"name": "shy"}], cohort=more, on_absence="keep")


def test_a_budget_is_kept_for_each_client_key_and_spent_before_the_answer_leaves(tables):
    table = tables(policies={"Ada": Policy(query_budget=10)})
    journal, one, other = table.sides["Ada"].journal, Identity("one"), Identity("other")
    seen = []
    predict = table.sides["Ada"].party.function
    object.__setattr__(
        table.sides["Ada"].party,
        "function",
        lambda asked: seen.append(journal.spent(one.public.verify_key.hex())) or predict(asked),
    )
    assert "answer" in ask(table, client=one)
    assert seen == [6], "already booked when the model is asked"
    assert "4 of 10 left" in refusal(ask(table, client=one))
    assert "answer" in ask(table, client=one, asked=queries(4), n_queries=4)
    assert "0 of 10 left" in refusal(ask(table, client=one, asked=queries(1), n_queries=1))
    assert "answer" in ask(table, client=other)


def test_a_client_cannot_spell_its_key_otherwise_to_begin_anew(tables):
    table = tables(policies={"Ada": Policy(query_budget=6)})
    key = table.client.identity.public.verify_key.hex()
    assert "answer" in ask(table)
    for spelt in (key.upper(), " " + key, key[:2] + " " + key[2:]):
        assert bytes.fromhex(spelt).hex() == key, "Python reads the same key"
        assert "client" in refusal(ask(table, client=spelt))


def test_an_enrolment_takes_nothing_from_the_budget_and_gets_no_answer(tables):
    table = tables(policies={"Ada": Policy(query_budget=6)})
    enrol = table.protect(None, table.settings(rule="class_competence"))
    reply = table.sides["Ada"].handle("answer", enrol.messages["Ada"])
    assert set(reply) == {"sum.class_totals"}
    assert table.sides["Ada"].journal.spent(enrol.header.client) == 0


@dataclasses.dataclass(frozen=True)
class Curious(CommitThenReveal):
    """Asks the model in an enrolment, in which nothing is paid."""

    name = "curious"

    def party_step(self, phase, state, message, context):
        return super().party_step(phase, state, {**message, "queries": queries()}, context)


def test_no_mechanism_can_ask_the_model_in_an_enrolment(tables):
    with registered(Curious):
        table = tables()
        enrol = table.protect(None, table.settings("curious", rule="class_competence"))
        assert "asks for no answer" in refusal(table.sides["Ada"].handle("commit", enrol.messages["Ada"]))


@dataclasses.dataclass(frozen=True)
class Signing(CommitThenReveal):
    """Signs whatever it is told to: `say` comes with the question."""

    name = "signing"

    def party_step(self, phase, state, message, context):
        signature = context.sign(b"said")
        context.verify(context.name, b"said", signature)
        checked = [peer for peer in context.peers if fails(context.verify, peer, b"said", b"x" * 64)]
        return None, {"signature": signature, "refused": checked}


def fails(verify, *arguments):
    try:
        verify(*arguments)
    except BadSignature:
        return True
    return False


def test_what_a_party_signs_in_a_round_is_nothing_anywhere_else(tables):
    with registered(Signing):
        table = tables()
        one, other = (table.protect(queries(), table.settings("signing")) for _ in range(2))
        replies = [table.sides["Ada"].handle("commit", asked.messages["Ada"]) for asked in (one, other)]
    ada = table.sides["Ada"].identity.public.verify_key
    assert replies[0]["signature"] != replies[1]["signature"], "bound to its round"
    assert replies[0]["refused"] == ["Ada", "Bo"]
    with pytest.raises(BadSignature):
        verify(ada, replies[0]["signature"], b"said")


# phases


@pytest.fixture
def two_phase(tables):
    with registered(CommitThenReveal):
        yield tables


def test_phases_come_in_their_order_and_once(two_phase):
    table = two_phase()
    question = table.protect(queries(), table.settings("commit_then_reveal"))
    ada, message = table.sides["Ada"], {"round_id": question.header.round_id}
    assert "not open here" in refusal(ada.handle("reveal", message)), "not begun"
    assert "commitment" in ada.handle("commit", question.messages["Ada"])
    assert "out of turn" in refusal(ada.handle("commit", message)), "not again"
    assert "out of turn" in refusal(ada.handle("answer", message)), "not a phase of this mechanism"
    assert "answer" in ada.handle("reveal", message), "what was out of turn did not end the round"
    assert "not open here" in refusal(ada.handle("reveal", message)), "it has ended"


def test_a_phase_that_comes_twice_at_once_is_answered_once(two_phase):
    table = two_phase()
    question = table.protect(queries(), table.settings("commit_then_reveal"))
    ada = table.sides["Ada"]
    ada.handle("commit", question.messages["Ada"])
    replies, start = [], threading.Barrier(8)

    def send():
        start.wait()
        replies.append(ada.handle("reveal", {"round_id": question.header.round_id}))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("answer" in reply for reply in replies) == 1
    assert sum(reply.get("absent.kind") == "refused" for reply in replies) == 7


def test_the_next_phase_waits_for_the_one_under_way(two_phase):
    table, begun, go_on = two_phase(), threading.Event(), threading.Event()
    ada, predict = table.sides["Ada"], table.sides["Ada"].party.function
    object.__setattr__(ada.party, "function", lambda asked: (begun.set(), go_on.wait(60)) and predict(asked))
    question, replies = table.protect(queries(), table.settings("commit_then_reveal")), {}
    steps = {"commit": question.messages["Ada"], "reveal": {"round_id": question.header.round_id}}
    threads = {
        phase: threading.Thread(target=lambda phase=phase: replies.update({phase: ada.handle(phase, steps[phase])}))
        for phase in steps
    }
    threads["commit"].start()
    assert begun.wait(20)
    threads["reveal"].start()
    threads["reveal"].join(0.1)
    go_on.set()
    for thread in threads.values():
        thread.join(20)
    assert "commitment" in replies["commit"]
    assert "answer" in replies["reveal"], "its state was there"


def test_a_question_in_the_wrong_phase_is_refused(two_phase):
    table = two_phase()
    question = table.protect(queries(), table.settings("commit_then_reveal"))
    assert "out of turn" in refusal(table.sides["Ada"].handle("reveal", question.messages["Ada"]))


def test_a_step_that_fails_ends_the_round(two_phase):
    table = two_phase()
    question = table.protect(queries(), table.settings("commit_then_reveal"))
    ada = table.sides["Ada"]
    ada.handle("commit", question.messages["Ada"])
    broken = {"round_id": question.header.round_id, "sealed.Bo": b"rubbish", "commitment.Bo": b""}
    assert ada.handle("reveal", broken)["absent.kind"] == "invalid"
    assert "not open here" in refusal(ada.handle("reveal", {"round_id": question.header.round_id}))
    assert ada.runtime.open_rounds == ()


def test_a_refused_budget_leaves_no_round_open(two_phase):
    table = two_phase(policies={"Ada": Policy(query_budget=1)})
    question = table.protect(queries(), table.settings("commit_then_reveal"))
    assert "budget" in refusal(table.sides["Ada"].handle("commit", question.messages["Ada"]))
    assert table.sides["Ada"].runtime.open_rounds == ()
