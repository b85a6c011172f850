"""NaN and infinity, wherever they come from: found at their step, named, and never on disk."""

import json
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_runs import assert_same, experiment, metrics, restored

from jaxgen import data, step
from jaxgen.errors import ConfigError, NonFiniteError
from jaxgen.loop import loop
from jaxgen.loop.dispatch import OnNaN
from jaxgen.runs.checksums import not_finite
from jaxgen.vae import vae

STEPS, SAVE = 60, 20
PLACES = ("batch", "loss", "gradient", "params")
FAST = {(place, 37, "float32", np.nan) for place in PLACES} | {("gradient", 0, "bfloat16", np.inf)}
CASES = [
    pytest.param(*case, marks=[] if case in FAST else [pytest.mark.chaos])
    for place in PLACES
    for step in (0, 1, 37, SAVE - 1, STEPS - 1)
    for precision in ("float32", "bfloat16")
    for value in (np.nan, np.inf)
    for case in [(place, step, precision, value)]
]


@dataclass(frozen=True)
class Poisoned:
    """A VAE with a value that is not finite, at one step and in one place."""

    inner: vae.VAE
    place: str
    step: int
    value: float

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def init(self, key):
        """The VAE's variables."""
        return self.inner.init(key)

    def players(self, tx):
        """The VAE's players, with a loss of our own."""
        return tuple(
            replace(player, loss=partial(self.loss, player.loss))
            for player in self.inner.players(tx)
        )

    def loss(self, loss, variables, batch, key):
        """The VAE's loss, poisoned."""
        now = batch["step"] == self.step
        if self.place == "batch":
            image = batch["image"]
            batch = {**batch, "image": image.at[3, 0].set(jnp.where(now, self.value, image[3, 0]))}
        if self.place in ("gradient", "params"):
            poison = _in_gradient if self.place == "gradient" else _in_value
            # the decoder's last: in the encoder an infinity would end in a tanh, which takes it
            leaves, tree = jax.tree.flatten(variables["decoder"])
            leaves[-1] = poison(leaves[-1], jnp.where(now, self.value, 0.0))
            variables = {**variables, "decoder": jax.tree.unflatten(tree, leaves)}
        value, (terms, mutated) = loss(variables, batch, key)
        if self.place == "loss":
            value = value + jnp.where(now, self.value, 0.0)
        return value, (terms, mutated)


def _in_value(x, poison):
    return x.at[0].add(poison)


@jax.custom_vjp
def _in_gradient(x, poison):
    return x


_in_gradient.defvjp(
    lambda x, poison: (x, poison), lambda poison, g: (g.at[0].add(poison), jnp.zeros_like(poison))
)


def poisoned(place, step, precision, value, tfds_dir, **more):
    sizes = {"steps": STEPS, "checkpoint_every": SAVE, "evaluate_every": STEPS, "log_every": 10}
    tiny = experiment(
        **sizes | {"sample_every": STEPS} | more, dir=tfds_dir, precision=precision, ema_decay=0.5
    )
    return replace(tiny, model=Poisoned(tiny.model, place, step, value))


@pytest.fixture
def spec(monkeypatch):
    """The poisoned model is no class of jaxgen: the record is of the VAE within."""
    from jaxgen.runs import folder

    to_json = folder.to_json

    def inner(value):
        return to_json(replace(value, model=getattr(value.model, "inner", value.model)))

    monkeypatch.setattr(folder, "to_json", inner)


@pytest.mark.parametrize(("place", "step", "precision", "value"), CASES)
def test_it_is_found_at_its_step_and_nothing_of_it_is_saved(
    place, step, precision, value, tmp_path, tfds_dir, spec, capsys
):
    tiny = poisoned(place, step, precision, value, tfds_dir)
    with pytest.raises(NonFiniteError, match=rf"^step {step + 1}: ") as error:
        loop.run(tiny, tmp_path)
    said = str(error.value)
    named = {"loss": "loss is", "gradient": "gradient of decoder"}
    assert any(word in said for word in named.get(place, "loss is|gradient of").split("|")), said
    assert len(said.splitlines()) <= 3
    last = restored(tiny, tmp_path)
    assert (last is None) == (step < SAVE)
    if last is not None:
        assert int(last.step) == step // SAVE * SAVE
        assert not_finite(last) is None
    status = json.loads((tmp_path / "STATUS.json").read_text())
    assert (status["state"], status["exit_code"]) == ("failed", 5)
    with np.load(tmp_path / f"nonfinite_step_{step + 1:08}.npz") as batch:
        assert batch["image"].shape == (16, 8, 8, 1)
    assert all(np.isfinite(line["loss"]) for line in metrics(tmp_path) if "loss" in line)


def test_a_bad_example_is_named_by_its_place_in_the_batch(tmp_path, monkeypatch):
    config = data.Data("banana", transform="none")
    split = data.load(config).splits["train"]
    draw, calls = split.draw, [0]

    def bad(generator, num):
        calls[0] += 1
        batch = draw(generator, num)
        batch["image"][5] = np.where(calls[0] == 4, np.nan, batch["image"][5])
        return batch

    object.__setattr__(split, "draw", bad)
    try:
        from jaxgen.vae import Gaussian

        model = vae.mlp((2,), latent_dim=1, hidden=(4,), observation=Gaussian(0.3))
        tiny = experiment("banana", transform="none", model=model)
        with pytest.raises(NonFiniteError, match="step 4: image of example 5 of the batch is not"):
            loop.run(tiny, tmp_path)
    finally:
        object.__setattr__(split, "draw", draw)


@pytest.mark.parametrize("every", [1, 10])
def test_an_optimiser_that_overflows_is_found_at_its_step(every, tmp_path, tfds_dir, spec):
    """Adam squares the gradient: finite as it is, it would leave an infinity behind."""
    tiny = poisoned("gradient", 37, "float32", 1e30, tfds_dir, log_every=every)
    with pytest.raises(NonFiniteError, match=r"^step 38: opt_state/.*nu/decoder.* would not be"):
        loop.run(tiny, tmp_path)
    assert not_finite(restored(tiny, tmp_path)) is None


def test_a_command_that_diverges_ends_by_5(nursery, tmp_path, tfds_dir):
    flags = {"optimizer.learning-rate": 1e30}
    assert nursery.run("vae", tmp_path / "run", tfds_dir, flags=flags) == 5
    said = (tmp_path / "run.log").read_text()
    assert "Traceback" not in said
    error = said[said.index("error: step ") :].splitlines()
    assert len(error) <= 3
    assert "Try: " in error[-1]


@pytest.mark.parametrize("every", [1, 10])
def test_a_step_may_be_skipped(every, tmp_path, tfds_dir, spec, capsys):
    tiny = poisoned("gradient", 37, "float32", np.nan, tfds_dir, log_every=every)
    state = loop.run(tiny, tmp_path, on_nan=OnNaN.parse("skip:1"))
    assert int(state.step) == STEPS
    assert not_finite(state) is None
    lines = [line for line in metrics(tmp_path) if line["split"] == "train"]
    assert len(lines) == STEPS // every - (every == 1)  # a line that has no step is none
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert "warning: step 38 was not finite and is left out" in capsys.readouterr().err
    assert json.loads((tmp_path / "STATUS.json").read_text())["skipped_steps"] == 1


def test_one_more_than_may_be_skipped_stops(tmp_path, tfds_dir, spec):
    tiny = poisoned("gradient", 37, "float32", np.nan, tfds_dir)
    always = replace(tiny, model=Always(tiny.model.inner, "loss", 0, np.nan))
    with pytest.raises(NonFiniteError, match=r"step 3, after 2 skipped: loss is nan"):
        loop.run(always, tmp_path / "two", on_nan=OnNaN.parse("skip:2"))


class Always(Poisoned):
    """Poisoned at every step."""

    def loss(self, loss, variables, batch, key):
        """As if each step were the one."""
        return super().loss(loss, variables, {**batch, "step": 0}, key)


def test_a_skipped_step_is_skipped_again_by_a_run_that_was_stopped(tmp_path, tfds_dir, spec):
    tiny = poisoned("gradient", 15, "float32", np.nan, tfds_dir, steps=20, checkpoint_every=5)
    skip = OnNaN.parse("skip:1")
    whole = loop.run(tiny, tmp_path / "whole", on_nan=skip)
    shorter = replace(tiny, settings=replace(tiny.settings, steps=10))
    loop.run(shorter, tmp_path / "parts", on_nan=skip)
    assert_same(loop.run(tiny, tmp_path / "parts", on_nan=skip), whole)


def test_a_guarded_step_leaves_all_of_the_state_untouched():
    tiny = experiment()
    model = Poisoned(tiny.model, "gradient", 0, np.nan)
    bad = replace(tiny, model=model)
    state = jax.jit(bad.fresh_state)(jax.random.key(0))
    batch = {"image": np.zeros((4, 8, 8, 1), np.float32)}
    take = jax.jit(partial(step.train_step, bad.players(), guard=True))
    after, found = take(state, batch)
    assert not found["finite"]
    assert_same(after, state)
    assert not take(after, {**batch, "turn": 1})[1]["finite"]  # the next one is out of turn
    other = state.replace(step=jnp.int32(1))
    moved, found = take(other, {**batch, "turn": 1})
    assert found["finite"]
    assert int(moved.step) == 2


@pytest.mark.parametrize(
    "text", ["", "go", "skip", "skip:", "skip:0", "skip:-1", "skip:x", "stop:1"]
)
def test_another_policy_is_refused(text):
    with pytest.raises(ConfigError, match=r"--on-nan: got .*, expected stop or skip:K"):
        OnNaN.parse(text)
