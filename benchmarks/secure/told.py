"""A session as the processes of the benchmark tell one another of it; elsewhere signed Flower messages do that."""

from __future__ import annotations

from typing import Any

from fi_workbench.mpc.assignment import Triple, triples_of
from fi_workbench.mpc.plan_text import plan_from_text
from fi_workbench.mpc.session import Session


def names_of(n_models: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Owners, and the helpers that they need."""
    owners = tuple(f"owner{k}" for k in range(n_models))
    return owners, () if n_models >= 3 else ("helper0", "helper1")


def told_of(
    offers: dict[str, dict[str, Any]], client: str, binding: str, pool_size: int, first_size: int
) -> dict[str, Any]:
    """All that a session is made of, as JSON takes it.

    Parameters
    ----------
    offers : dict
        By member: what :meth:`~benchmarks.secure.member.Member.offer` gave.
    client : str
        The client's public key, hexadecimal.
    """
    owners = [name for name, offer in offers.items() if offer["plan"] is not None]
    helpers = [name for name in offers if name not in owners]
    return {
        "binding": binding,
        "client": client,
        "triples": [[one.owner, one.evaluator, one.dealer] for one in triples_of(owners, helpers)],
        "plans": {name: offers[name]["plan"] for name in owners},
        "versions": {name: offers[name]["version"] for name in owners},
        "publics": {name: offer["public"] for name, offer in offers.items()},
        "pool_size": pool_size,
        "first_size": first_size,
    }


def session_from(told: dict[str, Any]) -> Session:
    """The session that was told of."""
    return Session(
        binding=bytes.fromhex(told["binding"]),
        client_public=bytes.fromhex(told["client"]),
        triples=tuple(Triple(*names) for names in told["triples"]),
        plans={name: plan_from_text(text) for name, text in told["plans"].items()},
        versions=told["versions"],
        publics={name: bytes.fromhex(key) for name, key in told["publics"].items()},
        pool_size=told["pool_size"],
        first_size=told["first_size"],
    )
