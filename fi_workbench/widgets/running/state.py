"""What a workbench is set to and what it does: the one writable thing, with no page behind it.

Every value is immutable and replaced whole, so that a thread never sees half a change. The panels write what was
chosen, the driver writes what happened, and each observes the other.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import traitlets

from fi_workbench.core.options import options_of_fields
from fi_workbench.core.records import RoundRecord
from fi_workbench.incentives.payout import MICRO
from fi_workbench.privacy.mechanism import AnswerNoise, Mechanism
from fi_workbench.protocol.header import Calibration
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.running.frames import Frame
from fi_workbench.widgets.running.link_view import LinkView
from fi_workbench.widgets.running.members import Member

STATUSES = ("empty", "preparing", "ready", "running", "paused", "stopped", "refused", "spent")

Level = Literal["info", "warning", "error", "refused"]

METHODS = ("rule", "mechanism", "contribution", "payout")
"""What is chosen by name and has options of its own."""

LOG_LINES = 200


@dataclass(frozen=True)
class Choice:
    """What the pickers show; it is in force once the driver has accepted it.

    Parameters
    ----------
    rule, contribution : str
    rule_options, contribution_options : mapping
        What differs from the defaults.
    mechanism : str
        What carries the round.
    mechanism_options : mapping
    noise : tuple of (str, mapping)
        What is done to each answer before it, in the order in which it acts: names, and options that differ from the
        defaults.
    deadline_seconds : float
        A party that has not answered by then is absent from the round.
    calibration : {"none", "temperature"}
    abstain_below : float
        Confidence (0 to 1) below which the federation says that it does not know.
    payout : str
    payout_options : mapping
    budget_micro : int
        Micro-units that each round pays out.
    """

    rule: str = "soft_vote"
    rule_options: Mapping[str, Any] = field(default_factory=dict)
    mechanism: str = "plain"
    mechanism_options: Mapping[str, Any] = field(default_factory=dict)
    noise: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    contribution: str = "auto"
    contribution_options: Mapping[str, Any] = field(default_factory=dict)
    deadline_seconds: float = 10.0
    calibration: Calibration = "none"
    abstain_below: float = 0.0
    payout: str = "proportional"
    payout_options: Mapping[str, Any] = field(default_factory=dict)
    budget_micro: int = MICRO

    @classmethod
    def of(cls, federation: Federation) -> Choice:
        """What is in force."""
        settings = federation.settings
        *noise, (mechanism, mechanism_options) = (
            (one.name, changed_options(one)) for one in settings.mechanism.members
        )
        return cls(
            settings.rule,
            dict(settings.rule_options),
            mechanism,
            mechanism_options,
            tuple(noise),
            settings.contribution,
            dict(settings.contribution_options),
            settings.deadline_seconds,
            settings.calibration,
            settings.abstain_below,
            settings.payout,
            dict(settings.payout_options),
            settings.budget_micro,
        )

    def with_(self, **changes: Any) -> Choice:
        """Another choice; a method that changes goes back to its default options where none are given."""
        for method in METHODS:
            if changes.get(method, getattr(self, method)) != getattr(self, method):
                changes.setdefault(f"{method}_options", {})
        return replace(self, **changes)


def changed_options(member: Mechanism | AnswerNoise) -> dict[str, Any]:
    """The options of a member of a mechanism that differ from their defaults."""
    now = {option: getattr(member, option.name) for option in options_of_fields(type(member))}
    return {option.name: value for option, value in now.items() if value != option.default}


@dataclass(frozen=True)
class Way:
    """A way out of something that does not fit: a button.

    Parameters
    ----------
    label : str
    choice : Choice
        What is then chosen.
    deposit_micro : int
        Micro-units that are then deposited in the ledger.
    n_helpers : int
        Helpers that then join, members without a model.
    """

    label: str
    choice: Choice
    deposit_micro: int = 0
    n_helpers: int = 0


@dataclass(frozen=True)
class Notice:
    """What happened, to whom, what was kept and what to do, for the place above the tabs.

    Parameters
    ----------
    level : {"info", "warning", "error", "refused"}
    text : str
    ways : tuple of Way
    """

    level: Level
    text: str
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True)
class Task:
    """Long work in the background.

    Parameters
    ----------
    text : str
        What is done, and for how long yet.
    share : float or None
        From 0 to 1.
    """

    text: str
    share: float | None = None


class WorkbenchState(traitlets.HasTraits):
    """Everything that a workbench shows or lets choose.

    Attributes
    ----------
    status : str
        One of :data:`STATUSES`.
    federation : Federation or None
        In force: the next round is asked of it.
    members : tuple of Member
        All parties on the list.
    chosen : Choice
        What the pickers show.
    frame : Frame or None
        What the pictures show.
    record : RoundRecord or None
        The last round, set at every round and in its thread: for what counts each of them, drawn or not.
    rate : float or None
        At most this many rounds a second; None is as fast as it goes.
    batch_size : int
        Queries of one round.
    window : int
        Rounds that shares and accuracies are taken over.
    selection : int
        Which query is looked at, as a place in the order of the drill-down.
    simulation : bool
        Whether private facts of parties made here are drawn.
    notice : Notice or None
    task : Task or None
    link : LinkView or None
        The link behind the federation; None where all parties are in this process.
    commands : tuple of str
        The join commands that were made last.
    log : tuple of (time, level, text)
    revision : int
        Counts up where a wish was refused, so that the controls show again what is so.
    """

    status = traitlets.Enum(STATUSES, "empty")
    federation = traitlets.Instance(Federation, allow_none=True)
    members = traitlets.Tuple()
    chosen = traitlets.Instance(Choice, args=())
    frame = traitlets.Instance(Frame, allow_none=True)
    record = traitlets.Instance(RoundRecord, allow_none=True)
    rate = traitlets.Float(10.0, min=0.01, allow_none=True)
    batch_size = traitlets.Int(32, min=1)
    window = traitlets.Int(50, min=1)
    selection = traitlets.Int(0, min=0)
    simulation = traitlets.Bool(True)
    notice = traitlets.Instance(Notice, allow_none=True)
    task = traitlets.Instance(Task, allow_none=True)
    link = traitlets.Instance(LinkView, allow_none=True)
    commands = traitlets.Tuple()
    log = traitlets.Tuple()
    revision = traitlets.Int(0)

    def __init__(self, **traits: Any) -> None:
        self._telling = threading.Lock()
        super().__init__(**traits)

    def choose(self, **changes: Any) -> None:
        """Choose a rule, a mechanism, how contributions are valued and paid, or options; fields of :class:`Choice`."""
        self.chosen = self.chosen.with_(**changes)

    def tell(self, text: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Add a line to the log."""
        line = (datetime.now().astimezone().strftime("%H:%M:%S"), level, text)
        with self._telling:
            self.log = (*self.log, line)[-LOG_LINES:]

    @property
    def enabled(self) -> tuple[Member, ...]:
        """The members that are asked."""
        return tuple(member for member in self.members if member.asked)
