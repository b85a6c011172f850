"""Any arguments whatever either give an experiment that can be built, or one line about a flag."""

from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from experiments.autoregressive.nade import nade_digits
from experiments.gan.dcgan import dcgan_digits
from experiments.vae.vae import vae_digits
from jaxgen import data
from jaxgen.cli.main import parsed
from jaxgen.errors import JaxgenError
from jaxgen.experiment import require_fit
from jaxgen.step import train_step


def whole(least, most):
    return st.integers(least, most).map(str)


def real(least, most):
    return st.floats(least, most).map(repr)


def one_of(*words):
    return st.sampled_from(words)


EVERY = whole(1, 2**31 - 1)
SETTINGS = {
    "steps": EVERY,
    "batch-size": one_of("8", "16"),
    "seed": whole(0, 2**32 - 1),
    "precision": one_of("float32", "bfloat16"),
    "ema-decay": real(0, 0.9999),
    **{f"{name}-every": EVERY for name in ("log", "evaluate", "sample", "checkpoint")},
}
DATA = {
    "data.train-on": one_of("train", "train+validation"),
    "data.labels": one_of("10", "1210"),
    "data.levels": one_of("17"),
    "data.rules": one_of("1", "2"),
}
OPTIMIZER = {
    "name": one_of("adam", "sgd", "adagrad"),
    "learning-rate": real(1e-30, 1e-2),
    "schedule": one_of("constant", "cosine"),
    "warmup-steps": whole(0, 2**31 - 1),
    "beta1": real(0, 0.999),
    "beta2": real(0, 0.9999),
    "epsilon": real(1e-8, 1e-2),
    "weight-decay": real(0, 1),
    "clip-norm": real(0, 1e9),
    "accumulate": whole(1, 4),
}
SIZE = whole(1, 8)
RECIPES = {  # recipe -> its optimisers, its data's flags, and its own
    vae_digits: (
        ("optimizer",),
        {"data.transform": one_of("binarise", "binarise_stochastic")},
        {
            "latent-dim": SIZE,
            "hidden": SIZE,
            "beta": real(0, 10),
            "warmup-steps": whole(0, 2**31 - 1),
            "free-bits": real(0, 10),
        },
    ),
    nade_digits: (
        ("optimizer",),
        {"data.threshold": one_of("1", "16")},
        {
            "hidden": SIZE,
            "ordering.kind": one_of("raster", "reversed", "column", "random"),
            "ordering.seed": whole(0, 2**32 - 1),
            "activation": one_of("sigmoid", "relu"),
        },
    ),
    dcgan_digits: (
        ("discriminator", "generator"),
        {},
        {
            "latent-dim": SIZE,
            "features": whole(1, 3),
            "smallest": whole(1, 4),
            "kernel-size": whole(1, 5),
            "smoothing": real(0, 0.9),
        },
    ),
}
ODD = [
    *("", " ", "0", "-0", "-1", "1.5", "nan", "inf", "-inf", "1e400", "-1e400", "1e-400", "1e38"),
    *("1e308", str(2**20), str(2**20 + 1), str(2**31), str(2**32), "9" * 30, "-" + "9" * 30),
    *("9" * 5000, "0x10", "1_0", "1e3", "True", "None", "null", "٣", "𝟛", "日本", "💥", "e\u0301"),
    *("(1, 2)", "[1, [2]]", "{'a': 1}", "[/red]", "[bold]", "%s", "$HOME", "`id`", "'", '"', "\\"),
    *("a" * 3000, "a\nb\nc\nd", "a\tb", "\x00", "\x1b[31m", "\udcff", "\u202e", "--", "-", "-x"),
]
NAMES = [  # of data sets; none that is found, or walks through a disk
    *("", " ", "chain", "bars", "banana", "tones", "mnist", "digit", "~nobody_here/x", "./none"),
    *("/dev/null", "x/y:1.2.3", "kaggle:x", "日本", "[/red]", "a" * 3000, "a\nb\nc\nd", "\x00"),
    *("\udcff", "-1", "nan", "%s", "💥", "\\"),
]
OF_DATA = [f"data.{x}" for x in ("name", "dir", "transform", "threshold", "image-size", "length")]
DIRS = ["/proc/none", "/dev/null", "/dev/null/x", "a" * 3000, "a\nb\nc\nd", "\x00", "\udcff"]
FORMS = ["equals", "missing", "twice", "extra", "unknown", "prefix"]
CHOICES = ["unit", "levels", "none", "dequantise", "symmetric", "binarise", "blur"]


def odd(flag):
    """A value that may be wrong for a flag."""
    if flag in ("data.name", "data.dir"):
        return st.sampled_from(NAMES if flag == "data.name" else DIRS)
    anything = st.one_of(st.integers(), st.floats()).map(str)
    text = st.text(max_size=8).filter(lambda text: not text.startswith("-"))
    return st.one_of(st.sampled_from(ODD + CHOICES), anything, text)


@st.composite
def mutation(draw, flags):
    """Words with something odd about a flag, and what a complaint may be about."""
    flag = draw(st.sampled_from([*flags, *3 * OF_DATA]))
    value = draw(odd(flag))
    form = draw(st.sampled_from(["value"] * 3 + FORMS))
    words = {
        "value": [f"--{flag}", value],
        "equals": [f"--{flag}={value}"],
        "missing": [f"--{flag}"],
        "twice": [f"--{flag}", "1", f"--{flag}", value],
        "extra": [f"--{flag}", value, "leftover"],
        "unknown": [f"--{flag}z", value],
        "prefix": [f"--settings.{flag}", value],
    }
    named = [value] if flag in ("data.name", "data.dir") and len(value) > 4 else []
    return words[form], [flag, *named, *(["leftover"] if form == "extra" else [])]


@st.composite
def arguments(draw, most=2):
    """(recipe, words, what of them a complaint may be about)."""
    recipe = draw(st.sampled_from(list(RECIPES)))
    players, form, own = RECIPES[recipe]
    flags = SETTINGS | DATA | form | own
    flags |= {f"{player}.{name}": value for player in players for name, value in OPTIMIZER.items()}
    chosen = draw(st.lists(st.sampled_from(list(flags)), unique=True, max_size=8))
    words = [word for flag in chosen for word in (f"--{flag}", draw(flags[flag]))]
    if recipe is dcgan_digits and draw(st.booleans()):
        words.append("--share-samples")
    mutations = draw(st.lists(mutation(list(flags)), max_size=most))
    odd_words = [word for more, _ in mutations for word in more]
    return recipe, words + odd_words, [name for _, names in mutations for name in names]


def built(recipe, words, tfds_dir):
    """The experiment of a command, as `loop.run` takes it, with the shapes of its state."""
    experiment = parsed(recipe, ["--data.dir", tfds_dir, *words]).recipe()
    require_fit(experiment.model, data.load(experiment.data))
    getattr(experiment.model, "order", None)  # which is drawn when a step is traced
    return experiment, experiment.abstract_state()


def names(text, flag):
    """Whether a complaint is about a flag: as it is given, or as the field is called."""
    if flag in text:
        return True
    text = text.replace("_", "-")
    *owner, field = flag.split(".")
    if owner == ["data"]:  # one flag of the data may not suit another
        return "data." in text or "recipe.data" in text
    return field in text and all(each in text for each in owner)


def require_complaint(error, flags):
    """One to three lines about one of the flags; what is valid is never refused."""
    text = str(error)
    assert error.exit_code in (2, 3)
    assert 1 <= len(text.splitlines()) <= 3, text
    assert any(names(text, flag) for flag in flags), (text, flags)


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Runs a property of (recipe, words, flags) so many times."""
    monkeypatch.chdir(tmp_path)

    def run(prop, num, most):
        calls = []
        told = {"derandomize": True, "deadline": None, "suppress_health_check": list(HealthCheck)}

        @hypothesis_settings(max_examples=num, database=None, **told)
        @given(arguments(most))
        def each(case):
            calls.append(case)
            prop(*case)

        each()
        assert len(calls) >= num

    return run


@pytest.mark.parametrize("num", [100, pytest.param(1000, marks=pytest.mark.chaos)])
def test_arguments_give_an_experiment_or_a_line_that_names_the_flag(num, check, tfds_dir):
    def prop(recipe, words, flags):
        try:
            experiment, state = built(recipe, words, tfds_dir)
        except JaxgenError as error:
            require_complaint(error, flags)
        else:
            assert len(experiment.players()) == len(state.opt_state)
            assert state.step.shape == ()

    check(prop, num, most=2)


REFUSED = [
    *((vae_digits, flag, 2**31) for flag in ("steps", "log-every", "warmup-steps")),
    *((vae_digits, flag, 2**20 + 1) for flag in ("batch-size", "hidden", "latent-dim")),
    *((vae_digits, flag, "inf") for flag in ("beta", "optimizer.learning-rate")),
    *((vae_digits, flag, "nan") for flag in ("free-bits", "ema-decay", "optimizer.weight-decay")),
    *((vae_digits, flag, "1e-50") for flag in ("optimizer.epsilon", "optimizer.learning-rate")),
    *((vae_digits, "data.name", name) for name in ("a" * 3000, "~nobody_here/x", "a\nb\nc\nd")),
    (vae_digits, "optimizer.beta2", "0.99999999999"),
    (vae_digits, "optimizer.accumulate", 2**31),
    (vae_digits, "data.image-size", 2**14 + 1),
    (nade_digits, "ordering.seed", -1),
    (dcgan_digits, "kernel-size", 17),
    (dcgan_digits, "smoothing", "nan"),
    (dcgan_digits, "generator.clip-norm", "inf"),
]


@pytest.mark.parametrize(
    ("recipe", "flag", "value"), REFUSED, ids=lambda x: str(getattr(x, "__name__", x))[:20]
)
def test_what_cannot_be_computed_is_refused(recipe, flag, value, tfds_dir):
    with pytest.raises(JaxgenError) as caught:
        built(recipe, [f"--{flag}", str(value)], tfds_dir)
    require_complaint(caught.value, [flag])


@pytest.mark.parametrize("num", [4, pytest.param(40, marks=pytest.mark.chaos)])
def test_valid_arguments_train(num, check, tfds_dir):
    def prop(recipe, words, flags):
        experiment, _ = built(recipe, words, tfds_dir)
        told, dataset = experiment.settings, data.load(experiment.data)
        step = partial(train_step, experiment.players(), order=experiment.order)
        step = jax.jit(partial(step, prepare=dataset.prepare, ema_decay=told.ema_decay))
        state = jax.jit(experiment.fresh_state)(jax.random.key(told.seed))
        for t in range(2):
            batch = dataset.splits["train"].batch(told.seed, t, told.batch_size)
            state, metrics = step(state, batch)
        assert int(state.step) == 2
        real = jax.tree.leaves((state.variables, metrics))
        assert all(np.isfinite(np.asarray(leaf)).all() for leaf in real)

    check(prop, num, most=0)
