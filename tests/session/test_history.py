"""The history: in the file when a round ends, whole after a kill, set aside when it is none."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import CorruptFile, UnknownName
from fi_workbench.session.rows import COLUMNS
from tests.harness import HANG, SOON, linear_party, queries, until
from tests.session.conftest import NAMES

TRUTH = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.jsonl"


@pytest.fixture
def written(make, path):
    """A file with three rounds."""
    with make(history=path) as federation:
        for _ in range(3):
            federation.ask(queries(), TRUTH)
    return path


def test_each_round_is_in_the_file_when_ask_returns(make, path):
    federation = make(history=path)
    assert not path.exists(), "an empty history leaves no file behind"
    for n in range(1, 4):
        record = federation.ask(queries(), TRUTH)
        lines = path.read_text().splitlines()
        assert len(lines) == n
        assert json.loads(lines[-1])["digest"] == record.digest
    assert "scores" not in json.loads(lines[0])


def test_the_table_is_tidy(make):
    federation = make()
    assert list(federation.history.table().columns) == list(COLUMNS), "even of no round"
    records = [federation.ask(queries(), TRUTH), federation.with_(rule="hard_vote").ask(queries())]
    table = federation.history.table()
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 6
    assert table.party.tolist() == [*NAMES, *NAMES]
    assert table["round"].tolist() == [1, 1, 1, 2, 2, 2]
    assert table.rule.tolist() == ["soft_vote"] * 3 + ["hard_vote"] * 3
    assert table.share[:3].tolist() == pytest.approx(records[0].contributions.tolist())
    assert table.digest.nunique() == table.round_id.nunique() == 2
    own = [(party.predict(queries()).argmax(axis=1) == TRUTH).mean() for party in federation.parties]
    assert table.accuracy[:3].tolist() == pytest.approx(own)
    assert table.accuracy[3:].isna().all()
    assert table.consensus_accuracy[0] == pytest.approx(records[0].accuracy)
    assert table.oracle_accuracy[0] >= max(own)
    assert table.set_index(["round_id", "party"]).index.is_unique


def test_it_loads_and_goes_on(make, written):
    history = fi.History.load(written)
    assert len(history) == 3
    federation = make(history=history)
    federation.ask(queries())
    assert len(written.read_text().splitlines()) == 4
    assert len(fi.History.load(written)) == 4
    pd.testing.assert_frame_equal(fi.History.load(written).table(), history.table())


def test_only_a_file_that_is_there_loads(path):
    with pytest.raises(FileNotFoundError, match="no history file"):
        fi.History.load(path)


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".jsonl"])
def test_it_is_saved_in_the_format_of_its_ending(written, tmp_path, ending):
    history = fi.History.load(written)
    target = history.save(tmp_path / f"saved{ending}")
    if ending == ".jsonl":
        assert list(fi.History.load(target)) == list(history)
        assert not list(tmp_path.glob("*.part"))
        return
    table = pd.read_csv(target) if ending == ".csv" else pd.read_parquet(target)
    assert list(table.columns) == list(COLUMNS)
    assert table.digest.tolist() == history.table().digest.tolist()
    np.testing.assert_allclose(table.share, history.table().share)


def test_another_ending_is_refused(written, tmp_path):
    for name in ("table.xlsx", "table"):
        with pytest.raises(UnknownName, match=r"Known: \.csv, \.jsonl, \.parquet"):
            fi.History.load(written).save(tmp_path / name)


def test_an_empty_history_saves_too(tmp_path):
    for ending in (".csv", ".parquet", ".jsonl"):
        assert fi.History().save(tmp_path / f"x{ending}").exists()
    assert list(pd.read_csv(tmp_path / "x.csv").columns) == list(COLUMNS)


def test_answers_are_kept_where_asked_for(make, path):
    federation = make(history=path, keep="answers")
    record = federation.ask(queries(), TRUTH)
    (entry,) = fi.History.load(path)
    np.testing.assert_allclose(entry["answers"], record.answers)
    np.testing.assert_allclose(entry["scores"], record.scores)
    assert entry["truth"] == TRUTH.tolist()
    assert "answers" not in make().ask(queries()).to_dict(arrays=False)


def test_by_itself_each_federation_has_a_file_of_its_own_in_the_state_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))
    for _ in range(2):
        with fi.Federation([linear_party("Ada")]) as federation:
            federation.ask(queries())
    files = list((tmp_path / "state" / "history").iterdir())
    assert len(files) == 2
    assert [len(fi.History.load(file)) for file in files] == [1, 1]


def test_two_histories_do_not_mix(make, tmp_path):
    one, other = make(history=tmp_path / "one.jsonl"), make(history=tmp_path / "other.jsonl")
    for _ in range(3):
        one.ask(queries())
    other.ask(queries())
    assert len(fi.History.load(tmp_path / "one.jsonl")) == 3
    assert len(fi.History.load(tmp_path / "other.jsonl")) == 1


def test_many_threads_append_whole_lines(make, path):
    federation = make(history=path)
    threads = [threading.Thread(target=lambda: [federation.ask(queries()) for _ in range(10)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = fi.History.load(path)
    assert sorted(entry["round"] for entry in history) == list(range(1, 61))


def test_a_round_that_ends_after_closing_is_still_written_and_the_file_is_left_closed(make, path, troubled):
    troubled.mood = "hangs"
    federation = make(parties=[linear_party("Ada"), troubled.party], history=path, deadline_seconds=HANG)
    asking = threading.Thread(target=lambda: federation.ask(queries()))
    asking.start()
    assert until(lambda: len(federation.runtime.venue.grid._box._open) == 1), "Ada was heard"
    federation.close()
    asking.join(SOON)
    assert not asking.is_alive()
    assert len(fi.History.load(path)) == 1
    assert federation.history._file is None


# kills and damage


def test_a_killed_process_loses_no_finished_round(path):
    code = f"""
        from tests.harness import linear_party, queries
        import fi_workbench as fi
        federation = fi.Federation([linear_party("Ada"), linear_party("Bo")], history={str(path)!r}, keep="answers")
        for record in federation.stream(queries(64), batch_size=16, n_rounds=100_000):
            print(record.round, record.digest, flush=True)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": str(Path.cwd())}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    told = []
    for line in process.stdout:
        told.append(line.split())
        if len(told) == 40:
            process.send_signal(signal.SIGKILL)
            break
    told += [line.split() for line in process.stdout if line.endswith("\n")]
    process.wait(10)
    process.stdout.close()
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the one that was being written may be cut off
        entries = list(fi.History.load(path))
    digests = {str(entry["round"]): entry["digest"] for entry in entries}
    assert len(told) >= 40
    assert all(digests[number] == digest for number, digest in told if len(digest) == 64)
    assert [entry["round"] for entry in entries] == list(range(1, len(entries) + 1))


@pytest.mark.parametrize("left", [1, 9, 40, -2])
def test_a_last_line_that_was_cut_off_is_set_aside_and_the_rest_kept(written, left):
    lines = written.read_text().splitlines(keepends=True)
    tail = lines[-1][:left]
    written.write_text("".join(lines[:-1]) + tail)
    with pytest.warns(UserWarning, match="was cut off while it was written; that line is kept in .*cut-off"):
        history = fi.History.load(written)
    assert len(history) == 2
    assert written.read_text() == "".join(lines[:-1])
    assert written.with_name(written.name + ".cut-off").read_text() == tail + "\n"
    assert len(fi.History.load(written)) == 2, "and without a warning the next time"


def test_a_first_line_that_was_cut_off_leaves_an_empty_history(path):
    path.write_text('{"round": 1, "rou')
    with pytest.warns(UserWarning, match="cut off"):
        assert len(fi.History.load(path)) == 0


def test_a_file_that_another_kernel_appends_to_keeps_its_identity(written):
    writer = written.open("a")
    whole = written.read_text().splitlines(keepends=True)[0]
    writer.write('{"round": 9, "ro')
    writer.flush()
    with pytest.warns(UserWarning, match="cut off"):
        fi.History.load(written)
    writer.write(whole)
    writer.close()
    assert len(fi.History.load(written)) == 4, "what it writes afterwards is not lost with an unlinked file"


def test_a_whole_last_line_without_its_newline_is_kept(written):
    written.write_text(written.read_text().rstrip("\n"))
    history = fi.History.load(written)
    assert len(history) == 3
    assert written.read_text().endswith("}\n")


DAMAGE = {
    "text": b"not a history\n",
    "text without newline": b"not a history",
    "binary": b"\x00\xff\xfe\x80" * 100,
    "a list": b"[1, 2]\n",
    "another json": b'{"a": 1}\n',
    "another json without newline": b'{"a": 1}',
    "half a round": b'{"round": 1, "parties": []}\n',
    "zeros": bytes(512),
    "number": b"7\n",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_no_history_is_named_and_set_aside_whole(path, damage):
    path.write_bytes(DAMAGE[damage])
    with pytest.raises(CorruptFile) as refusal:
        fi.History(path)
    aside = path.with_name(path.name + ".corrupt-1")
    assert str(aside) in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert aside.read_bytes() == DAMAGE[damage]
    assert not path.exists()
    assert len(fi.History(path)) == 0, "and one can begin anew"


def test_damage_in_the_middle_names_the_line(written):
    lines = written.read_text().splitlines(keepends=True)
    written.write_text(lines[0] + lines[1][:50] + "\n" + lines[2])
    with pytest.raises(CorruptFile, match="line 2 is not a round"):
        fi.Federation([linear_party("Ada")], history=written)


def test_a_folder_is_not_set_aside(tmp_path):
    with pytest.raises(CorruptFile, match=r"is a folder.*\.jsonl"):
        fi.History(tmp_path)
    assert tmp_path.is_dir()


def test_a_full_disk_costs_no_round(tmp_path):
    """A real write error, again and again, until there is room."""
    path = tmp_path / "history.jsonl"
    with fi.Federation([linear_party("Ada")], history=path) as federation:
        federation.ask(queries())
        whole = federation.history._file
        federation.history._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115 (closed below)
        with pytest.warns(UserWarning, match="cannot be written .*No space left"):
            federation.ask(queries())
        assert federation.ask(queries()).round == 3  # said once
        assert len(federation.history) == 3
        federation.history._file.close()
        federation.history._file = whole
        federation.ask(queries())
    assert [entry["round"] for entry in fi.History.load(path)] == [1, 2, 3, 4]


def test_a_long_stream_takes_little_memory():
    """Half an hour at ten rounds a second is 18,000 rounds: under 20 MB."""
    parties = [linear_party(name) for name in ("Ada", "Bo", "Cy", "Di", "Ed")]
    with fi.Federation(parties, history=None, contribution="equal") as federation:
        for seed in range(50):
            federation.ask(queries(4, seed))
        assert federation.history._entries.n_bytes / 50 * 18_000 < 20e6
        assert [entry["round"] for entry in federation.history] == list(range(1, 51))
        assert federation.history[-1]["round"] == 50
