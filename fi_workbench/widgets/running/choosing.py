"""Bringing a choice into force, or saying what does not fit and what would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from fi_workbench.aggregation import aggregate
from fi_workbench.aggregation.combiner import KINDS
from fi_workbench.core.disclosure import Need, satisfies
from fi_workbench.core.errors import DoesNotFit, FederationError
from fi_workbench.parties import Party
from fi_workbench.parties.helper import helper
from fi_workbench.privacy.mechanism import AnswerNoise, Mechanism, mechanisms
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.running.link_view import cohort_on, left_out_now
from fi_workbench.widgets.running.state import METHODS, Choice, Notice, Way, WorkbenchState
from fi_workbench.widgets.wording import amount, in_sentence, noise, per_cent, protection, spelled, title

MOST_WAYS = 3

GUARANTEED = ("laplace", "gaussian")
"""Noise on answers that goes with any rule and any way of carrying them, and that bounds what they tell."""

SECURE, SECURE_RULE = "secure_inference", "mean_logit"
"""The mechanism that computes with hidden models, and the plainest of the rules that go with it."""

PROTECTION = ("noise", "mechanism", "mechanism_options")
"""Fields of a choice that make one mechanism together."""

_LIST = " What fits:"
"""From here on, the error lists what fits by name."""


def in_force(federation: Federation, choice: Choice, parties: Sequence[Party] | None = None) -> Federation:
    """A copy of the federation under ``choice``; itself where nothing differs.

    Parameters
    ----------
    federation : Federation
    choice : Choice
    parties : sequence of Party, optional
        Who is asked then, of a federation in this process; the same as now where not given.

    Raises
    ------
    FederationError
        What does not fit, does not exist or is out of range.
    """
    now = Choice.of(federation)
    if choice == now and parties is None:
        return federation
    check_fitted(federation, choice.rule, choice.rule_options)
    changes: dict[str, Any] = {
        name: getattr(choice, name) for name in Choice.__dataclass_fields__ if name not in PROTECTION
    }
    if any(getattr(choice, name) != getattr(now, name) for name in PROTECTION):
        members = (*choice.noise, (choice.mechanism, choice.mechanism_options))
        changes["mechanism"] = [{"name": name, **options} for name, options in members]
    if federation.link is None:
        return federation.with_(**changes, **({} if parties is None else {"parties": list(parties)}))
    # Over a link, who cannot answer so is left out, as long as anybody can.
    asked = {party.name for party in federation.parties}
    live = federation.with_(parties=None, **changes)
    able = [party for party in live.parties if party.name in asked]
    if asked and not able:
        return federation.with_(**changes)  # refuses, and says why
    return live.with_(parties=able) if able else live


def bring_into_force(state: WorkbenchState, choice: Choice, *, begun: bool) -> None:
    """Bring what the pickers show into force, or say why not and keep the former settings.

    Parameters
    ----------
    state : WorkbenchState
    choice : Choice
    begun : bool
        Whether a round was asked already.
    """
    if (federation := state.federation) is None:
        return
    try:
        changed = in_force(federation, choice)
    except FederationError as error:
        state.notice = refusal(federation, choice, error)
        if state.status != "running":
            state.status = "refused"
        state.tell(f"Refused: {error}", "warning")
        return
    halted = state.status in ("refused", "spent")
    if state.notice is not None and (state.notice.level == "refused" or halted):
        state.notice = None
    if halted:
        state.status = "paused" if begun else "ready" if state.members else "empty"
    if changed is not federation:
        state.tell(difference(Choice.of(federation), choice))
        if changed.link is not None:
            changed, members = cohort_on(changed, state.members)
            for member in left_out_now(state.members, members):
                state.tell(f"{member.party.name} is left out: {member.reason}", "warning")
            state.members = members
        state.federation = changed


def check_fitted(federation: Federation, rule: str, options: Mapping[str, Any]) -> None:
    """Refuse a learned rule before a round fails.

    Raises
    ------
    DoesNotFit
        It was never fitted, or with other parties or classes.
    """
    if rule not in KINDS:
        return
    if not options.get("combiner"):
        raise DoesNotFit(f"{title(rule)} must be learned from labelled queries first: press Fit beneath the rule.")
    parties, n_classes = [party.name for party in federation.parties], len(federation.classes)
    blank = np.full((len(parties), 1, n_classes), 1.0 / n_classes)
    aggregate(blank, rule, outputs="probabilities", parties=parties, **options)


def refusal(federation: Federation, choice: Choice, error: FederationError) -> Notice:
    """What does not fit, that the former settings stay in force, and ways out that were tried."""
    now = Choice.of(federation)
    ways: list[Way] = list(_ways_with_helpers(federation, choice))
    for way in _ways(choice, now, error):
        if len(ways) == MOST_WAYS:
            break
        try:
            in_force(federation, way.choice)
        except FederationError:
            continue
        ways.append(way)
    kept = f"{title(now.rule)} {protection(now.mechanism, [name for name, _ in now.noise])} stays in force."
    said = str(error)
    if isinstance(error, DoesNotFit) and len(error.fits) > MOST_WAYS:  # as buttons, not as a list of names
        said = f"{said.split(_LIST, maxsplit=1)[0]} {len(error.fits)} others fit."
    return Notice("refused", f"{said} {kept}", (*ways, Way("Back to what is in force", now)))


def way_to_show(federation: Federation, choice: Choice, need: Need) -> Way | None:
    """The first mechanism that shows what a panel needs and fits the other settings."""
    for name, kind in carriers():
        wished = choice.with_(mechanism=name)
        try:
            changed = in_force(federation, wished)
        except FederationError:
            continue
        if _shows(kind, need) and changed is not federation:
            return Way(f"Use {in_sentence(name)}", wished)
    return None


def way_to_secure(federation: Federation, choice: Choice) -> Way | None:
    """Secure inference, under the rule that was chosen or else one that fits it; None where it cannot be."""
    wished = choice.with_(mechanism=SECURE, noise=(), contribution="auto")
    for changed, said in ((wished, ""), (wished.with_(rule=SECURE_RULE), f" with {in_sentence(SECURE_RULE)}")):
        try:
            in_force(federation, changed)
        except FederationError:
            continue
        return Way(f"Use {in_sentence(SECURE)}{said}", changed)
    return None


def helpers_for(federation: Federation, n_helpers: int) -> list[Party]:
    """Helpers like the first party, with names that nobody has yet."""
    taken, found = {party.name for party in federation.parties}, list[Party]()
    names = (f"Helper {number}" if number > 1 else "Helper" for number in count(1))
    for name in names:
        if len(found) == n_helpers:
            break
        if name not in taken:
            found.append(helper(federation.parties[0], name))
    return found


def _ways_with_helpers(federation: Federation, choice: Choice) -> Iterator[Way]:
    """Secure inference with as many helpers as the parties are too few."""
    least = next(kind.min_parties for name, kind in carriers() if name == SECURE)
    n_helpers = least - len(federation.parties) if choice.mechanism == SECURE else 0
    if n_helpers <= 0 or federation.link is not None or not federation.parties:
        return
    parties = [*federation.parties, *helpers_for(federation, n_helpers)]
    added = "Add a helper" if n_helpers == 1 else f"Add {spelled(n_helpers)} helpers"
    for changed in (choice, choice.with_(rule=SECURE_RULE, contribution="auto", noise=())):
        try:
            in_force(federation, changed, parties)
        except FederationError:
            continue
        said = "" if changed is choice else f" and use {in_sentence(SECURE_RULE)}"
        yield Way(f"{added}{said}", changed, n_helpers=n_helpers)
        return


def ways_to_guarantee(choice: Choice) -> tuple[Way, ...]:
    """Choices of noise for a party that asks for a privacy guarantee."""
    return tuple(
        Way(f"Use {noise(name)} on each answer", choice.with_(noise=((name, {}),)))
        for name, _ in answer_noises()
        if name in GUARANTEED
    )


def carriers() -> list[tuple[str, type[Mechanism]]]:
    """The registered mechanisms that carry a round."""
    return [(name, kind) for name, kind in mechanisms.items() if issubclass(kind, Mechanism)]


def answer_noises() -> list[tuple[str, type[AnswerNoise]]]:
    """The registered mechanisms that change each answer before it is carried."""
    return [(name, kind) for name, kind in mechanisms.items() if issubclass(kind, AnswerNoise)]


def mechanisms_that_show(need: Need) -> list[str]:
    """Names of the mechanisms under which a panel with this need can be drawn."""
    return [name for name, kind in carriers() if _shows(kind, need)]


def _shows(kind: type[Mechanism], need: Need) -> bool:
    return satisfies(kind.offers, need)


def _ways(choice: Choice, now: Choice, error: FederationError) -> Iterator[Way]:
    """Choices near the refused one, the nearest first; each still to be tried."""
    fits = error.fits if isinstance(error, DoesNotFit) else ()
    if choice.calibration != now.calibration:
        yield Way("Leave the calibration as it is", choice.with_(calibration=now.calibration))
    if choice.contribution not in (now.contribution, "auto") or choice.mechanism != now.mechanism:
        yield Way("Choose the contribution by what is shown", choice.with_(contribution="auto"))
    if choice.noise != now.noise:
        yield Way("Leave the answers as they were", choice.with_(noise=now.noise))
    for name in fits:
        yield Way(f"Use {in_sentence(name)} instead", choice.with_(rule=name))
        yield Way(f"Use {in_sentence(name)} instead", choice.with_(contribution=name))
    for name, _ in carriers():
        if name != choice.mechanism:
            yield Way(f"Use {in_sentence(name)} as mechanism", choice.with_(mechanism=name))


def difference(before: Choice, after: Choice) -> str:
    """What a choice changes, for the log."""
    said: list[str] = []
    for name in METHODS:
        method, options = getattr(after, name), getattr(after, f"{name}_options")
        if getattr(before, name) != method:
            said.append(f"{name}: {in_sentence(method)}")
        elif getattr(before, f"{name}_options") != options:
            listed = ", ".join(f"{key} {value}" for key, value in options.items()) or "as by default"
            said.append(f"options of the {name}: {listed}")
    if before.noise != after.noise:
        noises = [f"{noise(name)}{_options_said(options)}" for name, options in after.noise]
        said.append(f"on each answer: {', then '.join(noises) or 'nothing'}")
    if before.calibration != after.calibration:
        said.append(f"calibration: {'each by its temperature' if after.calibration == 'temperature' else 'none'}")
    if before.abstain_below != after.abstain_below:
        below = after.abstain_below
        said.append(f"answers: {f'only when at least {per_cent(below)} sure' if below > 0 else 'always'}")
    if before.budget_micro != after.budget_micro:
        said.append(f"budget of a round: {amount(after.budget_micro)}")
    if before.deadline_seconds != after.deadline_seconds:
        said.append(f"deadline: {after.deadline_seconds:g} s")
    text = "; ".join(said)
    return f"{text[:1].upper()}{text[1:]}, from the next round on."


def _options_said(options: Mapping[str, Any]) -> str:
    """Options in brackets; nothing where all are as by default."""
    return f" ({', '.join(f'{key} {value}' for key, value in options.items())})" if options else ""
