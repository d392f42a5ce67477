"""Two network namespaces and a cable between them, which a test may pull out; root and iproute2 are needed."""

import ctypes
import os
import shutil
import subprocess
import threading
from contextlib import contextmanager, suppress

import pytest

_CLONE_NEWNET = 0x40000000


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Cable:
    """Namespaces `near` (10.203.7.1) and `far` (10.203.7.2)."""

    def __init__(self):
        tag = os.urandom(3).hex()
        self.near, self.far = f"fi-near-{tag}", f"fi-far-{tag}"
        self._ends = (f"fia{tag}", f"fib{tag}")
        self.near_ip, self.far_ip = "10.203.7.1", "10.203.7.2"

    def lay(self):
        for name in (self.near, self.far):
            ip("netns", "add", name)
        ip(
            "-n",
            self.near,
            "link",
            "add",
            self._ends[0],
            "type",
            "veth",
            "peer",
            "name",
            self._ends[1],
            "netns",
            self.far,
        )
        for name, end, address in ((self.near, self._ends[0], self.near_ip), (self.far, self._ends[1], self.far_ip)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", end, "up")

    def remove(self):
        for name in (self.near, self.far):
            with suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)

    def plugged(self, is_in):
        ip("-n", self.far, "link", "set", self._ends[1], "up" if is_in else "down")

    @staticmethod
    def command(name):
        """What starts a process within a namespace."""
        return ("ip", "netns", "exec", name)

    def within(self, name, make):
        """What `make()` gives in a thread of this process that is in a namespace: its sockets stay there."""
        made, failed = [], []

        def work():
            try:
                descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
                try:
                    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(descriptor)
                made.append(make())
            except BaseException as error:  # noqa: BLE001 (raised in the test's thread)
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return made[0]


@contextmanager
def cable():
    """A cable, plugged in; skips where there can be none."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("namespaces take root and iproute2 (apt-get install iproute2)")
    made = Cable()
    try:
        try:
            made.lay()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this kernel gives no namespaces: {error.stderr.strip()}")
        yield made
    finally:
        made.remove()
