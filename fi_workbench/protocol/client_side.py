"""The client's side of a round: protects the query, signs the question, opens the result."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.apply import finish
from fi_workbench.aggregation.rule import Rule
from fi_workbench.core.arrays import Scores, to_simplex
from fi_workbench.core.digest import sha256
from fi_workbench.core.identity import Identity, PublicIdentity
from fi_workbench.core.messages import Body, Question, Release
from fi_workbench.privacy.mechanism import Kind
from fi_workbench.privacy.stack import Stack
from fi_workbench.protocol.header import RoundHeader, cohort_of
from fi_workbench.protocol.ports import TOTALS
from fi_workbench.protocol.settings import RoundSettings


@dataclass(frozen=True, eq=False)
class Asked:
    """A protected question, and what the client keeps to open the result.

    Parameters
    ----------
    header : RoundHeader
    messages : mapping of str to Body
        The first message to each party.
    query_digest : str
        SHA-256 of the queries; stays with the client.
    state : object
        The mechanism's.
    """

    header: RoundHeader
    messages: Mapping[str, Body]
    query_digest: str
    state: Any


class ClientSide:
    """One asker.

    Parameters
    ----------
    identity : Identity, optional
        Its keys; fresh ones when None.
    """

    def __init__(self, identity: Identity | None = None) -> None:
        self.identity = identity or Identity("client")

    def protect(
        self,
        question: Question | None,
        settings: RoundSettings,
        cohort: Mapping[str, PublicIdentity],
        totals: Mapping[str, NDArray[Any]],
        seed: int,
    ) -> Asked:
        """Sign and protect a question; without one, the round is an enrolment.

        Parameters
        ----------
        question : Question, optional
        settings : RoundSettings
        cohort : mapping of str to PublicIdentity
        totals : mapping of str to array
            Enrolment sums that the rule's local part uses.
        seed : int
            Of this round.
        """
        kind: Kind = "enrol" if question is None else "answer"
        queries: dict[str, Any] = {} if question is None else {"queries": question.queries}
        payload = queries | {TOTALS + name: array for name, array in totals.items()}
        state, protected = settings.mechanism.carrier.protect(payload, cohort)
        shared = not protected or not isinstance(next(iter(protected.values())), Mapping)
        query_digest = sha256(queries)
        if shared:
            same = protected is payload and not totals
            payloads = {"*": query_digest if same else sha256(protected)}
        else:
            payloads = {party: sha256(body) for party, body in protected.items()}
        header = RoundHeader(
            round_id=secrets.token_hex(16),
            kind=kind,
            issued_at=time.time(),
            deadline_seconds=settings.deadline_seconds,
            client=self.identity.public.verify_key.hex(),
            rule=settings.rule.name,
            rule_options=dict(settings.rule_options),
            mechanism=settings.mechanism.settings(),
            on_absence=settings.on_absence,
            n_queries=0 if question is None else len(question.queries),
            seed=seed,
            cohort=cohort_of(cohort),
            payloads=payloads,
            calibration=settings.calibration,
            receipts=settings.receipts and kind == "answer",
        )
        signed = header.signed(self.identity)
        messages: dict[str, Body]
        if shared:  # one body for all: encoded once
            message: dict[str, Any] = {**signed, **protected}
            messages = dict.fromkeys(cohort, message)
        else:
            messages = {party: {**signed, **body} for party, body in protected.items() if isinstance(body, Mapping)}
        return Asked(header, messages, query_digest, state)

    def open(self, asked: Asked, release: Release, stack: Stack) -> Release:
        """The release with what only the client can open."""
        return stack.carrier.open(asked.state, release)

    @staticmethod
    def finish(rule: Rule, options: Mapping[str, Any], release: Release) -> Scores:
        """The rule's finish at the client, where the mechanism says so: (query, class)."""
        return finish(
            rule, options, sums=release.sums, parts=release.parts, answers=release.answers, outputs=release.outputs,
            parties=release.present,
        )  # fmt: skip

    @staticmethod
    def answers(release: Release, cohort: tuple[str, ...]) -> NDArray[Any] | None:
        """Probabilities (party, query, class) over the cohort, zeros for the absent; None where not disclosed."""
        if release.answers is None or not release.present:
            return None
        shape = release.answers[0].shape
        answers = np.zeros((len(cohort), *shape), dtype=np.float32)
        for party, values, outputs in zip(release.present, release.answers, release.outputs, strict=True):
            answers[cohort.index(party)] = to_simplex(values, outputs)
        return answers
