"""The keys of a party in a file: made once, for its owner alone, refused when torn or exposed, never overwritten."""

import os
import stat
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from fi_workbench.core import keyfile
from fi_workbench.core.identity import Identity
from fi_workbench.core.keyfile import ExposedKey, KeyFile, NotAKeyFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "party.key"


def same(one, other):
    return one.identity.public == other.identity.public and one.node.private_numbers() == other.node.private_numbers()


def test_keys_are_made_once_and_read_ever_after(path):
    made = KeyFile.load_or_create(path, "Ada")
    written = path.read_bytes()
    again = KeyFile.load_or_create(path, "Ada")
    assert same(made, again)
    assert path.read_bytes() == written
    assert not same(made, KeyFile.load_or_create(path.with_name("other"), "Ada"))
    sender = Identity("Bo")
    sealed = sender.seal(made.identity.public, b"secret", b"here")
    assert again.identity.open(sender.public, sealed, b"here") == b"secret"
    assert again.identity.public.check().name == "Ada"


def test_nobody_else_can_read_them_and_nothing_else_is_left_behind(path, monkeypatch):
    opened = []
    real = os.open
    monkeypatch.setattr(keyfile.os, "open", lambda p, flags, mode=0o777: opened.append(mode) or real(p, flags, mode))
    before = os.umask(0)
    try:
        KeyFile.load_or_create(path, "Ada")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert opened == [0o600], "made so, and not changed after it was written"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [one.name for one in path.parent.iterdir()] == ["party.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602])
def test_a_file_that_others_can_read_or_change_is_refused(path, mode):
    KeyFile.load_or_create(path, "Ada")
    path.chmod(mode)
    with pytest.raises(ExposedKey, match="chmod 600"):
        KeyFile.load_or_create(path, "Ada")
    path.chmod(0o600)
    KeyFile.load_or_create(path, "Ada")


def test_a_file_of_another_user_is_refused(path, monkeypatch):
    KeyFile.load_or_create(path, "Ada")
    monkeypatch.setattr(keyfile.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ExposedKey, match="another user"):
        KeyFile.load(path, "Ada")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-40],
        lambda whole: b"",
        lambda whole: b"nothing of the kind",
        lambda whole: whole + whole,
        lambda whole: whole.replace(b"M", b"N"),
        lambda whole: whole + b" " * keyfile.MAX_FILE_BYTES,
    ],
)
def test_a_torn_or_foreign_file_is_refused_and_left_as_it_is(path, spoil):
    KeyFile.load_or_create(path, "Ada")
    spoilt = spoil(path.read_bytes())
    path.write_bytes(spoilt)
    with pytest.raises(NotAKeyFile, match=str(path)):
        KeyFile.load_or_create(path, "Ada")
    assert path.read_bytes() == spoilt


def test_other_kinds_of_keys_are_refused_by_name(path):
    KeyFile.load_or_create(path, "Ada")
    begin = b"-----BEGIN PRIVATE KEY-----"
    head, one, two, three = path.read_bytes().split(begin)
    path.write_bytes(begin.join([head, two, one, three]))
    with pytest.raises(NotAKeyFile, match="other kinds"):
        KeyFile.load(path, "Ada")
    weak = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(begin.join([head, one, two]) + weak)
    with pytest.raises(NotAKeyFile, match="other kinds"):
        KeyFile.load(path, "Ada")


def test_what_cannot_be_read_or_made_says_so(tmp_path):
    with pytest.raises(NotAKeyFile, match="no key file"):
        KeyFile.load(tmp_path / "none.key", "Ada")
    with pytest.raises(ExposedKey):
        KeyFile.load(tmp_path, "Ada")
    (tmp_path / "file").write_text("")
    with pytest.raises(ExposedKey, match="No keys can be kept"):
        KeyFile.load_or_create(tmp_path / "file" / "party.key", "Ada")


@pytest.mark.parametrize("links", [True, False])
def test_of_many_that_make_it_at_once_all_get_the_same(path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(keyfile.os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    n, got, barrier = 8, [], threading.Barrier(8)

    def make():
        barrier.wait()
        got.append(KeyFile.load_or_create(path, "Ada"))

    threads = [threading.Thread(target=make) for _ in range(n if links else 1)]
    if not links:
        barrier = threading.Barrier(1)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(threads)
    assert all(same(got[0], one) for one in got)
    assert same(got[0], KeyFile.load(path, "Ada"))


def test_the_nodes_key_is_as_openssh_and_flower_read_it(path):
    keys = KeyFile.load_or_create(path, "Ada")
    private = load_ssh_private_key(keys.node_private, None)
    assert private.private_numbers() == keys.node.private_numbers()
    assert load_ssh_public_key(keys.node_public) == private.public_key()
    assert private.curve.name == "secp384r1"


def test_keys_do_not_show_in_a_repr(path):
    keys = KeyFile.load_or_create(path, "Ada")
    assert "Private" not in repr(keys.identity)
