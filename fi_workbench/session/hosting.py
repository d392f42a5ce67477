"""A link hosted for others to ask: a process of its own, with demo parties on it where that is wanted."""

from __future__ import annotations

import logging
import shlex
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from fi_workbench.core.errors import FederationError, InvalidOption
from fi_workbench.core.keyfile import KeyFile
from fi_workbench.core.progress import OnProgress, quiet
from fi_workbench.parties.party import Party
from fi_workbench.session.demo import Demo
from fi_workbench.session.joining import Joined
from fi_workbench.transport.hosted.announced import By
from fi_workbench.transport.hosted.keeping import link_folder, private_folder
from fi_workbench.transport.hosted.link import HostedLink

_log = logging.getLogger(__name__)

MOST_DEMO_PARTIES = 50
"""They are threads of this process, each with a connection of its own."""

_JOIN_SECONDS = 30.0


class Host:
    """A link, and demo parties that join it over real connections; a context manager that ends both.

    Parameters
    ----------
    name : str
        What it is called in lists; its certificate and keys are kept under this name.
    address : str
        ``HOST:PORT`` to listen on; loopback unless another is named.
    demo : Demo, optional
        Parties that this process trains and runs; only others' join when None.
    approve : bool
        Whether parties that join wait for approval; demo parties do not.
    certificate : (Path, Path), optional
        PEM files of a certificate and its key; self-signed when None.
    by : {"cli", "panel", "kernel"}
        Who hosts it, for lists.
    on_progress : callable
        Told of downloads and training.

    Raises
    ------
    FederationError
        The address cannot be listened on, the name is in use, the demo cannot be made.
    """

    def __init__(
        self,
        name: str,
        address: str = "127.0.0.1:0",
        *,
        demo: Demo | None = None,
        approve: bool = False,
        certificate: tuple[Path, Path] | None = None,
        by: By = "cli",
        on_progress: OnProgress = quiet,
    ) -> None:
        self._stopped, self._scaling, self._wanted = threading.Event(), threading.Lock(), 0
        self._joined: dict[str, Joined] = {}
        self._demo, self._on_progress = demo, on_progress
        if demo is not None:
            _check_scale(demo.n_parties)
        parties = () if demo is None else demo.parties(on_progress)  # what cannot be made is said before it is hosted
        data = None if demo is None else demo.data(on_progress)
        self._keys = link_folder(name)
        self.link = HostedLink.open(
            address, name=name, folder=self._keys, approve=approve, certificate=certificate, announce_by=by,
            classes=None if data is None else data.classes,
            input_shape=None if data is None else data.test_images.shape[1:],
        )  # fmt: skip
        self.link.on_stop = self._stopped.set
        try:
            for party in parties:
                self._join(party)
            if demo is not None:
                self._wanted = demo.n_parties
                self.link.shown.runs_demo(demo.to_dict(), demo.n_parties, self.scale)
                self.link.told({"rule": "soft_vote", "mechanism": "plain", "dataset": demo.dataset})
        except BaseException:
            self.close()
            raise

    @property
    def parties(self) -> tuple[str, ...]:
        """Names of the demo parties that run."""
        return tuple(self._joined)

    def scale(self, n: int) -> None:
        """Have ``n`` demo parties; returns at once, training goes on beside.

        Raises
        ------
        InvalidOption
            Fewer than one, or more than one process should hold.
        """
        _check_scale(n)
        self._wanted = n
        threading.Thread(target=self._rescale, name="fi-scale", daemon=True).start()

    def wait(self, seconds: float | None = None) -> bool:
        """Block until somebody stops it, from the side panel say; whether that was so."""
        return self._stopped.wait(seconds)

    def stop(self) -> None:
        """Have :meth:`wait` return."""
        self._stopped.set()

    def close(self) -> None:
        """End the demo parties and the link."""
        self._stopped.set()
        for joined in self._joined.values():
            joined.stop()
        self.link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rescale(self) -> None:
        with self._scaling:  # the last wish wins; those in between find nothing to do
            demo, n = self._demo, self._wanted
            if demo is None or n == len(self._joined):
                return
            try:
                self._demo = demo = _of_size(demo, n)
                self._remove(set(self._joined) - set(demo.party_names[:n]))
                for party in demo.parties(self._on_progress)[:n]:
                    if party.name not in self._joined and not self._stopped.is_set():
                        self._join(party)
            except FederationError:
                _log.exception("the demo parties stay %s", ", ".join(self._joined))
            self.link.shown.runs_demo(demo.to_dict(), len(self._joined), self.scale)

    def _join(self, party: Party) -> None:
        key = KeyFile.load_or_create(private_folder(self._keys / "demo") / f"{party.name}.key", party.name)
        roster, verify_key = self.link.roster, key.identity.public.verify_key.hex()

        def there(*states: str) -> Callable[[], bool]:
            return lambda: (entry := roster.of_key(verify_key)) is not None and entry.state in states

        if there("expelled")():  # when there were to be fewer
            self.link.approve(party.name)
        at = _options(self.link.invite()[0])
        joined = Joined(party, at["link"], key=key, token=at["token"], fingerprint=at["fingerprint"]).start()
        self._joined[party.name] = joined
        joined.wait(_JOIN_SECONDS)
        roster.wait_for(there("online", "waiting", "refused"), _JOIN_SECONDS)
        if there("waiting")():
            self.link.approve(party.name)

    def _remove(self, names: set[str]) -> None:
        for name in names:
            self._joined.pop(name).stop()
            self.link.expel(name)


def _of_size(demo: Demo, n: int) -> Demo:
    """The same demo with at least ``n`` parties; who joins later is trained on a share of its own."""
    more = n - len(demo.party_names)
    if more <= 0:
        return demo
    model = demo.model if isinstance(demo.model, str) else demo.model[-1]
    return replace(demo, joined=(*demo.joined, *(model,) * more), names=())


def _check_scale(n: int) -> None:
    if not 1 <= n <= MOST_DEMO_PARTIES:
        raise InvalidOption(f"A host runs 1 to {MOST_DEMO_PARTIES} demo parties, not {n}; let others join it for more.")


def _options(command: str) -> dict[str, str]:
    """The options of a command that invites."""
    words = shlex.split(command)
    return {words[k][2:]: words[k + 1] for k in range(len(words) - 1) if words[k].startswith("--")}
