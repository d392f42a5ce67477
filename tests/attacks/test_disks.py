"""Full disks, each a real file system without room: what cannot be written is said, nothing is lost, all goes on."""

import os
import shutil
import subprocess
import warnings
from contextlib import contextmanager

import pytest

import fi_workbench as fi
from fi_workbench.core.errors import LedgerError
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.transport.hosted import keeping
from fi_workbench.transport.hosted.enrolment import EnrolRefused
from tests.attacks.far import invitation
from tests.harness import linear_party, queries
from tests.incentives.ledger_toys import BUDGET, CLIENT_KEY, new_round, settled, settlement
from tests.session.far_parties import absences, asked
from tests.transport.hosted.parties import TestParty


class Disk:
    """A file system of two megabytes."""

    def __init__(self, folder):
        self.folder = folder

    @contextmanager
    def full(self):
        filler = self.folder / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                while file.write(b"\x00" * 4096):
                    pass
        except OSError:
            pass
        yield
        filler.unlink()


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a file system of its own takes root and mount")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr.strip()}")
    yield Disk(folder)
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_history_on_a_full_disk_costs_no_round_and_is_written_later(disk):
    path = disk.folder / "history.jsonl"
    with fi.Federation([linear_party("Ada")], history=path) as federation:
        federation.ask(queries())
        with disk.full(), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(40):  # the file's last page has room for some
                federation.ask(queries())
        assert any("No space left" in str(one.message) for one in told)
        last = federation.ask(queries()).round
    assert [entry["round"] for entry in fi.History.load(path)] == list(range(1, last + 1))


def test_a_ledger_on_a_full_disk_books_nothing_and_goes_on(disk):
    with Ledger(disk.folder / "of.ledger") as ledger:
        ledger.deposit(CLIENT_KEY, 10 * BUDGET)
        settled(ledger)
        round_id = new_round()
        ledger.hold(round_id, CLIENT_KEY, BUDGET, 60)
        many = [(f"{k:064x}", "x" * 200, 0) for k in range(2000)]
        with disk.full():
            height = ledger.height
            with pytest.raises(LedgerError, match="Nothing was booked"):
                ledger.settle(settlement(round_id, payments=many))
            assert (ledger.height, ledger.held(CLIENT_KEY)) == (height, BUDGET)
            assert ledger.verify().ok
        ledger.settle(settlement(round_id))
        assert ledger.verify().ok


def test_a_party_that_cannot_book_refuses_and_stays(disk, link, far, answers):
    far("Ada", link, key=disk.folder / "Ada.key")
    answers(link, "Ada")
    with disk.full():
        refused = 0
        for _ in range(300):  # what room there is in the journal's last pages is used up first
            outcome = asked(link)
            if "cannot book" in absences(outcome).get("Ada", ""):
                refused += 1
                if refused == 3:
                    break
        assert refused == 3
        assert str(disk.folder) not in absences(outcome)["Ada"]
        assert link.roster.entry("Ada").state == "online"
    answers(link, "Ada")


def test_a_links_full_folder_takes_nobody_in_and_those_who_wait_come_in_by_themselves(disk, links, far, answers):
    link = links(folder=disk.folder / "link")
    far("Ada", link)
    given = invitation(link)
    with disk.full():
        bo = far("Bo", link=given["link"], fingerprint=given["fingerprint"], token=given["token"])
        bo.says("try again")
        answers(link, "Ada")
        assert [entry.name for entry in link.roster.entries] == ["Ada"]
    assert link.roster.wait_for(lambda: len(link.roster.members) == 2, 40.0), bo.said
    answers(link, "Ada", "Bo")


def test_a_card_that_cannot_be_kept_keeps_nobody_out_afterwards(disk, links):
    link = links(folder=disk.folder / "link")
    ada, bo = TestParty(link, "Ada").enrol(), TestParty(link, "Bo").enrol()
    try:
        with disk.full():
            ada.start()
        bo.start()
        assert {entry.name for entry in link.roster.members} == {"Ada", "Bo"}
    finally:
        ada.stop()
        bo.stop()


def test_what_parties_announce_never_grows_beyond_what_can_be_read_again(links, monkeypatch):
    link = links()
    ada, token = TestParty(link, "Ada").enrol(), invitation(link)["token"]
    monkeypatch.setattr(keeping, "_LARGEST_BYTES", 600)
    try:
        assert ada.start().state == "online"
        with pytest.raises(EnrolRefused, match="try again"):
            TestParty(link, "Bo").enrol(token)
    finally:
        ada.stop()
    link.close()
    monkeypatch.undo()
    assert [entry.name for entry in links().roster.entries] == ["Ada"]
