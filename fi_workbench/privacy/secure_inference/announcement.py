"""What each member announces when a session is set up, signed by it, and the session that all make of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fi_workbench.core.errors import InvalidAnswer
from fi_workbench.mpc.assignment import triples_of
from fi_workbench.mpc.plan import Plan
from fi_workbench.mpc.plan_text import MAX_TEXT, plan_from_text, plan_to_text
from fi_workbench.mpc.session import MAX_QUERIES, Session

VERSION = 1
VOTED = "hard_vote"
"""The rule under which models vote, and the label alone is opened."""

MAX_BYTES = MAX_TEXT + 2**15
MAX_CHANNEL_BYTES = 2**13


@dataclass(frozen=True, eq=False)
class Announcement:
    """One member's part in a session.

    Parameters
    ----------
    key : bytes
        Its X25519 key of this session.
    channel : bytes
        How it can be reached.
    plan : Plan or None
        Of its model; None for a helper.
    version : str
        Names the weights; empty for a helper.
    """

    key: bytes
    channel: bytes
    plan: Plan | None
    version: str

    def encoded(self) -> bytes:
        """The bytes that are signed and sent."""
        plan = None if self.plan is None else plan_to_text(self.plan)
        plain = {
            "house": VERSION, "key": self.key.hex(), "channel": self.channel.hex(), "plan": plan,
            "version": self.version,
        }  # fmt: skip
        return json.dumps(plain, sort_keys=True).encode()

    @classmethod
    def read(cls, data: bytes, who: str) -> Announcement:
        """What a member announced.

        Raises
        ------
        InvalidAnswer
            It is too long, of another version, or malformed.
        """
        if len(data) > MAX_BYTES:
            raise InvalidAnswer(f"{who} announced {len(data)} bytes; at most {MAX_BYTES}.")
        try:
            plain = json.loads(data)
            if plain["house"] != VERSION:
                raise InvalidAnswer(
                    f"{who} speaks version {plain['house']!r:.20} of secure inference, this side {VERSION}; install "
                    "the same version at both."
                )
            if set(plain) != {"house", "key", "channel", "plan", "version"} or not isinstance(plain["version"], str):
                raise InvalidAnswer(f"{who} announced something else than its part in a session.")
            channel = bytes.fromhex(plain["channel"])
            if len(channel) > MAX_CHANNEL_BYTES:
                raise InvalidAnswer(f"{who} announced {len(channel)} bytes of addresses; at most {MAX_CHANNEL_BYTES}.")
            plan = None if plain["plan"] is None else plan_from_text(plain["plan"])
            return cls(bytes.fromhex(plain["key"]), channel, plan, plain["version"])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if isinstance(error, InvalidAnswer):
                raise
            raise InvalidAnswer(f"What {who} announced cannot be read: {error!s:.200}") from error


def session_of(
    binding: bytes,
    client_public: bytes,
    announced: Mapping[str, Announcement],
    pool_size: int,
    first_size: int = 0,
    rule: str = "",
) -> Session:
    """The session that all members and the client make of the same announcements, each by itself.

    Parameters
    ----------
    binding : bytes
        Digest of the signed question that began it.
    client_public : bytes
    announced : mapping of str to Announcement
        In cohort order.
    pool_size, first_size : int
        Lots that are made ahead, and queries in each of the first ones; 0 for none before the first question.
    rule : str
        Under :data:`VOTED` the session opens a label.

    Raises
    ------
    DoesNotFit, BadSession
        They make none.
    """
    owners = [name for name, one in announced.items() if one.plan is not None]
    helpers = [name for name, one in announced.items() if one.plan is None]
    return Session(
        binding=binding,
        client_public=client_public,
        triples=triples_of(owners, helpers),
        plans={name: one.plan for name, one in announced.items() if one.plan is not None},
        versions={name: announced[name].version for name in owners},
        publics={name: one.key for name, one in announced.items()},
        pool_size=pool_size,
        first_size=min(first_size, MAX_QUERIES),
        opens="label" if rule == VOTED else "sum",
    )


def listed(names: Sequence[str], announced: Sequence[bytes]) -> dict[str, Announcement]:
    """Announcements by name, in cohort order, read."""
    if len(names) != len(announced):
        raise InvalidAnswer(f"{len(announced)} announcements came for {len(names)} members.")
    return {name: Announcement.read(data, name) for name, data in zip(names, announced, strict=True)}
