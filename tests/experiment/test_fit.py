"""A model and data that do not fit: the message names what can be done about it."""

import re

import jax
import numpy as np
import pytest

from jaxgen import data, fields
from jaxgen.autoregressive import gated_pixel_cnn, pixel_cnn_pp, wavenet
from jaxgen.errors import ConfigError
from jaxgen.experiment import require_fit
from jaxgen.gan import GAN, CatGAN, Discriminator, SemiSupervisedGAN, conditional_gan
from jaxgen.nn import MLPGenerator, MLPTrunk
from jaxgen.vae import vae

PIXELS = np.random.default_rng(0).integers(0, 17, (40, 4, 4)).astype(np.uint8)


def bounded():
    """Return a GAN whose samples lie in [-1, 1]."""
    generator = MLPGenerator((4,), (4, 4, 1), output="tanh")
    return GAN((4, 4, 1), 2, generator, Discriminator(MLPTrunk((4,))))


MODELS = {
    "values": (vae.mlp((4, 4, 1), latent_dim=2, hidden=(4,)), "Gaussian observation", "binarise"),
    "range": (bounded(), "without a final activation", "symmetric"),
}


@pytest.mark.parametrize("name", MODELS)
def test_of_real_numbers_no_other_transform_is_proposed(name):
    model, possible, impossible = MODELS[name]
    real = data.from_arrays(PIXELS / 16)
    with pytest.raises(ConfigError, match=f"Try: .*{possible}.*whole numbers") as error:
        require_fit(model, real)
    assert impossible not in str(error.value)


@pytest.mark.parametrize("name", MODELS)
def test_of_levels_the_transform_is_proposed(name):
    model, _, transform = MODELS[name]
    levels = data.from_arrays(PIXELS, levels=17, transform="unit")
    with pytest.raises(ConfigError, match=re.compile(rf"Try: {transform} for")):
        require_fit(model, levels)


SHAPE = (4, 4, 1)
CONDITIONED = {
    "conditional GAN": conditional_gan.labelled(
        SHAPE, 2, 3, MLPGenerator((4,), SHAPE, output="sigmoid"), MLPTrunk((4,))
    ),
    "gated PixelCNN": gated_pixel_cnn.build(SHAPE, num_layers=1, features=2, num_classes=3),
    "PixelCNN++": pixel_cnn_pp.build(SHAPE, levels=17, num_classes=3),
    "WaveNet": wavenet.build((16,), levels=17, num_layers=1, num_blocks=1, num_classes=3),
}
FORM = {"conditional GAN": "unit", "gated PixelCNN": "binarise"}


def labelled(name, label, **splits):
    """Return pixels with labels, in the form of one of CONDITIONED."""
    image = PIXELS.reshape(40, 16) if name == "WaveNet" else PIXELS
    given = {"image": image, "label": label}
    more = {split: {"image": image, "label": other} for split, other in splits.items()}
    transform = FORM.get(name, "levels")
    return data.from_arrays(given, levels=17, num_classes=3, transform=transform, **more)


@pytest.mark.parametrize("name", CONDITIONED)
def test_a_model_that_is_given_classes_needs_all_of_them(name):
    label = np.arange(40) % 3
    require_fit(CONDITIONED[name], labelled(name, label))
    one = np.where(np.arange(40) == 7, -1, label)
    for split, found in (
        ("train", labelled(name, one, validation=label, test=label)),
        ("validation", labelled(name, label, validation=one, test=label)),
        ("test", labelled(name, label, test=0 * label - 1)),
    ):
        with pytest.raises(ConfigError, match=rf"\d+ {split} examples are of no known class"):
            require_fit(CONDITIONED[name], found)


def test_labels_that_a_flag_took_away_are_named_by_it():
    few = data.load(data.Data(labels=30))
    model = gated_pixel_cnn.build((8, 8, 1), num_layers=1, features=2, num_classes=10)
    with pytest.raises(ConfigError, match=r"1270 train examples(.|\n)*Leave out --data\.labels"):
        require_fit(model, few)


def test_a_model_that_names_classes_takes_unknown_ones():
    label = np.where(np.arange(40) % 2, -1, np.arange(40) % 3)
    found = data.from_arrays(
        {"image": PIXELS, "label": label}, levels=17, num_classes=3, transform="unit"
    )
    generator = MLPGenerator((4,), SHAPE, output="sigmoid")
    require_fit(SemiSupervisedGAN(SHAPE, 2, 3, generator, MLPTrunk((4,))), found)
    require_fit(CatGAN(SHAPE, 2, 3, generator, MLPTrunk((4,)), label_weight=1.0), found)
    require_fit(CatGAN(SHAPE, 2, 5, generator, MLPTrunk((4,))), found)  # clusters of its own
    with pytest.raises(ConfigError, match="has 3 classes, the model names 2"):
        require_fit(CatGAN(SHAPE, 2, 2, generator, MLPTrunk((4,)), label_weight=1.0), found)
    bare = data.from_arrays(PIXELS, levels=17, transform="unit")
    with pytest.raises(ConfigError, match="has no classes, the model names 3"):
        require_fit(CatGAN(SHAPE, 2, 3, generator, MLPTrunk((4,)), label_weight=1.0), bare)


@pytest.mark.parametrize("bad", [-1, 3, -4, 100])
def test_a_label_that_is_no_class_is_no_index(bad):
    label = np.asarray([0, 2, bad, 1])
    model = CONDITIONED["conditional GAN"]
    message = rf"label: got {bad} at index 2, expected 0\.\.2"
    for act in (
        lambda: fields.require_classes(label, 3),
        lambda: model.decode({}, np.zeros((4, 2)), label),
        lambda: model.logits({}, np.zeros((4, *SHAPE)), label),
        lambda: CONDITIONED["gated PixelCNN"].log_prob({}, np.zeros((4, *SHAPE)), label=label),
        lambda: CONDITIONED["PixelCNN++"].sample({}, jax.random.key(0), 4, label=label),
        lambda: CONDITIONED["WaveNet"].with_label(4, {"label": label}),
    ):
        with pytest.raises(ConfigError, match=message):
            act()
    fields.require_classes(np.asarray([0, 1, 2]), 3)
    fields.require_classes(None, 3)
