"""What every test runs under: its own home folder, one thread for arithmetic, and skips that may count as failures."""

import os
import shutil
import tempfile

import pytest

# Set before torch and numpy are imported, here and in every kernel or party that a test starts: equal sums everywhere.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
# Flower looks for updates and reports its use unless told not to.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"


def pytest_configure(config):
    """One home folder for the session: demo parties are trained once, and the user's own stay untouched."""
    if hasattr(config, "workerinput"):
        return  # a worker of pytest-xdist inherits the folder of the process that started it
    home = tempfile.mkdtemp(prefix="fi-workbench-tests-")
    os.environ["FI_WORKBENCH_HOME"] = home
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))


def pytest_collection_modifyitems(items):
    """The browser's tests last: while its driver lives, an event loop runs in this thread, and no other can."""
    items.sort(key=lambda item: "browser" in item.path.parts)


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
