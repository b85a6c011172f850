"""The same run on 1, 2, 4 and 8 devices: the losses part by rounding alone."""

import jax
import numpy as np
import pytest
from tiny_runs import experiment, metrics

from jaxgen import parallel
from jaxgen.loop import loop


@pytest.fixture(scope="module")
def losses(tmp_path_factory, tfds_dir):
    """devices -> the loss of each of 50 steps."""
    made = {}

    def run(num):
        if num not in made:
            folder = tmp_path_factory.mktemp("devices") / str(num)
            sizes = {"steps": 50, "log_every": 1, "evaluate_every": 50, "sample_every": 50}
            tiny = experiment(dir=tfds_dir, checkpoint_every=50, **sizes)
            mesh = parallel.device_mesh(jax.devices()[:num])
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(parallel, "device_mesh", lambda: mesh)
                loop.run(tiny, folder)
            made[num] = [line["loss"] for line in metrics(folder) if line["split"] == "train"]
        return np.array(made[num])

    return run


@pytest.mark.parametrize("num", [2, pytest.param(4, marks=pytest.mark.chaos), 8])
def test_losses_are_those_of_one_device(num, losses):
    one, more = losses(1), losses(num)
    assert len(one) == 50
    assert one[-1] < one[0]
    deviation = np.abs(more - one) / one
    assert deviation[:10].max() <= 1e-6
    assert deviation.max() <= 1e-4
