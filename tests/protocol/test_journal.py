"""What a party remembers over restarts: budgets and rounds answered, booked before an answer leaves."""

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import threading

import pytest

from fi_workbench.core.errors import Closed, InvalidOption, Refused
from fi_workbench.core.identity import Identity
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.protocol.header import MAX_AGE_SECONDS, read_header
from fi_workbench.protocol.journal import FileJournal, MemoryJournal, NotAJournal, UnusableJournal
from fi_workbench.protocol.journal import file as module
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.policy import Policy
from tests.harness import Table, linear_party, queries

ANYTHING = Policy()


class Clock:
    def __init__(self, now=1_000_000.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "party.key.journal"


@pytest.fixture(params=["memory", "file"])
def journal(request, path, clock):
    made = MemoryJournal(clock) if request.param == "memory" else FileJournal(path, clock)
    yield made
    made.close()


@pytest.fixture(scope="module")
def table():
    made = Table([linear_party("Ada")])
    yield made
    made.close()


@pytest.fixture
def question(table):
    """A checked header of `n` queries; from one client unless another is given."""
    usual = Identity("usual")

    def asked(n=6, client=usual):
        side = ClientSide(client)
        table.client = side
        header = read_header(table.protect(queries(n) if n else None, table.settings()).messages["Ada"])
        assert header.n_queries == n
        return header

    return asked


def test_a_budget_is_kept_for_each_client(journal, question):
    policy = Policy(query_budget=10)
    one, other = question(6), question(10, Identity("other"))
    journal.book(one, policy)
    journal.book(other, policy)
    assert (journal.spent(one.client), journal.spent(other.client), journal.spent("0" * 64)) == (6, 10, 0)
    with pytest.raises(Refused, match="4 of 10 left for this client, 5 asked"):
        journal.book(question(5), policy)
    assert journal.spent(one.client) == 6, "nothing of what is refused is booked"
    journal.book(question(4), policy)
    journal.book(question(0), policy)
    with pytest.raises(Refused, match="0 of 10 left"):
        journal.book(question(1), policy)


def test_the_minute_slides_and_the_refusal_says_when_to_come_back(journal, question, clock):
    policy = Policy(queries_per_minute=10)
    journal.book(question(4), policy)
    clock.now += 20
    journal.book(question(6), policy)
    clock.now += 10
    with pytest.raises(Refused, match=r"over the 10 .* ask again in 30 s"):
        journal.book(question(4), policy)
    with pytest.raises(Refused, match=r"ask again in 50 s"):
        journal.book(question(5), policy)
    journal.book(question(3, Identity("other")), policy)
    clock.now += 29.5
    with pytest.raises(Refused, match=r"ask again in 1 s"):
        journal.book(question(4), policy)
    clock.now += 0.5
    journal.book(question(4), policy)
    with pytest.raises(Refused, match=r"ask again in 20 s"):
        journal.book(question(1), policy)
    clock.now += 20
    journal.book(question(6), policy)


def test_what_never_fits_a_minute_is_not_told_to_come_back(journal, question):
    with pytest.raises(Refused, match="ask fewer at once") as told:
        journal.book(question(11), Policy(queries_per_minute=10))
    assert "again" not in str(told.value)


def test_enrolments_are_no_queries(journal, question):
    policy = Policy(queries_per_minute=0, query_budget=0)
    journal.book(question(0), policy)
    with pytest.raises(Refused):
        journal.book(question(1), policy)


def test_of_many_at_once_no_more_are_granted_than_there_are(journal, question):
    policy, headers = Policy(query_budget=50), [question(10) for _ in range(12)]
    granted, barrier = [], threading.Barrier(12)

    def book(header):
        barrier.wait()
        try:
            journal.book(header, policy)
        except Refused:
            return
        granted.append(header)

    threads = [threading.Thread(target=book, args=(header,)) for header in headers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 5
    assert journal.spent(headers[0].client) == 50


def test_a_restart_forgets_neither_budget_nor_rounds(path, question, clock):
    policy, header = Policy(query_budget=10, queries_per_minute=8), question(6)
    first = FileJournal(path, clock)
    first.book(header, policy)
    first.close()
    again = FileJournal(path, clock)
    assert again.spent(header.client) == 6
    with pytest.raises(Refused, match=f"round {header.round_id[:8]} was asked before"):
        again.book(header, ANYTHING)
    with pytest.raises(Refused, match="in a minute"):
        again.book(question(4), policy)
    clock.now += 60
    again.book(question(4), policy)
    again.close()


def test_a_round_is_remembered_for_as_long_as_it_could_be_replayed_and_no_longer(path, question, clock):
    journal, header = FileJournal(path, clock), question(6)
    journal.book(header, ANYTHING)
    clock.now += 2 * MAX_AGE_SECONDS - 1
    with pytest.raises(Refused, match="asked before"):
        journal.book(header, ANYTHING)
    rows = "SELECT count(*) FROM asked"
    for _ in range(5):
        clock.now += module._SWEEP_SECONDS + 1
        journal.book(question(1), ANYTHING)
    assert journal._connection.execute(rows).fetchone() == (5,), "the first is swept, its budget is not"
    assert journal.spent(header.client) == 11
    clock.now += 2 * MAX_AGE_SECONDS
    journal.book(question(1), ANYTHING)
    assert journal._connection.execute(rows).fetchone() == (1,)
    journal.close()


def test_a_clock_set_back_locks_nobody_out_and_forgets_no_round(path, question, clock):
    policy, header = Policy(queries_per_minute=6), question(6)
    journal = FileJournal(path, clock)
    journal.book(header, policy)
    clock.now -= 3600
    journal.book(question(6), policy)
    with pytest.raises(Refused, match="asked before"):
        journal.book(header, policy)
    journal.close()


def test_two_processes_share_one_journal(path, question, clock):
    policy, header = Policy(query_budget=10), question(6)
    one, other = FileJournal(path, clock), FileJournal(path, clock)
    one.book(header, policy)
    with pytest.raises(Refused, match="asked before"):
        other.book(header, policy)
    with pytest.raises(Refused, match="4 of 10 left"):
        other.book(question(5), policy)
    other.book(question(4), policy)
    assert one.spent(header.client) == 10
    one.close()
    other.close()


def test_nobody_else_books_between_the_check_and_the_booking(path, question):
    one, other, said = FileJournal(path), FileJournal(path), []

    def book_too():
        try:
            other.book(question(6), Policy(query_budget=10))
        except Refused as refusal:
            said.append(str(refusal))

    thread = threading.Thread(target=book_too)

    class Interrupted(Policy):
        def check_amounts(self, *amounts):
            super().check_amounts(*amounts)
            thread.start()
            thread.join(0.5)

    one.book(question(6), Interrupted(query_budget=10))
    thread.join(20)
    assert said == ["query budget spent: 4 of 10 left for this client, 6 asked."]
    one.close()
    other.close()


BOOKING = """
import sys
from types import SimpleNamespace
from fi_workbench.core.errors import Refused
from fi_workbench.protocol.journal import FileJournal
from fi_workbench.protocol.policy import Policy
journal, policy = FileJournal(sys.argv[1]), Policy(query_budget=10**6)
for n in range(10**6):
    round_id = f"{int(sys.argv[2]):016x}{n:016x}"
    try:
        journal.book(SimpleNamespace(client="ab" * 32, round_id=round_id, n_queries=3), policy)
    except Refused as refusal:
        print("refused", refusal, flush=True)
        break
    print(round_id, flush=True)
"""


def booking(path, number, **options):
    return subprocess.Popen(
        [sys.executable, "-c", BOOKING, str(path), str(number)], stdout=subprocess.PIPE, text=True, **options
    )


def test_a_killed_process_loses_nothing_that_has_left(path):
    processes = [booking(path, number) for number in range(2)]
    said = []
    for process in processes:
        said += [process.stdout.readline().strip() for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        said += process.communicate(timeout=60)[0].split()
    rounds = [line for line in said if len(line) == 32]  # the last line may be cut
    journal = FileJournal(path)
    known = {row[0].hex() for row in journal._connection.execute("SELECT round_id FROM asked")}
    assert set(rounds) <= known
    assert len(rounds) >= 400
    assert journal.spent("ab" * 32) == 3 * len(known) >= 3 * len(rounds)
    journal.close()


def test_a_full_disk_refuses_and_goes_on_when_there_is_room(path, question):
    table = Table([linear_party("Ada")])
    side = PartySide(linear_party("Ada"), table.sides["Ada"].identity, journal=FileJournal(path))
    journal, asked = side.journal, lambda: table.protect(queries(6), table.settings()).messages["Ada"]
    assert "answer" in side.handle("answer", asked())
    connection = journal._connection
    n_pages = connection.execute("PRAGMA page_count").fetchone()[0]
    assert connection.execute(f"PRAGMA max_page_count={n_pages}").fetchone() == (n_pages,)
    said = {}
    for _ in range(3000):
        said = side.handle("answer", asked())
        if "answer" not in said:
            break
    assert said["absent.kind"] == "refused"
    assert "answers nothing that it has not booked" in said["absent.reason"]
    assert str(path) not in said["absent.reason"], "where things are kept is its owner's business"
    spent = journal.spent(table.client.identity.public.verify_key.hex())
    assert "answer" not in side.handle("answer", asked())
    assert journal.spent(table.client.identity.public.verify_key.hex()) == spent
    connection.execute("PRAGMA max_page_count=1000000")
    assert "answer" in side.handle("answer", asked())
    side.stop()
    journal.close()
    table.close()


def test_a_file_that_may_not_grow_stops_answers(path):
    """As on a full disk, with the operating system refusing."""

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    process = booking(path, 1, preexec_fn=small_files)
    lines = process.communicate(timeout=60)[0].splitlines()
    assert lines[-1].startswith("refused this party cannot book"), lines[-1]
    journal = FileJournal(path)
    assert journal.spent("ab" * 32) == 3 * (len(lines) - 1) > 0, "each answer that left is booked"
    journal.close()


def test_where_there_is_no_room_for_a_journal_the_party_does_not_begin(path):
    def no_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    process = booking(path, 1, preexec_fn=no_files, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "UnusableJournal" in err
    assert "Make room" in err


def test_where_no_journal_can_be_the_party_does_not_begin(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnusableJournal, match="No journal can be kept"):
        FileJournal(tmp_path / "file" / "party.journal")
    with pytest.raises(UnusableJournal):
        FileJournal(tmp_path)


def test_a_file_that_is_no_journal_is_refused_and_left_as_it_is(path):
    path.write_bytes(b"dear diary" * 100)
    with pytest.raises(NotAJournal, match="left as it is"):
        FileJournal(path)
    assert path.read_bytes() == b"dear diary" * 100
    path.unlink()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE recipe(name)")
    other.commit()
    other.close()
    with pytest.raises(NotAJournal, match="no journal of version"):
        FileJournal(path)


def test_a_journal_of_another_version_is_refused(path):
    journal = FileJournal(path)
    journal._connection.execute("PRAGMA user_version=99")
    journal.close()
    with pytest.raises(NotAJournal):
        FileJournal(path)


def test_nobody_else_can_read_it(path):
    before = os.umask(0)
    try:
        journal = FileJournal(path)
    finally:
        os.umask(before)
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    journal.close()


def test_it_keeps_the_certificate_that_a_party_relies_on(path):
    journal = FileJournal(path)
    assert journal.pinned("host:1") is None
    journal.pin("host:1", "aa" * 32)
    journal.pin("host:1", "bb" * 32)
    journal.close()
    again = FileJournal(path)
    assert (again.pinned("host:1"), again.pinned("host:2")) == ("bb" * 32, None)
    again.close()


def test_what_is_closed_books_nothing(path, question):
    journal = FileJournal(path)
    journal.close()
    with pytest.raises(Closed):
        journal.book(question(), ANYTHING)
    with pytest.raises(Closed):
        journal.spent("ab" * 32)


def test_a_party_with_a_journal_answers_no_round_twice_over_a_restart(path):
    table = Table([linear_party("Ada")])
    identity = table.sides["Ada"].identity
    message = table.protect(queries(6), table.settings()).messages["Ada"]
    for expected in ("answer", "absent.kind", "absent.kind"):
        journal = FileJournal(path)
        side = PartySide(linear_party("Ada"), identity, journal=journal)
        assert expected in side.handle("answer", message)
        side.stop()
        journal.close()
    table.close()


@pytest.mark.parametrize(
    "limits",
    [
        {"query_budget": -1}, {"max_batch": 0}, {"min_cohort": None}, {"min_cohort": 0}, {"queries_per_minute": 1.5},
        {"queries_per_minute": True}, {"mechanisms": "plain"}, {"rules": [1]}, {"clients": ["Ada"]},
        {"clients": ["AB" * 32]},
    ],
    ids=repr,
)  # fmt: skip
def test_a_limit_that_cannot_be_is_refused_by_name(limits):
    with pytest.raises(InvalidOption, match="client's key|" + next(iter(limits))):
        Policy(**limits)


def test_limits_are_plain_data():
    plain = Policy(mechanisms={"plain"}, queries_per_minute=5).to_dict()
    assert (plain["mechanisms"], plain["queries_per_minute"], plain["clients"]) == (["plain"], 5, None)
