"""The three places where parties can be, each as a context: in this process, on a link hosted here, on a SuperLink."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fi_workbench as fi
from benchmarks.flower_commands import superlink
from benchmarks.processes import PartyProcess, Plan, Seat
from benchmarks.toy_parties import N_CLASSES, SHAPE, party_name, toy_party
from fi_workbench.core.errors import NoAnswer
from fi_workbench.core.keyfile import KeyFile
from fi_workbench.transport.protobuf_http import Unreachable

JOIN_SECONDS = 120.0


@dataclass
class Site:
    """A federation, the processes of its parties, and the process of its link."""

    federation: fi.Federation
    processes: list[PartyProcess]
    link_pid: int


@contextmanager
def embedded(n_parties: int, shape: tuple[int, ...] = SHAPE, n_classes: int = N_CLASSES, **how: Any) -> Iterator[Site]:
    """All parties in this process."""
    parties = [toy_party(index, shape, n_classes) for index in range(n_parties)]
    with fi.Federation(parties, **{"history": None, **how}) as federation:
        yield Site(federation, [], os.getpid())


@contextmanager
def hosted(
    n_processes: int = 5,
    n_each: int = 1,
    shape: tuple[int, ...] = SHAPE,
    n_classes: int = N_CLASSES,
    **how: Any,
) -> Iterator[Site]:
    """A link in this process, with TLS and enrolled keys; parties in processes of their own, several in each."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        federation = stack.enter_context(fi.Federation.host(announce=False, **{"history": None, **how}))
        assert federation.link is not None
        status = federation.link.status
        tokens = [token_in(invitation) for invitation in federation.invite(n_processes * n_each)]
        seats = [Seat(index, folder / f"{index}.key", token) for index, token in enumerate(tokens)]
        trust = {"fingerprint": status.fingerprint}
        processes = [
            Plan(status.address, trust, tuple(seats[first : first + n_each]), shape, n_classes)
            for first in range(0, len(seats), n_each)
        ]
        yield _joined(stack, federation, processes, os.getpid(), folder)


@contextmanager
def on_superlink(n_parties: int = 5, *, tls: bool, **how: Any) -> Iterator[Site]:
    """An unmodified SuperLink in a process of its own; with TLS, its nodes are authenticated too."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        link = stack.enter_context(superlink(folder, "--isolation", "process", tls=tls))
        seats = tuple(Seat(index, folder / f"{index}.key") for index in range(n_parties))
        if link.root_certificate is not None:
            for seat in seats:
                public = seat.key.with_suffix(".pub")
                public.write_bytes(KeyFile.load_or_create(seat.key, party_name(seat.index)).node_public)
                link.flwr("supernode", "register", str(public), "here")
            trust: dict[str, Any] = {"root_certificates": str(link.root_certificate)}
            reached: dict[str, Any] = {"root_certificate": link.root_certificate}
        else:
            trust = reached = {"insecure": True}
        federation = stack.enter_context(_connected(link.address, {**reached, "history": None, **how}))
        plans = [Plan(link.address, trust, (seat,), SHAPE, N_CLASSES) for seat in seats]
        yield _joined(stack, federation, plans, link.pid, folder)


def token_in(invitation: str) -> str:
    """The token of a command that lets a party join."""
    words = shlex.split(invitation.replace("--token=", "--token "))
    return words[words.index("--token") + 1]


def _joined(stack: ExitStack, federation: fi.Federation, plans: list[Plan], link_pid: int, folder: Path) -> Site:
    """Start the parties; whoever looks at the site finds them all online."""
    site = Site(federation, [], link_pid)
    stack.callback(lambda: [process.stop() for process in site.processes])  # as they are at the end
    for number, plan in enumerate(plans):
        site.processes.append(PartyProcess(plan, folder / f"party-process-{number}.log"))
    wait_for(
        federation, sum(len(plan.seats) for plan in plans),
        ended=lambda: any(process.ended for process in site.processes),
        said=lambda: "\n".join(process.said() for process in site.processes),
    )  # fmt: skip
    return site


def wait_for(federation: fi.Federation, n_parties: int, ended: Callable[[], bool], said: Callable[[], str]) -> None:
    """Return once so many parties are online; raise as soon as a process has ended instead, with what it said."""
    end = time.monotonic() + JOIN_SECONDS
    while True:
        try:
            federation.wait_for(n_parties, 0.5)
        except NoAnswer as error:
            if time.monotonic() > end or ended():
                raise RuntimeError(f"{error}\n{said()}") from error
        else:
            return


def _connected(address: str, how: dict[str, Any]) -> fi.Federation:
    """Its port is open a moment before it answers."""
    end = time.monotonic() + JOIN_SECONDS
    while True:
        try:
            return fi.Federation.connect(address, **how)
        except Unreachable:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
