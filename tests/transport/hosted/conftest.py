"""Links of tests: on loopback, in folders of their own, closed in any case."""

import pytest

from fi_workbench.transport.hosted.link import HostedLink
from tests.transport.hosted.parties import PartyProcess, TestParty


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
def parties():
    made = []

    def make(link, name, *args, process=False, **options):
        party = PartyProcess(link, name) if process else TestParty(link, name, *args, **options)
        made.append(party)
        return party

    yield make
    for party in made:
        if isinstance(party, PartyProcess):
            party.kill()
        else:
            party.stop()
