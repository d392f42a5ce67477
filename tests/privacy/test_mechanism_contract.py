"""What every mechanism must keep to; a new one is tested by being registered."""

import dataclasses
import threading
import time

import numpy as np
import pytest

from fi_workbench.aggregation import aggregate, rules
from fi_workbench.aggregation.rule import Rule
from fi_workbench.core.disclosure import NEEDS, Disclosure, satisfies
from fi_workbench.core.options import options_of
from fi_workbench.privacy import Mechanism, make_mechanism, mechanisms
from fi_workbench.protocol.ports import CAPABILITIES, PEER_CHANNELS
from tests.harness import (
    HANG,
    SOON,
    Table,
    linear_party,
    queries,
    registered,
    shows,
    torch_party,
    until,
    weights_of,
)
from tests.privacy.two_phase import CommitThenReveal

TOYS = {CommitThenReveal.name: CommitThenReveal}
NAMES = ("Ada", "Bo", "Cy", "Di")
# one whose extra is not installed cannot be tried
HERE = [name for name, kind in mechanisms.items() if issubclass(kind, Mechanism) and not kind().cannot(len(NAMES))]
CARRIERS = HERE + list(TOYS)


def has_own_protocol(name):
    """Whether its phases are its own, and not those of another that it only adds noise to."""
    kind = TOYS.get(name) or mechanisms[name]
    carriers = [other for _, other in mechanisms.items() if issubclass(other, Mechanism)]
    return not any(other is not kind and issubclass(kind, other) for other in carriers)


PROTOCOLS = [name for name in CARRIERS if has_own_protocol(name)]


@pytest.fixture(params=CARRIERS)
def name(request):
    if request.param in mechanisms:
        yield request.param
    else:
        with registered(TOYS[request.param]):
            yield request.param


@pytest.fixture
def table(request):
    tables = []
    carrier = request.node.callspec.params.get("carrier", request.node.callspec.params.get("name", "plain"))
    inside = carrier in mechanisms and mechanisms[carrier].inside_models

    def make(**options):
        party = torch_party if inside else linear_party
        tables.append(Table([party(name) for name in NAMES], **options))
        return tables[-1]

    yield make
    for made in tables:
        made.close()


@pytest.fixture
def go_on():
    """Lets those go who hang, at the end."""
    event = threading.Event()
    yield event
    event.set()


def each_rule():
    def mean(answers):
        return answers.mean(axis=0)

    return Rule("mean_of_each", "", "", "", "", "each", "probabilities", frozenset(), options_of(mean), combine=mean)


@pytest.fixture(autouse=True)
def rule_of_each():
    rule = each_rule()
    rules.add(rule.name, rule)
    yield rule.name
    rules.remove(rule.name)


def rule_for(kind):
    if kind.only_rules is not None:
        return min(kind.only_rules)
    if kind.inside_models:
        return "mean_logit"
    return "mean_of_each" if satisfies(kind.offers, "each") else "soft_vote"


def expected(kind, answers):
    """What the rule for that mechanism makes of the same answers in the clear."""
    return aggregate(answers, rule_for(kind) if kind.only_rules is not None or kind.inside_models else "soft_vote")


def test_statement_is_complete(name):
    kind = mechanisms[name]
    assert kind.explanation
    assert all(phase.isidentifier() for phase in kind.phases)
    assert len(set(kind.phases)) == len(kind.phases) >= 1
    assert kind.offers in NEEDS
    assert kind.requires <= CAPABILITIES | {PEER_CHANNELS}
    disclosure = kind().disclosure
    assert len(disclosure.table()) == len({item for item, _ in disclosure.table()})
    assert not disclosure.allows("coordinator", "model")
    if kind.offers == "each":
        assert disclosure.allows("coordinator", "answers")
    assert dataclasses.is_dataclass(kind)
    assert kind.__dataclass_params__.frozen


def test_settings_make_the_same_mechanism_again(name):
    made = make_mechanism(name)
    assert make_mechanism(made.settings()) == made


def test_scores_are_those_of_the_rule_on_the_same_answers(name, table):
    made, asked = table(), queries()
    settings = made.settings(name, rule_for(mechanisms[name]))
    _, release, scores = made.run(asked, settings)
    answers = np.stack([side.party.predict(asked) for side in made.sides.values()])
    assert release.present == NAMES
    if settings.mechanism.reproducible or settings.mechanism.carrier.inside_models:
        np.testing.assert_allclose(scores, expected(mechanisms[name], answers), atol=1e-4)
    else:  # its own tests say how much noise there is
        assert scores.shape == answers.shape[1:]
        assert not np.allclose(scores, expected(mechanisms[name], answers), atol=1e-4)


@pytest.mark.parametrize("through_wire", [False, True])
def test_the_wire_changes_nothing(name, table, through_wire):
    asked = queries()
    made = table(through_wire=through_wire)
    _, _, scores = made.run(asked, made.settings(name, rule_for(mechanisms[name])))
    other = table()
    _, _, again = other.run(asked, other.settings(name, rule_for(mechanisms[name])))
    if mechanisms[name]().reproducible:
        np.testing.assert_array_equal(scores, again)
    else:
        assert scores.shape == again.shape


def phases_of(every_name):
    kind = mechanisms[every_name] if every_name in mechanisms else TOYS[every_name]
    return kind.phases


def blamed(outcome):
    """Who is absent by itself, not because a mechanism that needs everybody ended the round without it."""
    return [absence for absence in outcome.log.absent if absence.kind != "excluded"]


@pytest.mark.parametrize(
    ("carrier", "phase"), [(carrier, phase) for carrier in PROTOCOLS for phase in phases_of(carrier)]
)
@pytest.mark.parametrize("way", ["hangs", "raises"])
def test_a_party_may_fall_out_in_any_phase(carrier, phase, way, table, go_on):
    def fails(handle):
        def failing(asked_phase, body):
            if asked_phase == phase:
                if way == "raises":
                    raise RuntimeError("gone")
                go_on.wait(HANG)
            return handle(asked_phase, body)

        return failing

    def check():
        made, asked = table(wrap={"Bo": fails}), queries()
        waits = way == "hangs" or mechanisms[carrier].inside_models  # peers wait; else nobody does for who raised
        deadline = 1.5 * len(mechanisms[carrier].phases) if waits else HANG
        settings = made.settings(carrier, rule_for(mechanisms[carrier]), deadline_seconds=deadline)
        started = time.monotonic()
        outcome, release, scores = made.run(asked, settings)
        assert time.monotonic() - started < SOON
        (absence,) = [one for one in blamed(outcome) if one.party == "Bo"]
        if mechanisms[carrier].inside_models:
            assert release.present == ()
            assert all("Bo" in one.reason for one in outcome.log.absent if one.party != "Bo")
        else:
            assert len(outcome.log.absent) == 1
        assert (absence.party, absence.phase) == ("Bo", phase)
        assert absence.kind == ("unreachable" if way == "raises" else "late")
        assert absence.reason
        if mechanisms[carrier].min_parties <= 3 and release.present == ("Ada", "Cy", "Di"):
            left = np.stack([side.party.predict(asked) for party, side in made.sides.items() if party != "Bo"])
            np.testing.assert_allclose(scores, expected(mechanisms[carrier], left), atol=1e-4)

    if carrier in mechanisms:
        check()
    else:
        with registered(TOYS[carrier]):
            check()


@pytest.mark.parametrize(
    ("carrier", "phase"), [(carrier, phase) for carrier in PROTOCOLS for phase in phases_of(carrier)]
)
@pytest.mark.parametrize("garbage", [{}, {"commitment": 3, "answer": b"x"}, {"answer": np.zeros((1, 1))}])
def test_garbage_in_any_phase_is_that_partys_absence(carrier, phase, garbage, table):
    def lies(handle):
        return lambda asked_phase, body: garbage if asked_phase == phase else handle(asked_phase, body)

    def check():
        made, asked = table(wrap={"Bo": lies}), queries()
        needed = mechanisms[carrier].inside_models  # without it there is nothing to be had
        deadline = 2.0 if needed else HANG
        outcome, release, _ = made.run(
            asked, made.settings(carrier, rule_for(mechanisms[carrier]), deadline_seconds=deadline)
        )
        if needed:  # peers that waited for it say so
            assert release.present == ()
            assert any(one.party == "Bo" or "Bo" in one.reason for one in blamed(outcome))
            return
        assert [(absence.party, absence.kind) for absence in outcome.log.absent] == [("Bo", "invalid")]
        summed = phase in ("agree", "unmask")  # by then it is in the sum, and stays in it
        assert release.present == (NAMES if summed else ("Ada", "Cy", "Di"))

    if carrier in mechanisms:
        check()
    else:
        with registered(TOYS[carrier]):
            check()


@pytest.mark.parametrize("name", PROTOCOLS, indirect=True)
def test_state_dies_with_the_round_and_at_the_deadline(name, table):
    made, rule = table(), rule_for(mechanisms[name])
    made.run(queries(), made.settings(name, rule, deadline_seconds=30))
    assert all(side.runtime.open_rounds == () for side in made.sides.values())
    asked = made.protect(queries(), made.settings(name, rule, deadline_seconds=2))
    side = made.sides["Ada"]
    side.handle(mechanisms[name].phases[0], asked.messages["Ada"])
    assert len(side.runtime._rounds) == (1 if len(mechanisms[name].phases) > 1 else 0)
    assert until(lambda: not side.runtime._rounds), "not by looking, which sweeps: by itself"


def leaks(made, asked, stated):
    """(role, item) pairs that somebody received in a round and that `stated` does not allow."""
    answers = {party: side.party.predict(asked) for party, side in made.sides.items()}
    forms = {party: (answer, aggregate(answer[None], "soft_vote")) for party, answer in answers.items()}
    models = [weights_of(side.party) for side in made.sides.values()]
    counts = [np.asarray(side.party.facts.class_counts, float) for side in made.sides.values()]
    sent, replies = [body for *_, body in made.to_parties], [body for *_, body in made.from_parties]
    found = set()
    for role in ("coordinator", "wire"):
        if any(shows([*sent, *replies], form) for both in forms.values() for form in both):
            found.add((role, "answers"))
        if shows([*sent, *replies], asked):
            found.add((role, "query"))
        if any(shows([*sent, *replies], model) for model in models):
            found.add((role, "model"))
        if any(shows([*sent, *replies], count) for count in counts):
            found.add((role, "class_counts"))
    for party in made.sides:
        received = [body for to, _, body in made.to_parties if to == party]
        if any(shows(received, form) for other in set(forms) - {party} for form in forms[other]):
            found.add(("other_parties", "answers"))
    return {(role, item) for role, item in found if not stated.allows(role, item)}


def test_each_role_sees_no_more_than_the_statement_says(name, table):
    made, asked = table(), queries(5)
    outcome, release, _ = made.run(asked, made.settings(name, rule_for(mechanisms[name])))
    assert release.present == NAMES
    assert leaks(made, asked, mechanisms[name]().disclosure) == set()
    assert "array" not in repr(vars(outcome.log)), "the coordinator's log keeps no arrays"


@pytest.mark.parametrize("item", ["answers", "query"])
def test_a_statement_that_hides_what_is_shown_would_be_caught(item, table):
    honest = mechanisms["plain"]().disclosure
    lie = Disclosure({role: items - {item} for role, items in honest.sees.items()})
    made, asked = table(), queries(5)
    made.run(asked, made.settings("plain"))
    assert ("coordinator", item) in leaks(made, asked, lie)
    assert leaks(made, asked, honest) == set()


def test_what_is_not_there_is_not_seen():
    body = {"x": np.arange(12.0).reshape(3, 4), "raw": np.arange(5, dtype=np.float32).tobytes()}
    assert shows([body], np.arange(4.0, 8.0))
    assert shows([body], [1.0, 2.0, 3.0])
    assert not shows([body], [1.0, 3.0])
