"""Malformed data on disk, in the forms that jaxgen reads: one fault each."""

import numpy as np
import tensorflow_datasets as tfds
from data.readers import test_folder, test_wav
from data.readers.test_idx import encode, write_folder
from data.readers.test_tfds import prepared

SIZES = {"train": 40, "validation": 20, "test": 20}
LAST = "train-images-idx3-ubyte"
ARRAYS = "examples.npz"


def damaged_set(root, **attributes):
    """A prepared set; `image` and `label` are its features, `x` and `y` their values by number."""
    shape = (2, 2, 1)
    x = attributes.pop("x", lambda i: np.full(shape, i, np.uint8))
    y = attributes.pop("y", lambda i: i % 7)
    image = attributes.pop("image", tfds.features.Tensor(shape=shape, dtype=np.uint8))
    label = attributes.pop("label", tfds.features.Scalar(np.int64))

    def info(self):
        features = tfds.features.FeaturesDict({"image": image, "label": label})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def examples(self, size):
        return ((i, {"image": x(i), "label": y(i)}) for i in range(size))

    name = attributes.pop("name", "Damaged")
    more = {"sizes": SIZES, **attributes, "_info": info, "_generate_examples": examples}
    return prepared(root, name, **more)


def rewritten(folder, name, old, new):
    """A file of a prepared set says something else."""
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def vectors(root, value):
    """Float32 vectors of which number 7 of each split holds one bad number."""

    def x(i):
        return np.array([0.5, value if i == 7 else 1.0], np.float32)

    damaged_set(root, image=tfds.features.Tensor(shape=(2,), dtype=np.float32), x=x)


def one_odd_image(root, array):
    test_folder.write_classes(root)
    test_folder.save(root / "a" / "500.png", array)


def palette(root):
    test_folder.write_classes(root)
    picture = test_folder.Image.new("P", (6, 4))
    picture.save(root / "a" / "500.png")


def beside_images(root, content):
    """A file named .png that holds `content` of a real one."""
    one_odd_image(root, np.random.default_rng(0).integers(0, 256, (4, 6), dtype=np.uint8))
    path = root / "a" / "500.png"
    path.write_bytes(content(path.read_bytes()))


def idx(root, change):
    write_folder(root, suffix="")
    (root / LAST).write_bytes(change((root / LAST).read_bytes()))


def labels_of_another_number(root):
    write_folder(root, suffix="")
    (root / "train-labels-idx1-ubyte").write_bytes(encode(np.zeros(39, np.uint8)))


def no_pixels(root):
    write_folder(root, suffix="")
    for name, num in ((LAST, 40), ("t10k-images-idx3-ubyte", 10)):
        (root / name).write_bytes(encode(np.zeros((num, 0, 5), np.uint8)))


def sound(root, case):
    test_wav.write_classes(root)
    number = next(i for i in range(500, 600) if test_wav.part_of(f"b/{i}.wav") == "train")
    test_wav.damaged(root / "b" / f"{number}.wav", case)


def arrays(root, **fields):
    np.savez(root / ARRAYS, **fields)


def complex_pixels(root):
    rewritten(damaged_set(root), "features.json", '"uint8"', '"complex64"')


def too_few_classes(root):
    """Labels 0..6 where the set says that there are three."""
    folder = damaged_set(root, label=tfds.features.ClassLabel(num_classes=7))
    rewritten(folder, "features.json", '"7"', '"3"')


def shard(root, change):
    path = next(damaged_set(root).glob("*-train*"))
    path.write_bytes(change(path.read_bytes()))


def flipped(content):
    """One byte is another."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def features(**more):
    return lambda root: damaged_set(root, **more)


def tensor(dtype, *shape):
    return tfds.features.Tensor(shape=shape, dtype=dtype)
