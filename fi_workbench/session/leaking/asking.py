"""The eyes of one role: what it is shown of a round, and rounds that are asked to look through them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels, Queries
from fi_workbench.core.disclosure import Item
from fi_workbench.core.errors import NoAnswer, NotDisclosed, UnknownName
from fi_workbench.core.randomness import generator
from fi_workbench.core.records import RoundRecord
from fi_workbench.parties import Party
from fi_workbench.privacy.meters import Sample
from fi_workbench.session.leaking.result import AttackerRole, Sees
from fi_workbench.session.members import named

if TYPE_CHECKING:
    from fi_workbench.session.federation import Federation

_ITEMS: Mapping[Item, Sees] = {"answers": "answers", "votes": "votes", "sum": "scores", "label": "label"}

_WORDS: Mapping[Sees, str] = {
    "answers": "each answer of {target}",
    "votes": "each vote of {target}",
    "scores": "the released scores of all, no answer of {target}",
    "label": "the released label",
    "nothing": "nothing of the answers",
}


@dataclass(frozen=True, eq=False)
class Eyes:
    """What a role is shown of the rounds that a party answers in.

    Parameters
    ----------
    role : {"coordinator", "client", "other_parties", "wire"}
    target : Party
    sees : {"answers", "votes", "scores", "label", "nothing"}
        The most that the mechanism in force shows it.
    """

    role: AttackerRole
    target: Party
    sees: Sees

    @classmethod
    def of(cls, federation: Federation, role: AttackerRole, target: str | None) -> Eyes:
        """By the federation's disclosure; the first party where none is named.

        Raises
        ------
        UnknownName
            A party that there is not; a role that is none, or the owner, who knows its own model.
        NoAnswer
            There is no party as yet.
        """
        if role not in get_args(AttackerRole):
            raise UnknownName("role of an attacker", role, get_args(AttackerRole))
        if target is None and not federation.parties:
            raise NoAnswer("Nobody has joined this federation yet, so there is nobody to measure.")
        party = federation.parties[0] if target is None else named([target], federation.parties)[0]
        stated = federation.disclosure
        sees: Sees = next((seen for item, seen in _ITEMS.items() if stated.allows(role, item)), "nothing")
        return cls(role, party, sees)

    @property
    def words(self) -> str:
        """What it sees, for people."""
        return _WORDS[self.sees].format(target=self.target.name)

    def shown(self, record: RoundRecord) -> NDArray[np.float64]:
        """What the role saw of a round, (query, class).

        Raises
        ------
        NotDisclosed
            It saw more than the client did, whose record this is.
        """
        if self.sees in ("answers", "votes"):
            if record.answers is None:
                raise NotDisclosed(
                    f"The {self.role} sees each answer and the client does not: it cannot be measured from here."
                )
            answer = record.answers[record.parties.index(self.target.name)]
            return one_hot(answer) if self.sees == "votes" else answer.astype(np.float64)
        if record.scores is None or self.sees == "nothing":
            raise NotDisclosed(f"The {self.role} sees nothing of round {record.round}: there is nothing to measure.")
        return one_hot(record.scores) if self.sees == "label" else record.scores.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen of samples, by use, as far as the target answered.

    Parameters
    ----------
    samples : mapping of str to Sample
    n_rounds, n_queries : int
        What was asked.
    complete : bool
        Whether the target answered everything.
    """

    samples: Mapping[str, Sample]
    n_rounds: int = 0
    n_queries: int = 0
    complete: bool = True

    def size(self, part: str) -> int:
        """How many samples of a use were answered."""
        return len(self.samples[part]) if part in self.samples else 0


def look(
    federation: Federation,
    eyes: Eyes,
    parts: Mapping[str, tuple[Queries, Labels]],
    *,
    batch_size: int,
    seed: int,
    cancelled: threading.Event,
    on_round: Callable[[], None],
) -> Seen:
    """Ask about labelled samples in real rounds, without pay, and keep what the role was shown.

    All uses are mixed in each batch: one of members only would be told by its company. A target that refuses is not
    asked on: it would refuse the next batch too, and the others' budgets are not to be spent for nothing.

    Raises
    ------
    NoAnswer
        The target answered nothing at all.
    NotDisclosed
        See :meth:`Eyes.shown`.
    """
    if not parts:
        return Seen({})
    queries, labels = (np.concatenate([held[k] for held in parts.values()]) for k in (0, 1))
    order = generator(seed, "order").permutation(len(labels))
    free = federation.with_(contribution="equal", budget_micro=0)
    scores = np.full((len(labels), len(federation.classes)), np.nan)
    why, n_rounds, n_queries, name = "", 0, 0, eyes.target.name
    for start in range(0, len(order), batch_size):
        if cancelled.is_set():
            break
        on_round()
        batch = order[start : start + batch_size]
        record = _asked(free, queries[batch], labels[batch], cancelled)
        n_rounds, n_queries = n_rounds + 1, n_queries + len(batch)
        if name in record.present:
            scores[batch] = eyes.shown(record)
            continue
        absence = next((one for one in record.absent if one.party == name), None)
        why = why or (f"{absence.kind}, {absence.reason}" if absence else "it was left out")
        if absence is not None and absence.kind == "refused":
            break
    answered = np.isfinite(scores).all(axis=1)
    if why and not answered.any() and not cancelled.is_set():
        raise NoAnswer(f"{name} did not answer, so there is nothing to measure: {why}")
    found, first = {}, 0
    for part, held in parts.items():
        rows = np.arange(first, first + len(held[1]))
        rows, first = rows[answered[rows]], first + len(held[1])
        found[part] = Sample(queries[rows], labels[rows], scores[rows])
    return Seen(found, n_rounds, n_queries, bool(answered.all()))


def one_hot(scores: NDArray[Any]) -> NDArray[np.float64]:
    """The label alone, (query, class); ties to the lowest class index."""
    return np.eye(scores.shape[1])[scores.argmax(axis=1)]


def _asked(federation: Federation, queries: Queries, labels: Labels, cancelled: threading.Event) -> RoundRecord:
    try:
        return federation.ask(queries, labels, cancelled=cancelled)
    except NoAnswer as error:
        if not isinstance(error.record, RoundRecord):
            raise
        return error.record
