"""Sets of TFDS are prepared without TensorFlow: arrays and archives, by the code of TFDS."""

import gzip
import io
import struct
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.utils import lazy_imports_utils
from tensorflow_datasets.image_classification import cifar, mnist

from jaxgen.data import Data, load
from jaxgen.data.readers.prepare import prepare
from jaxgen.data.readers.stand_in import png, without_tensorflow
from jaxgen.errors import DataError

with tfds.core.registered.skip_registration():

    class Local(tfds.core.GeneratorBasedBuilder):
        """Images as they are given, with the names of their classes."""

        VERSION = tfds.core.Version("1.0.0")
        feature = tfds.features.Image(shape=(4, 6, 3))
        labels = tfds.features.ClassLabel(names=["dog", "cat"])
        images = ()

        def _info(self):
            features = {"image": self.feature, "label": self.labels}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(0), "test": self._generate_examples(1)}

        def _generate_examples(self, part):
            for i, image in enumerate(self.images[part::2]):
                yield i, {"image": image, "label": i % self.labels.num_classes}


RNG = np.random.default_rng(0)


def prepared(directory, base, name, **attributes):
    """Prepare a set as `load` does; its configuration."""
    config = Data(name=name, dir=str(directory), transform="none")
    with tfds.core.registered.skip_registration():
        cls = type(name, (base,), {"name": name, "__module__": __name__, **attributes})
        prepare(
            config,
            f"{name}:{cls.VERSION}",
            lambda: cls(data_dir=str(directory), file_format="array_record"),
        )
    return config


def images_of(data, split="test"):
    return sorted(x.tobytes() for x in data.splits[split].resident["image"])


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_are_encoded_and_come_back(tmp_path, channels):
    images = RNG.integers(0, 256, (60, 4, 6, channels), dtype=np.uint8)
    feature = tfds.features.Image(shape=(4, 6, channels))
    data = load(prepared(tmp_path, Local, "local", images=images, feature=feature))
    assert images_of(data) == sorted(x.tobytes() for x in images[1::2])
    assert data.class_names == ("dog", "cat")
    assert data.record()["class_names"] == ["dog", "cat"]


def test_classes_that_are_numbers_have_no_names(tmp_path):
    images = np.zeros((60, 4, 6, 3), np.uint8)
    labels = tfds.features.ClassLabel(num_classes=2)
    assert (
        load(prepared(tmp_path, Local, "local", images=images, labels=labels)).class_names is None
    )


def test_images_of_many_sizes_become_squares(tmp_path):
    sizes = [(3 + i % 5, 4 + i % 3) for i in range(60)]
    images = [np.full((*size, 3), i, np.uint8) for i, size in enumerate(sizes)]
    feature = tfds.features.Image(shape=(None, None, 3))
    config = prepared(tmp_path, Local, "local", images=images, feature=feature)
    data = load(Data(config.name, dir=config.dir, image_size=5))
    assert data.shape == (5, 5, 3)
    x = data.splits["test"].resident["image"]
    assert (x == x[:, :1, :1, :1]).all()
    assert sorted(x[:, 0, 0, 0]) == list(range(1, 60, 2))
    with pytest.raises(DataError, match=r"many sizes(?s:.*)--data\.image-size"):
        load(config)


@pytest.mark.parametrize("shape", [(4, 6, 4), (4, 6, 2)])
def test_channels_that_cannot_be_resized_are_named(tmp_path, shape):
    images = np.zeros((60, *shape), np.uint8)
    feature = tfds.features.Image(shape=shape)
    config = prepared(tmp_path, Local, "local", images=images, feature=feature)
    with pytest.raises(DataError, match=rf"--data\.image-size 4.*, {shape[-1]}\]"):
        load(Data(config.name, dir=config.dir, image_size=4))


def test_mnist_is_unpacked_by_its_own_code(tmp_path, monkeypatch):
    written = {}
    for part, num in (("train", 30), ("t10k", 20)):
        written[part] = RNG.integers(0, 256, (num, 28, 28), dtype=np.uint8)
        labels = (np.arange(num) % 10).astype(np.uint8)
        for name, array in (("images-idx3", written[part]), ("labels-idx1", labels)):
            head = struct.pack(f">I{array.ndim}I", 0x0800 | array.ndim, *array.shape)
            path = tmp_path / f"{part}-{name}-ubyte.gz"
            path.write_bytes(gzip.compress(head + array.tobytes()))
    monkeypatch.setattr(mnist, "_TRAIN_EXAMPLES", 30)
    monkeypatch.setattr(mnist, "_TEST_EXAMPLES", 20)
    data = load(prepared(tmp_path / "sets", mnist.MNIST, "like_mnist", URL=f"{tmp_path}/"))
    assert images_of(data) == sorted(x.tobytes() for x in written["t10k"])
    assert data.num_classes == 10


def test_cifar_is_unpacked_by_its_own_code(tmp_path):
    pixels = RNG.integers(0, 256, (10, 3, 32, 32), dtype=np.uint8)
    records = b"".join(bytes([i]) + x.tobytes() for i, x in enumerate(pixels))
    files = {f"data_batch_{i}.bin": records for i in range(1, 6)}
    files |= {"test_batch.bin": records}
    names = [f"kind {i}" for i in range(10)]
    files |= {"batches.meta.txt": "\n".join(names).encode()}
    path = tmp_path / "cifar.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    info = cifar.Cifar10._cifar_info.fget(SimpleNamespace(name="like_cifar"))
    info = info._replace(url=str(path))
    data = load(prepared(tmp_path / "sets", cifar.Cifar10, "like_cifar", _cifar_info=info))
    expected = pixels.transpose(0, 2, 3, 1)
    assert images_of(data) == sorted(np.ascontiguousarray(x).tobytes() for x in expected)
    assert data.class_names == tuple(names)


@pytest.mark.parametrize("form", ["jpeg", "png"])
def test_what_only_tensorflow_encodes_says_so(tmp_path, form):
    """JPEG is not exact, and another writer's would be another data set."""
    dtype = np.uint8 if form == "jpeg" else np.uint16
    feature = tfds.features.Image(shape=(4, 6, 3), encoding_format=form, dtype=dtype)
    with pytest.raises(DataError, match=r"tensorflow is not installed, and encodes") as caught:
        prepared(tmp_path, Local, "local", images=np.zeros((20, 4, 6, 3), dtype), feature=feature)
    assert "--data.dir" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("shape", "dtype"), [((4, 6, n), np.uint8) for n in (1, 2, 3, 4)] + [((4, 6, 1), np.uint16)]
)
def test_a_png_is_exact(shape, dtype):
    from PIL import Image

    x = RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
    with Image.open(io.BytesIO(png(x))) as image:
        np.testing.assert_array_equal(np.asarray(image).reshape(shape), x)


def test_the_stand_in_is_gone_afterwards():
    lazy = lazy_imports_utils.tensorflow
    with without_tensorflow():
        assert lazy.io.gfile.exists("/")
        assert lazy.compat.as_text(b"a") == lazy.compat.as_text("a") == "a"
        with pytest.raises(ImportError, match=r"tf\.data is used"):
            _ = lazy.data
    with pytest.raises(ImportError):
        _ = lazy.io
