"""Fitting a learned rule on labelled queries: asked once, learned from in the background, then chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fi_workbench.aggregation.combiner import KINDS, Combiner, Kind, combiners
from fi_workbench.core.errors import DoesNotFit, MissingData
from fi_workbench.core.messages import Question
from fi_workbench.core.progress import OnProgress, Progress
from fi_workbench.session.comparing import compare_rules
from fi_workbench.session.comparison import BASELINE
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.running.driver import Driver
from fi_workbench.widgets.running.jobs import Jobs
from fi_workbench.widgets.running.state import WorkbenchState
from fi_workbench.widgets.wording import in_sentence, listed, title

MOST_QUERIES = 300
HELD_OUT = 0.2
"""Share of them that it does not learn from."""

FEWEST_QUERIES = 20
"""Fewer are nothing to learn from."""


@dataclass(frozen=True)
class Fit:
    """What a learned rule was fitted on, in this workbench.

    Parameters
    ----------
    combiner : str
        Its name.
    kind : str
        The rule.
    n_queries, n_held_out : int
        Labelled queries that it was given, and those of them that it did not learn from.
    accuracy : float or None
        On those held out.
    """

    combiner: str
    kind: str
    n_queries: int
    n_held_out: int
    accuracy: float | None


class Fitting:
    """Fits the learned rules of one workbench.

    It learns from the queries at the end of the first pass, at most half of them, so that a comparison, which asks
    those at its beginning, is a fair one as long as it is not too large.

    Parameters
    ----------
    state : WorkbenchState
    driver : Driver
    jobs : Jobs
    """

    def __init__(self, state: WorkbenchState, driver: Driver, jobs: Jobs) -> None:
        self._state, self._driver, self._jobs = state, driver, jobs
        self._fits: dict[str, Fit] = {}
        self.under_way = False

    @property
    def n_queries(self) -> int:
        """Labelled queries that a rule would be fitted on; 0 where there are too few."""
        n_labelled = self._driver.n_labelled
        n_queries = min(MOST_QUERIES, max(n_labelled // 2, FEWEST_QUERIES))
        return n_queries if n_queries <= n_labelled else 0

    def of(self, combiner: object) -> Fit | None:
        """How a combiner was fitted; None for one that was not fitted here."""
        return self._fits.get(str(combiner))

    def options(self, rule: str) -> dict[str, Any]:
        """Options under which a rule can be used: the combiner that was fitted last, where it is a learned one."""
        names = [one.combiner for one in self._fits.values() if one.kind == rule]
        return {"combiner": names[-1]} if names else {}

    def n_seen(self, combiner: object, n_queries: int) -> int:
        """How many of the first ``n_queries`` of the first pass a combiner was fitted on."""
        fit, n_all = self.of(combiner), self._driver.n_labelled
        return 0 if fit is None else max(fit.n_queries + min(n_queries, n_all) - n_all, 0)

    def fit(self, rule: str) -> None:
        """Begin; the rule is chosen when it is fitted."""
        federation, n_queries = self._state.federation, self.n_queries
        if federation is None or rule not in KINDS or not n_queries:
            return
        question = self._driver.sample(n_queries, last=True)

        def then(combiner: Combiner) -> None:
            self._fitted(combiner)

        self.under_way = True
        self._jobs.start(
            f"Fitting {in_sentence(rule)}",
            lambda report: _fit(federation, question, rule, report),
            then, n_steps=2, kept="The rule in force stays.", ended=self._ended,
        )  # fmt: skip

    def _fitted(self, combiner: Combiner) -> None:
        name, training = combiners.add(combiner), combiner.training
        self._fits.pop(name, None)  # the last one fitted is the last one here
        self._fits[name] = Fit(
            name, combiner.kind, training.n_queries, int(HELD_OUT * training.n_queries), training.accuracy
        )
        self._state.tell(f"{title(combiner.kind)} was fitted on {training.n_queries} labelled queries: {name}.")
        self._ended()
        chosen = self._state.chosen
        kept = dict(chosen.rule_options) if chosen.rule == combiner.kind else {}
        self._state.choose(rule=combiner.kind, rule_options={**kept, "combiner": name})

    def _ended(self) -> None:
        self.under_way = False
        self._state.revision += 1


def _fit(federation: Federation, question: Question, kind: Kind, report: OnProgress) -> Combiner:
    """Ask all parties once and learn from what they answer."""
    from fi_workbench.aggregation.fitting import fit_combiner  # noqa: PLC0415 (torch takes seconds to import)

    record = compare_rules(
        federation, question, [BASELINE],
        on_progress=lambda heard: report(Progress("asking the parties", heard.done, heard.total)),
    ).record  # fmt: skip
    if record.answers is None or record.truth is None:
        raise DoesNotFit("Fitting needs each party's answer, which this mechanism does not show, and true labels.")
    if record.absent:
        missing = listed([absence.party for absence in record.absent])
        raise MissingData(f"Not all parties answered ({missing} did not); fit when all do, or leave those out.")
    return fit_combiner(
        kind, record.answers, record.truth, outputs="probabilities", parties=record.parties,
        seed=federation.settings.seed, held_out=HELD_OUT, on_progress=report,
    )  # fmt: skip
