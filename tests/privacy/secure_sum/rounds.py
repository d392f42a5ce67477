"""Rounds of secure sum without threads, one party after the other, so that every message can be changed on its way."""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

import fi_workbench as fi
from fi_workbench.aggregation import rules
from fi_workbench.core.identity import Identity, statement
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.messages import Question, Reply
from fi_workbench.core.options import check_options
from fi_workbench.core.records import Absence
from fi_workbench.privacy import make_mechanism
from fi_workbench.privacy.secure_sum import SecureSum, keys, shamir
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.protocol.engine import run_round
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.ports import ROUND_ID, Sent
from fi_workbench.protocol.settings import RoundSettings

PHASES = SecureSum.phases
NAMES = ("Ada", "Bo", "Cy", "Di", "Ed")
CLASSES = ("cat", "dog", "owl")


def simplex(n_queries, seed):
    """Rows that sum to one, (query, 3)."""
    rows = np.random.default_rng(seed).dirichlet(np.ones(3), size=n_queries)
    return rows.astype(np.float32).astype(np.float64)


def party_that_says(name, answer, **facts):
    """A party whose model returns one fixed answer, (query, 3) probabilities."""
    return fi.Party.from_callable(
        lambda queries, answer=answer: answer[: len(queries)], name=name, classes=CLASSES, input_shape=(4,),
        outputs="probabilities", **(facts or {"class_counts": [3 + len(name), 2, 7]}),
    )  # fmt: skip


class Steps:
    """A link that calls one side after the other, in cohort order.

    ``before(phase, party, message)`` and ``after(phase, party, reply)`` return what is sent in place of it; None from
    ``after`` is a reply that never comes.
    """

    def __init__(self, sides, before=None, after=None):
        self.sides, self.before, self.after = sides, before, after
        self.sent, self.replies = [], []  # (phase, party, body)
        self.cards = {name: side.card for name, side in sides.items()}

    def exchange(self, phase, messages, *, round_id, seconds, cancelled):
        yield Sent(len(messages), 0)
        for party, message in messages.items():
            told = message if self.before is None else self.before(phase, party, message)
            self.sent.append((phase, party, told))
            reply = self.sides[party].handle(phase, told)
            if self.after is not None:
                reply = self.after(phase, party, reply)
            if reply is None:
                yield Absence(party, phase, "late", "no answer.")
            else:
                self.replies.append((phase, party, reply))
                yield Reply(party, reply, 0.0, 0)

    def asked(self, phase):
        """Who was asked in a phase, in order."""
        return [who for when, who, _ in self.sent if when == phase]

    def said(self, phase, party):
        """What a party replied in a phase."""
        return next(body for when, who, body in self.replies if (when, who) == (phase, party))


class Cohort:
    """Parties with fixed answers and keys (those of another cohort, where it is given), and a client that asks them."""

    def __init__(self, answers, names=NAMES, *, like=None, **facts_of):
        self.parties = [
            party_that_says(name, answer, **facts_of.get(name, {}))
            for name, answer in zip(names, answers, strict=False)
        ]
        self.identities = like.identities if like else {party.name: Identity(party.name) for party in self.parties}
        self.client = ClientSide()
        self.renew()

    def renew(self):
        """The same parties with nothing behind them: they answer a question again that they have answered."""
        self.sides = {party.name: PartySide(party, self.identities[party.name]) for party in self.parties}

    def settings(self, rule="soft_vote", mechanism="secure_sum", options=None, **rule_options):
        the_rule, carrier = rules[rule], make_mechanism(mechanism, **(options or {}))
        return RoundSettings(the_rule, check_options(rule, the_rule.options, rule_options), carrier, 60)

    def ask(self, n_queries, settings, totals=None, seed=7):
        """A signed question of ``n_queries``, to no purpose: the answers are fixed. None enrols."""
        question = None if n_queries is None else Question(np.zeros((n_queries, 4), np.float32))
        identities = {name: side.card.identity for name, side in self.sides.items()}
        return self.client.protect(question, settings, identities, totals or {}, seed)

    def run(self, n_queries=4, settings=None, *, asked=None, totals=None, before=None, after=None):
        """(outcome, link) of one round."""
        settings = settings or self.settings()
        asked = asked or self.ask(n_queries, settings, totals)
        link = Steps(self.sides, before, after)
        return self.over(link, asked, settings), link

    @staticmethod
    def over(link, asked, settings):
        """The outcome of a question over a link."""
        return run_round(link, asked.header, asked.messages, settings)


def falls_out(when):
    """``after`` for parties that send nothing any more: ``{party: first phase that it misses}``."""

    def after(phase, party, reply):
        first = when.get(party)
        return None if first is not None and PHASES.index(phase) >= PHASES.index(first) else reply

    return after


def led_on(cohort, lists, *, asked=None, in_league=()):
    """A round up to the masked vectors, after which each party is told a list of its own of who is in the sum.

    Each is shown the signatures of those that were told the same, and of those in league with the coordinator.
    """
    asked, names, masked = asked or cohort.ask(N_QUERIES, cohort.settings()), tuple(cohort.sides), {}

    def kept(phase, party, reply):
        return masked.update({party: reply}) if phase == "masked" else reply

    _, link = cohort.run(asked=asked, after=kept)
    link.replies += [("masked", *one) for one in masked.items()]
    told = {party: bitmap(names, included) for party, included in lists.items()}

    def sign(party, included):
        part = keys.listed_part(asked.header.digest, included)
        return cohort.identities[party].sign(statement(asked.header.round_id, party, part))

    def say(phase, party, **body):
        reply = cohort.sides[party].handle(phase, {ROUND_ID: asked.header.round_id, **body})
        link.replies.append((phase, party, reply))
        return reply

    signed = {party: say("agree", party, included=included).get("agreed") for party, included in told.items()}
    for party, included in told.items():
        same = {one: signed[one] for one in told if told[one] == included and signed[one] and one != party}
        same |= {one: sign(one, included) for one in in_league}
        say("unmask", party, parties=list(same), agreed=b"".join(same.values()))
    return link


def changed(phase, party, change):
    """``before`` or ``after`` for one message: ``change(body)`` in its place."""
    return lambda when, who, body: change(body) if (when, who) == (phase, party) else body


def fixed_randomness(monkeypatch, seed=1):
    """Every key, seed and coefficient from a stream that starts anew with each call of what this returns."""
    state = {}

    def restart():
        state["stream"] = Keystream.seeded(seed, "secure sum tests")

    monkeypatch.setattr(keys, "fresh_seed", lambda: state["stream"].bytes(32))
    monkeypatch.setattr(keys, "fresh_key", lambda: X25519PrivateKey.from_private_bytes(state["stream"].bytes(32)))
    monkeypatch.setattr(
        shamir, "random_coefficient", lambda: int.from_bytes(state["stream"].bytes(66), "little") % shamir.PRIME
    )
    restart()
    return restart


N_QUERIES = 4
MANY = tuple(f"party {number:02}" for number in range(16))


def answers(n_parties=5):
    """Answers of parties in order, (party, 4, 3)."""
    return [simplex(N_QUERIES, seed) for seed in range(n_parties)]


def mean_of(names, all_names=NAMES):
    """What a soft vote of these parties comes to."""
    given = answers(len(all_names))
    return np.mean([given[all_names.index(name)] for name in names], axis=0)


def refused(outcome, party):
    """The reason for which a party refused, or None."""
    told = {absence.party: absence for absence in outcome.log.absent}
    return told[party].reason if party in told and told[party].kind == "refused" else None


def bitmap(names, included):
    """A set of parties as it travels."""
    return np.packbits([name in included for name in names]).tobytes()
