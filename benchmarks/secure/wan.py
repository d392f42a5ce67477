"""Hosts far apart, on one computer: a network namespace each, and the relay between them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

from benchmarks.secure.places import Place
from benchmarks.secure.workers import REPOSITORY

ROUND_TRIP_MS, MEGABITS = 70.0, 320.0
MTU = 9000
_IP = shutil.which("ip") or ""
_NETWORK = "10.9.0"
_BUFFERS = "4096 4194304 33554432"
"""Of TCP: more than a link holds in flight, so that no system waits for a window."""


class NoWan(RuntimeError):
    """Namespaces cannot be made here."""


class Wan:
    """So many hosts; a context manager, which leaves nothing behind.

    Parameters
    ----------
    n : int

    Raises
    ------
    NoWan
        Not on Linux, not as root, or without TUN devices.
    """

    def __init__(self, n: int) -> None:
        if os.geteuid() != 0 or not Path("/dev/net/tun").exists() or not _IP:
            raise NoWan("an emulated WAN needs Linux, root, `ip` and TUN devices")
        self._names = [f"fi{os.getpid() % 100_000}n{k}" for k in range(n)]
        self._made: list[str] = []
        self.places = [
            Place(f"{_NETWORK}.{k + 1}", "eth0", (_IP, "netns", "exec", name)) for k, name in enumerate(self._names)
        ]
        self._relay = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.secure.relay", ",".join(self._names), str(ROUND_TRIP_MS / 2),
             str(MEGABITS)],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        try:
            self._heard()
            for name, place in zip(self._names, self.places, strict=True):
                self._make(name, place)
        except BaseException:
            self.close()
            raise

    @property
    def n_bytes(self) -> int:
        """What has gone over all links, headers and all."""
        assert self._relay.stdin is not None
        self._relay.stdin.write(b"bytes\n")
        return int(self._heard()["n_bytes"])

    def close(self) -> None:
        """Take everything down."""
        assert self._relay.stdin is not None
        self._relay.stdin.close()
        self._relay.wait()
        for name in self._made:
            subprocess.run([_IP, "netns", "del", name], check=False, capture_output=True)
        for stream in (self._relay.stdout, self._relay.stderr):
            assert stream is not None
            stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _make(self, name: str, place: Place) -> None:
        _ip("netns", "add", name)
        self._made.append(name)
        _ip("link", "set", name, "netns", name)
        inside = ("-n", name)
        _ip(*inside, "link", "set", name, "name", place.interface)
        _ip(*inside, "addr", "add", f"{place.address}/24", "dev", place.interface)
        _ip(*inside, "link", "set", place.interface, "mtu", str(MTU), "txqueuelen", "10000", "up")
        _ip(*inside, "link", "set", "lo", "up")
        for key, value in (
            ("tcp_slow_start_after_idle", "0"), ("tcp_rmem", _BUFFERS), ("tcp_wmem", _BUFFERS),
        ):  # fmt: skip
            written = f"net.ipv4.{key}={value}"
            subprocess.run([*place.prefix, "sysctl", "-qw", written], check=False, capture_output=True)

    def _heard(self) -> dict[str, int]:
        assert self._relay.stdout is not None
        line = self._relay.stdout.readline()
        if not line:
            assert self._relay.stderr is not None
            said = self._relay.stderr.read().decode().strip().splitlines()
            raise NoWan(f"the relay has ended: {said[-1] if said else 'it said nothing'}")
        return json.loads(line)


def _ip(*arguments: str) -> None:
    done = subprocess.run([_IP, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise NoWan(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
