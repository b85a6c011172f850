"""The digits: straight from scikit-learn, in the order that every old run knows."""

import subprocess
import sys

import numpy as np
import pytest

from jaxgen.data import Data, load
from jaxgen.data.readers import digits
from jaxgen.data.split import content_hash
from jaxgen.errors import ConfigError, DataError

SHA256 = {
    "train": "3b6e2ad2baf5e56683ad326e3fa6ba39dbf827d85e4027fc9109d194033a8327",
    "validation": "946a7745cbaaa0dd2f102ca6d94eeabf3232a8a74447b3c257ef5467b3f7ab02",
    "test": "8655b92e145c1edb9720341e3e4c93e36a02bac437974f8a5852cb890b11e51f",
}
JOINED = "806c2483ad9191bf814c18883c74e3f52efb5a1d236f8952a185b6df94eb6df7"
FIRST = [2, 6, 0, 0, 0, 0, 6, 4, 5, 0, 1, 3]  # labels of the training split


def test_the_order_is_that_of_all_runs_before():
    data = load(Data())
    assert {name: split.sha256 for name, split in data.splits.items()} == SHA256
    assert data.splits["train"].resident["label"][:12].tolist() == FIRST
    both = load(Data(train_on="train+validation")).splits["train"]
    parts = [data.splits[name].resident for name in ("train", "validation")]
    joined = {field: np.concatenate([part[field] for part in parts]) for field in parts[0]}
    assert both.sha256 == content_hash(joined) == JOINED


def test_the_digits_need_no_folder_and_no_tfds(tmp_path):
    program = (
        "import sys; from jaxgen.data import Data, load\n"
        "print(load(Data(dir=sys.argv[1])).splits['test'].sha256)\n"
        "assert 'tensorflow_datasets' not in sys.modules\n"
    )
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == SHA256["test"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flags", [{"image_size": 4}, {"length": 4}])
def test_flags_of_other_sets_are_refused(flags):
    with pytest.raises(ConfigError, match="'digits'"):
        load(Data(**flags))


def test_every_pixel_is_looked_at(monkeypatch):
    monkeypatch.setattr(digits, "LEVELS", 16)
    with pytest.raises(DataError, match=r"got 16.*0\.\.15"):
        load.__wrapped__(Data())
