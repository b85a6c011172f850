"""What is restored is what was saved, or it is not restored at all."""

import json
import math
import os
import shutil
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from tiny_runs import assert_same, host, restored, temporary

from jaxgen import parallel
from jaxgen.errors import CheckpointError, NonFiniteError
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.step import Player, init_state

# Orbax closes its loop at the first bad read; TensorStore's other reads then complain of that.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
PLAYER = Player("p", ("net",), lambda *_: (0.0, ({}, {})), optax.adam(1e-3))
PRINT_STATE = """
import sys, json, zlib, jax, numpy as np
import jaxgen
run = jaxgen.load(sys.argv[1])
leaves = jax.tree.leaves(run.variables)
print(jax.device_count(), [zlib.crc32(np.asarray(x)) for x in leaves])
"""


def state_at(step, width=300):
    """Large enough that TensorStore keeps `w` in a file of its own, without a checksum."""
    params = {"w": jax.random.normal(jax.random.key(step), (4, width)), "b": jnp.ones(width)}
    variables = {"net": {"params": params, "count": {"n": jnp.full((), step, jnp.int32)}}}
    state = init_state(jax.random.key(7), variables, (PLAYER,), ema=True)
    return state.replace(step=jnp.asarray(step, jnp.int32))


def save(folder, *states, record=None):
    with Checkpoints(folder) as checkpoints:
        for state in states:
            checkpoints.save(state, record or {"note": int(state.step)})


def restore(folder, target=None):
    """The newest whole state, and the lines of warning on the way to it."""
    with (
        Checkpoints(folder, read_only=True) as checkpoints,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", UserWarning)
        state = checkpoints.restore_newest(lambda step: target or state_at(0))
    return state, [str(warning.message) for warning in caught]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints of steps 1 and 2. Read only."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    save(folder, state_at(1), state_at(2))
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "checkpoints")


def data_file(folder, step):
    """The file that holds the arrays."""
    return max((folder / str(step) / "state").rglob("d/*"), key=lambda path: path.stat().st_size)


def test_a_state_comes_back_bit_for_bit(saved):
    state, said = restore(saved)
    assert_same(state, state_at(2))
    assert type(state.opt_state["p"]) is type(state_at(2).opt_state["p"])
    assert jax.dtypes.issubdtype(state.key.dtype, jax.dtypes.prng_key)
    assert said == []


def test_a_target_of_shapes_is_enough(saved):
    assert_same(restore(saved, jax.eval_shape(lambda: state_at(0)))[0], state_at(2))


def test_any_bfloat16_and_integer_leaf_keeps_its_dtype(tmp_path):
    state = state_at(1)
    odd = {"h": jnp.asarray([1.5, -2.25], jnp.bfloat16), "n": jnp.asarray(16777217, jnp.int32)}
    state = state.replace(variables={"net": {**state.variables["net"], "odd": odd}})
    save(tmp_path, state)
    assert_same(restore(tmp_path, state)[0], state)


def test_a_state_saved_under_four_devices_comes_back_on_one(tmp_path):
    mesh = parallel.device_mesh(jax.devices()[:4])
    save(tmp_path, parallel.replicate(state_at(3), mesh))
    state, _ = restore(tmp_path)
    assert len(state.step.sharding.device_set) == 1
    assert_same(state, state_at(3))


def test_a_state_saved_on_one_device_comes_back_under_four(saved):
    mesh = parallel.device_mesh(jax.devices()[:4])
    state = parallel.replicate(restore(saved)[0], mesh)
    assert len(state.step.sharding.device_set) == 4
    assert_same(state, state_at(2))


def test_a_process_with_one_device_loads_what_eight_devices_saved(finished):
    import jaxgen

    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    out = subprocess.run(
        [sys.executable, "-c", PRINT_STATE, str(finished)],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    crcs = [zlib.crc32(np.asarray(x)) for x in jax.tree.leaves(jaxgen.load(finished).variables)]
    assert out.stdout.strip() == f"1 {crcs}"


@pytest.mark.parametrize("value", [jnp.nan, jnp.inf])
def test_a_state_that_is_not_finite_is_never_committed(folder, value):
    state = state_at(3)
    bad = jax.tree.map(lambda x: x, state.ema)
    bad["net"]["params"]["w"] = bad["net"]["params"]["w"].at[1, 2].set(value)
    with pytest.raises(NonFiniteError, match=r"step 3.*ema/net/params/w"):
        save(folder, state.replace(ema=bad))
    assert_same(restore(folder)[0], state_at(2))


def test_only_the_newest_are_kept(tmp_path):
    save(tmp_path, *(state_at(step) for step in (1, 2, 3, 4)))
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.steps() == [4, 3]


def test_the_best_stays_besides_and_what_is_not_finite_is_never_the_best(tmp_path):
    scores = [math.nan, 2.0, 3.0, 1.0, math.inf, 0.0]
    with Checkpoints(tmp_path) as checkpoints:
        for step, score in enumerate(scores, 1):
            checkpoints.scores[step] = score
            checkpoints.save(state_at(step), {})
        checkpoints.wait()
        assert checkpoints.steps() == [6, 5, 3]
        assert checkpoints.best() == (3, 3.0)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.best() is None


def test_a_folder_that_cannot_be_read_is_named(saved, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ocp, "CheckpointManager", refuse)
    with pytest.raises(CheckpointError, match=f"{saved}: cannot be read: .*Permission denied"):
        Checkpoints(saved, read_only=True)


def test_a_step_that_is_there_is_not_written_again(folder):
    save(folder, state_at(2), record={"note": "second"})
    with Checkpoints(folder, read_only=True) as checkpoints:
        assert checkpoints.record(2)["note"] == 2


def test_nothing_temporary_is_left(saved):
    assert temporary(saved) == []


def test_the_leavings_of_a_killed_save_go_at_the_next_start(folder):
    shutil.copytree(folder / "2", folder / "3.orbax-checkpoint-tmp")
    save(folder, state_at(4))
    assert temporary(folder) == []
    assert_same(restore(folder)[0], state_at(4))


def flip(folder):
    path = data_file(folder, 2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def truncate(folder):
    path = data_file(folder, 2)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def forge(folder):
    """Valid JSON with another checksum: the arrays alone cannot tell."""
    path = folder / "2" / "record" / "metadata"
    record = json.loads(path.read_text())
    record["leaves"]["variables/net/params/b"]["crc32"] ^= 1
    path.write_text(json.dumps(record))


DAMAGES = {
    "a flipped bit in the arrays": flip,
    "a truncated file": truncate,
    "a deleted file": lambda folder: data_file(folder, 2).unlink(),
    "no manifest": lambda folder: (folder / "2" / "state" / "manifest.ocdbt").unlink(),
    "no arrays": lambda folder: shutil.rmtree(folder / "2" / "state"),
    "no record": lambda folder: shutil.rmtree(folder / "2" / "record"),
    "a garbage record": lambda folder: (folder / "2/record/metadata").write_text('{"format": '),
    "a binary record": lambda folder: (folder / "2/record/metadata").write_bytes(b"\x80\xff\0"),
    "an empty record": lambda folder: (folder / "2/record/metadata").write_text(""),
    "a record that is a list": lambda folder: (folder / "2/record/metadata").write_text("[1]"),
    "another format": lambda folder: (folder / "2/record/metadata").write_text('{"format": 99}'),
    "leaves that are no table": lambda folder: (folder / "2/record/metadata").write_text(
        '{"format": 1, "leaves": [1, 2]}'
    ),
    "seals that are no tables": lambda folder: (folder / "2/record/metadata").write_text(
        json.dumps({"format": 1, "leaves": dict.fromkeys(host(state_at(0)), 3)})
    ),
    "another checksum": forge,
    "a swapped array file": lambda folder: shutil.copy(data_file(folder, 1), data_file(folder, 2)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_step_is_passed_over_with_one_line(folder, damage):
    damage(folder)
    state, said = restore(folder)
    assert_same(state, state_at(1))
    assert len(said) == 1
    assert said[0].startswith(f"{folder}/2: ")
    assert "\n" not in said[0]


def test_an_empty_step_folder_is_passed_over_with_one_line(folder):
    (folder / "9").mkdir()
    state, said = restore(folder)
    assert_same(state, state_at(2))
    assert len(said) == 1


def test_no_flipped_bit_goes_unnoticed(saved, tmp_path):
    dice = np.random.default_rng(0)
    files = [path for path in (saved / "2").rglob("*") if path.is_file() and path.stat().st_size]
    fell_back = 0
    for trial in range(30):
        folder = shutil.copytree(saved, tmp_path / str(trial))
        path = folder / files[dice.integers(len(files))].relative_to(saved)
        if trial % 2:
            path = data_file(folder, 2)
        content = bytearray(path.read_bytes())
        content[dice.integers(len(content))] ^= 1 << int(dice.integers(8))
        path.write_bytes(content)
        state, said = restore(folder)
        assert_same(state, state_at(1 if said else 2))
        fell_back += bool(said)
    assert fell_back >= 10


def test_no_whole_step_is_an_error_of_at_most_three_lines(folder):
    for step in (1, 2):
        path = data_file(folder, step)
        path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(CheckpointError) as error:
        restore(folder)
    assert str(folder) in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def other(change):
    state = state_at(2)
    params = dict(state.variables["net"]["params"])
    change(params)
    return state.replace(variables={"net": {**state.variables["net"], "params": params}})


MISMATCHES = {
    "dtype": (lambda p: p.update(b=p["b"].astype(jnp.bfloat16)), "params/b: dtype is float32"),
    "shape": (
        lambda p: p.update(w=p["w"][:2]),
        r"params/w: shape is \[4, 300\], expected \[2, 300\]",
    ),
    "missing": (lambda p: p.pop("b"), "params/b"),
    "extra": (lambda p: p.update(c=jnp.ones(3)), "params/c"),
}


@pytest.mark.parametrize(("change", "named"), MISMATCHES.values(), ids=MISMATCHES.keys())
def test_a_state_of_another_model_is_refused_by_the_name_of_a_leaf(saved, change, named):
    target = other(change)
    with (
        Checkpoints(saved, read_only=True) as checkpoints,
        pytest.raises(CheckpointError, match=named) as error,
    ):
        checkpoints.restore(2, target)
    assert len(str(error.value).splitlines()) <= 3


def test_a_folder_without_steps_restores_nothing(tmp_path):
    assert restore(tmp_path) == (None, [])


def test_reading_changes_nothing(folder):
    before = sorted(path.stat().st_mtime_ns for path in folder.rglob("*"))
    restore(folder)
    assert sorted(path.stat().st_mtime_ns for path in folder.rglob("*")) == before


def test_a_run_leaves_its_state_and_nothing_temporary(finished):
    from tiny_runs import experiment

    assert temporary(finished) == []
    spec = json.loads((finished / "data.json").read_text())
    assert spec["name"] == "digits"
    assert int(restored(experiment(ema_decay=0.5), finished).step) == 8


def test_the_folder_may_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(Path("here"), state_at(1))
    assert_same(restore(tmp_path / "here")[0], state_at(1))
