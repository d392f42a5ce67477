"""A round taken apart: each role in the open, so that tests can look at what it gets and make parties misbehave."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np

import fi_workbench as fi
from fi_workbench.aggregation import rules
from fi_workbench.core.messages import Question
from fi_workbench.core.options import check_options
from fi_workbench.privacy import make_mechanism
from fi_workbench.privacy.mechanism import mechanisms, phases_of_all
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.protocol.engine import run_round
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.settings import RoundSettings
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.link import FlowerLink
from fi_workbench.transport.local import LocalGrid
from fi_workbench.transport.peers.in_process import InProcessNetwork, Switchboard

CLASSES = ("cat", "dog", "owl")
SHAPE = (4,)

HANG = 60.0
"""A party that hangs does so for this many seconds, unless its test lets it go."""

SOON = 10.0
"""Less than HANG and far more than anything takes that waits for nobody, on a busy machine too."""


def until(condition, seconds=20.0):
    """What `condition` comes to: as soon as it holds, or after `seconds`."""
    end = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return holds


def linear_party(name, seed=0, outputs="logits", **facts):
    """A party with a linear model of four inputs and three classes, drawn from `seed`."""
    weights = np.random.default_rng([seed, *name.encode()]).normal(size=(4, 3)).astype(np.float32)

    def model(queries, weights=weights):
        logits = queries.reshape(len(queries), -1) @ weights
        if outputs == "logits":
            return logits
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    facts = facts or {"class_counts": [5 + len(name), 3, 9]}
    return fi.Party.from_callable(model, name=name, classes=CLASSES, input_shape=SHAPE, outputs=outputs, **facts)


def torch_party(name, seed=0, **facts):
    """The linear party of that name as a torch module, with some queries of its own."""
    import torch

    weights = weights_of(linear_party(name, seed))
    module = torch.nn.Linear(*weights.shape, bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weights.T))
    facts = facts or {"class_counts": [5 + len(name), 3, 9]}
    sample = np.random.default_rng([seed, 7, *name.encode()]).normal(size=(32, *SHAPE)).astype(np.float32)
    return fi.Party.from_torch(
        module, name=name, classes=CLASSES, input_shape=SHAPE, sample=sample, device="cpu", **facts
    )


def weights_of(party):
    """The weights of a linear party, (input, class)."""
    return party.function.__defaults__[0] if party.module is None else party.module.weight.detach().numpy().T


def queries(n=6, seed=1):
    """`n` queries for linear parties, (query, 4)."""
    return np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)


class Table:
    """A cohort with everything on the table: sides, grid, and a record of all that crossed it.

    `wrap` maps a party's name to a function that is given its `handle` and returns another in its place.
    """

    def __init__(self, parties, *, wrap: Mapping | None = None, policies: Mapping | None = None, through_wire=False):
        board = Switchboard()
        self.sides = {
            party.name: PartySide(
                party, policy=(policies or {}).get(party.name), network=InProcessNetwork(board, party.name)
            )
            for party in parties
        }
        self.grid = LocalGrid(through_wire=through_wire)
        self.client = ClientSide()
        self.to_parties, self.from_parties = [], []  # (party, phase, body)
        self.grid.at_least(len(self.sides))
        self.prepared = None
        members = {}
        for name, side in self.sides.items():
            handle = (wrap or {}).get(name, lambda handle: handle)(side.handle)
            members[name] = (self.grid.add(client_app(self._recorded(name, handle), phases_of_all())), side.card)
        self.link = FlowerLink(self.grid, members, self.grid.is_busy)

    def _recorded(self, name, handle):
        def recorded(phase, body):
            self.to_parties.append((name, phase, body))
            reply = handle(phase, body)
            self.from_parties.append((name, phase, reply))
            return reply

        return recorded

    def settings(self, mechanism="plain", rule="soft_vote", deadline_seconds=30.0, **options):
        the_rule = rules[rule]
        return RoundSettings(
            the_rule, check_options(rule, the_rule.options, options), make_mechanism(mechanism), deadline_seconds
        )

    def protect(self, asked, settings, totals=None, seed=7):
        identities = {name: side.card.identity for name, side in self.sides.items()}
        question = None if asked is None else Question(asked)
        if settings.mechanism.carrier.prepares and self.prepared is None and asked is not None:
            self.prepare(settings, totals, seed)
        return self.client.protect(question, settings, identities, totals or {}, seed, self.prepared)

    def prepare(self, settings, totals=None, seed=7):
        """Set the cohort up, for a mechanism that wants it."""
        identities = {name: side.card.identity for name, side in self.sides.items()}
        set_up = self.client.prepare(settings, identities, totals or {}, seed, len(CLASSES))
        outcome = run_round(self.link, set_up.header, set_up.messages, settings)
        assert outcome.release.present == tuple(self.sides), outcome.log.absent
        carrier = settings.mechanism.carrier
        self.prepared = carrier.set_up(set_up.state, outcome.release, identities, set_up.header.round_id)
        return outcome

    def run(self, asked, settings, *, totals=None, cancelled: threading.Event | None = None, on_event=None):
        """(outcome, opened release, scores or None) of one round."""
        question = self.protect(asked, settings, totals)
        outcome = run_round(
            self.link, question.header, question.messages, settings, cancelled=cancelled, on_event=on_event
        )
        if not outcome.release.present:
            return outcome, outcome.release, None
        release = self.client.open(question, outcome.release, settings.mechanism)
        scores = outcome.scores
        if scores is None and asked is not None:
            scores = self.client.finish(settings.rule, settings.rule_options, release)
        return outcome, release, scores

    def close(self):
        for side in self.sides.values():
            side.stop()
        self.grid.close()


@contextmanager
def registered(kind, name=None):
    """A mechanism that is known by its name for a while."""
    name = name or kind.name
    mechanisms.add(name, kind)
    try:
        yield kind
    finally:
        mechanisms.remove(name)


def arrays_in(body):
    """Every array in a message, and every byte string read as one where it may be floats."""
    for value in body.values():
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, bytes) and value and len(value) % 4 == 0:
            with np.errstate(all="ignore"):
                yield np.frombuffer(value, np.float32)


def shows(bodies, secret, tolerance=1e-4):
    """Whether some message holds `secret`, an array, as it is: alone, or as a run within a longer array."""
    flat = np.asarray(secret, dtype=np.float64).ravel()
    for body in bodies:
        for array in arrays_in(body):
            held = np.asarray(array, dtype=np.float64).ravel()
            if len(held) < len(flat):
                continue
            windows = np.lib.stride_tricks.sliding_window_view(held, len(flat))
            with np.errstate(all="ignore"):
                if (np.abs(windows - flat) < tolerance).all(axis=1).any():
                    return True
    return False
