"""What the coordinator could take from a round, held against what it was meant to: for tests and their controls."""

from __future__ import annotations

import numpy as np

from fi_workbench.privacy.secure_sum import SecureSum, masking, party
from fi_workbench.privacy.secure_sum.shamir import join
from tests.transcript import flat


class Watched:
    """Secrets of rounds as they are made: what only a test may know."""

    def __init__(self, monkeypatch):
        self.splits, self.vectors, self.pair_keys = [], {}, {}
        split, vector, pair_key = party.split, SecureSum._vector, masking.pair_key

        def splitting(secret, n_shares, threshold):
            shares = split(secret, n_shares, threshold)
            self.splits.append(shares)
            return shares

        def encoding(mechanism, question, layout, context):
            made = vector(mechanism, question, layout, context)
            self.vectors[context.name] = made.copy()
            return made

        def agreeing(private, public, round_digest, one, other):
            key = pair_key(private, public, round_digest, one, other)
            self.pair_keys[frozenset((one, other))] = key
            return key

        monkeypatch.setattr(party, "split", splitting)
        monkeypatch.setattr(SecureSum, "_vector", encoding)
        monkeypatch.setattr(masking, "pair_key", agreeing)

    def shares_of(self, names):
        """(shares of the seed, shares of the mask key) of each party that made them, in cohort order."""
        return {name: (self.splits[2 * place], self.splits[2 * place + 1]) for place, name in enumerate(names)}

    def opened(self, names, link):
        """Of each party, which shares of its seed and which of its mask key the coordinator was sent."""
        seen = b"".join(flat(body) for phase, _, body in link.replies if phase == "unmask")
        return {
            name: tuple({number for number, share in enumerate(shares, start=1) if share in seen} for shares in both)
            for name, both in self.shares_of(names).items()
        }


def found(watched, link, digest, threshold):
    """What a curious coordinator has after a round beyond the sum: a set of (what, party)."""
    names, leaks = link.asked("shares"), set()
    for name, (seeds, maskings) in watched.opened(names, link).items():
        if seeds & maskings:
            leaks.add(("a holder opened both", name))
        if len(seeds) >= threshold and len(maskings) >= threshold:
            leaks.add(("its mask was opened both ways", name))
    for phase, name, body in link.replies:
        if phase == "masked":
            shares, _ = watched.shares_of(names)[name]
            seed, _ = join(dict(enumerate(shares, start=1)), threshold, lambda _: True)
            bare = body["masked"] - masking.own_mask(seed, digest, name, len(body["masked"]))
            if any(np.array_equal(one, watched.vectors[name]) for one in (body["masked"], bare)):
                leaks.add(("its answer", name))
    return leaks
