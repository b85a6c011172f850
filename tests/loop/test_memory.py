"""Freed memory is there again, without the system's zeroing its pages a second time."""

import os
import platform
import subprocess
import sys

import pytest

CODE = """
import resource
import sys
from jaxgen.loop.host import keep_freed_memory
print(keep_freed_memory(), "jax" in sys.modules)
import numpy as np
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(8_000_000)
before = faults()
for _ in range(10):
    np.ones(8_000_000)
print(faults() - before)
"""


def run(**environment):
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, faults = done.stdout.splitlines()
    return kept, int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator other than glibc's")
def test_arrays_of_a_second_round_cost_no_page_faults():
    pages = 10 * 64_000_000 // 4096
    kept, faults = run(JAXGEN_KEEP_MEMORY="1")
    assert kept == "True False"
    assert faults < pages / 100
    kept, faults = run(JAXGEN_KEEP_MEMORY="0")
    assert kept == "False False"
    assert faults > pages / 100
