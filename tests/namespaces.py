"""Hosts on one machine: network namespaces with a cable between them; they need root."""

import os
import shutil
import subprocess
from contextlib import ExitStack, contextmanager

import pytest


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _tc(name, change, *shaping):
    command = ["tc", "-n", name, "qdisc", change, "dev", "cable", "root", *shaping]
    subprocess.run(command, check=True, capture_output=True)


def why_not():
    """Why no namespaces can be made; empty if they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2"
    name = f"feedbench-{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
        _ip("netns", "delete", name)
    except subprocess.CalledProcessError as error:
        return f"network namespaces are not permitted: {error.stderr.decode().strip()}"
    return ""


class TwoHosts:
    """Two hosts with addresses of their own and a cable, which can be cut."""

    addresses = ("10.77.0.1", "10.77.0.2")

    def __init__(self, names):
        self._names = names

    def on(self, host):
        """What a command line begins with to run on a host."""
        return ["ip", "netns", "exec", self._names[host]]

    def cut(self):
        _ip("-n", self._names[1], "link", "set", "cable", "down")

    def shape(self, rate="1gbit", delay="10ms"):
        """Give the cable a bandwidth in each direction, and a delay if the kernel has netem."""
        netem = ("netem", "rate", rate, "delay", delay, "limit", "20000")
        bucket = ("tbf", "rate", rate, "burst", "256kb", "latency", "400ms")
        for name in self._names:
            try:
                _tc(name, "replace", *netem)
            except subprocess.CalledProcessError:
                _tc(name, "replace", *bucket)

    def unshape(self):
        for name in self._names:
            _tc(name, "delete")


@contextmanager
def two_hosts():
    """Make two hosts; the test is skipped where that is not permitted."""
    if reason := why_not():
        pytest.skip(f"NOT TESTED HERE: {reason}")
    names = [f"feedbench-{os.getpid()}-{number}" for number in range(2)]
    with ExitStack() as stack:
        for name in names:
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "delete", name)
            _ip("-n", name, "link", "set", "lo", "up")
        end = ("netns", names[1])
        _ip("-n", names[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", *end)
        for name, address in zip(names, TwoHosts.addresses, strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")
        yield TwoHosts(names)
