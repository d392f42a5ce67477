"""What every test runs under: its own home folder, one thread for arithmetic, and skips that may count as failures."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# Set before torch and numpy are imported, here and in every kernel or party that a test starts: equal sums everywhere.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
# Flower looks for updates and reports its use unless told not to.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"


# Where no two tests may run at once: each of these takes the whole machine, or waits for it with a limit.
MACHINE = ("browser", "packaging", "soak", "test_notebooks.py", "test_secure_benchmark.py")
# Folders with long modules come before the short ones, so that the workers end together.
LONG_FIRST = ("attacks", "session", "transport", "widgets", "lab", "mpc", "incentives")


def pytest_configure(config):
    """A home folder for this process: demo parties are trained once in it, and the user's own stay untouched.

    A worker of pytest-xdist gets one within that of the process that started it, which removes them all.
    """
    if (worker := getattr(config, "workerinput", None)) is not None:
        home = Path(os.environ["FI_WORKBENCH_HOME"], worker["workerid"])
        home.mkdir(mode=0o700)
    else:
        home = Path(tempfile.mkdtemp(prefix="fi-workbench-tests-"))
        config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ["FI_WORKBENCH_HOME"] = str(home)
    # Links announce themselves here: those of another worker, or of a JupyterLab that runs, are none of ours.
    os.environ["JUPYTER_RUNTIME_DIR"] = str(home / "runtime")


def pytest_collection_modifyitems(items):
    """What takes long begins first: the same order in every process, as xdist asks."""
    items.sort(key=lambda item: _rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With ``--dist loadfile``, a module's tests stay in one worker, and all that need the machine in one too."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling  # here: another run may have no xdist

    class ByModule(LoadScopeScheduling):
        # Not --dist loadgroup: with pytest 9.2 and xdist 3.8 its groups have no effect.
        def _split_scope(self, nodeid):
            return "machine" if needs_the_machine(nodeid) else nodeid.partition("::")[0]

    return ByModule(config, log)


def needs_the_machine(nodeid):
    """Whether that test is of those of which only one may run at a time."""
    return not set(MACHINE).isdisjoint(nodeid.partition("::")[0].split("/"))


def _rank(nodeid):
    if needs_the_machine(nodeid):
        return 0
    top, _, rest = nodeid.partition("/")
    if top != HERE.name:
        return len(LONG_FIRST) + 2  # the examples in docstrings
    folder = rest.partition("/")[0]
    return 1 + (LONG_FIRST.index(folder) if folder in LONG_FIRST else len(LONG_FIRST))


def required_kinds():
    """Markers whose tests may not skip: a CI without Chromium must not pass by running nothing."""
    return {kind.strip() for kind in os.environ.get("FI_WORKBENCH_REQUIRE", "").split(",") if kind.strip()}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    kinds = {marker.name for marker in item.iter_markers()} & required_kinds()
    if kinds and report.skipped and not hasattr(report, "wasxfail"):
        _fail(report, kinds)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    # A module that skips as a whole has no markers yet; its folder bears the marker's name.
    kinds = set(collector.path.parts) & required_kinds()
    if kinds and report.skipped:
        _fail(report, kinds)
    return report


def _fail(report, kinds):
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"FI_WORKBENCH_REQUIRE names {', '.join(sorted(kinds))}, but: {reason}"
