"""The loop on tiny experiments: what it leaves, and that where it stops does not matter."""

import json
import re
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from PIL import Image
from tiny_runs import assert_same, experiment, host, metrics, restored, temporary

import jaxgen
from jaxgen import data, parallel
from jaxgen.data import split as split_module
from jaxgen.errors import CheckpointError, ConfigError, DataError, NonFiniteError
from jaxgen.experiment import Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.figures import gallery
from jaxgen.loop import dispatch, loop
from jaxgen.loop import stage as stages
from jaxgen.loop.stage import StageTraining
from jaxgen.loop.validate import validate
from jaxgen.runs.folder import describe, open_folder
from jaxgen.runs.lock import sole_writer
from jaxgen.vae import Gaussian, autoencoder, linear_gaussian, vae


@pytest.fixture
def devices(monkeypatch):
    """Restricts the loop to a number of devices."""
    make = parallel.device_mesh

    def restrict(num):
        mesh = make(jax.devices()[:num])
        monkeypatch.setattr(parallel, "device_mesh", lambda: mesh)

    return restrict


@pytest.fixture
def one_device(devices):
    devices(1)


def read_picture(path):
    with Image.open(path) as image:
        return np.asarray(image)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_its_records_metrics_pictures_and_checkpoints(finished):
    for name in ("spec.json", "data.json", "environment.json"):
        assert json.loads((finished / name).read_text())
    assert json.loads((finished / "spec.json").read_text())["command"] == "tiny"
    assert json.loads((finished / "environment.json").read_text())["num_devices"] == 8
    assert [(x["step"], x["split"]) for x in metrics(finished)] == [
        (4, "train"),
        (8, "train"),
        (8, "validation"),
    ]
    assert read_picture(finished / "samples" / "step_00000008.png").std() > 0
    names = {path.name for path in (finished / "checkpoints").iterdir()}
    assert names == {"4", "8"}


def test_a_finished_run_says_so_and_changes_nothing(copied, tfds_dir, capsys):
    before = contents(copied)
    state = loop.run(experiment(dir=tfds_dir, ema_decay=0.5), copied)
    assert f"{copied}: finished, at step 8" in capsys.readouterr().err
    assert int(state.step) == 8
    assert contents(copied) == before


def test_fewer_steps_than_were_made_change_nothing(copied, tfds_dir, capsys):
    before = contents(copied)
    loop.run(experiment(dir=tfds_dir, ema_decay=0.5, steps=6), copied)
    assert "finished, at step 8" in capsys.readouterr().err
    assert contents(copied) == before


def test_twice_the_steps_are_the_steps_and_then_as_many_again(copied, tfds_dir, tmp_path):
    longer = experiment(dir=tfds_dir, ema_decay=0.5, steps=16)
    whole = loop.run(longer, tmp_path / "whole")
    assert_same(loop.run(longer, copied), whole)
    assert metrics(copied) == metrics(tmp_path / "whole")
    assert json.loads((copied / "spec.json").read_text())["experiment"]["settings"]["steps"] == 16
    assert_same(restored(longer, copied), whole)


def test_a_run_goes_on_from_the_step_before_a_damaged_one(copied, tfds_dir, finished):
    (copied / "checkpoints" / "8" / "record" / "metadata").write_text("{")
    with pytest.warns(UserWarning, match=r"checkpoints/8: record: damaged.*the one before"):
        state = loop.run(experiment(dir=tfds_dir, ema_decay=0.5), copied)
    assert_same(state, restored(experiment(dir=tfds_dir, ema_decay=0.5), finished))
    assert metrics(copied) == metrics(finished)
    assert_same(restored(experiment(dir=tfds_dir, ema_decay=0.5), copied), state)
    assert {path.name for path in (copied / "checkpoints").iterdir()} == {"4", "8", "quarantine"}


@pytest.mark.parametrize("name", ["seed", "batch_size", "ema_decay"])
def test_another_experiment_in_the_folder_is_refused_by_field(copied, tfds_dir, name):
    other = experiment(
        **{"dir": tfds_dir, "ema_decay": 0.5, name: {"ema_decay": 0.25}.get(name, 32)}
    )
    before = contents(copied)
    with pytest.raises(ConfigError, match=rf"holds another run: settings\.{name} is .* there"):
        loop.run(other, copied)
    assert contents(copied) == before


def test_the_length_of_a_run_on_a_schedule_cannot_change(tfds_dir, tmp_path):
    short = replace(experiment(dir=tfds_dir), optimizers=(Optimizer(schedule="cosine"),))
    longer = replace(short, settings=replace(short.settings, steps=16))
    dataset = data.load(short.data)
    describe(tmp_path, open_folder(tmp_path, short, (dataset,)), "recipe", "command")
    with pytest.raises(ConfigError, match=r"settings\.steps is 8 there, 16 here"):
        open_folder(tmp_path, longer, (dataset,))


def test_other_data_under_the_same_name_are_refused(copied, tfds_dir):
    record = json.loads((copied / "data.json").read_text())
    record["splits"]["train"]["sha256"] = "0" * 64
    (copied / "data.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match=r"digits: not the data that .* was begun with"):
        loop.run(experiment(dir=tfds_dir, ema_decay=0.5), copied)


def test_the_same_data_may_lie_elsewhere(copied, tfds_dir, tmp_path):
    (tmp_path / "elsewhere").symlink_to(tfds_dir)
    state = loop.run(experiment(dir=str(tmp_path / "elsewhere"), ema_decay=0.5), copied)
    assert int(state.step) == 8


def test_no_whole_checkpoint_is_no_new_beginning(copied, tfds_dir):
    for step in (4, 8):
        (copied / "checkpoints" / str(step) / "record" / "metadata").write_text("{")
    with (
        pytest.warns(UserWarning, match="checkpoints/8"),
        pytest.raises(CheckpointError, match="checkpoints/4"),
    ):
        loop.run(experiment(dir=tfds_dir, ema_decay=0.5), copied)


SETTINGS = Settings(
    steps=103, log_every=10, evaluate_every=25, sample_every=40, checkpoint_every=35
)


def test_a_dispatch_ends_wherever_something_is_due():
    plan = list(dispatch._plan(SETTINGS, 0, SETTINGS.steps, 50))
    ends = {start + num for start, num in plan}
    due = {n for every in (10, 25, 40, 35, 50) for n in range(every, 104, every)} | {103}
    assert ends == due
    assert [start for start, _ in plan] == [0, *sorted(ends)[:-1]]


@pytest.mark.parametrize("begin", range(35, 103, 35))
def test_a_plan_from_a_checkpoint_is_the_tail_of_the_plan(begin):
    whole = list(dispatch._plan(SETTINGS, 0, SETTINGS.steps, 50))
    assert list(dispatch._plan(SETTINGS, begin, SETTINGS.steps, 50)) == [
        item for item in whole if item[0] >= begin
    ]


def test_a_longer_run_begins_with_the_plan_of_the_shorter():
    shorter = replace(SETTINGS, steps=90)
    whole = list(dispatch._plan(SETTINGS, 0, SETTINGS.steps, 50))
    assert list(dispatch._plan(shorter, 0, shorter.steps, 50)) == [
        item for item in whole if sum(item) <= 90
    ]


def test_a_finished_plan_is_empty():
    assert list(dispatch._plan(SETTINGS, 103, SETTINGS.steps, 50)) == []
    assert list(dispatch._plan(SETTINGS, 200, SETTINGS.steps, 50)) == []


def test_a_generated_set_resumes_as_a_finite_one(tmp_path, one_device):
    whole = loop.run(experiment("chain"), tmp_path / "whole")
    loop.run(experiment("chain", steps=4), tmp_path / "parts")
    assert_same(loop.run(experiment("chain"), tmp_path / "parts"), whole)


def test_streamed_data_train_as_resident_ones(tmp_path, tfds_dir, one_device, monkeypatch):
    model = vae.mlp((8, 8, 1), latent_dim=2, hidden=(8,), observation=Gaussian(0.3))
    tiny = experiment(dir=tfds_dir, transform="dequantise", model=model)
    resident = loop.run(tiny, tmp_path / "resident")
    assert data.load(tiny.data).splits["train"].resident is not None
    monkeypatch.setattr(split_module, "RESIDENT_BYTES", 0)
    data.load.cache_clear()
    try:
        assert data.load(tiny.data).splits["train"].resident is None
        streamed = loop.run(tiny, tmp_path / "streamed")
        close = partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-8)  # other fusions
        jax.tree.map(close, streamed.variables, resident.variables)
    finally:
        data.load.cache_clear()
    both = zip(metrics(tmp_path / "streamed"), metrics(tmp_path / "resident"), strict=True)
    for a, b in both:
        assert a.keys() == b.keys()
        assert a.pop("split") == b.pop("split")
        assert a == pytest.approx(b, rel=1e-5)


def test_a_run_on_files_named_relatively_is_evaluated_from_anywhere(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    header = np.array([0x803, 40, 8, 8], ">i4").tobytes()
    (tmp_path / "x-idx3-ubyte").write_bytes(header + images.tobytes())
    monkeypatch.chdir(tmp_path)
    loop.run(experiment("x-idx3-ubyte", steps=4), "run")
    monkeypatch.chdir("/")
    assert jaxgen.load(tmp_path / "run").dataset().config.name == str(tmp_path / "x-idx3-ubyte")


def test_an_old_run_on_files_goes_on_and_is_read_as_it_was_cut(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 2, (60, 8, 8), dtype=np.uint8)
    header = np.array([0x803, 60, 8, 8], ">i4").tobytes()
    path = tmp_path / "x-idx3-ubyte"
    path.write_bytes(header + images.tobytes())
    begun = experiment(str(path), steps=4, sample_every=100)
    old = replace(begun, data=replace(begun.data, rules=1))
    folder = tmp_path / "run"
    loop.run(old, folder)
    records = [folder / "spec.json", *folder.glob("checkpoints/*/record/metadata")]
    for record in records:  # as they were before there were rules
        content = record.read_text()
        assert '"rules": 1' in content
        record.write_text(re.sub(r'(,\s*"rules": 1|"rules": 1,\s*)', "", content, count=1))
    before = json.loads((folder / "data.json").read_text())
    assert before["levels"] == 256
    dataset = jaxgen.load(folder).dataset()
    assert dataset.splits["test"].sha256 == before["splits"]["test"]["sha256"]
    longer = replace(begun, settings=replace(begun.settings, steps=8))
    loop.run(longer, folder)
    assert json.loads((folder / "data.json").read_text()) == before
    assert "read by the rules of older runs" in capsys.readouterr().err
    assert jaxgen.load(folder).experiment.data.rules == 1
    assert jaxgen.load(folder).step == 8
    fresh = data.load(begun.data)
    assert (fresh.levels, fresh.config.rules) == (2, 2)
    assert fresh.splits["test"].sha256 != dataset.splits["test"].sha256


def test_evaluation_uses_the_moving_average(finished):
    run = jaxgen.load(finished)
    state = restored(run.experiment, finished)
    assert_same(run.variables, state.ema)
    ema, raw = host(state.ema), host(state.variables)
    assert any((ema[name] != raw[name]).any() for name in ema)


def test_validation_is_measured_on_the_moving_average(finished, tfds_dir):
    run = jaxgen.load(finished)
    state = restored(run.experiment, finished)
    expected = validate(run.model, state.replace(variables=None), run.dataset())
    assert metrics(finished)[-1]["elbo"] == pytest.approx(expected["elbo"], rel=1e-5)


def test_an_autoencoder_draws_reconstructions(tmp_path, tfds_dir, one_device, monkeypatch):
    captions = []
    show = gallery.images.show
    monkeypatch.setattr(
        gallery.images, "show", lambda *x, **more: captions.append(more) or show(*x, **more)
    )
    model = autoencoder.mlp((8, 8, 1), latent_dim=2, hidden=(8,))
    loop.run(experiment(dir=tfds_dir, transform="unit", model=model), tmp_path)
    assert captions[0]["captions"] == ("reconstructions, step 8", "test data")
    assert (tmp_path / "samples" / "step_00000008.png").exists()
    assert "squared_error" in metrics(tmp_path)[-1]


@pytest.mark.parametrize(("name", "dim"), [("linear_gaussian", 8), ("banana", 2)])
def test_vectors_have_their_pictures(tmp_path, one_device, name, dim):
    model = linear_gaussian.linear((dim,), latent_dim=1)
    loop.run(experiment(name, transform="none", model=model, steps=4), tmp_path)
    assert read_picture(tmp_path / "samples" / "step_00000004.png").std() > 0
    assert {"elbo", "log_prob"} <= set(metrics(tmp_path)[-1])


def test_bfloat16_computes_otherwise_on_float32_parameters(tmp_path, tfds_dir, one_device):
    half = loop.run(experiment(dir=tfds_dir, precision="bfloat16"), tmp_path / "half")
    full = loop.run(experiment(dir=tfds_dir), tmp_path / "full")
    assert {str(x.dtype) for x in jax.tree.leaves(half.variables)} == {"float32"}
    losses = [metrics(tmp_path / name)[0]["loss"] for name in ("half", "full")]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]
    assert int(full.step) == int(half.step) == 8


def test_one_device_trains_as_four(tmp_path, tfds_dir, devices):
    tiny = experiment(dir=tfds_dir, steps=10, log_every=1, checkpoint_every=10)
    for num in (1, 4):
        devices(num)
        loop.run(tiny, tmp_path / str(num))
    one, four = (
        [line["loss"] for line in metrics(tmp_path / str(num)) if line["split"] == "train"]
        for num in (1, 4)
    )
    assert len(one) == 10
    np.testing.assert_allclose(four, one, rtol=1e-6)


def test_a_batch_must_be_shared_out(tmp_path, tfds_dir):
    with pytest.raises(ConfigError, match=r"batch size 12 is not divisible by 8 devices"):
        loop.run(experiment(dir=tfds_dir, batch_size=12), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_that_diverges_stops_and_keeps_no_bad_state(tmp_path, tfds_dir, one_device):
    wild = replace(experiment(dir=tfds_dir), optimizers=(Optimizer("sgd", 1e30),))
    with pytest.raises(NonFiniteError, match=r"step [2-4]: \w+ is (nan|inf|-inf)"):
        loop.run(wild, tmp_path)
    assert restored(wild, tmp_path) is None
    assert temporary(tmp_path) == []


@pytest.mark.parametrize("kind", [RuntimeError, TypeError, ZeroDivisionError, MemoryError])
def test_a_defect_is_written_down_as_the_end_of_a_run(kind, tmp_path, tfds_dir, monkeypatch):
    def broken(*_):
        raise kind("of a model of one's own")

    monkeypatch.setattr(StageTraining, "train", broken)
    with pytest.raises(kind, match="of a model"):
        loop.run(experiment(dir=tfds_dir), tmp_path)
    status = json.loads((tmp_path / "STATUS.json").read_text())
    assert (status["state"], status["exit_code"]) == ("failed", 1)


def test_signs_of_collapse_are_alarming_after_a_tenth_of_the_steps(
    tmp_path, tfds_dir, monkeypatch, capsys, glances
):
    monkeypatch.setattr(stages, "alarms", lambda signs: [f"warning: {sorted(signs)}"])
    loop.run(experiment(dir=tfds_dir, steps=20, evaluate_every=1), tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("warning: [")]) == 19  # of steps 2 to 20
    assert len([line for line in metrics(tmp_path) if line["split"] == "validation"]) == 20


@pytest.mark.parametrize("there", ["nothing", "a file", "a checkpoint that is being written"])
def test_who_comes_second_removes_nothing_of_the_first(there, tmp_path, tfds_dir, monkeypatch):
    folder = tmp_path / "run"
    opened = loop.open_folder

    def as_another_begins(*arguments):
        """Let another process take the lock once this one has found no folder."""
        records = opened(*arguments)
        folder.mkdir(exist_ok=True)
        if there == "a file":
            (folder / "notes.txt").write_text("mine")
        elif there != "nothing":
            (folder / "checkpoints" / "4.tmp").mkdir(parents=True)
        stack.enter_context(sole_writer(folder))
        return records

    monkeypatch.setattr(loop, "open_folder", as_another_begins)
    with ExitStack() as stack:
        with pytest.raises(ConfigError, match="is training in it"):
            loop.run(experiment(dir=tfds_dir), folder)
        before = sorted(path.name for path in folder.iterdir())
        assert ".lock" in before
        assert len(before) == 1 + (there != "nothing")
