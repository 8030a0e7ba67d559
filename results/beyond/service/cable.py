"""A cable between two network namespaces, with a bandwidth and a delay in each direction.

cable.py NAMESPACE=ADDRESS NAMESPACE=ADDRESS MBIT_PER_S DELAY_MS, as root, until it is ended. For
kernels without netem; it takes packets from a TUN device in one namespace and gives them, when they
are due, to one in the other. Packets are large, so that it costs little CPU time.
"""

import ctypes
import fcntl
import os
import queue
import struct
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI, _CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
_MTU = 65_000
_QUEUED = 256  # packets under way in one direction; more wait in the device, and then are lost


def plugged_in(namespace: str, address: str) -> int:
    """A file of packets: an end of the cable in a namespace."""
    with Path("/var/run/netns", namespace).open() as place:
        if ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH", b"cable", _IFF_TUN | _IFF_NO_PI))
    for change in (
        ["address", "add", f"{address}/24", "dev", "cable"],
        ["link", "set", "cable", "mtu", str(_MTU), "txqueuelen", "1000", "up"],
    ):
        subprocess.run(["ip", *change], check=True)
    return end


def carry(source: int, target: int, bytes_per_s: float, delay_s: float) -> None:
    """Take packets from one end and give them to the other when they are due."""
    packets: queue.Queue[tuple[float, bytes]] = queue.Queue(_QUEUED)
    threading.Thread(target=deliver, args=(packets, target), daemon=True).start()
    free = monotonic()
    while True:
        packet = os.read(source, _MTU + 1)
        free = max(free, monotonic()) + len(packet) / bytes_per_s
        packets.put((free + delay_s, packet))


def deliver(packets: "queue.Queue[tuple[float, bytes]]", target: int) -> None:
    """Write packets when they are due."""
    while True:
        due, packet = packets.get()
        sleep(max(0.0, due - monotonic()))
        os.write(target, packet)


def main() -> None:
    """Connect two namespaces."""
    places = [argument.split("=") for argument in sys.argv[1:3]]
    bytes_per_s, delay_s = float(sys.argv[3]) * 1e6 / 8, float(sys.argv[4]) / 1e3
    one, other = (plugged_in(namespace, address) for namespace, address in places)
    there = threading.Thread(target=carry, args=(one, other, bytes_per_s, delay_s), daemon=True)
    there.start()
    carry(other, one, bytes_per_s, delay_s)


if __name__ == "__main__":
    main()
