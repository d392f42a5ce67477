"""Federations of parties elsewhere: hosted by this process, on a SuperLink, or hosted by another process here."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fi_workbench.core.errors import DoesNotFit, FederationError, NoAnswer, UnknownName
from fi_workbench.core.messages import PartyCard
from fi_workbench.parties import Dataset, Party, load_dataset
from fi_workbench.session.demo import Demo
from fi_workbench.session.described import Described
from fi_workbench.session.history import History
from fi_workbench.session.linked import Linked
from fi_workbench.session.runtime import Runtime
from fi_workbench.session.settings import Settings

if TYPE_CHECKING:
    from fi_workbench.transport.roster import RemoteLink


class Reachable(Described):
    """What may have a link to parties elsewhere.

    Over a link the cohort is whoever is a member just then, by name; ``with_(parties=[...])`` keeps to some of them.
    """

    _parties: tuple[Party, ...] | None
    _fitting: tuple[int, tuple[Party, ...], Mapping[str, str]] | None = None

    @property
    def parties(self) -> tuple[Party, ...]:
        """The cohort, in the order of every party axis."""
        return self._cohort()[0] if self._parties is None else self._parties

    @property
    def left_out(self) -> Mapping[str, str]:
        """Members of the link that cannot answer under these settings, and why."""
        return self._cohort()[1] if self._parties is None else {}

    @property
    def link(self) -> RemoteLink | None:
        """The link to parties elsewhere; None where they are all in this process."""
        venue = self._runtime.venue
        return venue.remote if isinstance(venue, Linked) else None

    def invite(self, n: int = 1, minutes: float = 60.0) -> tuple[str, ...]:
        """``n`` commands, each of which lets one new party join once, within so many minutes.

        Raises
        ------
        DoesNotFit
            Everybody is in this process, or others decide who joins, as on a SuperLink.
        """
        return self._linked("invite").invite(n, minutes)

    def _why_nobody(self) -> str:
        entries = () if self.link is None else self.link.roster.entries
        waiting = [entry.name for entry in entries if entry.state == "waiting"]
        if not waiting:
            return super()._why_nobody()
        return f"Nobody takes part yet. federation.approve(name) lets in who waits: {', '.join(waiting)}."

    def approve(self, name: str) -> None:
        """Let a party that waits, or was expelled, take part."""
        self._linked("approve").approve(name)

    def expel(self, name: str) -> None:
        """Have a party take part no longer; its key no longer opens the door."""
        self._linked("expel").expel(name)

    def wait_for(self, n_parties: int = 1, seconds: float = 60.0) -> Self:
        """Block until so many parties are online.

        Raises
        ------
        NoAnswer
            They did not come; says who is there.
        """
        roster = self._linked("wait for").roster

        def there() -> int:
            return sum(entry.state == "online" for entry in roster.entries)

        if not roster.wait_for(lambda: there() >= n_parties, seconds):
            entries = ", ".join(f"{entry.name} ({_state(entry.state, entry.reason)})" for entry in roster.entries)
            raise NoAnswer(
                f"{there()} of {n_parties} parties are online after {seconds:.3g} s: {entries or 'nobody came'}."
            )
        return self

    @classmethod
    def host(
        cls,
        address: str = "127.0.0.1:0",
        *,
        name: str | None = None,
        approve: bool = False,
        certificate: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
        dataset: str | Dataset | None = None,
        classes: Sequence[str] | None = None,
        input_shape: Sequence[int] | None = None,
        announce: bool = True,
        **settings: Any,
    ) -> Self:
        """Host a link in this process: parties join it from other processes and other hosts, over TLS.

        Parameters
        ----------
        address : str
            ``host:port`` to listen on; loopback unless another address is named, port 0 is any free one.
        name : str, optional
            What it is called in lists. With a name its certificate and the parties' keys are kept, and parties come
            back by themselves after a restart on the same address; without one it is forgotten at its end.
        approve : bool
            Whether a party that joined waits until :meth:`approve`.
        certificate : (path, path), optional
            Certificate chain and private key in PEM; a self-signed one otherwise, known by its fingerprint.
        dataset : str or Dataset, optional
            Whose test set is asked; it also says which classes and queries parties must fit.
        classes, input_shape : optional
            What parties must fit; that of the first party to join otherwise.
        announce : bool
            Whether other kernels and the JupyterLab of this user on this machine may attach.
        **settings
            As for :class:`Federation`: ``rule``, ``mechanism``, ``deadline_seconds``, ``history``, ``ledger``, ...

        Raises
        ------
        FederationError
            The address cannot be listened on, or settings do not fit together.
        """
        # a web server, for who hosts only
        from fi_workbench.transport.hosted.keeping import link_folder  # noqa: PLC0415
        from fi_workbench.transport.hosted.link import HostedLink  # noqa: PLC0415

        data = load_dataset(dataset) if isinstance(dataset, str) else dataset
        if data is not None:
            classes, input_shape = classes or data.classes, input_shape or data.test_images.shape[1:]
        link = HostedLink.open(
            address,
            name=name or "federation",
            folder=None if name is None else link_folder(name),
            approve=approve,
            certificate=None if certificate is None else (Path(certificate[0]), Path(certificate[1])),
            classes=None if classes is None else tuple(classes),
            input_shape=None if input_shape is None else tuple(input_shape),
            announce_by="kernel" if announce else None,
        )
        return cls._over(link, data, None, settings)

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        root_certificate: str | os.PathLike[str] | None = None,
        insecure: bool = False,
        known: Mapping[str, str] | None = None,
        dataset: str | Dataset | None = None,
        **settings: Any,
    ) -> Self:
        """Attach to a ``flower-superlink`` that somebody runs; its nodes that are parties make up the cohort.

        Parameters
        ----------
        address : str
            ``host:port`` of the SuperLink.
        root_certificate : path, optional
            PEM file of the authority that vouches for it; those of this system otherwise.
        insecure : bool
            Plain HTTP: everybody on the way reads queries and answers.
        known : mapping of str to str, optional
            Parties that are taken in and the Ed25519 key of each, in hexadecimal; everybody there when None.
        dataset : str or Dataset, optional
            Whose test set is asked.
        **settings
            As for :class:`Federation`.

        Raises
        ------
        FederationError
            It cannot be reached, or is no SuperLink of this version.
        """
        from fi_workbench.transport.superlink import SuperLinkLink  # noqa: PLC0415 (for who connects only)

        data = load_dataset(dataset) if isinstance(dataset, str) else dataset
        root = None if root_certificate is None else Path(root_certificate).read_bytes()
        link = SuperLinkLink.open(address, root_certificates=root, insecure=insecure, known=known)
        return cls._over(link, data, None, settings)

    @classmethod
    def attach(cls, name: str | None = None, *, dataset: str | Dataset | None = None, **settings: Any) -> Self:
        """Attach to a federation that another process of this user hosts on this machine.

        Parameters
        ----------
        name : str, optional
            As the side panel shows it, or its id; may be left out where there is one only.
        dataset : str or Dataset, optional
            Whose test set is asked; that of its demo parties otherwise.
        **settings
            As for :class:`Federation`.

        Raises
        ------
        UnknownName, DoesNotFit
            None is announced under this name, or several are; lists those that are.
        """
        from fi_workbench.transport.hosted.announced import announced  # noqa: PLC0415 (for who attaches only)
        from fi_workbench.transport.hosted.attached import AttachedLink  # noqa: PLC0415

        found = announced()
        fitting = [one for one in found if name is None or name in (one.name, one.id)]
        if len(fitting) != 1:
            if fitting:
                several = ", ".join(f"{one.name} ({one.id}, by {one.by}, process {one.pid})" for one in fitting)
                raise DoesNotFit(f"Several federations fit; attach to one by its id, in parentheses: {several}.")
            hint = "Start one in the side panel, or host one."
            raise UnknownName("federation hosted on this machine", name, [one.name for one in found], hint)
        link = AttachedLink.open(fitting[0])
        try:
            demo = None if link.demo is None else Demo.from_dict(link.demo)
            data = load_dataset(dataset) if isinstance(dataset, str) else dataset
            if data is None and demo is not None:
                data = demo.data()
        except BaseException:
            link.close()
            raise
        return cls._over(link, data, demo, settings)

    @classmethod
    def _over(cls, link: RemoteLink, data: Dataset | None, demo: Demo | None, given: Mapping[str, Any]) -> Self:
        """A federation of whoever is on this link; it is closed where settings do not fit."""
        try:
            settings = dict(given)
            keep = settings.pop("keep", "scalars")
            history = History.of(settings.pop("history", "auto"), keep)
            client, ledger = settings.pop("client", None), settings.pop("ledger", None)
            made = Settings().changed(settings)
            federation = object.__new__(cls)
            federation._take(Runtime(history, client, Linked(link), ledger), made, None, data, demo)
        except BaseException:
            link.close()
            raise
        return federation

    @abstractmethod
    def _take(
        self,
        runtime: Runtime,
        settings: Settings,
        parties: tuple[Party, ...] | None,
        data: Dataset | None,
        demo: Demo | None,
    ) -> None:
        """Take over what a copy shares, checked; ``parties`` is None for whoever is on the link."""

    def _linked(self, wish: str) -> RemoteLink:
        if self.link is None:
            raise DoesNotFit(
                f"There is nobody to {wish}: all parties are in this process. Host with Federation.host()."
            )
        return self.link

    def _cohort(self) -> tuple[tuple[Party, ...], Mapping[str, str]]:
        """The link's members that can answer under these settings, and why others cannot."""
        venue = self._runtime.venue
        if not isinstance(venue, Linked):
            return (), {}
        version, known = venue.remote.roster.version, self._fitting
        if known is None or known[0] != version:
            fitting, left_out = [], {}
            for party in venue.parties():
                if why := self._why_not(party.card):
                    left_out[party.name] = why
                else:
                    fitting.append(party)
            known = self._fitting = (version, tuple(fitting), left_out)
        return known[1], known[2]

    def _why_not(self, card: PartyCard) -> str:
        try:
            self._settings.check_methods([card])
        except FederationError as error:
            return str(error)
        return ""


def _state(state: str, reason: str) -> str:
    return f"{state}: {reason}" if reason else state
