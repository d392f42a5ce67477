"""Settings and figures in plain words; whatever a stranger named is escaped before it becomes part of a page."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence

from fi_workbench.core.disclosure import Disclosure, Need
from fi_workbench.core.options import options_of_fields
from fi_workbench.core.records import Absence, AbsenceKind
from fi_workbench.incentives.ledger.amounts import MICRO, units
from fi_workbench.privacy.stack import Stack
from fi_workbench.session.federation import Federation
from fi_workbench.session.settings import Settings

REPRODUCIBLE = "reproducible"
"""The option of a mechanism by which its noise comes from a public seed."""

_NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]

_SEEN: dict[Need, str] = {
    "each": "each party's answer",
    "votes": "each party's vote",
    "sum": "the sum of the answers",
    "nothing": "nothing",
}


_SPELLED = {
    **dict.fromkeys(("dawid skene", "dawid_skene"), "Dawid-Skene"),
    **{
        name.lower(): name
        for name in ("Shapley", "Banzhaf", "Krum", "JS", "TTA", "DMI", "Laplace", "Gaussian", "GNMax", "LNMax", "LiRA")
    },
}
"""Names of persons and abbreviations, which keep their capitals wherever they stand."""

_SPELLED_BADLY = re.compile(rf"\b({'|'.join(_SPELLED)})\b", re.IGNORECASE)

_JOINED = re.compile(r"\b(commit(?= reveal)|two(?= way)|over(?= claimed)|top(?= k\b)) (\w+)", re.IGNORECASE)

_NOISE = {
    "laplace": "Laplace noise",
    "gaussian": "Gaussian noise",
    "top_k": "only its top classes",
    "rounded": "rounding",
}
"""What is done to each answer, where its name alone does not say it."""

_ABSENT: dict[AbsenceKind, str] = {
    "late": "is late",
    "raised": "raised an error",
    "refused": "refused",
    "invalid": "gave an invalid answer",
    "cancelled": "was not waited for",
    "unreachable": "cannot be reached",
    "excluded": "is left out",
}


def absent(absence: Absence) -> str:
    """What happened to a party, in a sentence.

    >>> absent(Absence("C", "answer", "late", "no answer within 2 s."))
    'C is late: no answer within 2 s.'
    """
    return f"{absence.party} {_ABSENT[absence.kind]}: {absence.reason.rstrip('.')}."


def spelled(number: int) -> str:
    """A small number as a word.

    >>> spelled(5), spelled(40)
    ('five', '40')
    """
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def spell(text: str) -> str:
    """A text with the capitals and hyphens of names.

    >>> spell("first under js consensus, then again under Dawid skene")
    'first under JS consensus, then again under Dawid-Skene'
    >>> spell("Commit reveal"), spell("two way prior corrected")
    ('Commit-reveal', 'two-way prior corrected')
    """
    return _JOINED.sub(r"\1-\2", _SPELLED_BADLY.sub(lambda found: _SPELLED[found[0].lower()], text))


def title(name: str) -> str:
    """A registered name as it is said.

    >>> title("soft_vote"), title("tta_soft")
    ('Soft vote', 'TTA soft')
    """
    return spell(name.replace("_", " ").capitalize())


def in_sentence(name: str) -> str:
    """A registered name inside a sentence; a person's name keeps its capital.

    >>> in_sentence("leave_one_out"), in_sentence("shapley"), in_sentence("dawid_skene_skill")
    ('leave one out', 'Shapley', 'Dawid-Skene skill')
    """
    return spell(name.replace("_", " ").lower())


def listed(words: Sequence[str], most: int = 6) -> str:
    """Words in a row.

    >>> listed(["A", "B", "C"]), listed(["A"])
    ('A, B and C', 'A')
    """
    if len(words) > most:
        return f"{', '.join(words[:most])} and {len(words) - most} more"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def noise(name: str) -> str:
    """What is done to each answer before it leaves its party, inside a sentence.

    >>> noise("laplace"), noise("randomised_response")
    ('Laplace noise', 'randomised response')
    """
    return _NOISE.get(name) or in_sentence(name)


def protection(mechanism: str, noises: Sequence[str]) -> str:
    """A mechanism and what is done to the answers before it, inside a sentence.

    >>> protection("secure_sum", ["laplace", "rounded"])
    'under secure sum, with Laplace noise and rounding on each answer'
    >>> protection("plain", ["laplace"]), protection("plain", [])
    ('with Laplace noise on each answer', 'under plain')
    """
    under = f"under {in_sentence(mechanism)}" if mechanism != "plain" or not noises else ""
    with_ = f"with {listed([noise(name) for name in noises])} on each answer" if noises else ""
    return ", ".join(filter(None, (under, with_)))


def seen(need: Need) -> str:
    """What a method must see, as people say it."""
    return _SEEN[need]


def visible(disclosure: Disclosure) -> str:
    """The most that the coordinator sees, as the end of a sentence."""
    if hides_queries(disclosure):
        return "no party sees the query, nobody another's model or a single answer: only the client opens the sum"
    sees = disclosure.sees.get("coordinator", frozenset())
    for item, words in (
        ("answers", "every answer is visible to the coordinator"),
        ("votes", "every vote is visible to the coordinator"),
        ("sum", "the coordinator sees only the sum"),
        ("label", "the coordinator sees only the label"),
    ):
        if item in sees:
            return words
    return "the coordinator sees no answer"


def hides_queries(disclosure: Disclosure) -> bool:
    """Whether nobody but the client sees the query."""
    return not any("query" in items for role, items in disclosure.sees.items() if role != "client")


def pooled(ready: Mapping[str, int] | None, capacity: Mapping[str, int] | None) -> str:
    """For how many questions all parties have worked ahead; empty where they do not.

    >>> pooled({"A": 4, "B": 3}, {"A": 4, "B": 4})
    "3 of 4 questions' masks are ready"
    >>> pooled(None, None), pooled({"A": 0}, {"A": 0})
    ('', '')
    """
    most = min(capacity.values()) if capacity else 0
    if not ready or not most:
        return ""
    return f"{min(*ready.values(), most)} of {most} questions' masks are ready"


def protects_nobody(stack: Stack) -> bool:
    """Whether the noise comes from a public seed, for an experiment that can be repeated: anybody can take it off."""
    choosable = any(option.name == REPRODUCIBLE for one in stack.members for option in options_of_fields(type(one)))
    return choosable and stack.reproducible


def sentence(federation: Federation, n_members: int, n_away: int = 0) -> str:
    """The settings in force, in one sentence that is always true.

    Parameters
    ----------
    federation : Federation
    n_members : int
        Parties on the list, asked or not.
    n_away : int
        Those that are asked and are not there.
    """
    n_helpers = sum(party.model == "helper" for party in federation.parties)
    n_answering, settings = len(federation.parties) - n_away - n_helpers, federation.settings
    who = "One party answers" if n_answering == 1 else f"{spelled(n_answering).capitalize()} parties answer"
    n_members -= n_helpers
    if n_answering < n_members:
        verb = "answers" if n_answering == 1 else "answer"
        who = f"{spelled(n_answering).capitalize()} of {spelled(n_members)} parties {verb}"
        if not n_answering:
            who = f"None of {spelled(n_members)} parties is there" if n_members > 1 else "The only party is not there"
    if n_helpers:
        who += f" with {'a helper' if n_helpers == 1 else f'{spelled(n_helpers)} helpers'}"
    if settings.calibration == "temperature":
        who += ", each calibrated by its temperature"
    carrier, noises = settings.mechanism.carrier.name, [member.name for member in settings.mechanism.noise]
    if carrier != "plain" or noises:
        who += f", {protection(carrier, noises)}"
    if protects_nobody(settings.mechanism):
        who += " (from a public seed, so that it protects nobody)"
    sees = visible(federation.disclosure)
    if noises:
        sees = sees.replace("every answer is", "every answer so changed is")
    return f"{who}; {_answers(settings)}; {sees}{_pays(settings)}."


def _answers(settings: Settings) -> str:
    """The rule, and from which confidence on it answers."""
    rule, below = in_sentence(settings.rule), settings.abstain_below
    return f"{rule}, which answers only when at least {per_cent(below)} sure" if below > 0 else rule


def _pays(settings: Settings) -> str:
    """What a round pays, where that is not the default."""
    if settings.budget_micro == 0:
        return "; rounds pay nothing"
    if (settings.payout, settings.budget_micro) == ("proportional", MICRO):
        return ""
    return f"; each round pays {amount(settings.budget_micro)} ({in_sentence(settings.payout)})"


def amount(micro: int) -> str:
    """Micro-units in a sentence, without the zeros at the end.

    >>> amount(1_000_000), amount(2_500_000), amount(1)
    ('1 unit', '2.5 units', '0.000001 units')
    """
    return f"{brief_units(micro)} {'unit' if micro == MICRO else 'units'}"


def brief_units(micro: int) -> str:
    """Micro-units as units, exactly, without the zeros at the end.

    >>> brief_units(12_000_000), brief_units(1_250_000)
    ('12', '1.25')
    """
    return units(micro).rstrip("0").rstrip(".")


def condition(status: str, reason: str, behaviour: str, simulation: bool) -> tuple[str, str]:
    """How a party is, in a word and in a sentence; that it misbehaves only where a simulation may tell.

    >>> condition("present", "", "copy_peer", True)
    ('copy peer', 'Simulation: it is set to misbehave (copy peer).')
    >>> condition("present", "", "copy_peer", False)
    ('present', '')
    """
    if not behaviour or not simulation:
        return status, reason
    told = f"Simulation: it is set to misbehave ({in_sentence(behaviour)})."
    if status == "present":
        return in_sentence(behaviour), told
    return status, f"{reason.rstrip('.')}. {told}"


def per_cent(share: float | None) -> str:
    """A share as text; "-" for none.

    >>> per_cent(0.8125), per_cent(None)
    ('81.2 %', '-')
    """
    return "-" if share is None or not math.isfinite(share) else f"{100 * share:.3g} %"


def seconds(value: float | None) -> str:
    """A time with its unit.

    >>> seconds(0.0123), seconds(3.21), seconds(None)
    ('12.3 ms', '3.21 s', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"


def escaped(text: object) -> str:
    """Text that cannot become markup."""
    return html.escape(str(text))
