"""A wire between a party and its link that a test can spoil: it delays, goes silent, or is cut."""

import contextlib
import random
import select
import socket
import threading
import time


class Relay:
    """Forwards TCP on loopback to `address`, byte by byte as they come.

    `silent`: nothing is forwarded any more, and nothing closed: what a dead router leaves. `delay(n)`: seconds by which
    the n-th piece is late.
    """

    def __init__(self, address, delay=None):
        host, _, port = address.rpartition(":")
        self._to, self._delay = (host, int(port)), delay
        self.silent, self._closed = threading.Event(), threading.Event()
        self.connections, self.n_pieces = 0, 0
        self._sockets, self._threads = [], []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def _start(self, work, *arguments):
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self):
        while not self._closed.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(near)
            if self.silent.is_set():  # taken by the kernel, and by nobody behind it
                continue
            far = socket.create_connection(self._to)
            self._sockets.append(far)
            self._start(self._forward, near, far)
            self._start(self._forward, far, near)

    def _forward(self, source, sink):
        with contextlib.suppress(OSError, ValueError):
            while not self._closed.is_set():
                ready, _, _ = select.select([source], [], [], 0.05)
                if self.silent.is_set() or not ready:
                    continue
                piece = source.recv(65536)
                if not piece:
                    break
                self.n_pieces += 1
                if self._delay is not None:
                    time.sleep(self._delay(self.n_pieces))
                sink.sendall(piece)
        if not self.silent.is_set():
            for sock in (source, sink):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5.0)


def lossy(share=0.3, seconds=0.25, seed=0):
    """As TCP shows a line that loses packets: some pieces are late by the time that it takes to send them anew."""
    draws = random.Random(seed)
    return lambda n: seconds if draws.random() < share else 0.0
