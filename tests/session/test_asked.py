"""What a party's owner is shown of its questions: fit for a terminal and a log, whatever a stranger sends."""

import logging

import pytest

from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.plain_text import clean
from fi_workbench.session.asked import Asked, watched
from fi_workbench.session.owner_log import MAX_FILE_BYTES, N_OLD_FILES, OwnerLog, usual_path
from tests.harness import Table, linear_party, queries


def test_nothing_from_outside_moves_a_cursor_or_begins_a_line():
    assert clean("a\x1b[2Jb\r\nc\u202ed") == "a?[2Jb??c?d"
    assert clean("x" * 300, 20) == "x" * 17 + "..."


@pytest.fixture
def watch():
    table, seen = Table([linear_party("Ada")]), []
    yield table, watched(table.sides["Ada"].handle, seen.append), seen
    table.close()


@pytest.mark.parametrize(
    "message",
    [{}, {"header": b"x", "signature": b"y"}, {"header": 1}, {"round_id": "f" * 32}, {"round_id": "\x1b[31m"}],
    ids=repr,
)
def test_a_question_that_cannot_be_believed_names_no_client(watch, message):
    _, handle, seen = watch
    reply = handle("an\x1bswer", message)
    assert reply["absent.kind"] == "refused"
    [one] = seen
    assert (one.outcome, one.client, one.round_id) == ("refused", "", "")
    assert str(one).startswith("refused a question: ")
    assert str(one).isprintable()


def test_an_answer_is_told_before_it_leaves_and_is_not_changed(watch):
    table, handle, seen = watch
    message = table.protect(queries(6), table.settings()).messages["Ada"]
    reply = handle("answer", message)
    assert reply["answer"].shape == (6, 3)
    assert (seen[0].outcome, seen[0].n_queries, seen[0].rule) == ("answered", 6, "soft_vote")
    assert set(seen[0].to_dict()) == {
        "phase", "outcome", "seconds", "round_id", "client", "rule", "mechanism", "kind", "n_queries", "reason"
    }  # fmt: skip


@pytest.fixture
def log(tmp_path):
    made = OwnerLog(tmp_path / "logs" / "ada.log", "Ada")
    yield made
    made.close()


def test_the_log_takes_no_more_room_than_it_says(log):
    for number in range(40_000):
        log.asked(
            Asked("answer", "refused", 0.1, "ab" * 16, "cd" * 32, "r" * 60, "m" * 120, "answer", number, "w" * 200)
        )
    sizes = {one.name: one.stat().st_size for one in log.path.parent.iterdir()}
    assert len(sizes) == N_OLD_FILES + 1
    assert max(sizes.values()) <= MAX_FILE_BYTES
    assert all(one.stat().st_mode & 0o077 == 0 for one in log.path.parent.iterdir())
    assert "n_queries=39999" in log.path.read_text().splitlines()[-1]


def test_a_line_from_outside_is_one_line(log):
    log.wrote("connected to\nconnected to somewhere else\x1b[0m")
    assert len(log.path.read_text().splitlines()) == 1


def test_a_log_that_cannot_be_written_costs_lines_and_nothing_else(log, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log._file.stream, "write", full, raising=False)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    log.wrote("not there")
    monkeypatch.undo()
    log.wrote("there again")
    assert capsys.readouterr().err == ""
    assert "not there" not in log.path.read_text()
    assert log.path.read_text().endswith("there again\n")


def test_where_no_log_can_be_is_said(tmp_path):
    with pytest.raises(InvalidOption, match="No log can be kept"):
        OwnerLog(tmp_path, "Ada")


def test_a_partys_name_leads_to_no_other_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))
    assert usual_path("../../etc/Ada b", "0f").relative_to(tmp_path).parts[-2:] == ("parties", "______etc_Ada_b-0f.log")
