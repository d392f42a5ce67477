"""What every panel works with: the state, and who acts on it."""

from __future__ import annotations

from dataclasses import dataclass

from fi_workbench.widgets.running.cohort import Cohort
from fi_workbench.widgets.running.driver import Driver
from fi_workbench.widgets.running.fitting import Fitting
from fi_workbench.widgets.running.jobs import Jobs
from fi_workbench.widgets.running.linking import Linking
from fi_workbench.widgets.running.party_log import PartyLog
from fi_workbench.widgets.running.state import WorkbenchState


@dataclass(frozen=True, eq=False)
class Desk:
    """One workbench without its page.

    Parameters
    ----------
    state : WorkbenchState
    driver : Driver
        Runs the rounds.
    jobs : Jobs
        Runs what takes long.
    cohort : Cohort
        Changes the parties.
    party_log : PartyLog
        Passes on what the parties of this kernel log.
    fitting : Fitting
        Fits the rules that must be learned.
    linking : Linking
        Follows the link behind a federation of parties elsewhere.
    """

    state: WorkbenchState
    driver: Driver
    jobs: Jobs
    cohort: Cohort
    party_log: PartyLog
    fitting: Fitting
    linking: Linking

    @classmethod
    def new(cls, *, simulation: bool = True) -> Desk:
        """An empty one."""
        state = WorkbenchState(simulation=simulation)
        driver, jobs, party_log = Driver(state), Jobs(state), PartyLog(state)
        party_log.listen()
        cohort, fitting = Cohort(state, driver, jobs), Fitting(state, driver, jobs)
        return cls(state, driver, jobs, cohort, party_log, fitting, Linking(state, driver))

    def close(self) -> None:
        """Stop all that is under way; returns at once."""
        self.linking.close()
        self.jobs.give_up()
        self.driver.stop()
        self.party_log.close()

    def wait(self, seconds: float) -> bool:
        """Wait for the threads of what was stopped; whether all have ended."""
        return self.jobs.wait(seconds) and self.driver.wait(seconds) and self.linking.wait(seconds)
