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
from prototypes import Growing, TwoDomains

from jaxgen import gan, parallel
from jaxgen.autoregressive import (
    DiagonalBiLSTM,
    Ordering,
    ensemble,
    fvbn,
    gated_pixel_cnn,
    made,
    nade,
    orderless_nade,
    pixel_cnn,
    pixel_cnn_pp,
    pixel_rnn,
    rnade,
    tabular,
    wavenet,
)
from jaxgen.autoregressive.pixel_rnn import multi_scale
from jaxgen.diffusion import DDIM, GSN, ddpm
from jaxgen.diffusion import denoising_autoencoder as denoising
from jaxgen.distributions.mixture import MixtureOfGaussians, MixtureOfLaplaces
from jaxgen.distributions.observation import Categorical, DiscretizedLogistic, Gaussian
from jaxgen.energy import DBM, NCE, RBM, DBMLayer, DiagonalNormal, QuadraticEnergy
from jaxgen.experiment import Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.flow import ICA, NICE, RealNVP
from jaxgen.gan import conditional_gan, dcgan
from jaxgen.nn import MLP, WithReference
from jaxgen.step import Player, TrainState, train_step
from jaxgen.vae import NormalPrior, RingPrior, SwissRollPrior, autoencoder, iwae, vae
from jaxgen.vae import linear_gaussian as lg
from jaxgen.vae.adversarial_autoencoder import model as aae
from jaxgen.vae.adversarial_autoencoder import semi_supervised

EMA_DECAY = 0.9


def no_fields(model: Any, num: int, seed: int) -> dict[str, jax.Array]:
    """Return nothing besides the image."""
    return {}


def labels(model: Any, num: int, seed: int) -> dict[str, jax.Array]:
    """Return the classes of `num` examples, all of them in turn."""
    classes = getattr(model, "num_labels", 0) or model.num_classes
    return {"label": jnp.arange(num) % classes}


def low(model: Any, num: int, seed: int) -> dict[str, jax.Array]:
    """Return what the first stage of a growth makes."""
    return {"low": examples(model, num, seed)}


def other(model: Any, num: int, seed: int) -> dict[str, jax.Array]:
    """Return examples of the second of two domains."""
    return {"other": examples(model, num, seed + 1000)}


@dataclass(frozen=True)
class Tiny:
    """A tiny model and what the laws must know of it.

    Attributes:
      make: builds the model.
      noisy: its loss draws numbers: latent variables, masks, orders, dropout.
      tolerance: relative, of the losses on several devices against those on one.
      absolute: likewise, in nats; larger where a loss is a small difference of large numbers.
      fields: (model, num, seed) -> what a batch has besides the image.
      devices: numbers of them on which its run is that on one. Compiling takes long: one model of
        each family has some, and each model with a mutable collection is on four all the same.
    """

    make: Callable[[], Any]
    noisy: bool = True
    tolerance: float = 1e-6
    absolute: float = 2e-7
    fields: Callable[[Any, int, int], dict[str, jax.Array]] = no_fields
    devices: tuple[int, ...] = ()


exact = partial(Tiny, noisy=False)  # an exact likelihood
labelled = partial(Tiny, fields=labels)

_made = partial(made.MADE, (2, 3, 1), (12, 10), Ordering("random", 3))
_mlp = partial(vae.mlp, (2, 2), latent_dim=2, hidden=(3,))
_orderless = partial(orderless_nade.build, (2, 3, 1), hidden=(16,))
_pp = {"num_components": 2, "features": 2, "num_blocks": 1}
_cnn = {"num_layers": 1, "features": 12, "head": 6}
_gated = {"num_layers": 2, "features": 6, "head": 6}
_aae = partial(aae.mlp, (3,), hidden=(4,), critic=(4,))
_rnn = {"num_layers": 2, "features": 3, "head": 8, "kernel_size": 3}
_rbm = partial(RBM, shape=(2, 2), hidden=3, sweeps=50)
_dbm = DBM((2, 2), (3, 2), mean_field=5, num_chains=8, sweeps=50)
_ddpm = partial(ddpm.mlp, (3,), hidden=(6,), num_steps=6)
_denoiser = partial(denoising.mlp, (3,), hidden=(5,), moves=20)
_rnn_rgb = {"num_layers": 1, "features": 6, "head": 12, "kernel_size": 3}

# Autoregressive models of at most 4096 states each, under tests/autoregressive/test_chain_rule.py;
# the variants, which train as the others do, under that alone.
AUTOREGRESSIVE = {
    "ar1": exact(lambda: tabular.MarkovChain((2, 3, 1), 1, levels=3)),
    "joint table": exact(lambda: tabular.JointTable((2, 2, 1), 3, Ordering("column"))),
    "fvbn random order": exact(lambda: fvbn.FVBN((2, 3, 1), Ordering("random", 1))),
    "nade": exact(lambda: nade.NADE((2, 3, 1), 4), devices=(4,)),
    "rnade": exact(lambda: rnade.RNADE((3,), 6, MixtureOfGaussians(2))),
    "orderless nade": Tiny(lambda: _orderless(ordering=Ordering("random", 2))),
    "made deep": Tiny(lambda: _made(direct=False, conditioned=True, activation="elu", dropout=0.2)),
    "wavenet conditional": exact(
        lambda: wavenet.build(
            (6,), levels=4, num_layers=2, num_blocks=1, features=3, skip=6, num_classes=2
        )
    ),
    "pixel cnn": exact(lambda: pixel_cnn.build((2, 5, 1), coordinates=True, **_cnn)),
    "gated pixel cnn conditional": Tiny(
        lambda: gated_pixel_cnn.build(
            (2, 4, 1), num_classes=3, skips=True, coordinates=True, dropout=0.2, **_gated
        ),
        devices=(4,),
    ),
    "row lstm": exact(lambda: pixel_rnn.row_lstm((3, 3, 1), coordinates=True, **_rnn)),
    "diagonal bilstm": exact(lambda: pixel_rnn.diagonal_bilstm((3, 4, 1), **_rnn)),
    "multi scale": exact(
        lambda: multi_scale.build(
            DiagonalBiLSTM, (2, 4, 1), widths=(2,), coordinates=True, **_rnn | {"num_layers": 1}
        )
    ),
    "pixel cnn++": Tiny(lambda: pixel_cnn_pp.build((3, 3, 1), levels=2, num_stages=2, **_pp)),
}
VARIANTS = {
    "fvbn": exact(lambda: fvbn.FVBN((2, 3, 1))),
    "independent": exact(lambda: tabular.independent((2, 3, 1))),
    "ar2 stationary": exact(lambda: tabular.MarkovChain((2, 3, 1), 2, stationary=True)),
    "nade column order": exact(lambda: nade.NADE((2, 3, 1), 4, Ordering("column"))),
    "rnade laplace": exact(
        lambda: rnade.RNADE((3,), 6, MixtureOfLaplaces(2), Ordering("reversed"))
    ),
    "made": exact(lambda: made.MADE((2, 3, 1), (12,))),
    "wavenet": exact(
        lambda: wavenet.build((6,), levels=3, num_layers=2, num_blocks=1, features=3, skip=6)
    ),
    "pixel cnn rgb": exact(
        lambda: pixel_cnn.build(
            (2, 1, 3), observation=Categorical(3), num_layers=1, features=24, head=24
        )
    ),
    "pixel cnn dropout": Tiny(lambda: pixel_cnn.build((2, 3, 1), dropout=0.2, **_cnn)),
    "gated pixel cnn": exact(lambda: gated_pixel_cnn.build((3, 3, 1), **_gated)),
    "gated pixel cnn rgb": exact(
        lambda: gated_pixel_cnn.build(
            (1, 2, 3), observation=Categorical(3), kernel_size=5, **_gated
        )
    ),
    "row lstm rgb": exact(
        lambda: pixel_rnn.row_lstm((2, 1, 3), observation=Categorical(3), **_rnn_rgb)
    ),
    "diagonal bilstm rgb": exact(lambda: pixel_rnn.diagonal_bilstm((2, 2, 3), **_rnn_rgb)),
    "pixel cnn++ colours": Tiny(
        lambda: pixel_cnn_pp.build((2, 2, 3), levels=2, num_stages=1, num_classes=2, **_pp)
    ),
}
_generator, _trunk = gan.MLPGenerator((4,), (3,)), gan.MLPTrunk((4,))
_judge = gan.Discriminator(_trunk)
_virtual = replace(_generator, norm="virtual", num_reference=4)
_dcgan = partial(dcgan.build, (4, 4, 1), latent_dim=2, features=2, smallest=1, kernel_size=3)
ADVERSARIAL = {
    "gan": Tiny(lambda: gan.GAN((3,), 2, replace(_generator, norm="batch"), _judge), devices=(4,)),
    "gan virtual": Tiny(
        lambda: gan.GAN((3,), 2, WithReference(_virtual, 4), _judge, "minimax", r1=0.1)
    ),
    "f gan": Tiny(lambda: gan.FGAN((3,), 2, _generator, _judge, "pearson")),
    "wgan gp": Tiny(
        lambda: gan.WGANGP(
            (3,), 2, _generator, replace(_judge, use_bias=False), discriminator_moves=2
        )
    ),
    "pac gan": Tiny(lambda: gan.PacGAN((3,), 2, _generator, _judge, smoothing=0.1)),
    "unrolled gan": Tiny(lambda: gan.UnrolledGAN((3,), 2, _generator, _judge, 2)),
    "dcgan": Tiny(lambda: _dcgan()),
    "conditional gan": labelled(lambda: conditional_gan.labelled((3,), 2, 2, _generator, _trunk)),
    "ac gan": labelled(
        lambda: conditional_gan.labelled((3,), 2, 2, _generator, _trunk, how="auxiliary")
    ),
    "semi-supervised gan": labelled(
        lambda: gan.SemiSupervisedGAN(
            (3,),
            2,
            2,
            _generator,
            replace(_judge, outputs=2, trunk=replace(_trunk, noise=(0.1, 0.1))),
        )
    ),
    "cat gan": Tiny(lambda: gan.CatGAN((3,), 2, 3, _generator, replace(_judge, outputs=3))),
    "spectral gan": Tiny(
        lambda: gan.GAN((3,), 2, _generator, replace(_judge, trunk=replace(_trunk, spectral=True)))
    ),
}
DIFFUSION = {
    "ddpm": Tiny(lambda: _ddpm(), devices=(4,)),
    "ddpm bound": Tiny(lambda: _ddpm(objective="bound", variance="small", schedule="cosine")),
    "ddpm levels": Tiny(
        lambda: _ddpm(levels=4, objective="bound", frequencies=1, ddim=DDIM(3, eta=0.5))
    ),
    "denoising autoencoder": Tiny(lambda: _denoiser()),
    "denoising energy": Tiny(lambda: _denoiser(energy=True)),
    "gsn": Tiny(lambda: GSN((2, 2), (5, 4), walkbacks=3, noise_std=0.5, moves=20)),
    "gsn shallow": Tiny(lambda: GSN((2, 2), (5,), walkbacks=2, activation="sigmoid", moves=20)),
    "ddpm unet": Tiny(
        lambda: ddpm.unet((4, 2, 1), levels=3, features=4, groups=2, attention=(4,), num_steps=4)
    ),
}
GENERATIVE = (
    AUTOREGRESSIVE
    | ADVERSARIAL
    | DIFFUSION
    | {  # models that sample
        "orderless nades": Tiny(lambda: ensemble.several(_orderless(), 3)),
        "mades": Tiny(lambda: ensemble.several(_made(dropout=0.2), 3)),
        "vae": Tiny(lambda: _mlp(), devices=(2, 4)),
        "vae fixed std": Tiny(lambda: _mlp(observation=Gaussian(0.3))),
        "vae learned std": Tiny(lambda: _mlp(observation=Gaussian(), shared_scale=True)),
        "vae std per pixel": Tiny(lambda: _mlp(observation=Gaussian())),
        "vae levels": Tiny(lambda: _mlp(observation=DiscretizedLogistic(4))),
        "vae conv": Tiny(lambda: vae.conv((5, 6, 1), latent_dim=2, widths=(2,))),
        "vae weighted": Tiny(lambda: _mlp(beta=2.0, warmup_steps=4, free_bits=0.02)),
        "vae bfloat16": Tiny(lambda: _mlp(dtype="bfloat16"), tolerance=2e-3),
        "iwae": Tiny(lambda: iwae.mlp((2, 2), latent_dim=1, hidden=(3,), num_samples=3)),
        "linear gaussian": Tiny(lambda: lg.linear((4,), latent_dim=2)),
        "dbm": Tiny(lambda: _dbm, absolute=8e-7),
        "diagonal normal": exact(lambda: DiagonalNormal((3,))),
        "nce": Tiny(lambda: NCE(QuadraticEnergy((3,)), DiagonalNormal((3,)), 2, sweeps=20)),
        "nce rbm": Tiny(
            lambda: NCE(
                _rbm(shape=(2, 2, 1), learning="cd"), tabular.independent((2, 2, 1)), sweeps=20
            )
        ),
        "adversarial autoencoder": Tiny(lambda: _aae(RingPrior(3)), tolerance=2e-6, devices=(4,)),
        "adversarial autoencoder universal": Tiny(
            lambda: _aae(SwissRollPrior(2), kind="universal", noise=(0.1, 0.1))
        ),
        "adversarial autoencoder gaussian": Tiny(lambda: _aae(NormalPrior(2), kind="gaussian")),
        "adversarial autoencoder informed": labelled(lambda: _aae(RingPrior(2), informed=True)),
        "semi-supervised aae": labelled(
            lambda: semi_supervised.mlp((3,), 2, style_dim=2, hidden=(4,), critic=(4,))
        ),
        # their losses are small differences of two free energies of about 3
        "rbm": Tiny(lambda: _rbm(num_chains=8), absolute=8e-7),
        "rbm cd": Tiny(lambda: _rbm(learning="cd", steps=2), absolute=8e-7, devices=(4,)),
        "rbm exact": exact(lambda: _rbm(learning="exact")),
        "rbm gaussian": Tiny(
            lambda: RBM((3,), 4, Gaussian(0.8), num_chains=8, sweeps=50), absolute=8e-7
        ),
        "real nvp": exact(lambda: RealNVP((3,), (4,), 3), devices=(4,)),
        "nice": exact(lambda: NICE((2, 2, 1), (4,), 3)),
        "ica": exact(lambda: ICA((3,))),
        "growing": Tiny(Growing, fields=low, devices=(4,)),
        "growing, second stage": Tiny(partial(Growing, target="image")),
    }
)
PLAIN = {  # the others
    "autoencoder": exact(lambda: autoencoder.mlp((2, 2), latent_dim=1, hidden=(3,))),
    "game": Tiny(lambda: ToyGame(), devices=(2, 4)),
    "two domains": exact(TwoDomains, fields=other),
    "dbm layer": Tiny(lambda: DBMLayer(_dbm, 2, steps=2), absolute=8e-7),
}
MODELS = GENERATIVE | PLAIN


def tiny(name: str) -> Tiny:
    """Return the entry of that name."""
    return (MODELS | VARIANTS)[name]


@lru_cache
def experiment(name: str) -> Experiment:
    """The tiny model of that name with an optimiser for each of its players, and an average."""
    model = tiny(name).make()
    num_players = len(inspect.signature(model.players).parameters)
    settings = Settings(steps=10, batch_size=8, ema_decay=EMA_DECAY)
    return Experiment(model, settings, optimizers=(Optimizer(learning_rate=0.01),) * num_players)


def examples(model: Any, num: int = 8, seed: int = 0) -> jax.Array:
    """`num` random examples in the space of the model."""
    random, shape = np.random.default_rng(seed), (num, *model.shape)
    values = getattr(getattr(model, "observation", model), "values", None)
    if values is not None:
        return jnp.asarray(random.integers(0, values, shape), jnp.float32)
    low, high = getattr(model, "range", (-np.inf, np.inf))
    return jnp.asarray(random.normal(size=shape).clip(low, high), jnp.float32)


def batch(name: str, num: int = 8, seed: int = 0) -> dict[str, jax.Array]:
    """Return a batch for the tiny model of that name."""
    model = experiment(name).model
    return {"image": examples(model, num, seed), **tiny(name).fields(model, num, seed)}


KEPT = 8  # compiled functions of a kind, of the last models; the tests of one follow each other


@lru_cache(KEPT)
def _initialisation(name):
    return jax.jit(experiment(name).fresh_state)


def fresh(name: str, seed: int = 0) -> TrainState:
    """Return the state before the first step; a new one at each call, for steps donate it."""
    return _initialisation(name)(jax.random.key(seed))


def perturbed(name: str, seed: int = 0) -> TrainState:
    """Return a state before the first step with noise on all parameters.

    A fresh layer of zeros holds others still: nothing that a law says of it could fail.
    """
    state = fresh(name, seed)
    random = np.random.default_rng(seed)
    variables = {network: dict(collections) for network, collections in state.variables.items()}
    for collections in variables.values():
        if "params" in collections:
            noisy = partial(_with_noise, random)
            collections["params"] = jax.tree.map(noisy, collections["params"])
    ema = None if state.ema is None else jax.tree.map(jnp.copy, variables)
    return state.replace(variables=variables, ema=ema)


def _with_noise(random: np.random.Generator, leaf: jax.Array) -> jax.Array:
    noise = 0.1 * random.normal(size=leaf.shape)
    return jnp.asarray(np.asarray(leaf) + noise, leaf.dtype)


@lru_cache
def mesh(num_devices: int = 1) -> Mesh:
    """A mesh of the first so many devices."""
    return parallel.device_mesh(jax.devices()[:num_devices])


@dataclass(frozen=True)
class CountedStep:
    """A compiled step that records how often it was traced."""

    run: Callable[..., Any]
    traces: list[int]


@lru_cache(KEPT)
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
