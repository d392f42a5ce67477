"""What a federation says of who sees what: as a table, in what it refuses, and against what is there to be seen."""

import json
from contextlib import ExitStack

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.disclosure import ITEMS, ROLES, Disclosure
from fi_workbench.core.errors import DoesNotFit
from fi_workbench.incentives import contribution_methods
from fi_workbench.incentives.payout import payouts
from fi_workbench.privacy import AnswerNoise, Mechanism, mechanisms
from fi_workbench.protocol.engine import run_round
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.session import asking, enrolling, preparing
from fi_workbench.session.embedded import Embedded
from fi_workbench.session.history import History
from fi_workbench.session.runtime import Runtime
from fi_workbench.transport.local import LocalGrid
from tests.harness import CLASSES, linear_party, queries, registered, shows, torch_party
from tests.session.toys import Laplace, SumsOnly

NAMES = ("Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal")
CARRIERS = [name for name, kind in mechanisms.items() if issubclass(kind, Mechanism)]
NOISES = [name for name, kind in mechanisms.items() if issubclass(kind, AnswerNoise)]


def rounds():
    """Every carrier with rules that it carries, skipped where what it computes with is not installed."""
    for name in CARRIERS:
        carrier = mechanisms[name]()
        reason = carrier.cannot(len(NAMES))
        for rule in ("soft_vote", "hard_vote", "class_competence", "mean_logit", "class_weighted_logit"):
            affine = fi.rules[rule].affine is not None
            if carrier.inside_models == affine and carrier.carries(rule, affine):
                yield pytest.param(name, rule, marks=pytest.mark.skipif(bool(reason), reason=reason))


@pytest.fixture
def federation():
    with fi.Federation([linear_party(name) for name in NAMES], history=None) as made:
        yield made


def test_class_counts_are_seen_only_where_the_rule_uses_private_facts(federation):
    assert not federation.disclosure.allows("coordinator", "class_counts")
    assert federation.disclosure.allows("coordinator", "answers")
    counted = federation.with_(rule="class_competence")
    assert counted.disclosure.allows("coordinator", "class_counts")
    assert not counted.disclosure.allows("client", "class_counts")


def test_the_whole_is_a_table_with_who_needs_what(federation):
    changed = federation.with_(rule="hard_vote", contribution="entropy", payout="softmax")
    stated = changed.disclosure
    assert stated.needs == {"rule hard_vote": "sum", "contribution entropy": "each", "payout softmax": "nothing"}
    frame = stated.to_frame()
    assert list(frame.index) == list(ITEMS)
    assert list(frame.columns) == list(ROLES)
    for role in ROLES:
        assert [item for item in ITEMS if frame.loc[item, role]] == [
            item for item in ITEMS if stated.allows(role, item)
        ]
    lines = str(stated).splitlines()
    assert lines[0].split() == list(ROLES)
    assert lines[1].split() == ["query", "yes", "yes", "yes", "yes", "yes"]
    assert "Needs: rule hard_vote: sum; contribution entropy: each; payout softmax: nothing" in lines
    assert f"- {stated.assumptions[0]}" in lines
    assert federation.disclosure.needs["contribution shapley"] == "each", "what auto came to"


def test_the_table_of_a_mechanism_alone_states_no_needs():
    stated = mechanisms["plain"]().disclosure
    assert stated.needs == {}
    assert "Needs" not in str(stated)
    with pytest.raises(ValueError, match=r"Unknown need 'all' of rule x; known: nothing, sum, votes, each\."):
        Disclosure({}, needs={"rule x": "all"})


def test_every_payout_states_its_need():
    assert {payout.needs for _, payout in payouts.items()} == {"nothing"}


def test_under_answer_noise_it_says_that_noisy_answers_are_seen(federation):
    assert "What is seen of an answer" not in str(federation.disclosure)
    with registered(Laplace):
        noisy = federation.with_(mechanism=["toy_laplace", "plain"]).disclosure
    assert noisy.assumptions[1].startswith("What is seen of an answer, or made of it, is seen after toy_laplace:")
    assert noisy.assumptions[0] == "each party adds its own noise"
    assert noisy.allows("coordinator", "answers")


# What does not fit


def kinds_of_parties():
    """Parties that can do everything, and parties that hold no facts and show probabilities of no images."""
    rich, bare = [], []
    for k, name in enumerate(NAMES):
        weights = np.random.default_rng(k).normal(size=(4, 3))

        def model(asked, weights=weights):
            return asked.reshape(len(asked), -1) @ weights

        rich.append(
            fi.Party.from_callable(
                model, name=name, classes=CLASSES, input_shape=(2, 2), outputs="logits", class_counts=[5, 3 + k, 9],
                data_size=17 + k,
            )
        )  # fmt: skip
        bare.append(linear_party(name, outputs="probabilities", data_size=9))
    torch = [torch_party(name, class_counts=[5, 3 + k, 9]) for k, name in enumerate(NAMES)]
    return {"rich": rich, "bare": bare, "torch": torch}


PARTIES = kinds_of_parties()


def refusal(federation, changes):
    """Why these changes do not fit; None where they do."""
    try:
        federation.with_(**changes)
    except DoesNotFit as error:
        return error
    return None


def made_to_fit(federation, changes, first):
    """How many refusals it takes, from the first on, until what was said to fit makes a federation."""
    error, n_refused = first, 1
    while True:
        assert error.setting in ("rule", "contribution", "mechanism"), str(error)
        assert error.fits, str(error)
        assert changes.get(error.setting) not in error.fits, "what was refused does not fit"
        again = [refusal(federation, {**changes, error.setting: name}) for name in error.fits]
        assert error.setting not in {one.setting for one in again if one is not None}, f"{error}: {again}"
        if None in again:
            return n_refused
        changes = {**changes, error.setting: error.fits[0]}
        error, n_refused = again[0], n_refused + 1
        assert n_refused <= 3


@pytest.mark.parametrize(
    ("mechanism", "kind"),
    [
        (name, kind)
        for name in (*CARRIERS, *NOISES)
        for kind in PARTIES
        if kind != "torch" or getattr(mechanisms[name], "inside_models", False)
    ],
)
def test_each_triple_makes_a_federation_or_names_what_does(mechanism, kind):
    n_made, tried = 0, dict[tuple, int]()
    with fi.Federation(PARTIES[kind], history=None) as federation:
        for rule in fi.rules:
            for contribution in contribution_methods:
                changes = {"mechanism": mechanism, "rule": rule, "contribution": contribution}
                if (error := refusal(federation, changes)) is None:
                    n_made += 1
                    continue
                key = (error.setting, error.fits, rule if error.setting != "rule" else "")
                if key not in tried:  # the ways out of many refusals are the same
                    tried[key] = made_to_fit(federation, changes, error)
    assert n_made + len(tried) > 0
    if mechanism == "plain" and kind == "rich":
        assert not tried, "in the clear, everything fits those who can do everything"


def test_ways_out_lead_into_a_round(toys):
    with fi.Federation(PARTIES["bare"], history=None) as federation:
        with pytest.raises(DoesNotFit) as caught:
            federation.with_(mechanism="sums_only", rule="median", contribution="shapley")
        assert caught.value.setting == "rule"
        assert "class_competence" not in caught.value.fits, "whose facts these parties lack"
        assert "median" not in caught.value.fits
        rule = caught.value.fits[0]
        with pytest.raises(DoesNotFit) as caught:
            federation.with_(mechanism="sums_only", rule=rule, contribution="shapley")
        assert (caught.value.setting, caught.value.fits[:2]) == ("contribution", ("auto", "equal"))
        record = federation.with_(mechanism="sums_only", rule=rule, contribution="equal").ask(queries(3))
        assert record.scores.shape == (3, 3)


# What is there to be seen, held against the statement


class Witness:
    """A federation over the wire whose every message, outcome, record and history file is kept."""

    def __init__(self, monkeypatch, path, **settings):
        self.to_parties, self.from_parties, self.outcomes = [], [], []
        handle = PartySide.handle

        def recorded(side, phase, body):
            self.to_parties.append((side.party.name, body))
            reply = handle(side, phase, body)
            self.from_parties.append((side.party.name, reply))
            return reply

        def ran(*given, **options):
            self.outcomes.append(run_round(*given, **options))
            return self.outcomes[-1]

        monkeypatch.setattr(PartySide, "handle", recorded)
        for room in (asking, enrolling, preparing):
            monkeypatch.setattr(room, "run_round", ran)
        inside = getattr(mechanisms[settings.get("mechanism", "plain")], "inside_models", False)
        parties, self.path = PARTIES["torch" if inside else "rich"], path
        self.federation = fi.Federation(parties, history=None, deadline_seconds=60.0, **settings)
        runtime = Runtime(History.of(path, "answers"), venue=Embedded(LocalGrid(through_wire=True)))
        self.federation._runtime.close()
        self.federation._take(runtime, self.federation.settings, parties, None, None)
        self.asked = np.random.default_rng(5).normal(size=(40, *parties[0].input_shape)).astype(np.float32)
        self.record = self.federation.ask(self.asked)

    def forms(self):
        """Each party's answer in every form in which it could be shown: logits, probabilities, votes."""
        for party in self.federation.parties:
            logits = party.predict(self.asked)
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            yield logits, powers / powers.sum(axis=1, keepdims=True), np.eye(3)[logits.argmax(axis=1)]

    def client(self):
        """Every array of the record and of the history file."""
        kept = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [{"array": array} for plain in (self.record.to_dict(), *kept) for array in arrays_of(plain)]

    def wire(self):
        return [body for _, body in (*self.to_parties, *self.from_parties)]

    def coordinator(self):
        """What passes through its hands, what it makes of it, and what it keeps."""
        made = []
        for outcome in self.outcomes:
            release = outcome.release
            made += [dict(release.sums or {}), dict(release.parts or {}), dict(release.sealed)]
            made += [{"answer": one} for one in release.answers or ()]
            made += [{"scores": outcome.scores}] if outcome.scores is not None else []
            assert "array" not in repr(vars(outcome.log)), "its log keeps no arrays"
        return [*self.wire(), *made]

    def seen(self):
        """(role, item) pairs that somebody has."""
        facts = [np.asarray(party.facts.class_counts, float) for party in self.federation.parties]
        views = {"client": self.client(), "coordinator": self.coordinator(), "wire": self.wire()}
        views["other_parties"] = [body for _, body in self.to_parties]
        found = set()
        for role, bodies in views.items():
            if any(shows(bodies, form) for forms in self.forms() for form in forms):
                found.add((role, "answers"))
            if any(shows(bodies, counts) for counts in facts):
                found.add((role, "class_counts"))
            if role != "client" and shows(bodies, self.asked):
                found.add((role, "query"))
            if role != "client" and shows(bodies, self.record.scores, tolerance=1e-9):
                found.add((role, "label"))
        return found


def arrays_of(plain):
    """Every list of numbers in plain data, as an array."""
    if isinstance(plain, dict):
        for value in plain.values():
            yield from arrays_of(value)
    elif isinstance(plain, list) and plain:
        try:
            yield np.asarray(plain, dtype=np.float64)
        except (TypeError, ValueError):
            for value in plain:
                yield from arrays_of(value)


def unstated(seen, stated):
    return {(role, item) for role, item in seen if not stated.allows(role, item)}


@pytest.mark.parametrize(("mechanism", "rule"), [*rounds()])
def test_nobody_has_what_the_statement_does_not_grant(mechanism, rule, monkeypatch, tmp_path):
    witness = Witness(monkeypatch, tmp_path / "history.jsonl", mechanism=mechanism, rule=rule)
    with witness.federation as federation:
        stated, seen = federation.disclosure, witness.seen()
        assert unstated(seen, stated) == set()
        assert (witness.record.answers is not None) == stated.allows("client", "answers")
        assert ("client", "answers") in seen or not stated.allows("client", "answers")
        assert (witness.outcomes[-1].scores is not None) == stated.allows("coordinator", "label")
        # what a method must see is there
        for method, need in stated.needs.items():
            wanted = {"each": "answers", "votes": "votes", "sum": "sum"}.get(need)
            assert wanted is None or stated.allows("client", wanted) or stated.allows("coordinator", wanted), method


@pytest.mark.parametrize(
    ("role", "item"), [("client", "answers"), ("coordinator", "answers"), ("wire", "answers"), ("coordinator", "query"),
                       ("wire", "class_counts")],
)  # fmt: skip
def test_a_statement_that_hides_what_is_there_would_be_caught(role, item, monkeypatch, tmp_path):
    with ExitStack() as stack:
        witness = Witness(monkeypatch, tmp_path / "history.jsonl", rule="class_competence")
        federation = stack.enter_context(witness.federation)
        honest, seen = federation.disclosure, witness.seen()
        assert unstated(seen, honest) == set()
        lie = Disclosure({one: items - ({item} if one == role else set()) for one, items in honest.sees.items()})
        assert unstated(seen, lie) == {(role, item)}


@pytest.mark.parametrize("noise", ["laplace", "gaussian"])
def test_after_noise_nobody_has_what_the_models_said(noise, monkeypatch, tmp_path):
    witness = Witness(monkeypatch, tmp_path / "history.jsonl", mechanism=noise)
    with witness.federation:
        assert not {role for role, item in witness.seen() if item == "answers"}
        assert witness.record.answers is not None, "the noisy ones are shown"


def test_one_that_shows_more_than_it_says_is_caught(monkeypatch, tmp_path, toys):
    """The toy sends sums only to the parties' coordinator, part by part and in the clear: hard votes can be read."""
    witness = Witness(monkeypatch, tmp_path / "history.jsonl", mechanism=SumsOnly.name, rule="hard_vote")
    with witness.federation as federation:
        assert ("wire", "answers") in unstated(witness.seen(), federation.disclosure)
