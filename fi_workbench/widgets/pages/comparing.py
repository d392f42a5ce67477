"""Two rules on the same answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation import aggregate, rules
from fi_workbench.core.arrays import Scores
from fi_workbench.core.messages import Question
from fi_workbench.core.records import RoundRecord
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.wording import listed, title


@dataclass(frozen=True)
class Side:
    """One of the two rules.

    Parameters
    ----------
    rule : str
    options : mapping
        What differs from the defaults.
    """

    rule: str
    options: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What two rules made of the same queries.

    Parameters
    ----------
    sides : (Side, Side)
    labels : array (2, query)
    record : RoundRecord
        The round under the first rule.
    question : Question
    how : str
        What was done: asked once or twice, and why.
    """

    sides: tuple[Side, Side]
    labels: NDArray[np.int64]
    record: RoundRecord
    question: Question
    how: str

    @property
    def differ(self) -> NDArray[np.int64]:
        """Queries on which the two rules differ, (some,)."""
        return np.flatnonzero(self.labels[0] != self.labels[1])

    @property
    def agreement(self) -> float:
        """Share of queries to which both give the same label."""
        return float((self.labels[0] == self.labels[1]).mean())

    @property
    def right(self) -> NDArray[np.bool_] | None:
        """Whether each rule is right, (2, query); None without labels."""
        return None if self.record.truth is None else np.asarray(self.labels == self.record.truth)

    def per_class(self) -> list[tuple[str, int, float, float]]:
        """Class, queries of it, and the accuracy of each rule on them; classes that were not asked are left out."""
        right, truth = self.right, self.record.truth
        if right is None or truth is None:
            return []
        return [
            (name, int(mask.sum()), float(right[0, mask].mean()), float(right[1, mask].mean()))
            for label, name in enumerate(self.record.classes)
            if (mask := truth == label).any()
        ]


def compare(federation: Federation, question: Question, first: Side, second: Side) -> Comparison:
    """Ask once and compute the second rule from the same answers; ask again where that cannot be done.

    Raises
    ------
    FederationError
        A rule that does not fit, or nobody answered.
    """
    asked = federation.with_(rule=first.rule, rule_options=first.options)
    other = federation.with_(rule=second.rule, rule_options=second.options)  # refused before anything is asked
    record = asked.ask(question.queries, question.labels)
    names = [title(side.rule).lower() for side in (first, second)]
    scores, why = _from_answers(asked, record, second)
    if scores is None:
        again = other.ask(question.queries, question.labels)
        scores = again.scores
        how = f"The parties were asked twice, first under {names[0]}, then under {names[1]}: {why}"
        if again.present != record.present:
            how += f" The first round was answered by {listed(record.present)}, the second by {listed(again.present)}."
    else:
        how = f"The parties were asked once, under {names[0]}; {names[1]} was computed from the same answers."
    labels = np.stack([np.asarray(one).argmax(axis=1) for one in (record.scores, scores)])
    return Comparison((first, second), labels, record, question, how)


def _from_answers(federation: Federation, record: RoundRecord, side: Side) -> tuple[Scores | None, str]:
    """What a rule makes of the answers of a round, or why that cannot be told from here."""
    rule = rules[side.rule]
    mechanism = title(federation.settings.mechanism.carrier.name).lower()
    if record.answers is None:
        return None, f"{mechanism} does not show each answer."
    if rule.uses == "raw_logits":
        return None, f"{title(rule.name).lower()} uses the parties' logits, of which only the probabilities are known."
    present = [party for party in federation.parties if party.name in record.present]
    facts: dict[str, Any] = {}
    if rule.facts:
        if secret := [party.name for party in present if not party.made_here]:
            return None, f"{title(rule.name).lower()} uses private facts, which stay with {listed(secret)}."
        facts["class_counts"] = np.stack([np.asarray(party.facts.class_counts) for party in present])
    answers = record.answers[[record.parties.index(party.name) for party in present]]
    return aggregate(answers, side.rule, outputs="probabilities", **facts, **side.options), ""
