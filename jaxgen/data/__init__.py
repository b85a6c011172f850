"""Data: a name and a few flags become three splits, each batch a pure function of (seed, step).

A loop needs three lines:

    data = load(Data(name="digits"))
    batch = data.splits["train"].batch(seed=0, step=0, batch_size=100)
    batch = data.prepare(batch, key)        # inside the jitted step: 'image' float32 [100, 8, 8, 1]

Arrays become the same by `from_arrays`, and two data sets without pairs one by `unpaired_datasets`.
"""

from jaxgen.data.config import Data, Transform
from jaxgen.data.dataset import Dataset
from jaxgen.data.load import load, resolved
from jaxgen.data.order import batch_indices, chunk_indices
from jaxgen.data.readers.arrays import from_arrays
from jaxgen.data.split import Split
from jaxgen.data.stream import stream
from jaxgen.data.transform import apply_transform, bits_offset, display
from jaxgen.data.unpaired import unpaired, unpaired_datasets

__all__ = [
    "Data",
    "Dataset",
    "Split",
    "Transform",
    "apply_transform",
    "batch_indices",
    "bits_offset",
    "chunk_indices",
    "display",
    "from_arrays",
    "load",
    "resolved",
    "stream",
    "unpaired",
    "unpaired_datasets",
]
