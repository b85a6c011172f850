"""What sets the variants of the game apart from the game."""

import inspect
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxgen import gan, losses
from jaxgen.errors import ConfigError, DataError
from jaxgen.fields import conditions
from jaxgen.gan import FGAN, GAN, WGANGP, CatGAN, PacGAN, SemiSupervisedGAN, dcgan
from jaxgen.gan.cat_gan import entropy, marginal_entropy
from jaxgen.gan.conditional_gan import HOW, labelled
from jaxgen.gan.pac_gan import packed
from jaxgen.gan.semi_supervised_gan import source_logit, supervised
from jaxgen.nn import Discriminator, MLPGenerator, MLPTrunk
from jaxgen.step import init_state, train_step

KEY = jax.random.key(2)
GENERATOR = MLPGenerator((8,), (3,))
DISCRIMINATOR = Discriminator(MLPTrunk((8,)))


def batch(num=12, classes=None):
    x = {"image": jax.random.normal(jax.random.key(9), (num, 3))}
    return x if classes is None else {**x, "label": jnp.arange(num) % classes}


def run(model, steps=3, **fields):
    players = model.players(optax.adam(1e-2), optax.adam(1e-2))
    state = init_state(KEY, model.init(KEY), players)
    step = jax.jit(lambda s: train_step(players, s, {**batch(), **fields})[0])
    for _ in range(steps):
        state = step(state)
    return state.variables


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


GAMES = [cls for name, cls in vars(gan).items() if name.endswith("GAN") or name == "WGANGP"]


@pytest.mark.parametrize("cls", GAMES)
def test_a_model_is_final_and_extends_what_is_abstract(cls):
    assert cls.__final__
    assert not inspect.isabstract(cls)
    above = cls.__mro__[1 : cls.__mro__.index(gan.Adversarial) + 1]
    assert all(inspect.isabstract(base) for base in above)


def test_who_judges_and_who_is_given_a_label_says_so():
    judges = {cls for cls in GAMES if hasattr(cls, "logits")}
    assert set(GAMES) - judges == {CatGAN}  # sure or unsure of its classes, none of them 'fake'
    conditional = labelled((3,), 2, 4, GENERATOR, MLPTrunk((8,)))
    known = batch(classes=4)
    assert set(conditions(conditional, known)) == {"label"}
    with pytest.raises(DataError, match="ConditionalGAN is given 'label', and the batch has only"):
        conditions(conditional, batch())
    classifier = SemiSupervisedGAN((3,), 2, 4, GENERATOR, replace(DISCRIMINATOR, outputs=4))
    assert conditions(classifier, known) == {}


def test_packs_of_one_are_the_game_bit_for_bit():
    plain = GAN((3,), 2, GENERATOR, DISCRIMINATOR)
    same(run(PacGAN((3,), 2, GENERATOR, DISCRIMINATOR, pack=1)), run(plain))


def test_a_pack_holds_whole_examples_side_by_side():
    x = jnp.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(packed(x, 3)[0], [0, 1, 2, 3, 4, 5])
    images = jax.random.normal(KEY, (4, 5, 5, 3))
    np.testing.assert_array_equal(packed(images, 2)[1, ..., 3:], images[3])
    with pytest.raises(ConfigError, match="batch size 6 is not divisible by pack 4"):
        packed(x, 4)


def test_the_gan_row_of_f_gan_is_the_game():
    for alternative, cost in ((True, "non_saturating"), (False, "minimax")):
        f = FGAN((3,), 2, GENERATOR, DISCRIMINATOR, "gan", alternative=alternative)
        plain = GAN((3,), 2, GENERATOR, DISCRIMINATOR, cost=cost)
        close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
        jax.tree.map(close, run(f), run(plain))


@pytest.mark.parametrize("name", losses.F_DIVERGENCES)
def test_a_critics_bound_is_below_the_divergence(name):
    # p = N(0, 1) and q = N(0, 1): the divergence is f(1), an untrained critic's bound is less
    generator = MLPGenerator((), (1,))
    model = FGAN((1,), 1, generator, Discriminator(MLPTrunk((8,))), name)
    variables = model.init(KEY)
    identity = {"Dense_0": {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}}
    variables = {**variables, "generator": {"params": identity}}
    x = jax.random.normal(jax.random.key(1), (200_000, 1))
    bound = float(model.bound(variables, x, jax.random.key(4)))
    assert bound <= float(losses.F_DIVERGENCES[name].f(jnp.asarray(1.0))) + 0.02
    params = variables["discriminator"]["params"]
    for bias, verdict in ((50.0, 1.0), (-50.0, 0.0)):
        head = {**params["Dense_0"], "bias": jnp.full(1, bias)}
        sure = {**variables, "discriminator": {"params": {**params, "Dense_0": head}}}
        assert (model.says_real(sure, x[:100]) == verdict).all()
    undecided = jax.tree.map(jnp.zeros_like, params)  # outputs 0, where g is f'(1) itself
    if model.row.threshold == 0:
        blank = {**variables, "discriminator": {"params": undecided}}
        assert (model.says_real(blank, x[:100]) == 0).all()


def test_the_penalty_moves_the_critic_towards_slope_one():
    model = WGANGP((3,), 2, GENERATOR, DISCRIMINATOR, weight=10.0, discriminator_moves=1)
    variables = model.init(KEY)
    free = replace(model, weight=0.0)
    loss, _ = model.discriminator_loss(variables, batch(), KEY)
    loss_without, _ = free.discriminator_loss(variables, batch(), KEY)
    assert loss - loss_without > 0.1


def test_r1_is_half_the_squared_slope_on_data():
    variables = GAN((3,), 2, GENERATOR, DISCRIMINATOR).init(KEY)
    r1 = GAN((3,), 2, GENERATOR, DISCRIMINATOR, r1=2.0)
    slope = jax.grad(lambda x: r1.logits(variables, x).sum())(batch()["image"])
    loss, _ = r1.discriminator_loss(variables, batch(), KEY)
    loss_without, _ = replace(r1, r1=0.0).discriminator_loss(variables, batch(), KEY)
    expected = float(jnp.square(slope).sum(axis=-1).mean())
    assert float(loss) - float(loss_without) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("how", HOW)
def test_the_label_matters_and_rows_stay_apart(how):
    model = labelled((3,), 2, 4, GENERATOR, MLPTrunk((8,)), how=how)
    variables = model.init(KEY)
    z = jax.random.normal(KEY, (4, 2))
    x = model.decode(variables, z, jnp.arange(4))
    assert not np.allclose(x, model.decode(variables, z, jnp.zeros(4, jnp.int32))[:4])
    order = jnp.asarray([2, 0, 3, 1])
    np.testing.assert_allclose(model.decode(variables, z[order], order), x[order], rtol=1e-5)
    logits = model.logits(variables, x, jnp.arange(4))
    changed = model.logits(variables, x, jnp.arange(4)[::-1])
    assert np.allclose(logits, changed) == (how == "auxiliary")  # it names the class instead


def test_a_projection_of_zero_ignores_the_label():
    model = labelled((3,), 2, 4, GENERATOR, MLPTrunk((8,)), how="projection")
    variables = model.init(KEY)
    params = variables["discriminator"]["params"]
    blank = {**params, "V": jax.tree.map(jnp.zeros_like, params["V"])}
    variables = {**variables, "discriminator": {"params": blank}}
    x = batch()["image"]
    logits = [model.logits(variables, x, jnp.full(12, label)) for label in (0, 3)]
    np.testing.assert_array_equal(*logits)


def test_one_class_adds_nothing_to_the_game():
    model = labelled((3,), 2, 1, GENERATOR, MLPTrunk((8,)), how="auxiliary")
    variables = model.init(KEY)
    known = batch(classes=1)
    loss, _ = model.discriminator_loss(variables, known, KEY)
    without, _ = replace(model, class_weight=0.0).discriminator_loss(variables, known, KEY)
    assert loss == pytest.approx(float(without), abs=1e-6)


def test_means_of_classes_are_learned():
    # x | y = N(3 (y - 1), 0.5^2): the samples of each class have its mean
    num_classes = 3
    generator = MLPGenerator((32,), (1,))
    trunk = MLPTrunk((64,))
    model = labelled((1,), 4, num_classes, generator, trunk, how="projection")
    players = model.players(optax.adam(1e-3, b1=0.5), optax.adam(1e-3, b1=0.5))
    state = init_state(KEY, model.init(KEY), players)

    def step(state, key):
        label_key, noise_key = jax.random.split(key)
        label = jax.random.randint(label_key, (128,), 0, num_classes)
        x = 3.0 * (label[:, None] - 1) + 0.5 * jax.random.normal(noise_key, (128, 1))
        return train_step(players, state, {"image": x, "label": label})[0], None

    keys = jax.random.split(jax.random.key(0), 1500)
    state, _ = jax.jit(lambda s: jax.lax.scan(step, s, keys))(state)
    label = jnp.repeat(jnp.arange(num_classes), 500)
    x = model.sample(state.variables, jax.random.key(1), 1500, label=label).reshape(3, 500)
    np.testing.assert_allclose(x.mean(axis=1), [-3.0, 0.0, 3.0], atol=0.4)


def test_the_source_logit_is_that_of_a_softmax_with_a_fake_class_at_zero():
    logits = jax.random.normal(KEY, (50, 4)) * 3
    all_classes = jax.nn.softmax(jnp.concatenate([logits, jnp.zeros((50, 1))], axis=-1))
    real = jax.nn.sigmoid(source_logit(logits))
    np.testing.assert_allclose(real, all_classes[:, :4].sum(axis=-1), rtol=1e-5)
    moved = jax.nn.sigmoid(source_logit(logits + 1.0))
    assert (moved > real).all()  # a constant changes D, and not the classes


def test_examples_without_a_label_do_not_count():
    logits = jnp.asarray([[2.0, 0.0], [0.0, 1.0], [5.0, 0.0]])
    label = jnp.asarray([0, 0, -1])
    loss, accuracy = supervised(logits, label)
    assert loss == pytest.approx((np.log1p(np.exp(-2)) + np.log1p(np.exp(1))) / 2)
    assert accuracy == 0.5
    loss, accuracy = supervised(logits, jnp.full(3, -1))
    assert (loss, accuracy) == (0.0, 0.0)


def test_the_baseline_learns_from_labels_alone():
    trunk = Discriminator(MLPTrunk((8,)), outputs=3)
    model = SemiSupervisedGAN((3,), 2, 3, GENERATOR, trunk)
    variables = model.init(KEY)
    known = batch(classes=3)
    known = {**known, "label": jnp.where(jnp.arange(12) < 6, known["label"], -1)}
    other = {**known, "image": known["image"].at[6:].add(1.0)}  # the unlabelled half

    def loss(model, batch):
        return float(model.discriminator_loss(variables, batch, KEY)[0])

    baseline = replace(model, adversarial=False)
    assert loss(baseline, known) == loss(baseline, other)
    assert loss(model, known) != loss(model, other)


def test_entropies_of_a_categorical_discriminator():
    sure = 1e4 * jnp.eye(3)
    np.testing.assert_allclose(entropy(sure), 0.0, atol=1e-6)
    assert marginal_entropy(sure) == pytest.approx(np.log(3), rel=1e-6)
    unsure = jnp.zeros((6, 3))
    np.testing.assert_allclose(entropy(unsure), np.log(3), rtol=1e-6)
    model = CatGAN((3,), 2, 3, GENERATOR, Discriminator(MLPTrunk((8,)), outputs=3))
    variables = model.init(KEY)
    loss, (terms, _) = model.discriminator_loss(variables, batch(), KEY)
    expected = terms["real_entropy"] - terms["marginal_entropy"] - terms["fake_entropy"]
    assert loss == pytest.approx(float(expected))
    assert -2 * np.log(3) <= float(loss) <= np.log(3)
    assert model.generator_loss(variables, batch(), KEY)[0] >= -np.log(3)


def test_a_dcgan_keeps_the_papers_rules():
    model = dcgan.build((64, 64, 3), features=2)
    assert [model.generator.stages, model.discriminator.trunk.stages] == [4, 4]
    variables = jax.jit(model.init)(KEY)
    generator = variables["generator"]["params"]
    norms = [name for name in generator if name.startswith("BatchNorm")]
    assert len(norms) == 4  # one for each layer but the last of five
    assert "bias" in generator["Up_3"]
    assert all("bias" not in generator[f"Up_{i}"] for i in range(3))
    trunk = variables["discriminator"]["params"]["trunk"]
    assert sorted(n for n in trunk if n.startswith("BatchNorm")) == [
        "BatchNorm_0", "BatchNorm_1", "BatchNorm_2",
    ]  # fmt: skip
    wide = dcgan.build((32, 32, 1), features=32)
    for network in jax.jit(wide.init)(KEY).values():
        for path, kernel in jax.tree_util.tree_leaves_with_path(network["params"]):
            if "kernel" in str(path[-1]) and kernel.size > 5000:
                assert kernel.std() == pytest.approx(0.02, rel=0.05), path
    x = model.sample(variables, KEY, 3)
    assert x.shape == (3, 64, 64, 3)
    assert -1.0 <= float(x.min()) < float(x.max()) <= 1.0


def test_a_dcgan_halves_what_can_be_halved():
    assert dcgan.halvings((28, 28, 1), 4) == 2
    assert dcgan.halvings((8, 8, 1), 2) == 2
    with pytest.raises(ConfigError, match="sides of 7 and 7 cannot be halved to 4 or more"):
        dcgan.build((7, 7, 1))
    with pytest.raises(ConfigError, match=r"a DCGAN is for images \[H, W, C\], not \[3\]"):
        dcgan.build((3,))
