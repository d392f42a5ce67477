"""A round whose rule finishes at the client, with a message of its own for each party: what hiding mechanisms need."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from fi_workbench.aggregation import aggregate
from fi_workbench.privacy.plain import Plain
from tests.harness import Table, linear_party, queries, registered


@dataclass(frozen=True)
class ClientFinishes(Plain):
    """Plain, but the coordinator hands the bare sum on to the client, doubled until the client opens it."""

    name: ClassVar[str] = "client_finishes"
    offers: ClassVar[str] = "sum"
    finish_at: ClassVar[str] = "client"
    hides_absence: ClassVar[bool] = True

    def protect(self, payload, cohort):
        return 2.0, {party: {**payload, "only_for": party} for party in cohort}

    def coordinator_step(self, phase, state, replies, context):
        state, release = super().coordinator_step(phase, state, replies, context)
        masked = {name: 2.0 * total for name, total in release.sums.items()}
        return state, replace(release, sums=masked, answers=None, outputs=())

    def open(self, state, release):
        return replace(release, sums={name: total / state for name, total in release.sums.items()})


def test_the_client_finishes_what_only_it_can_open():
    with registered(ClientFinishes):
        table = Table([linear_party(name) for name in ("Ada", "Bo", "Cy")])
        settings = table.settings("client_finishes")
        outcome, release, scores = table.run(queries(), settings)
        table.close()
    assert settings.on_absence == "keep"
    assert outcome.scores is None, "the coordinator finishes nothing"
    assert release.answers is None
    answers = np.stack([side.party.predict(queries()) for side in table.sides.values()])
    np.testing.assert_allclose(scores, aggregate(answers, "soft_vote"), atol=1e-5)
    assert {party: body["only_for"] for party, _, body in table.to_parties} == {name: name for name in table.sides}


def test_a_message_that_was_meant_for_another_party_is_refused():
    with registered(ClientFinishes):
        table = Table([linear_party(name) for name in ("Ada", "Bo")])
        asked = table.protect(queries(), table.settings("client_finishes"))
        reply = table.sides["Ada"].handle("answer", asked.messages["Bo"])
        table.close()
    assert reply["absent.kind"] == "refused"
    assert "not what its client signed" in reply["absent.reason"]
