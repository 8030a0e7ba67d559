"""Optional packages: they work in one process with TensorFlow, and tests without them say so."""

import subprocess
import sys
from pathlib import Path

import pytest

# In the order of a user's imports, and the reverse: each brings a runtime of its own.
ORDERS = ("tensorflow torch jax webdataset datasets", "datasets webdataset jax torch tensorflow")
WORK = """
import numpy as np
x = np.ones((2, 3), np.float32)
print(tensorflow.reduce_sum(x).numpy(), torch.from_numpy(x).sum().item(), jax.numpy.sum(x).item())
"""


@pytest.mark.guests
@pytest.mark.parametrize("order", ORDERS)
def test_tensorflow_torch_and_jax_work_in_one_process(order):
    code = "".join(f"import {name}\n" for name in order.split()) + WORK
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("6.0 6.0 6.0\n", 0), done.stderr


def test_a_test_is_skipped_before_its_fixtures_if_a_package_is_missing(request):
    conftest = request.config.pluginmanager.get_plugin(str(Path(__file__).with_name("conftest.py")))
    request.node.add_marker(pytest.mark.guests("numpy", "no_such_package"))
    with pytest.raises(pytest.skip.Exception, match=r"^needs no_such_package: `make test-guests`"):
        conftest.pytest_runtest_setup(request.node)
