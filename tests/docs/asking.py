"""Has a command run by the process of the tests, in place of this one.

Arguments: the socket of a `serving.Server`, then the command.
"""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect(sys.argv[1])
    asked = {"args": sys.argv[2:], "cwd": os.getcwd(), "env": dict(os.environ)}  # noqa: PTH109
    socket.send_fds(server, [json.dumps(asked).encode()], [0, 1, 2])
    code = int(server.recv(64))
sys.exit(code if code >= 0 else 128 - code)
