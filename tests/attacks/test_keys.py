"""Keys and tokens that are used twice, late, by another, or not at all: one enters, or nobody."""

import json
import threading
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor

from cryptography.hazmat.primitives.asymmetric import ec

from fi_workbench.core.identity import Identity
from fi_workbench.transport.flower_internals.link import ActivateNodeRequest, node_key_bytes, signed_headers
from fi_workbench.transport.hosted.enrolment import Enrolment, EnrolRefused, _statement, enrol
from fi_workbench.transport.tls import Tls
from tests.attacks.far import invitation, soon
from tests.session.far_parties import absences, asked
from tests.transport.hosted.parties import TestParty
from tests.transport.hosted.raw import RawNode, request
from tests.transport.hosted.test_hosted_rounds import answered


def test_of_two_processes_with_one_key_the_newer_answers_and_the_older_ends(link, far, answers):
    older = far("Ada", link)
    newer = far("Ada", link=link.status.address, fingerprint=link.status.fingerprint)
    newer.says("connected: ")
    status, said = older.ends()
    assert status == 2
    assert "Another process uses this party's key" in said
    soon(lambda: link.roster.entry("Ada").state == "online")
    answers(link, "Ada")
    assert newer.popen.poll() is None


def test_an_expired_a_used_and_an_invented_token_let_nobody_in(link, far, answers):
    late, given = invitation(link, minutes=0.001), invitation(link)
    trust = {"link": given["link"], "fingerprint": given["fingerprint"]}
    far("Ada", **trust, token=given["token"]).says("connected: ")
    refused = {
        "has expired": far("Late", **trust, token=late["token"]),
        "used already": far("Replay", **trust, token=given["token"]),
        "not known": far("Guess", **trust, token="A" * 32),
        "not enrolled here": far("Nobody", **trust),
    }
    for why, process in refused.items():
        status, said = process.ends()
        assert (status, why in said) == (2, True), said
        assert "Traceback" not in said
    assert [entry.name for entry in link.roster.entries] == ["Ada"]
    soon(lambda: link.roster.members)
    answers(link, "Ada")


def test_a_token_that_twenty_bring_at_once_lets_exactly_one_in(link):
    token, tls, at_once = invitation(link)["token"], Tls(fingerprint=link.status.fingerprint), threading.Barrier(20)

    def bring(number):
        identity, key = Identity(f"P{number}"), ec.generate_private_key(ec.SECP384R1())
        at_once.wait()
        try:
            return enrol(link.status.address, tls, token, identity, key)
        except EnrolRefused as refused:
            return refused

    with ThreadPoolExecutor(20) as pool:
        ends = list(pool.map(bring, range(20)))
    entered = [end for end in ends if isinstance(end, Enrolment)]
    assert entered == [Enrolment("class")]
    assert all("used already" in str(end) for end in ends if end not in entered)
    assert len(link.roster.entries) == 1


def test_a_recorded_enrolment_brings_its_recorder_nothing(link):
    """Whoever got hold of another's request (from a proxy that ends TLS, say) cannot put a key of his own into it."""
    ada, mallory = TestParty(link, "Ada"), ec.generate_private_key(ec.SECP384R1())
    recorded, own = invitation(link)["token"], invitation(link)["token"]
    public, signature = ada.identity.public, ada.identity.sign(_statement(recorded, node_key_bytes(ada.key)))

    def bring(token, key):
        plain = {
            "token": token, "name": "Ada", "node_key": b64encode(node_key_bytes(key)).decode(),
            "identity": [public.verify_key.hex(), public.seal_key.hex(), public.binding.hex()],
            "signature": signature.hex(),
        }  # fmt: skip
        headers = signed_headers(key)
        return request(link, "/v1/enrol", json.dumps(plain).encode(), headers=headers, media_type="application/json")

    for token, key in ((recorded, mallory), (own, mallory), (own, ada.key)):
        status, said = bring(token, key)
        assert (status, b"do not belong together" in said) == (401, True)
    assert not link.roster.entries
    assert bring(recorded, ada.key)[0] == 200, "as it was recorded it is Ada's own"


def test_a_key_answers_in_its_own_name_and_in_its_own_round_only(link, far, answers):
    """Ada answers; Eve, who is enrolled, tries to do so in her place, then with an answer of a round before."""
    far("Ada", link)
    eve = TestParty(link, "Eve", instance="raw").enrol().start()
    eve.stop()
    node = RawNode(link, eve)
    assert node.activate()[0] == 200
    ada = link.roster.entry("Ada")
    outcomes = []
    first = threading.Thread(target=lambda: outcomes.append(asked(link, 5, seconds=8.0)))  # takes Ada three seconds
    first.start()
    [mine] = node.pull()
    theirs = soon(lambda: [one for one in link.grid.waiting if one.metadata.dst_node_id == ada.node])[0]
    forged = _reply(mine)
    forged.metadata.reply_to_message_id = theirs.metadata.message_id
    assert node.push(forged)[0] == 200, "taken, and dropped"
    forged.metadata.src_node_id = ada.node
    assert node.push(forged)[0] == 403
    first.join()
    assert outcomes[0].release.present == ("Ada",)
    assert "Eve" in absences(outcomes[0])
    assert node.activate()[0] == 200
    second = threading.Thread(target=lambda: outcomes.append(asked(link, seconds=3.0)))
    second.start()
    [_] = node.pull()
    assert node.push(_reply(mine))[0] == 200, "an answer to the round before: dropped"
    second.join()
    assert outcomes[1].release.present == ("Ada",)
    assert link._fleet.n_open == 0


def _reply(proto):
    return answered(proto, {"answer": b"\x00" * 24})


def test_who_hosts_one_link_could_speak_for_a_key_on_another(links):
    """What Flower's node authentication does not promise: a signature covers the time, and not whom it is shown to.

    docs/security.md says so, and what follows: one key file for each link. If this fails, that may be said no longer.
    """
    honest, hostile = links("honest"), links("hostile")
    ada = TestParty(honest, "Ada").enrol()
    TestParty(hostile, "Ada", identity=ada.identity, key=ada.key).enrol()
    overheard = signed_headers(ada.key)  # reaches the hostile host with each request
    node = RawNode(honest, ada, instance="the hostile host")
    asked_for = ActivateNodeRequest(public_key=b64decode(node.public), heartbeat_interval=10.0)
    node.key = None
    assert node.post("activate-node", asked_for, headers=overheard)[0] == 200
