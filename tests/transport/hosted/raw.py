"""Requests byte by byte, as an attacker sends them: to a link's port, signed with a party's key or not at all."""

import http.client
import socket
import ssl
from base64 import b64decode
from pathlib import Path

from fi_workbench.transport.flower_internals.link import (
    ActivateNodeRequest,
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
    signed_headers,
)
from fi_workbench.transport.protobuf_http import Address

PROTOBUF = "application/protobuf"


def _context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def plain_socket(link, seconds=20.0):
    where = Address.parse(link.status.address)
    return socket.create_connection((where.host, where.port), seconds)


def tls_socket(link, seconds=20.0):
    return _context().wrap_socket(plain_socket(link, seconds))


def request(link, path, body=b"", *, key=None, method="POST", headers=None, media_type=PROTOBUF, seconds=20.0):
    """Status and content of one request on a connection of its own."""
    where = Address.parse(link.status.address)
    connection = http.client.HTTPSConnection(where.host, where.port, timeout=seconds, context=_context())
    signed = signed_headers(key) if key is not None else {}
    try:
        connection.request(method, path, body, {"content-type": media_type, **signed, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def reads_until_closed(sock):
    """What the other end says before it closes; nothing if it just does. Raises TimeoutError if it does not."""
    heard = b""
    try:
        while part := sock.recv(65536):
            heard += part
    except TimeoutError:
        raise
    except OSError:
        pass
    return heard


def n_open_files():
    """Descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


class RawNode:
    """A node whose every request a test writes itself."""

    def __init__(self, link, party, instance="raw"):
        self.link, self.key, self.id, self.instance = link, party.key, party.node_id, instance
        self.public = signed_headers(party.key)["flwr-public-key"]

    def post(self, name, message, **options):
        body = message if isinstance(message, bytes) else message.SerializeToString()
        headers = {"x-fi-instance": self.instance} | options.pop("headers", {})
        return request(self.link, f"/v1/fleet/{name}", body, key=self.key, headers=headers, **options)

    def activate(self, seconds=10.0):
        return self.post(
            "activate-node", ActivateNodeRequest(public_key=b64decode(self.public), heartbeat_interval=seconds)
        )

    def pull(self, **options):
        asked = PullMessagesRequest()
        asked.node.node_id = self.id
        status, content = self.post("pull-messages", asked, **options)
        return (status, content) if status != 200 else list(PullMessagesResponse.FromString(content).messages_list)

    def push(self, proto, **options):
        asked = PushMessagesRequest(messages_list=[proto])
        asked.node.node_id = self.id
        return self.post("push-messages", asked, **options)
