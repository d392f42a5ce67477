"""Asking once and computing every rule from the same answers; asking again where that cannot be done."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from fi_workbench.aggregation import LocalView, Rule, aggregate, rules
from fi_workbench.aggregation.apply import local_part
from fi_workbench.aggregation.bounds import bounds
from fi_workbench.core.arrays import Answers, Scores
from fi_workbench.core.errors import FederationError, InvalidOption, NoAnswer, NotDisclosed
from fi_workbench.core.messages import Question
from fi_workbench.core.progress import OnProgress, Progress, quiet
from fi_workbench.core.records import RoundRecord
from fi_workbench.parties import Party
from fi_workbench.protocol.engine import PartyEvent
from fi_workbench.session.comparison import BASELINE, Comparison, Outcome, Side
from fi_workbench.session.federation import Federation

SideLike: TypeAlias = Side | str | tuple[str, Mapping[str, Any]]
"""A side, a rule's name, or a name with the options that differ from the defaults."""

_TIMES = {1: "once", 2: "twice"}


def compare_rules(
    federation: Federation,
    question: Question | tuple[Any, Any],
    sides: Sequence[SideLike],
    *,
    on_progress: OnProgress = quiet,
) -> Comparison:
    """What several rules make of the same queries.

    The parties are asked once, under the first rule, and the others are computed from their answers. What cannot be
    (raw logits, changed queries, private facts of parties made elsewhere, answers that the mechanism hides) is asked
    again, and ``how`` says so. All else that the federation is set to, its calibration too, stays.

    Parameters
    ----------
    federation : Federation
    question : Question, or (queries, labels)
        E.g. ``federation.test_set``; the labels may be None.
    sides : sequence of Side, str or (str, mapping)
        At least one rule, each with its options, none twice.
    on_progress : callable
        Told of each rule as a task of its own, and of each party's reply; what it raises gives the comparison up.

    Returns
    -------
    Comparison
        A rule that fails on these answers is in ``failed``, with the reason.

    Raises
    ------
    UnknownName, InvalidOption, DoesNotFit
        A rule or option that does not exist or does not fit, before anything is asked; or no rule could be computed.
    NoAnswer
        Nobody answered the first question.

    Examples
    --------
    >>> with Federation.demo(n_parties=3, epochs=1, history=None) as federation:
    ...     comparison = compare_rules(federation, federation.test_set, ["soft_vote", "hard_vote"])
    >>> [one.title for one in comparison.figures]
    ['Soft vote', 'Hard vote', 'Best party', 'Oracle']
    """
    queries, labels = question if isinstance(question, tuple) else (question.queries, question.labels)
    asked = [_side(one) for one in sides]
    if not asked or any(one in asked[:place] for place, one in enumerate(asked)):
        raise InvalidOption("A comparison needs at least one rule, and none twice with the same options.")
    # refused before anything is asked
    settings = [federation.with_(rule=one.rule, rule_options=one.options) for one in asked]
    first: RoundRecord | None = None
    outcomes, failed, again = list[Outcome](), list[tuple[str, str]](), list[tuple[Side, RoundRecord, str]]()
    for side, under in zip(asked, settings, strict=True):
        on_progress(Progress(side.title, 0, 1))
        try:
            scores, why = (None, "") if first is None else _from_answers(under, first, side)
            if scores is None:
                record = _ask(under, Question(queries, labels), side.title, on_progress)
                scores = record.scores
                if first is None:
                    first = record
                else:
                    again.append((side, record, why))
        except FederationError as error:
            if first is None and isinstance(error, NoAnswer):
                raise
            failed.append((side.title, str(error)))
        else:
            if scores is not None:
                outcomes.append(Outcome(side.rule, side.title, scores, side))
        on_progress(Progress(side.title, 1, 1))
    if first is None:
        raise InvalidOption(
            "None of these rules could be computed. " + " ".join(f"{one}: {why}" for one, why in failed)
        )
    checked = Question(queries, first.truth)
    in_force = Side(federation.settings.rule, dict(federation.settings.rule_options))
    reference = next((place for place, one in enumerate(outcomes) if one.side == in_force), 0)
    return Comparison(
        tuple(outcomes), _bounds(first), _baseline(outcomes, first), first, checked,
        _how(federation, outcomes, first, again), tuple(failed), reference,
    )  # fmt: skip


def fitting_rules(federation: Federation) -> tuple[str, ...]:
    """Names of all rules that fit the parties and the mechanism, with default options, and can be computed.

    Examples
    --------
    >>> with Federation.demo(n_parties=3, epochs=1, history=None) as federation:
    ...     "soft_vote" in fitting_rules(federation)
    True
    """
    fitting = []
    for name, rule in rules.items():
        try:
            federation.with_(rule=name, rule_options={})
            _try(federation, rule)
        except FederationError:
            continue
        fitting.append(name)
    return tuple(fitting)


def _try(federation: Federation, rule: Rule) -> None:
    """Run a rule on one blank query, where it may refuse only then: one that must be fitted, or that rotates images."""
    n_parties, n_classes = len(federation.parties), len(federation.classes)
    answers = np.full((n_parties, 1, n_classes), 1.0 / n_classes)
    if rule.combine is not None:
        aggregate(answers, rule, outputs="probabilities", parties=[party.name for party in federation.parties])
    elif rule.asks_again and not rule.facts:
        blank = np.zeros((1, *federation.input_shape), dtype=np.float32)
        view = LocalView(
            answers[0], "probabilities", blank, lambda queries: np.repeat(answers[0], len(queries), axis=0),
            rng=lambda: np.random.default_rng(0),
        )  # fmt: skip
        local_part(rule, view, {})


def _side(one: SideLike) -> Side:
    if isinstance(one, Side):
        return one
    if isinstance(one, str):
        return Side(one)
    name, options = one
    return Side(name, dict(options))


def _ask(federation: Federation, question: Question, title: str, on_progress: OnProgress) -> RoundRecord:
    """One round; what ``on_progress`` raises cancels it, and is raised when it has ended."""
    cancelled, raised, heard = threading.Event(), list[Exception](), set[str]()

    def on_event(event: PartyEvent) -> None:
        heard.add(event.party)
        try:
            on_progress(Progress(title, len(heard), len(federation.parties) + 1, "parties"))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is raised again below)
            raised.append(error)
            cancelled.set()

    try:
        record = federation.ask(question.queries, question.labels, cancelled=cancelled, on_event=on_event)
    except NoAnswer:
        if raised:
            raise raised[0] from None
        raise
    if raised:
        raise raised[0]
    return record


def _from_answers(federation: Federation, record: RoundRecord, side: Side) -> tuple[Scores | None, str]:
    """What a rule makes of the answers of a round, or why that cannot be told from here."""
    rule = rules[side.rule]
    if record.answers is None:
        return None, f"{federation.settings.mechanism.carrier.name.replace('_', ' ')} does not show each answer"
    if rule.uses == "raw_logits":
        return None, "the parties' logits are needed, and only their probabilities are known"
    if rule.asks_again:
        return None, "each party's model is asked about changed queries too"
    present = [party for party in federation.parties if party.name in record.present]
    facts: dict[str, Any] = {}
    if rule.facts:
        if secret := [party.name for party in present if not party.made_here]:
            return None, f"private facts are needed, which stay with {_listed(secret)}"
        if claiming := [party.name for party in present if party.name in federation.behaviours]:
            return None, f"private facts are needed, and {_listed(claiming)} may claim others than they hold"
        facts = _facts(rule, present)
    return aggregate(
        _answers(record), side.rule, outputs="probabilities", parties=[party.name for party in present],
        **facts, **side.options,
    ), ""  # fmt: skip


def _facts(rule: Rule, parties: Sequence[Party]) -> dict[str, Any]:
    """The private facts that a rule uses, as :func:`aggregate` takes them."""
    taken = {"class_counts": "class_counts", "data_size": "data_sizes"}
    return {taken[fact]: np.array([getattr(party.facts, fact) for party in parties]) for fact in sorted(rule.facts)}


def _answers(record: RoundRecord) -> Answers:
    """Probabilities of those present, (party, query, class)."""
    if record.answers is None:
        raise NotDisclosed("The mechanism does not show each answer.")
    return record.answers[[record.parties.index(name) for name in record.parties if name in record.present]]


def _bounds(record: RoundRecord) -> tuple[Outcome, ...]:
    if record.answers is None or record.truth is None:
        return ()
    answers, truth = _answers(record), record.truth
    return tuple(Outcome(name, one.title, one.compute(answers, truth)) for name, one in bounds.items())


def _baseline(outcomes: Sequence[Outcome], record: RoundRecord) -> Scores | None:
    """The soft vote: as compared, else from the answers, else not known."""
    for one in outcomes:
        if one.side == Side(BASELINE):
            return one.scores
    return None if record.answers is None else aggregate(_answers(record), BASELINE, outputs="probabilities")


def _how(
    federation: Federation, outcomes: Sequence[Outcome], first: RoundRecord, again: list[tuple[Side, RoundRecord, str]]
) -> str:
    """How often the parties were asked, and why, for people."""
    n_rounds = 1 + len(again)
    times = _TIMES.get(n_rounds, f"{n_rounds} times")
    under = outcomes[0].title if outcomes else rules[str(first.settings["rule"])].title
    said = f"The parties were asked {times}, "
    if again:
        whys: dict[str, list[str]] = {}
        for side, _, why in again:
            whys.setdefault(why, []).append(side.title)
        said += f"first under {_inside(under)}, then again: "
        said += "; ".join(f"under {_listed([_inside(one) for one in names])} ({why})" for why, names in whys.items())
    else:
        said += f"under {_inside(under)}"
    asked = [side for side, _, _ in again]
    computed = [one.title for one in outcomes[1:] if one.side not in asked]
    if computed:
        which = f"{_inside(computed[0])} was" if len(computed) == 1 else f"{len(computed)} rules were"
        said += f"; {which} computed from the same answers"
    said += "."
    if other := [side.title for side, record, _ in again if record.present != first.present]:
        said += f" Not the same parties answered under {_listed([_inside(one) for one in other])}."
    if federation.ledger is not None and federation.settings.budget_micro:
        said += f" {'The round was' if n_rounds == 1 else 'Each of these rounds was'} paid for."
    return said


def _inside(title: str) -> str:
    return title[:1].lower() + title[1:]


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
