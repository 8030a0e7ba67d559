"""Addresses are HOST:PORT, and a port in use is refused."""

import socket

import pytest

from feedbench.loaders import SettingsError
from feedbench.loaders.service.address import Address, check_free


def test_an_address_is_a_host_and_a_port():
    assert Address.parse("10.0.0.1:5050", "service") == ("10.0.0.1", 5050)
    assert str(Address.parse("grpc://trainer.local:0", "service")) == "trainer.local:0"


@pytest.mark.parametrize("text", ["", "5050", "host:", ":5050", "host:port", "host:70000", "a/b:1"])
def test_anything_else_is_refused_with_the_name_of_its_field(text):
    with pytest.raises(SettingsError, match=r"service: must be HOST:PORT, .* got"):
        Address.parse(text, "service")


def test_a_port_in_use_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"worker: port {port} cannot be used"):
            check_free(port, "worker")
    check_free(port, "worker")
