"""Every model in float64: shapes and dtypes of what it makes, which costs no compilation."""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxgen import fields
from jaxgen.autoregressive import pixel_cnn_pp, wavenet
from jaxgen.autoregressive.pixel_cnn_pp import ShiftedResNet
from jaxgen.distributions import Bernoulli, Categorical, DiscretizedLogistic, Gaussian
from jaxgen.nn import MLP, Down
from jaxgen.precision import at_least_float32, kept
from jaxgen.step import train_step
from jaxgen.typing import Bounded, Density, Encoder, Game, Latent, Sampler
from jaxgen.vae import vae

KEY = jax.random.key(0)
LIBRARY = [
    name for name in tiny.MODELS if type(tiny.tiny(name).make()).__module__.startswith("jaxgen.")
]


def wide(part):
    """The same model, its networks computing in float64."""
    if isinstance(part, tuple):
        return tuple(wide(item) for item in part)
    if not dataclasses.is_dataclass(part):
        return part
    changed = {}
    for field in dataclasses.fields(part):
        if field.init and not (isinstance(part, nn.Module) and field.name in ("parent", "name")):
            value = getattr(part, field.name)
            changed[field.name] = "float64" if field.name == "dtype" else wide(value)
    return dataclasses.replace(part, **changed)


def narrow(tree):
    """The leaves that are real numbers, but not in float64."""
    found = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype != jnp.float64:
            found.append(f"{jax.tree_util.keystr(path, simple=True, separator='/')}: {leaf.dtype}")
    return found


def types(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)


def doubled(batch):
    """The batch with its real numbers in float64."""
    return {
        name: x.astype(float) if jnp.issubdtype(x.dtype, jnp.floating) else x
        for name, x in batch.items()
    }


def outputs(model, batch):
    """What the model can do, as functions of its variables alone."""
    x = batch[fields.target(model)]
    given = {name: jnp.asarray(value) for name, value in fields.conditions(model, batch).items()}
    two = {name: value[:2] for name, value in given.items()}
    found = {}
    if isinstance(model, Density):
        found["log_prob"] = lambda v: model.log_prob(v, x, **given)
    if isinstance(model, Bounded):
        found["elbo"] = lambda v: model.elbo(v, x, KEY, num_samples=2, **given)
    if isinstance(model, Encoder):
        found["encode"] = lambda v: model.encode(v, x, **given)
    if isinstance(model, Game):
        found["logits"] = lambda v: model.logits(v, x, **given)
    if isinstance(model, Latent):
        found["decode"] = lambda v: model.decode(v, model.latents(KEY, 2))
    if isinstance(model, Sampler):
        found["sample"] = lambda v: model.sample(v, KEY, num=2, **two)
    return found


@pytest.mark.parametrize("name", LIBRARY)
def test_every_model_begins_learns_and_is_evaluated_in_float64(name):
    experiment = tiny.experiment(name)
    experiment = dataclasses.replace(experiment, model=wide(experiment.model))
    with jax.enable_x64(True):
        state = jax.eval_shape(experiment.fresh_state, KEY)
        assert narrow(state) == []
        batch = doubled(tiny.batch(name))
        step = partial(train_step, experiment.players(), ema_decay=tiny.EMA_DECAY)
        after, metrics = jax.eval_shape(step, state, batch)
        assert narrow(metrics) == []
        assert types(after) == types(state)
        for method, of_variables in outputs(experiment.model, batch).items():
            made = jax.eval_shape(of_variables, state.variables)
            assert narrow(made) == [], method


@pytest.mark.parametrize(
    "model",
    [
        lambda: wavenet.build((6,), levels=4, num_layers=1, num_blocks=1, features=3, skip=6),
        lambda: pixel_cnn_pp.build(
            (2, 2, 1), levels=4, num_stages=1, num_components=1, features=2, num_blocks=1
        ),
        lambda: vae.mlp((4,), latent_dim=2, hidden=(3,), observation=Gaussian(), shared_scale=True),
    ],
)
def test_a_network_that_computes_in_float32_does_so_beside_float64(model):
    model = model()
    with jax.enable_x64(True):
        variables = jax.eval_shape(model.init, KEY)
        assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}
        for of_variables in outputs(model, {"image": jnp.zeros((2, *model.shape))}).values():
            jax.eval_shape(of_variables, variables)


def test_the_field_of_a_network_is_found_in_float64_too():
    with jax.enable_x64(True):
        found = ShiftedResNet(1, features=1, num_blocks=1, num_stages=1).field(2, 2)
    assert found.any()


def test_numbers_are_kept_in_what_is_computed_but_not_in_less_than_float32():
    def dtype(network):
        made = kept(network, {"params": jnp.zeros(2), "count": jnp.zeros(1, int)})
        assert jnp.issubdtype(made["count"].dtype, jnp.integer)
        return str(made["params"].dtype)

    computed = [MLP((), 1, dtype=name) for name in ("bfloat16", "float32", "float64")]
    assert [dtype(network) for network in computed[:2]] == ["float32"] * 2
    with jax.enable_x64(True):
        assert [dtype(network) for network in computed] == ["float32", "float32", "float64"]
        assert dtype(nn.Dense(3)) == "float64"  # which states none
        assert dtype((computed[0], computed[2])) == "float64"
        assert at_least_float32(jnp.zeros(1, jnp.bfloat16)).dtype == jnp.float32
        assert at_least_float32(jnp.zeros(1, jnp.float64)).dtype == jnp.float64


@pytest.mark.parametrize(
    "observation", [Bernoulli(), Categorical(3), DiscretizedLogistic(3), Gaussian(), Gaussian(0.3)]
)
def test_observations_keep_the_precision_of_their_parameters(observation):
    with jax.enable_x64(True):
        for dtype in (jnp.float32, jnp.float64):
            params = jax.ShapeDtypeStruct((2, observation.num_params), dtype)
            x = jax.eval_shape(observation.sample, params, KEY)
            found = [x, jax.eval_shape(observation.mean, params)]
            found.append(jax.eval_shape(observation.log_prob, params, x))
            found += jax.eval_shape(observation.grid, params)
            assert {values.dtype for values in found} == {np.dtype(dtype)}


def test_a_float64_gradient_is_one_of_differences():
    """A strided convolution's hand-written gradient, in float64 to 1e-9."""
    with jax.enable_x64(True):
        layer = Down(2, 3, dtype="float64")
        x = jax.random.normal(KEY, (2, 4, 4, 2))
        variables = kept(layer, layer.init(KEY, x))
        kernel = variables["params"]["kernel"]

        def loss(kernel):
            params = {**variables["params"], "kernel": kernel}
            return jnp.square(layer.apply({"params": params}, x)).sum()

        gradient = jax.grad(loss)(kernel)
        assert gradient.dtype == jnp.float64
        direction = jnp.ones_like(kernel)
        difference = (loss(kernel + 1e-5 * direction) - loss(kernel - 1e-5 * direction)) / 2e-5
        assert float((gradient * direction).sum()) == pytest.approx(float(difference), rel=1e-8)
