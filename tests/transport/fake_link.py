"""A link that misbehaves as a test says: HTTP on loopback, one function per path."""

import contextlib
import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def self_signed(folder, name="link", authority=None):
    """Certificate and key files for 127.0.0.1, the certificate's SHA-256, and both to sign others with."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = (subject, key) if authority is None else (authority[0].subject, authority[1])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    fingerprint = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    return paths, fingerprint, (certificate, key)


class FakeLink:
    """Answers ``POST /v1/fleet/<name>`` with ``routes[name](body, headers)``: bytes, or (status, headers, bytes)."""

    def __init__(self, routes, certificate=None, port=0, hangs_up=False):
        link = self
        self.hangs_up = hangs_up  # after each answer, without a word: as servers do to what was kept alive for too long
        self.routes, self.seen, self.connections = dict(routes), [], 0
        self._open = set()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                link.connections += 1

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                name = self.path.rsplit("/", 1)[-1]
                link.seen.append((name, dict(self.headers)))
                answer = link.routes[name](body, self.headers) if name in link.routes else (404, {}, b"")
                status, headers, content = answer if isinstance(answer, tuple) else (200, {}, answer)
                if "date" in headers:
                    self.send_response_only(status)
                else:
                    self.send_response(status)
                for field, value in headers.items():
                    self.send_header(field, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                self.close_connection = link.hangs_up

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def get_request(self):
                sock, address = super().get_request()
                if certificate is not None:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(*certificate)
                    sock = context.wrap_socket(sock, server_side=True)
                link._open.add(sock)
                return sock, address

            def handle_error(self, request, client_address):
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def paths(self):
        return [name for name, _ in self.seen]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
