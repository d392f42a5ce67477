"""The client's side of a round: protects the query, signs the question, opens the result."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.apply import components_of, finish
from fi_workbench.aggregation.rule import Rule
from fi_workbench.core.arrays import Scores, to_simplex
from fi_workbench.core.digest import sha256
from fi_workbench.core.identity import Identity, PublicIdentity
from fi_workbench.core.messages import Body, Question, Release
from fi_workbench.privacy.context import Kind, Occasion
from fi_workbench.privacy.mechanism import Mechanism, Prepared
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
    opener : Mechanism or Prepared
        Whose state it is.
    """

    header: RoundHeader
    messages: Mapping[str, Body]
    query_digest: str
    state: Any
    opener: Mechanism | Prepared


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
        prepared: Prepared | None = None,
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
        prepared : Prepared, optional
            For a mechanism that is set up once: what that came to.
        """
        kind: Kind = "enrol" if question is None else "answer"
        queries: dict[str, Any] = {} if question is None else {"queries": question.queries}
        payload = queries | {TOTALS + name: array for name, array in totals.items()}
        opener = prepared or settings.mechanism.carrier
        state, protected = opener.protect(payload, cohort)
        return self._asked(kind, payload, protected, sha256(queries), question, settings, cohort, seed, state, opener)

    def prepare(
        self,
        settings: RoundSettings,
        cohort: Mapping[str, PublicIdentity],
        totals: Mapping[str, NDArray[Any]],
        seed: int,
        n_classes: int,
        n_queries: int = 0,
    ) -> Asked:
        """Sign what sets a cohort up, for a mechanism that :attr:`~Mechanism.prepares`; ``n_queries`` will be asked."""
        carrier, rule = settings.mechanism.carrier, settings.rule
        declared = components_of(rule, n_classes, settings.on_absence, settings.rule_options)
        state, begun = carrier.begin(
            Occasion("prepare", rule.name, declared, len(cohort), n_queries, n_classes, bool(rule.facts))
        )
        payload = dict(begun) | {TOTALS + name: array for name, array in totals.items()}
        return self._asked("prepare", payload, payload, sha256({}), None, settings, cohort, seed, state, carrier)

    def _asked(
        self,
        kind: Kind,
        payload: Body,
        protected: Body | Mapping[str, Body],
        query_digest: str,
        question: Question | None,
        settings: RoundSettings,
        cohort: Mapping[str, PublicIdentity],
        seed: int,
        state: Any,
        opener: Mechanism | Prepared,
    ) -> Asked:
        shared = not protected or not isinstance(next(iter(protected.values())), Mapping)
        if shared:
            same = protected is payload and set(payload) == {"queries"}
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
        return Asked(header, messages, query_digest, state, opener)

    def open(self, asked: Asked, release: Release, stack: Stack) -> Release:
        """The release with what only the client can open."""
        return asked.opener.open(asked.state, release)

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
