"""Links and parties of attacks; what an attack leaves behind is counted."""

import threading

import pytest

from fi_workbench.transport.hosted.attached import AttachedLink
from fi_workbench.transport.hosted.link import HostedLink
from tests.attacks.far import Far, invitation, settles, soon
from tests.session.far_parties import absences, asked
from tests.transport.hosted.raw import n_open_files


@pytest.fixture(scope="session")
def warm(tmp_path_factory):
    """What is imported and opened once in a process."""
    folder = tmp_path_factory.mktemp("warm")
    with HostedLink.open(
        name="warm", folder=folder / "link", announce_by="kernel", announce_in=folder / "runtime"
    ) as link:
        AttachedLink.open(link.announced, folder=folder / "runtime").close()


@pytest.fixture(autouse=True)
def nothing_left(warm):
    """Descriptors and threads of this process are as many at the end as they were."""
    files, threads = n_open_files(), threading.active_count()
    yield
    assert settles(n_open_files, files + 2), (n_open_files(), files)  # what some library opens once
    assert settles(threading.active_count, threads), (threading.enumerate(), threads)


@pytest.fixture
def links(tmp_path):
    made = []

    def make(name="class", **options):
        options.setdefault("folder", tmp_path / name)
        options.setdefault("announce_in", tmp_path / "runtime")
        link = HostedLink.open(options.pop("address", "127.0.0.1:0"), name=name, **options)
        made.append(link)
        return link

    yield make
    for link in made:
        link.close()


@pytest.fixture
def link(links):
    return links()


@pytest.fixture
def far(tmp_path, monkeypatch):
    """Starts parties in processes of their own: with a link, invited by it, and online once they are returned."""
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path / "home"))
    made = []

    def start(name="Ada", on=None, /, *, online=True, **options):
        if on is not None:
            given = invitation(on)
            options = {what: given[what] for what in ("link", "fingerprint", "token")} | options
        made.append(Far(tmp_path, name, **options))
        if on is not None and online:
            ended = made[-1].popen.poll
            soon(lambda: name in _online(on) or ended() is not None, 60.0)
            assert ended() is None, made[-1].ends()
        return made[-1]

    yield start
    for one in made:
        one.kill()


def _online(link):
    return {entry.name for entry in link.roster.entries if entry.state == "online"}


@pytest.fixture
def answers():
    """Asserts that these parties, and no others, answer a round now."""

    def ask(link, *names, **options):
        outcome = asked(link, **options)
        assert outcome.release.present == tuple(names), absences(outcome)
        return outcome

    return ask
