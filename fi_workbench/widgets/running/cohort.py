"""Changing who answers: asked or not, gone, renamed, with another model, re-dealt, joined; each says what it did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fi_workbench.core.errors import FederationError, InvalidOption, InvalidParty
from fi_workbench.core.progress import OnProgress
from fi_workbench.parties import Party
from fi_workbench.session.demo import Demo
from fi_workbench.session.federation import Federation
from fi_workbench.session.settings import Settings
from fi_workbench.widgets.running.choosing import helpers_for, in_force
from fi_workbench.widgets.running.driver import Driver
from fi_workbench.widgets.running.jobs import Jobs
from fi_workbench.widgets.running.members import Member
from fi_workbench.widgets.running.state import Choice, Notice, WorkbenchState
from fi_workbench.widgets.wording import spelled


class Cohort:
    """The parties of one workbench.

    Parameters
    ----------
    state : WorkbenchState
    driver : Driver
    jobs : Jobs
        Runs what takes long.
    """

    def __init__(self, state: WorkbenchState, driver: Driver, jobs: Jobs) -> None:
        self._state, self._driver, self._jobs = state, driver, jobs
        self._made = set[int]()  # ids of parties that this workbench made, and so may let go
        self._gone: list[Party] = []

    # at once

    def enable(self, number: int, enabled: bool) -> bool:
        """Ask a party from the next round on, or leave it out; whether that was possible."""
        members = tuple(replace(one, enabled=enabled) if one.number == number else one for one in self._state.members)
        what = "is asked" if enabled else "is left out"
        return self._change(members, f"{self._name(number)} {what} from the next round on.")

    def remove(self, number: int) -> bool:
        """Take a party off the list."""
        if self._state.link is not None:
            return self._refuse(f"{self._name(number)} is on a link: leave it out, or expel it in the section Link.")
        members = tuple(one for one in self._state.members if one.number != number)
        return self._change(members, f"{self._name(number)} has left.")

    def rename(self, number: int, name: str) -> bool:
        """Call a party that was made here something else. It gets new keys; its model stays."""
        name, old = name.strip(), self._member(number)
        if name == old.party.name:
            return True
        if not old.party.made_here:
            return self._refuse(f"{old.party.name} is named by its owner; only parties made here can be renamed.")
        if any(one.party.name == name for one in self._state.members):
            return self._refuse(f"There is already a party called {name}. {old.party.name} keeps its name.")
        try:
            party = replace(old.party, name=name)
        except InvalidParty as error:
            return self._refuse(f"{error} {old.party.name} keeps its name.")
        members = self._swap(number, party)
        demo = self._state.federation.made_from if self._state.federation else None
        if demo is not None and number < len(demo.party_names):
            names = list(demo.party_names)
            names[number] = name
            demo = replace(demo, names=tuple(names))
        return self._change(members, f"{old.party.name} is now called {name}.", demo)

    def behave(self, number: int, behaviour: str | None, **options: Any) -> bool:
        """Simulation: have a party that is asked behave so from the next round on; None is honest."""
        return self._driver.behaving.set(self._name(number), behaviour, options)

    def add_helpers(self, choice: Choice, n_helpers: int) -> bool:
        """Bring a choice into force for which there are too few parties, with helpers, who have no model."""
        with self._driver.lock:
            federation = self._state.federation
            if federation is None:
                return False
            added = helpers_for(federation, n_helpers)
            free = 1 + max((one.number for one in self._state.members), default=-1)
            members = (*self._state.members, *(Member(party, free + k) for k, party in enumerate(added)))
            try:
                changed = in_force(federation, choice, [one.party for one in members if one.asked])
            except FederationError as error:
                return self._refuse(f"{error} The parties stay as they were.")
            self._driver.bring_in(changed, members)
            self._state.chosen = Choice.of(changed)
        self._state.notice = None
        self._state.tell(f"{' and '.join(party.name for party in added)} joined: no model, no answer of its own.")
        return True

    # in the background

    def make(self, dataset: str, n_parties: int, alpha: float, model: str) -> None:
        """Make a demo federation and work on it."""
        status, self._state.status = self._state.status, "preparing"

        def work(report: OnProgress) -> Federation:
            return Federation.demo(dataset, n_parties, alpha, model=model, on_progress=report)

        self._jobs.start(
            f"Preparing {spelled(n_parties)} parties on {dataset}",
            work,
            self._driver.take,
            n_steps=n_parties,
            kept="No federation was made.",
            ended=lambda: self._back_to(status),
        )

    def load(self, given: dict[str, Any]) -> None:
        """Set it as saved settings say: the same parties where they are here, else the ones that are made from it."""
        if isinstance(given, dict) and self._is_here(given):
            self._set_as(given)
            return
        status = self._state.status
        n_steps = len(given.get("parties") or [1]) if isinstance(given, dict) else 1

        def work(report: OnProgress) -> Federation:
            if not isinstance(given, dict) or not isinstance(given.get("settings"), dict):
                raise InvalidOption("This file holds no settings of a federation.")
            return Federation.from_dict(given, on_progress=report)

        kept = "The federation that was there stays." if self._state.federation else ""
        if self._state.federation is None:
            self._state.status = "preparing"
        self._jobs.start(
            "Loading settings", work, self._driver.take, n_steps=n_steps, kept=kept, ended=lambda: self._back_to(status)
        )

    def _is_here(self, given: dict[str, Any]) -> bool:
        """Whether the parties that settings name are on the list, made of the same."""
        federation, names = self._state.federation, given.get("parties")
        if federation is None or not isinstance(names, list) or not names:
            return False
        demo = federation.made_from
        same = given.get("demo") == (None if demo is None else json.loads(json.dumps(demo.to_dict())))
        return same and {one.party.name for one in self._state.members}.issuperset(map(str, names))

    def _set_as(self, given: dict[str, Any]) -> None:
        """Take over settings and who is asked; budgets, keys and history go on."""
        members = tuple(replace(one, enabled=one.party.name in given["parties"]) for one in self._state.members)
        with self._driver.lock:
            federation = self._state.federation
            if federation is None:
                return
            try:
                settings = Settings.from_dict(given["settings"])
                fields = {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
                asked = [one.party for one in members if one.asked]
                changed = federation.with_(**fields, parties=asked)
            except (FederationError, KeyError, TypeError) as error:
                self._refuse(f"These settings were not loaded: {error} The former ones stay.")
                return
            self._driver.bring_in(changed, members)
            self._state.chosen = Choice.of(changed)
        self._state.notice = None
        self._state.tell("Settings loaded, from the next round on.")

    def deal_again(self, alpha: float) -> None:
        """Deal the training data anew with another skew and train all demo parties on their new shares."""
        demo = self._demo()
        if demo is None:
            return
        changed = replace(demo, alpha=alpha)
        self._train(changed, f"Dealing the data with skew {alpha:g}", set(range(len(demo.models))))

    def change_model(self, number: int, model: str) -> None:
        """Give a demo party another architecture, trained on the same share."""
        demo = self._demo()
        if demo is None or demo.models[number] == model:
            return
        models = list(demo.models)
        models[number] = model
        changed = replace(demo, model=tuple(models[: demo.n_parties]), joined=tuple(models[demo.n_parties :]))
        self._train(changed, f"Training {self._name(number)} as {model}", {number})

    def add(self, model: str) -> None:
        """A new demo party, trained on a share of its own; the others keep theirs."""
        demo = self._demo()
        if demo is None:
            return
        names = _one_more(demo, [one.party.name for one in self._state.members])
        changed = replace(demo, joined=(*demo.joined, model), names=names)
        place = len(changed.models) - 1
        self._train(changed, f"Training {names[-1]}", {place})

    def _train(self, demo: Demo, text: str, places: set[int]) -> None:
        """Train the parties at ``places`` of the demo and go on with them; all others stay what they are."""

        def work(report: OnProgress) -> Sequence[Party]:
            federation = self._state.federation
            return demo.parties(report, None if federation is None else federation.dataset)

        def then(parties: Sequence[Party]) -> None:
            trained = {place: parties[place] for place in places}
            members = [replace(one, party=trained.pop(one.number, one.party)) for one in self._state.members]
            joined = len(demo.models) - 1
            if joined in trained and all(one.number != joined for one in members) and places == {joined}:
                members.append(Member(trained[joined], joined))
            self._made |= {id(party) for party in parties}
            self._change(tuple(members), f"{text}: done, from the next round on.", demo)

        self._jobs.start(
            text, work, then, n_steps=len(demo.models), kept="The parties stay as they were.", ended=self._show_again
        )

    # how

    def _change(self, members: tuple[Member, ...], done: str, demo: Demo | None = None) -> bool:
        with self._driver.lock:
            federation = self._state.federation
            if federation is None:
                return False
            asked = [one.party for one in members if one.asked]
            if not asked:
                last = " and ".join(party.name for party in federation.parties)
                return self._refuse(f"Somebody must be asked: {last} stays. Add or ask another party first.")
            self._keep_policies(federation, members)
            try:
                changed = federation.with_(parties=asked, made_from=demo or federation.made_from)
            except FederationError as error:
                return self._refuse(f"{error} The parties stay as they were.")
            self._let_go(federation, members)
            self._driver.bring_in(changed, members)
        self._state.notice = None
        self._state.tell(done)
        return True

    def _keep_policies(self, federation: Federation, members: tuple[Member, ...]) -> None:
        """A party that was renamed or trained anew agrees to what it agreed to before, and behaves as it did."""
        if self._state.link is not None:
            return  # their owners hold these
        before = {one.number: one.party for one in self._state.members}
        for one in members:
            old = before.get(one.number, one.party)
            if old is not one.party:
                federation.runtime.venue.side(one.party, federation.runtime.venue.side(old).policy)
                federation.runtime.venue.behave(one.party, federation.runtime.venue.behaviour(old))

    def _let_go(self, federation: Federation, members: tuple[Member, ...]) -> None:
        """Retire what this workbench made and replaced a change ago: no round under way asks it any more."""
        for party in self._gone:
            federation.runtime.venue.retire(party)
        here = {id(one.party) for one in members}
        self._gone = [one.party for one in self._state.members if id(one.party) in self._made - here]
        self._made = {key for key in self._made if key in here}

    def _refuse(self, text: str) -> bool:
        self._state.notice = Notice("error", text)
        self._state.tell(text, "warning")
        self._show_again()
        return False

    def _show_again(self) -> None:
        """Tell the panels to show what is so, not what was wished."""
        self._state.revision += 1

    def _back_to(self, status: str) -> None:
        if self._state.status == "preparing":
            self._state.status = status if status != "preparing" else "empty"

    def _demo(self) -> Demo | None:
        federation = self._state.federation
        demo = None if federation is None or federation.link is not None else federation.made_from
        if demo is None:
            self._refuse("These parties were not made here: their data and models belong to their owners.")
        return demo

    def _member(self, number: int) -> Member:
        return next(one for one in self._state.members if one.number == number)

    def _name(self, number: int) -> str:
        return self._member(number).party.name

    def _swap(self, number: int, party: Party) -> tuple[Member, ...]:
        return tuple(replace(one, party=party) if one.number == number else one for one in self._state.members)


def _one_more(demo: Demo, taken: Sequence[str]) -> tuple[str, ...]:
    """The names of a demo's parties and one for another."""
    from fi_workbench.parties import party_names  # noqa: PLC0415 (torch takes seconds to import)

    used = {*demo.party_names, *taken}
    free = next(name for name in reversed(party_names(len(used) + 1)) if name not in used)
    return (*demo.party_names, free)
