"""Who may join a hosted link, with what, and how often."""

import hashlib
import json
import ssl
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import fi_workbench as fi
from fi_workbench.core.errors import CorruptFile, DoesNotFit, InvalidOption, UnknownName
from fi_workbench.core.identity import Identity
from fi_workbench.transport.flower_internals.link import node_key_bytes, signed_headers
from fi_workbench.transport.hosted import tokens as tokens_module
from fi_workbench.transport.hosted.enrolment import Enrolment, EnrolRefused, enrol, fetch_certificate
from fi_workbench.transport.hosted.keeping import link_folder
from fi_workbench.transport.hosted.tokens import Tokens
from fi_workbench.transport.tls import Tls, WrongCertificate
from tests.transport.hosted.parties import ask, token_of, toy_party
from tests.transport.hosted.raw import request


def test_an_invitation_is_a_whole_command(link):
    one, other = link.invite(2)
    status = link.status
    assert one.startswith(f"fi-workbench join --link {status.address} --fingerprint {status.fingerprint} --token ")
    assert one.endswith(" --model my_party.py:party --key party.key")
    assert one != other
    for n, minutes in ((0, 1.0), (1001, 1.0), (1, 0.0), (1, float("inf")), (1, float("nan"))):
        with pytest.raises(InvalidOption):
            link.invite(n, minutes)


def test_a_token_lets_one_key_in_once(link, parties):
    token = token_of(link)
    party = parties(link, "Ada").enrol(token)
    assert (party.state, party.entry.name) == ("offline", "Ada")
    with pytest.raises(EnrolRefused, match="used already"):
        parties(link, "Bo").enrol(token)
    party.enrol(token)  # the same keys again: nothing changes, whatever the token
    party.enrol("no token at all")
    assert len(link.roster.entries) == 1
    assert [reply.has_error() for reply in ask(link, [party.start().node_id])] == [False]


def test_an_unknown_and_an_expired_token_are_told_apart(link, parties, monkeypatch):
    with pytest.raises(EnrolRefused, match="not known"):
        parties(link, "Ada").enrol("guess")
    token = token_of(link, minutes=1.0)
    now = tokens_module.time.time()
    monkeypatch.setattr(tokens_module.time, "time", lambda: now + 61.0)
    with pytest.raises(EnrolRefused, match="expired"):
        parties(link, "Ada").enrol(token)
    assert not link.roster.entries


def test_tokens_are_kept_as_hashes_and_forgotten_in_the_end(monkeypatch):
    tokens = Tokens()
    [token] = tokens.issue(1, 1.0)
    assert token not in json.dumps(tokens.kept)
    assert Tokens(tokens.kept).wrong_with(token) == ""
    now = tokens_module.time.time()
    monkeypatch.setattr(tokens_module.time, "time", lambda: now + 2 * 86400.0)
    assert tokens.kept == {}


def test_names_and_keys_belong_to_one_party(link, parties):
    ada = parties(link, "Ada").enrol()
    with pytest.raises(EnrolRefused, match="name taken"):
        parties(link, "Ada").enrol()
    with pytest.raises(EnrolRefused, match="enrolled with another"):
        parties(link, "Bo", key=ada.key).enrol()
    with pytest.raises(EnrolRefused, match="enrolled with another"):
        parties(link, "Ada", identity=ada.identity).enrol()
    assert [entry.name for entry in link.roster.entries] == ["Ada"]


def test_the_token_of_a_refused_enrolment_is_still_good(link, parties):
    parties(link, "Ada").enrol()
    token = token_of(link)
    with pytest.raises(EnrolRefused, match="name taken"):
        parties(link, "Ada").enrol(token)
    parties(link, "Bo").enrol(token)


def enrolment(link, who, key, *, signer=None, headers_key=None, **changes):
    """A request for enrolment with something wrong in it: its status and what was said."""
    from fi_workbench.core.digest import canonical

    token = changes.pop("token", None) or token_of(link)
    node_key = node_key_bytes(key)
    signed = canonical(["fi-workbench enrol", hashlib.sha256(token.encode()).digest(), node_key])
    public = who.public
    plain = {
        "token": token,
        "name": public.name,
        "identity": [public.verify_key.hex(), public.seal_key.hex(), public.binding.hex()],
        "node_key": b64encode(node_key).decode(),
        "signature": (signer or who).sign(signed).hex(),
    } | changes
    headers = signed_headers(headers_key or key)
    status, content = request(
        link, "/v1/enrol", json.dumps(plain).encode(), headers=headers, media_type="application/json"
    )
    return status, json.loads(content)


def test_enrolment_as_the_tests_write_it_is_taken(link):
    assert enrolment(link, Identity("Ada"), ec.generate_private_key(ec.SECP384R1())) == (
        200,
        {"link": "class", "waiting": False},
    )


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"signer": Identity("Mallory")}, 401),
        ({"headers_key": ec.generate_private_key(ec.SECP384R1())}, 401),
        ({"name": "Another"}, 401),
        ({"name": "A" * 41}, 400),
        ({"name": "A\nB"}, 400),
        ({"name": ""}, 400),
        ({"name": 7}, 400),
        ({"identity": ["00", "00", "00"]}, 400),
        ({"identity": "zz"}, 400),
        ({"identity": None}, 400),
        ({"node_key": "%%%"}, 400),
        ({"node_key": b64encode(b"no key").decode()}, 401),
        ({"signature": None}, 400),
        ({"signature": "00" * 64}, 401),
    ],
)
def test_an_enrolment_with_anything_wrong_is_refused(link, wrong, status):
    found, said = enrolment(link, Identity("Ada"), ec.generate_private_key(ec.SECP384R1()), **wrong)
    assert set(said) == {"error"}
    assert found == status
    assert not link.roster.entries


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"[" * 10_000, b'{"token": "\\ud800"}', b"\xff\xfe", b'{"token": 5}']
)
def test_what_is_no_enrolment_at_all_is_refused(link, body):
    status, content = request(link, "/v1/enrol", body, media_type="application/json")
    assert status == 400
    assert b"Traceback" not in content


def test_whoever_is_to_be_approved_waits(links, parties):
    link = links(approve=True)
    party = parties(link, "Ada").enrol().start(wait=None)
    assert link.roster.wait_for(lambda: party.entry.card is not None, 20.0), "its host sees who it is"
    assert party.state == "waiting"
    assert link.roster.members == ()
    link.approve("Ada")
    assert party.state == "online"
    assert len(ask(link, [party.node_id])) == 1


def test_who_is_expelled_is_out_until_approved_again(link, parties):
    party = parties(link, "Ada").enrol().start()
    link.expel("Ada")
    assert party.state == "expelled"
    party.thread.join(20.0)
    assert "expelled" in party.refusal
    [reply] = ask(link, [party.node_id])
    assert "expelled" in reply.error.reason
    party.start(wait=None).thread.join(20.0)
    assert "expelled" in party.refusal
    with pytest.raises(EnrolRefused, match="expelled"):
        party.enrol()
    assert party.state == "expelled"
    link.approve("Ada")
    party.start()
    assert [reply.has_error() for reply in ask(link, [party.node_id])] == [False]
    with pytest.raises(UnknownName, match="Ada"):
        link.expel("Bo")


def test_a_party_that_does_not_fit_is_refused_with_the_reason(links, parties):
    link = links()
    parties(link, "Ada").enrol().start()
    other = toy_party("Bo", classes=("ant", "bee"))
    odd = parties(link, "Bo", party=other).enrol().start(wait="refused")
    assert "2 ('ant', 'bee')" in odd.entry.reason
    assert "3 ('cat'" in odd.entry.reason
    odd.thread.join(30.0)
    assert "its classes are" in odd.refusal, "and its owner is told"
    flat = parties(link, "Cy", party=toy_party("Cy", shape=(5,))).enrol().start(wait="refused")
    assert "(5,)" in flat.entry.reason
    assert [entry.name for entry in link.roster.members] == ["Ada"]


def test_a_host_may_declare_what_fits_and_judge_by_itself(links, parties):
    link = links(classes=("ant", "bee"), admit=lambda card: "no Bos" if card.name == "Bo" else "")
    bees = toy_party("Ada", classes=("ant", "bee"))
    assert "its classes" in parties(link, "Cy").enrol().start(wait="refused").entry.reason
    assert parties(link, "Ada", party=bees).enrol().start().state == "online"
    bo = parties(link, "Bo", party=toy_party("Bo", classes=("ant", "bee"))).enrol().start(wait="refused")
    assert bo.entry.reason == "no Bos"


def test_a_card_with_other_keys_than_were_enrolled_is_refused(link, parties):
    party = parties(link, "Ada").enrol()
    party.side = type(party.side)(toy_party("Ada"), Identity("Ada"))
    assert "other keys" in party.start(wait="refused").entry.reason


def test_the_certificate_is_known_by_its_fingerprint(link, parties):
    status = link.status
    pem = fetch_certificate(status.address, status.fingerprint)
    assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest() == status.fingerprint
    with pytest.raises(WrongCertificate, match=status.fingerprint):
        fetch_certificate(status.address, "00" * 32)
    token = token_of(link)
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(WrongCertificate):
        enrol(status.address, Tls(fingerprint="00" * 32), token, Identity("Ada"), key)
    assert enrol(status.address, Tls(root_certificates=pem), token, Identity("Ada"), key) == Enrolment("class")


def test_what_is_kept_is_its_owners_alone(links, tmp_path, parties):
    link = links()
    parties(link, "Ada").enrol()
    folder = tmp_path / "class"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in folder.iterdir()} == {"link.crt", "link.key", "link.json", "in-use.lock"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    with pytest.raises(fi.FederationError, match="Another process hosts"):
        links()
    link.close()
    folder.chmod(0o750)
    with pytest.raises(InvalidOption, match="chmod 700"):
        links()
    folder.chmod(0o700)
    (folder / "link.json").write_text('{"version": 1, "tokens": {}, "enrolled": [{}]}')
    with pytest.raises(CorruptFile, match=r"link\.json"):
        links()
    assert (folder / "link.json").exists()


def test_a_disk_that_is_full_takes_nobody_in_and_loses_nobody(link, parties, monkeypatch):
    party = parties(link, "Ada").enrol()
    token = token_of(link)

    def full(content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(link._keeping, "write", full)
        with pytest.raises(EnrolRefused, match="try again"):
            parties(link, "Bo").enrol(token)
        with pytest.raises(DoesNotFit, match="No space left"):
            link.expel("Ada")
    assert party.start().state == "online"
    parties(link, "Bo").enrol(token)


def test_a_links_folder_is_within_the_state_folder_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("FI_WORKBENCH_HOME", str(tmp_path))
    for name in ("..", ".", "../../x", "/etc", "a/b", "C:\\x", "My class", "ä"):
        assert link_folder(name).parent == tmp_path / "state" / "links"
        assert link_folder(name).resolve() == link_folder(name)
    assert len({link_folder(name) for name in ("a/b", "a_b", "a b", "..", ".")}) == 5


@pytest.mark.parametrize("name", ["", " x", "a\nb", "x" * 101])
def test_a_link_has_a_name_that_can_be_shown(links, name):
    with pytest.raises(InvalidOption, match="name of a federation"):
        links(name, folder=None)


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:x", "127.0.0.1:99999", "http://127.0.0.1:0", "a@b:1", ":5"])
def test_an_address_that_is_none_is_refused(links, address):
    with pytest.raises(fi.FederationError, match="address"):
        links(address=address)


def test_no_token_looks_like_an_option(monkeypatch):
    drawn = iter(["-begins-with-a-dash", "fine"])
    monkeypatch.setattr("secrets.token_urlsafe", lambda _n: next(drawn))
    assert Tokens().issue(1, 5.0) == ["fine"]
