"""Tokens and keys: where they may be, and where they must not be found."""

import logging
import os
import stat
from pathlib import Path

import psutil
import pytest

from fi_workbench.transport.hosted.announced import announced
from tests.attacks.far import invitation
from tests.lab.test_server import API, running_server


def files_in(*folders):
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def test_no_token_and_no_key_is_in_a_log_or_in_a_file_of_others(links, far, answers, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    link = links(announce_by="kernel")
    token, desk_token = invitation(link)["token"], link.announced.token
    ada = far("Ada", link, token=token, json=None)
    answers(link, "Ada")
    private = [line for line in ada.key.read_text().splitlines() if len(line) > 40 and "-" not in line]
    assert len(private) >= 3
    ada.kill(15)
    said = ada.said + ada.log.read_text() + caplog.text + repr(link) + repr(link.announced) + repr(link.status)
    for secret in (token, desk_token, *private):
        assert secret not in said
    readable = [path for path in files_in(tmp_path) if path.stat().st_mode & 0o077 and path.suffix != ".py"]
    for path in readable:
        written = path.read_bytes()
        assert not any(secret.encode() in written for secret in (token, desk_token, *private)), path
    for path in files_in(tmp_path / "class"):
        assert token.encode() not in path.read_bytes(), "a token is kept as its hash"


def test_files_with_keys_or_tokens_are_their_owners_from_their_first_moment(links, far, tmp_path, monkeypatch):
    """With the umask of a careless shell, each file looked at when it is made: none is made first and closed later."""
    seen, real = {}, os.open

    def watched(path, flags, mode=0o777, **options):
        descriptor = real(path, flags, mode, **options)
        if flags & os.O_CREAT:
            seen[str(path)] = stat.S_IMODE(os.fstat(descriptor).st_mode)
        return descriptor

    before = os.umask(0)
    try:
        monkeypatch.setattr(os, "open", watched)
        link = links(announce_by="kernel")
        invitation(link)
        monkeypatch.undo()
    finally:
        os.umask(before)
    made = {Path(path).name.split(".json")[0] for path in seen}
    assert len(made) >= 3
    assert set(seen.values()) == {0o600}, seen
    far("Ada", link, prelude="import os; os.umask(0)")
    for path in files_in(tmp_path / "class", tmp_path / "runtime", tmp_path / "home"):
        assert path.stat().st_mode & 0o077 == 0, path
    for name in ("Ada.key", "Ada.key.journal"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0, name
    for folder in (tmp_path / "class", tmp_path / "runtime"):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_token_in_the_environment_is_not_in_the_list_of_processes(link, far, answers):
    given = invitation(link)
    ada = far(
        "Ada", link=given["link"], fingerprint=given["fingerprint"], environment={"FI_WORKBENCH_TOKEN": given["token"]}
    )
    ada.says("enrolled: ").says("connected: ")
    process = psutil.Process(ada.popen.pid)
    assert given["token"] not in " ".join(process.cmdline())
    assert Path(f"/proc/{ada.popen.pid}/environ").stat().st_mode & 0o077 == 0
    assert link.roster.wait_for(lambda: link.roster.members, 20.0)
    answers(link, "Ada")


def test_a_token_on_the_command_line_is_worthless_once_it_is_used(link, far):
    ada = far("Ada", link)
    words = psutil.Process(ada.popen.pid).cmdline()
    token = words[words.index("--token") + 1]
    status, said = far("Eve", link=link.status.address, fingerprint=link.status.fingerprint, token=token).ends()
    assert (status, "used already" in said) == (2, True)


@pytest.mark.parametrize("folder", ["state", "tmp"])
def test_a_folder_that_others_can_enter_is_not_used(links, tmp_path, folder):
    from fi_workbench.core.errors import InvalidOption

    (tmp_path / folder).mkdir(mode=0o777)
    (tmp_path / folder).chmod(0o777)
    with pytest.raises(InvalidOption, match="others can look into it"):
        links(folder=tmp_path / folder)


def test_a_browser_never_sees_the_desks_token(tmp_path, monkeypatch):
    with running_server(tmp_path) as client:
        assert client.post(API, json={"name": "demo", "parties": 2}, headers=client.token).status_code == 201
        folder = tmp_path / "runtime" / "fi-workbench"
        from tests.attacks.far import soon

        [one] = soon(lambda: folder.is_dir() and announced(folder))
        soon(lambda: client.get(API, headers=client.token).json()["federations"][0]["state"] == "up")
        listed = client.get(API, headers=client.token).text
        [federation] = client.get(API, headers=client.token).json()["federations"]
        log = client.get(f"{API}/{federation['id']}/log", headers=client.token).text
        for text in (listed, log, client.log.read_text()):
            assert one.token not in text
            assert one.desk not in text
