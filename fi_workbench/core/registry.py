"""Named plug-ins: registered by a decorator, found by name, extended through entry points."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from fi_workbench.core.errors import DuplicateName, UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """Plug-ins of one kind by name.

    Members of other distributions come in through the entry-point group ``fi_workbench.<kind>s``: each entry point
    names a module, or an object in one, whose import registers the members. They are loaded at the first look-up.

    Parameters
    ----------
    kind : str
        What it holds, in the singular, e.g. ``"rule"``; used in messages and in the entry-point group.
    hints : mapping of str to str, optional
        What to say of names that are looked for here and are elsewhere.
    """

    _loading = threading.RLock()
    """One for all registries, as plug-ins import each other; re-entrant, as one may look up what is there."""

    def __init__(self, kind: str, hints: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self._hints = dict(hints or {})
        self._members: dict[str, T] = {}
        self._plugins_loaded = False
        self._loading_now = False

    def add(self, name: str, member: T) -> T:
        """Register ``member`` and return it unchanged.

        Raises
        ------
        DuplicateName
            If the name is taken.
        """
        if not name.isidentifier():
            raise ValueError(f"A {self.kind} is named by an identifier, not {name!r}.")
        if name in self._members:
            raise DuplicateName(f"There is already a {self.kind} called {name!r}; choose another name.")
        self._members[name] = member
        return member

    def remove(self, name: str) -> None:
        """Forget a member: for notebooks that register a rule anew each time a cell runs."""
        self[name]
        del self._members[name]

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        with self._loading:  # whoever looks up meanwhile waits until all are there
            if self._loading_now or self._plugins_loaded:
                return
            self._loading_now = True
            try:
                self._load_each()
                self._plugins_loaded = True
            finally:
                self._loading_now = False

    def _load_each(self) -> None:
        for entry in entry_points(group=f"fi_workbench.{self.kind}s"):
            try:
                entry.load()
            except Exception as error:  # noqa: BLE001 - a broken plug-in must not take the workbench down with it
                warnings.warn(f"Plug-in {entry.name!r} ({entry.value}) could not be loaded: {error}", stacklevel=4)

    def __getitem__(self, name: str) -> T:
        self._load_plugins()
        try:
            return self._members[name]
        except (KeyError, TypeError):
            hint = self._hints.get(name, "") if isinstance(name, str) else ""
            raise UnknownName(self.kind, name, self._members, hint) from None

    def __iter__(self) -> Iterator[str]:
        self._load_plugins()
        return iter(tuple(self._members))

    def __contains__(self, name: object) -> bool:
        self._load_plugins()
        return name in self._members

    def __len__(self) -> int:
        self._load_plugins()
        return len(self._members)

    def items(self) -> tuple[tuple[str, T], ...]:
        """All (name, member) pairs, in the order of registration."""
        self._load_plugins()
        return tuple(self._members.items())
