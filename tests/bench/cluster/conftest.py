import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from free_ports import free_ports


@pytest.fixture
def hosts(tmp_path):
    """Writes a file of workers on 127.0.0.1, on ports that are free."""

    def written(workers=2, **waits):
        addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
        lines = [f"workers = {addresses}", *(f"{name} = {value}" for name, value in waits.items())]
        path = tmp_path / "hosts.toml"
        path.write_text("\n".join(lines))
        return path

    return written
