"""Where a server of the tf.data service is: HOST:PORT."""

from __future__ import annotations

import socket
from typing import NamedTuple

from feedbench.loaders.errors import SettingsError

_LARGEST_PORT = 65_535


class Address(NamedTuple):
    """A host and a port; the port 0 stands for any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str, field: str) -> Address:
        """Read HOST:PORT.

        Args:
            field: the setting or option that holds the text, for the message.

        Raises:
            SettingsError: it is not HOST:PORT.
        """
        host, _, port = text.removeprefix("grpc://").rpartition(":")
        is_port = port.isascii() and port.isdigit() and int(port) <= _LARGEST_PORT
        if not host or not is_port or "/" in host:
            raise SettingsError(f"{field}: must be HOST:PORT, such as 10.0.0.1:5050, got {text!r}")
        return cls(host, int(port))


def check_free(port: int, field: str) -> None:
    """Check that nothing listens on a port; two gRPC servers would silently share it.

    Raises:
        SettingsError: the port is in use, or may not be used.
    """
    with socket.socket() as probe:
        # As gRPC does: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
            probe.listen(1)
        except OSError as error:
            raise SettingsError(
                f"{field}: port {port} cannot be used: {error.strerror}; choose another port, or "
                "end the process that has it"
            ) from error
