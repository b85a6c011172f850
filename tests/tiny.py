"""Tiny models, one line each; a model in a table here is under all laws that apply to it.

Compilation dominates the time of tests, so what is compiled is kept: one initialisation and one
step for each model, shared by all tests of a process.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from jaxgen import gan, parallel
from jaxgen.autoregressive import (
    DiagonalBiLSTM,
    Ordering,
    ensemble,
    fvbn,
    gated_pixel_cnn,
    made,
    multi_scale,
    nade,
    orderless_nade,
    pixel_cnn,
    pixel_cnn_pp,
    pixel_rnn,
    rnade,
    tabular,
    wavenet,
)
from jaxgen.experiment import Experiment, Settings
from jaxgen.gan import conditional_gan, dcgan
from jaxgen.mixture import MixtureOfGaussians, MixtureOfLaplaces
from jaxgen.nn import MLP, WithReference
from jaxgen.observation import Categorical, DiscretizedLogistic, Gaussian
from jaxgen.optimizer import Optimizer
from jaxgen.train import Player, TrainState, train_step
from jaxgen.vae import autoencoder, iwae, vae
from jaxgen.vae import linear_gaussian as lg

EMA_DECAY = 0.9
_made = partial(made.MADE, (2, 3, 1), (12, 10), Ordering("random", 3))
_mlp = partial(vae.mlp, (2, 2), latent_dim=2, hidden=(3,))
_orderless = partial(orderless_nade.build, (2, 3, 1), hidden=(16,))
_pp = {"num_components": 2, "features": 2, "num_blocks": 1}
_cnn = {"num_layers": 1, "features": 12, "head": 6}
_gated = {"num_layers": 2, "features": 6, "head": 6}
_rnn = {"num_layers": 2, "features": 3, "head": 8, "kernel_size": 3}
_rnn_rgb = {"num_layers": 1, "features": 6, "head": 12, "kernel_size": 3}

# Autoregressive models of at most 4096 states each, under tests/autoregressive/test_chain_rule.py;
# the variants, which train as the others do, under that alone.
AUTOREGRESSIVE = {
    "ar1": lambda: tabular.MarkovChain((2, 3, 1), 1, levels=3),
    "joint table": lambda: tabular.JointTable((2, 2, 1), 3, Ordering("column")),
    "fvbn random order": lambda: fvbn.FVBN((2, 3, 1), Ordering("random", 1)),
    "nade": lambda: nade.NADE((2, 3, 1), 4),
    "rnade": lambda: rnade.RNADE((3,), 6, MixtureOfGaussians(2)),
    "orderless nade": lambda: _orderless(ordering=Ordering("random", 2)),
    "made deep": lambda: _made(direct=False, conditioned=True, activation="elu", dropout=0.2),
    "wavenet conditional": lambda: wavenet.build(
        (6,), levels=4, num_layers=2, num_blocks=1, features=3, skip=6, num_classes=2
    ),
    "pixel cnn": lambda: pixel_cnn.build((2, 5, 1), coordinates=True, **_cnn),
    "gated pixel cnn conditional": lambda: gated_pixel_cnn.build(
        (2, 4, 1), num_classes=3, skips=True, coordinates=True, dropout=0.2, **_gated
    ),
    "row lstm": lambda: pixel_rnn.row_lstm((3, 3, 1), coordinates=True, **_rnn),
    "diagonal bilstm": lambda: pixel_rnn.diagonal_bilstm((3, 4, 1), **_rnn),
    "multi scale": lambda: multi_scale.build(
        DiagonalBiLSTM, (2, 4, 1), widths=(2,), coordinates=True, **_rnn | {"num_layers": 1}
    ),
    "pixel cnn++": lambda: pixel_cnn_pp.build((3, 3, 1), levels=2, num_stages=2, **_pp),
}
VARIANTS = {
    "fvbn": lambda: fvbn.FVBN((2, 3, 1)),
    "independent": lambda: tabular.independent((2, 3, 1)),
    "ar2 stationary": lambda: tabular.MarkovChain((2, 3, 1), 2, stationary=True),
    "nade column order": lambda: nade.NADE((2, 3, 1), 4, Ordering("column")),
    "rnade laplace": lambda: rnade.RNADE((3,), 6, MixtureOfLaplaces(2), Ordering("reversed")),
    "made": lambda: made.MADE((2, 3, 1), (12,)),
    "wavenet": lambda: wavenet.build(
        (6,), levels=3, num_layers=2, num_blocks=1, features=3, skip=6
    ),
    "pixel cnn rgb": lambda: pixel_cnn.build(
        (2, 1, 3), observation=Categorical(3), num_layers=1, features=24, head=24
    ),
    "pixel cnn dropout": lambda: pixel_cnn.build((2, 3, 1), dropout=0.2, **_cnn),
    "gated pixel cnn": lambda: gated_pixel_cnn.build((3, 3, 1), **_gated),
    "gated pixel cnn rgb": lambda: gated_pixel_cnn.build(
        (1, 2, 3), observation=Categorical(3), kernel_size=5, **_gated
    ),
    "row lstm rgb": lambda: pixel_rnn.row_lstm((2, 1, 3), observation=Categorical(3), **_rnn_rgb),
    "diagonal bilstm rgb": lambda: pixel_rnn.diagonal_bilstm((2, 2, 3), **_rnn_rgb),
    "pixel cnn++ colours": lambda: pixel_cnn_pp.build(
        (2, 2, 3), levels=2, num_stages=1, num_classes=2, **_pp
    ),
}
_generator, _trunk = gan.MLPGenerator((4,), (3,)), gan.MLPTrunk((4,))
_judge = gan.Discriminator(_trunk)
_virtual = replace(_generator, norm="virtual", num_reference=4)
_dcgan = partial(dcgan.build, (4, 4, 1), latent_dim=2, features=2, smallest=1, kernel_size=3)
ADVERSARIAL = {
    "gan": lambda: gan.GAN((3,), 2, replace(_generator, norm="batch"), _judge),
    "gan virtual": lambda: gan.GAN((3,), 2, WithReference(_virtual, 4), _judge, "minimax", r1=0.1),
    "f gan": lambda: gan.FGAN((3,), 2, _generator, _judge, "pearson"),
    "wgan gp": lambda: gan.WGANGP(
        (3,), 2, _generator, replace(_judge, use_bias=False), discriminator_moves=2
    ),
    "pac gan": lambda: gan.PacGAN((3,), 2, _generator, _judge, smoothing=0.1),
    "unrolled gan": lambda: gan.UnrolledGAN((3,), 2, _generator, _judge, 2),
    "dcgan": lambda: _dcgan(),
    "conditional gan": lambda: conditional_gan.labelled((3,), 2, 2, _generator, _trunk),
    "ac gan": lambda: conditional_gan.labelled((3,), 2, 2, _generator, _trunk, how="auxiliary"),
    "semi-supervised gan": lambda: gan.SemiSupervisedGAN(
        (3,), 2, 2, _generator, replace(_judge, outputs=2, trunk=replace(_trunk, noise=(0.1, 0.1)))
    ),
    "cat gan": lambda: gan.CatGAN((3,), 2, 3, _generator, replace(_judge, outputs=3)),
    "spectral gan": lambda: gan.GAN(
        (3,), 2, _generator, replace(_judge, trunk=replace(_trunk, spectral=True))
    ),
}
NOISY = {  # those whose loss draws numbers: masks, orders, dropout
    *("pixel cnn++", "pixel cnn++ colours"),
    *("pixel cnn dropout", "gated pixel cnn conditional"),
    *("orderless nade", "orderless nades", "made deep", "mades"),
    *ADVERSARIAL,
}
GENERATIVE = (
    AUTOREGRESSIVE
    | ADVERSARIAL
    | {  # models that sample
        "orderless nades": lambda: ensemble.several(_orderless(), 3),
        "mades": lambda: ensemble.several(_made(dropout=0.2), 3),
        "vae": lambda: _mlp(),
        "vae fixed std": lambda: _mlp(observation=Gaussian(0.3)),
        "vae learned std": lambda: _mlp(observation=Gaussian(), shared_scale=True),
        "vae std per pixel": lambda: _mlp(observation=Gaussian()),
        "vae levels": lambda: _mlp(observation=DiscretizedLogistic(4)),
        "vae conv": lambda: vae.conv((5, 6, 1), latent_dim=2, widths=(2,)),
        "vae weighted": lambda: _mlp(beta=2.0, warmup_steps=4, free_bits=0.02),
        "vae bfloat16": lambda: _mlp(dtype="bfloat16"),
        "iwae": lambda: iwae.mlp((2, 2), latent_dim=1, hidden=(3,), num_samples=3),
        "linear gaussian": lambda: lg.linear((4,), latent_dim=2),
    }
)
PLAIN = {  # the others
    "autoencoder": lambda: autoencoder.mlp((2, 2), latent_dim=1, hidden=(3,)),
    "game": lambda: ToyGame(),
}
MODELS = GENERATIVE | PLAIN


@lru_cache
def experiment(name: str) -> Experiment:
    """The tiny model of that name with an optimiser for each of its players, and an average."""
    model = (MODELS | VARIANTS)[name]()
    num_players = len(inspect.signature(model.players).parameters)
    settings = Settings(steps=10, batch_size=8, ema_decay=EMA_DECAY)
    return Experiment(model, settings, optimizers=(Optimizer(learning_rate=0.01),) * num_players)


def examples(model: Any, num: int = 8, seed: int = 0) -> jax.Array:
    """`num` random examples in the space of the model."""
    random, shape = np.random.default_rng(seed), (num, *model.shape)
    values = getattr(getattr(model, "observation", None), "values", None)
    if values is not None:
        return jnp.asarray(random.integers(0, values, shape), jnp.float32)
    return jnp.asarray(random.normal(size=shape), jnp.float32)


def batch(name: str, num: int = 8, seed: int = 0) -> dict[str, jax.Array]:
    """A batch for the tiny model of that name."""
    model = experiment(name).model
    classes = getattr(model, "num_labels", 0) or (name in ADVERSARIAL and _classes(model))
    label = {"label": jnp.arange(num) % classes} if classes else {}
    return {"image": examples(model, num, seed), **label}


def _classes(model):
    return getattr(model, "num_classes", 0)


@lru_cache
def _initialisation(name):
    return jax.jit(experiment(name).fresh_state)


def fresh(name: str, seed: int = 0) -> TrainState:
    """The state before the first step; a new one at each call, for steps donate it."""
    return _initialisation(name)(jax.random.key(seed))


@lru_cache
def mesh(num_devices: int = 1) -> Mesh:
    """A mesh of the first so many devices."""
    return parallel.device_mesh(jax.devices()[:num_devices])


@dataclass(frozen=True)
class CountedStep:
    """A compiled step that records how often it was traced."""

    run: Callable[..., Any]
    traces: list[int]


@lru_cache
def step(name: str, num_devices: int) -> CountedStep:
    """The model's step, compiled for that many devices."""
    players, traces = experiment(name).players(), []

    def counted(state, batch):
        traces.append(1)
        return train_step(players, state, batch, ema_decay=EMA_DECAY)

    return CountedStep(parallel.jit_step(counted, mesh(num_devices)), traces)


def train(name: str, state: TrainState, seeds: range, num_devices: int = 1):
    """One step on the batch of each seed: the last state and {metric: [K]}."""
    metrics, state = [], parallel.replicate(state, mesh(num_devices))
    for seed in seeds:
        state, reported = step(name, num_devices).run(state, batch(name, seed=seed))
        metrics.append(reported)
    return state, {key: np.array([m[key] for m in metrics]) for key in metrics[0]}


def host(tree: Any) -> Any:
    """A copy on the host that a later donation cannot touch; keys as their data."""
    return jax.tree.map(lambda x: np.array(jax.random.key_data(x) if _is_key(x) else x), tree)


def fork(state: TrainState) -> TrainState:
    """A copy, for a step to donate."""
    return jax.tree.map(jnp.copy, state)


def scaled(variables: Any, factor: float) -> Any:
    """Parameters that are far from a fresh model's, so that posteriors are far from the prior."""
    return jax.tree.map(lambda x: factor * x, variables)


def assert_same(a: Any, b: Any) -> None:
    """Equal bit for bit, key by key."""
    a, b = host(a), host(b)
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _is_key(x):
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)


class Generator(nn.Module):
    """Noise [B, 2] -> [B, 3], through a batch normalisation."""

    @nn.compact
    def __call__(self, z):
        """Normalises by the statistics of the batch."""
        h = nn.BatchNorm(use_running_average=False, momentum=0.5)(nn.Dense(4)(z))
        return nn.Dense(3)(jnp.tanh(h))


@dataclass(frozen=True)
class ToyGame:
    """Two players: a generator with batch statistics against a linear critic."""

    shape: tuple[int, ...] = (3,)
    generator: nn.Module = Generator()  # noqa: RUF009 (frozen)
    critic: nn.Module = MLP((), 1)  # noqa: RUF009 (frozen)

    def init(self, key):
        """Fresh variables {'generator', 'critic'}."""
        generator_key, critic_key = jax.random.split(key)
        variables = self.generator.init(generator_key, jnp.zeros((1, 2)))
        statistics = jax.tree.map(jnp.copy, variables["batch_stats"])
        return {
            "generator": {"params": variables["params"], "batch_stats": statistics},
            "critic": self.critic.init(critic_key, jnp.zeros((1, *self.shape))),
        }

    def players(
        self, critic: optax.GradientTransformation, generator: optax.GradientTransformation
    ):
        """The critic moves first."""
        return (
            Player("critic", ("critic",), self.critic_loss, critic),
            Player("generator", ("generator",), self.generator_loss, generator),
        )

    def critic_loss(self, variables, batch, key):
        """Tells data from samples."""
        fake, _ = self.fake(variables, len(batch["image"]), key)
        loss = jax.nn.softplus(-self.logits(variables, batch["image"])).mean()
        return loss + jax.nn.softplus(self.logits(variables, fake)).mean(), ({}, {})

    def generator_loss(self, variables, batch, key):
        """Is taken for data; moves its batch statistics along."""
        fake, mutated = self.fake(variables, len(batch["image"]), key)
        return jax.nn.softplus(-self.logits(variables, fake)).mean(), ({}, {"generator": mutated})

    def fake(self, variables, num, key):
        """`num` samples and the new batch statistics."""
        z = jax.random.normal(key, (num, 2))
        return self.generator.apply(variables["generator"], z, mutable=["batch_stats"])

    def logits(self, variables, x):
        """[B]."""
        return self.critic.apply(variables["critic"], x)[:, 0]
