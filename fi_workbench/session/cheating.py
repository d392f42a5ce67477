"""One party of several is dishonest: what it answers and claims, what it is paid, and what all get right."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.aggregation import aggregate
from fi_workbench.core.arrays import Answers, Labels, Outputs, check_answer, check_labels, to_simplex
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer, InvalidParty, Refused, UnknownName
from fi_workbench.core.options import check_options
from fi_workbench.core.randomness import generator
from fi_workbench.incentives import contribution_methods, contributions, payouts, shares
from fi_workbench.incentives.audit import FEWEST_PARTIES, audit_claims
from fi_workbench.parties.behaviours import Dishonest, Sight
from fi_workbench.session.quality import accuracies


@dataclass(frozen=True, eq=False)
class Played:
    """All answers and claims with one party dishonest.

    Parameters
    ----------
    answers : array (party, query, class) or None
        None where nothing of the dishonest party is an answer.
    counts : array (party, class) or None
        What is claimed; without the dishonest party where it is absent, None where nobody's claims are known.
    """

    answers: Answers | None
    counts: NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Cheating:
    """What everybody truly answers and holds, and who cheats.

    Parameters
    ----------
    answers : array (party, query, class)
    outputs : {"logits", "probabilities"}
    labels : array (query,)
    counts : array (party, class) or None
    names : tuple of str
    cheater : int
        Its place in the party axis.
    payout : str
    labelled : bool
        Whether rewards that may use labels are given them.
    seed : int
    """

    answers: Answers
    outputs: Outputs
    labels: Labels
    counts: NDArray[Any] | None
    names: tuple[str, ...]
    cheater: int
    payout: str
    labelled: bool
    seed: int

    @classmethod
    def of(
        cls,
        logits: ArrayLike,
        labels: ArrayLike,
        class_counts: ArrayLike | None,
        outputs: Outputs,
        parties: Sequence[str] | None,
        cheater: str | int | None,
        payout: str,
        labelled: bool,
        seed: int,
    ) -> Cheating:
        """Everything checked."""
        given = np.asarray(logits)
        if given.ndim != 3 or len(given) < 2 or 0 in given.shape:
            raise InvalidAnswer(f"Answers have shape {given.shape}; (party, query, class) of two parties is needed.")
        n_parties, n_queries, n_classes = given.shape
        names = tuple(parties) if parties is not None else tuple(f"party {k}" for k in range(n_parties))
        if len(names) != n_parties or len(set(names)) < n_parties:
            raise InvalidParty(f"{n_parties} different names of parties are needed, not {names}.")
        answers = np.stack(
            [check_answer(one, outputs, n_queries, n_classes, name) for one, name in zip(given, names, strict=True)]
        )
        truth = check_labels(labels, n_queries, n_classes)
        counts = None if class_counts is None else np.asarray(class_counts)
        if counts is not None and (counts.shape != (n_parties, n_classes) or counts.dtype.kind not in "fiu"):
            raise InvalidParty(
                f"class_counts have shape {counts.shape}; ({n_parties}, {n_classes}) numbers are needed."
            )
        if counts is not None and not (np.isfinite(counts).all() and (counts >= 0).all()):
            raise InvalidParty("class_counts must be finite and 0 or more.")
        payouts[payout]  # an unknown name is refused before anything is computed
        if cheater is None:
            index = int(accuracies(answers, truth).argmin())
        elif isinstance(cheater, str):
            if cheater not in names:
                raise UnknownName("party", cheater, names)
            index = names.index(cheater)
        elif -n_parties <= cheater < n_parties:
            index = cheater % n_parties
        else:
            raise InvalidParty(f"The cheater is party {cheater}; indices go from {-n_parties} to {n_parties - 1}.")
        return cls(answers, outputs, truth, counts, names, index, payout, labelled, seed)

    def played(self, dishonest: Dishonest, *, hears: bool) -> Played:
        """Answers (party, query, class) and claims (party, class) with the cheater behaving like this."""
        own, (_, n_queries, n_classes) = self.answers[self.cheater], self.answers.shape
        others = {name: k for k, name in enumerate(self.names) if k != self.cheater}
        probabilities = to_simplex(self.answers, self.outputs)
        facts: dict[str, Any] = {}
        if self.counts is not None:
            facts = {"class_counts": self.counts[self.cheater], "data_size": int(self.counts[self.cheater].sum())}
        late = threading.Event()
        late.set()  # who waits in order to be late is late: nobody waits for it here
        sight = Sight(
            own=own,
            outputs=self.outputs,
            n_classes=n_classes,
            party=self.names[self.cheater],
            rng=generator(self.seed, "gaming", dishonest.name),
            facts=facts,
            peers=(lambda: {name: probabilities[k] for name, k in others.items()}) if hears else None,
            labels=lambda: self.labels,
            standing=dict(zip(self.names, accuracies(self.answers, self.labels).tolist(), strict=True)),
            stopped=late,
        )
        try:
            answer = check_answer(dishonest.answer(sight), self.outputs, n_queries, n_classes, sight.party)
        except (Refused, InvalidAnswer):
            return Played(None, None if self.counts is None else np.delete(self.counts, self.cheater, axis=0))
        answers = self.answers.copy()
        answers[self.cheater] = answer
        counts = self.counts
        if counts is not None:
            counts = counts.copy()
            counts[self.cheater] = dishonest.claims(facts)["class_counts"]
        return Played(answers, counts)

    def share(self, played: Played, reward: str) -> float:
        """The cheater's share under a reward."""
        if played.answers is None:
            return 0.0
        method = contribution_methods[reward]
        if method.asks is not None:
            raise DoesNotFit(f"Contribution {reward!r} asks parts of the parties, which answers kept cannot stand for.")
        told = self.labels if (self.labelled and method.labels != "unused") or method.labels == "required" else None
        values = contributions(played.answers, reward, told, outputs=self.outputs)
        rule = payouts[self.payout]
        weights = rule.function(values, **check_options(f"Payout {rule.name!r}", rule.options, {}))
        return float(shares(weights)[self.cheater])

    def accuracy(self, played: Played, rule: str) -> float:
        """The federation's accuracy under a rule, 0 to 1; without the cheater where it is absent."""
        answers = np.delete(self.answers, self.cheater, axis=0) if played.answers is None else played.answers
        scores = aggregate(answers, rule, outputs=self.outputs, class_counts=played.counts)
        return float((scores.argmax(axis=1) == self.labels).mean())

    def flagged(self, played: Played) -> float:
        """1 where the audit flags the cheater, 0 where not, NaN where there is nothing to audit."""
        if played.answers is None or played.counts is None or len(self.names) < FEWEST_PARTIES:
            return float("nan")
        votes, n_classes = played.answers.argmax(axis=-1), self.answers.shape[-1]
        return float(self.cheater in audit_claims(votes, played.counts, n_classes).flagged)
