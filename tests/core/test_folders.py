"""Folders of the workbench, and files set aside."""

from pathlib import Path

from fi_workbench.core.folders import cache_folder, data_folder, set_aside, state_folder


def test_one_variable_moves_everything(tmp_path, monkeypatch):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path / "home"))
    cache, state = cache_folder("models", "v1"), state_folder("history")
    assert cache == tmp_path / "home" / "cache" / "models" / "v1"
    assert state == tmp_path / "home" / "state" / "history"
    assert cache.is_dir()
    assert state.is_dir()


def test_without_it_the_platform_decides(tmp_path, monkeypatch):
    monkeypatch.delenv("FI_WORKBENCH_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    assert "fi_workbench" in cache_folder("x").parts
    assert cache_folder("x") != state_folder("x")


def test_the_data_folder_is_the_users(monkeypatch):
    monkeypatch.delenv("FI_WORKBENCH_DATA", raising=False)
    assert data_folder() is None
    monkeypatch.setenv("FI_WORKBENCH_DATA", "/somewhere")
    assert data_folder() == Path("/somewhere")


def test_what_is_set_aside_is_never_overwritten(tmp_path):
    file = tmp_path / "history.jsonl"
    places = []
    for content in ("one", "two", "three"):
        file.write_text(content)
        places.append(set_aside(file))
        assert not file.exists()
    assert [place.name for place in places] == [f"history.jsonl.corrupt-{n}" for n in (1, 2, 3)]
    assert [place.read_text() for place in places] == ["one", "two", "three"]
