"""A star of slow links between network namespaces: `python -m benchmarks.secure.relay`.

Each host has one TUN device; packets are read here, held for their time, and written to the device of whom they are
for. A link is one direction between two hosts, with its own bandwidth, as a line hired between two sites. Where the
kernel has no netem this is what is left. Linux only, and it needs root. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import json
import os
import select
import struct
import sys
import time

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_LARGEST_PACKET = 1 << 16
_VERSION_4, _SOURCE, _DESTINATION = 4, 15, 19  # last bytes of the IPv4 addresses: hosts are .1, .2, ...
_MOST_AT_ONCE = 64


class Links:
    """When each packet arrives.

    Parameters
    ----------
    one_way_seconds : float
    bytes_per_second : float
        Of each link; 0 for no limit.
    """

    def __init__(self, one_way_seconds: float, bytes_per_second: float) -> None:
        self._one_way, self._speed = one_way_seconds, bytes_per_second
        self._free: dict[tuple[int, int], float] = {}
        self.n_bytes: dict[tuple[int, int], int] = {}

    def arrival(self, sender: int, to: int, n_bytes: int, now: float) -> float:
        """Of a packet that is sent now; one behind the other."""
        link = (sender, to)
        sent = max(now, self._free.get(link, 0.0)) + (n_bytes / self._speed if self._speed else 0.0)
        self._free[link] = sent
        self.n_bytes[link] = self.n_bytes.get(link, 0) + n_bytes
        return sent + self._one_way


def open_tun(name: str) -> int:
    """The descriptor of a new TUN device."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return descriptor


def carry(descriptors: list[int], links: Links) -> None:
    """Until the standard input says or ends something; each line there is answered by the bytes so far."""
    waiting: list[tuple[float, int, int, bytes]] = []
    number, poller = 0, select.poll()
    for descriptor in (*descriptors, 0):
        poller.register(descriptor, select.POLLIN)
    hosts = {descriptor: k for k, descriptor in enumerate(descriptors)}
    while True:
        pause = 200.0 if not waiting else max(0.0, (waiting[0][0] - time.monotonic()) * 1e3)
        for descriptor, _ in poller.poll(pause):
            if descriptor == 0:
                if not os.read(0, 4096):
                    return
                told = sum(links.n_bytes.values())
                os.write(1, f"{json.dumps({'n_bytes': told})}\n".encode())
                continue
            for _ in range(_MOST_AT_ONCE):
                try:
                    packet = os.read(descriptor, _LARGEST_PACKET)
                except BlockingIOError:
                    break
                to = packet[_DESTINATION] - 1 if packet[0] >> 4 == _VERSION_4 else -1
                if 0 <= to < len(descriptors):
                    number += 1
                    when = links.arrival(hosts[descriptor], to, len(packet), time.monotonic())
                    heapq.heappush(waiting, (when, number, to, packet))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, to, packet = heapq.heappop(waiting)
            with contextlib.suppress(BlockingIOError):  # lost, as on any full link; TCP sends it again
                os.write(descriptors[to], packet)


def main() -> int:
    names, one_way_ms, megabits = sys.argv[1].split(","), float(sys.argv[2]), float(sys.argv[3])
    descriptors = [open_tun(name) for name in names]
    os.write(1, b'{"ready": true}\n')
    carry(descriptors, Links(one_way_ms / 1e3, megabits * 1e6 / 8))
    return 0


if __name__ == "__main__":
    sys.exit(main())
