"""What a user can do wrong is one to three lines, with a field or a file, and its exit code."""

import json
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from PIL import Image
from tiny_runs import experiment

from jaxgen.cli.main import launch, main
from jaxgen.data import Data
from jaxgen.errors import ConfigError, StorageError
from jaxgen.experiment import CommonFlags, Experiment, Settings
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.experiment.spec import to_json
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.vae import autoencoder, linear_gaussian, vae

# What a verb warns of, but not TensorStore's reads that are still pending after a damaged one.
LATE_READS = pytest.mark.filterwarnings(
    "default", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def recipe(
    *,
    settings: CommonFlags = Settings(steps=4, batch_size=16),  # noqa: B008
    data: Data = Data(),  # noqa: B008
    optimizer: Optimizer = Optimizer(),  # noqa: B008
    hidden: tuple[int, ...] = (8,),
) -> Experiment:
    """A recipe."""
    from jaxgen.data import load

    model = vae.mlp(load(data).shape, latent_dim=2, hidden=hidden)
    return Experiment(model, settings, data, (optimizer,))


@pytest.fixture(autouse=True)
def hooks(monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)


@pytest.fixture
def complaint(capsys):
    """The exit code and the error of a command that must fail."""

    def run(*argv, code):
        argv = [str(word) for word in argv]
        found = launch(recipe, argv[1:]) if argv[0] == "train" else main(argv)
        said = capsys.readouterr().err
        assert "error: " in said, (found, said)
        text = said[said.index("error: ") :].rstrip("\n")
        assert found == code, said
        assert 1 <= len(text.splitlines()) <= 3, text
        assert "Traceback" not in said
        assert "╭" not in said
        return text

    return run


FLAGS = {
    ("--stepz", "3"): "--stepz",
    ("--steps", "many"): "--steps",
    ("--steps",): "--steps",
    ("--steps", "0"): "--steps: got 0, expected >= 1",
    ("--batch-size", "0"): "--batch-size",
    ("--batch-size", "12"): "batch size 12 is not divisible by 8 devices",
    ("--checkpoint-every", "0"): "--checkpoint-every",
    ("--seed", "-1"): "--seed",
    ("--ema-decay", "1"): "--ema-decay",
    ("--precision", "float16"): "--precision",
    ("--hidden", "wide"): "--hidden",
    ("--hidden", "0"): "hidden: got (0,), expected sizes >= 1",
    ("--optimizer.learning-rate", "-1"): "learning_rate",
    ("--data.transform", "blur"): "--data.transform",
    ("--data.threshold", "99"): "--data.threshold",
    ("--data.name", "banana"): "--data.transform none",
    ("leftover",): "leftover",
}


@pytest.mark.parametrize(("flags", "named"), FLAGS.items(), ids=" ".join)
def test_a_wrong_flag_of_a_recipe_is_named(complaint, tfds_dir, tmp_path, flags, named):
    place = ("--data.dir", tfds_dir, "--workdir", tmp_path / "run")
    assert named in complaint("train", *place, *flags, code=2)
    assert not (tmp_path / "run").exists()


VERBS = {
    ("sample", "--num", "0"): "--num: got 0, expected >= 1",
    ("sample", "--num", "x"): "--num",
    ("sample", "--seed", "-1"): "--seed",
    ("sample", "--seed", "9" * 30): "--seed",
    ("sample", "--out", "x.jpg"): "--out: got x.jpg, expected FILE.png or FILE.npz",
    ("reconstruct", "--num", "-3"): "--num",
    ("reconstruct", "--out", "x"): "--out",
    ("interpolate", "--points", "0"): "--points",
    ("evaluate", "--split", "exam"): "--split exam: choose from train, validation, test",
    ("evaluate", "--num-samples", "0"): "--num-samples",
    ("check", "--seed", "-1"): "--seed",
    ("evaluate", "--sample", "3"): "--sample",
}


@pytest.mark.parametrize(("argv", "named"), VERBS.items(), ids=" ".join)
def test_a_wrong_flag_of_a_verb_is_named(complaint, finished, argv, named):
    verb, *flags = argv
    assert named in complaint(verb, finished, *flags, code=2)


def test_an_unknown_verb_is_named_with_those_there_are(complaint):
    assert "evaluate, check, sample" in complaint("train!", code=2)


def test_a_verb_without_a_run_asks_for_it(complaint):
    assert "the run folder" in complaint("evaluate", code=2)


@pytest.mark.parametrize("verb", ["evaluate", "check", "sample", "reconstruct", "report"])
def test_a_missing_run_folder_is_named(complaint, tmp_path, verb):
    assert str(tmp_path / "none") in complaint(verb, tmp_path / "none", code=4)


@LATE_READS
def test_a_damaged_checkpoint_is_named(complaint, copied):
    for step in ("4", "8"):
        for path in (copied / "checkpoints" / step / "state").rglob("d/*"):
            path.write_bytes(path.read_bytes()[:99])
    assert str(copied / "checkpoints" / "4") in complaint("sample", copied, code=4)


@LATE_READS
def test_a_damaged_step_is_one_line_and_the_one_before_serves(copied, capsys):
    (copied / "checkpoints" / "8" / "record" / "metadata").write_text("{")
    assert main(["sample", str(copied)]) == 0
    warned = capsys.readouterr().err.splitlines()
    assert len(warned) == 1
    assert warned[0].startswith(f"warning: {copied}/checkpoints/8: record: damaged")


@pytest.mark.parametrize("name", ["spec.json", "data.json"])
def test_a_damaged_record_of_a_run_is_named(complaint, copied, tfds_dir, name):
    (copied / name).write_text('{"format')
    text = complaint("train", "--workdir", copied, "--data.dir", tfds_dir, code=4)
    assert str(copied / name) in text


def test_another_run_in_the_folder_is_named_by_field(complaint, copied, tfds_dir):
    place = ("--data.dir", tfds_dir, "--workdir", copied, "--ema-decay", "0.5")
    text = complaint("train", *place, "--steps", "8", "--seed", "1", code=2)
    assert "seed is 0 there, 1 here" in text


@pytest.mark.parametrize("name", ["digitz", "no/such", "./nowhere"])
def test_an_unknown_data_set_is_named(complaint, tmp_path, name):
    assert name in complaint("train", "--data.name", name, "--workdir", tmp_path, code=3)


def images(folder, sizes):
    folder.mkdir()
    for i, size in enumerate(sizes):
        Image.fromarray(np.full(size, 7 * i % 256, np.uint8)).save(folder / f"{i:02}.png")
    return folder


def test_images_of_another_shape_are_named(complaint, tmp_path):
    folder = images(tmp_path / "images", [(4, 4)] * 20 + [(5, 4)])
    text = complaint("train", "--data.name", folder, "--workdir", tmp_path / "run", code=3)
    assert "20.png: got 4 x 5 pixels, expected 4 x 4" in text


def test_a_file_that_is_no_image_is_named(complaint, tmp_path):
    folder = images(tmp_path / "images", [(4, 4)] * 20)
    (folder / "07.png").write_text("not a picture")
    text = complaint("train", "--data.name", folder, "--workdir", tmp_path / "run", code=3)
    assert "07.png" in text


def test_pixels_out_of_range_are_named(complaint, tmp_path, tfds_dir, monkeypatch):
    from jaxgen import data
    from jaxgen.data.readers import digits

    monkeypatch.setattr(digits, "LEVELS", 16)
    data.load.cache_clear()
    text = complaint("train", "--data.dir", tfds_dir, "--workdir", tmp_path / "run", code=3)
    data.load.cache_clear()
    for part in ("digits", "'train'", "index", "'image'", "got 16", "expected 0..15"):
        assert part in text


def test_a_run_on_data_that_changed_is_not_evaluated(complaint, copied):
    for step in ("4", "8"):
        path = copied / "checkpoints" / step / "record" / "metadata"
        record = json.loads(path.read_text())
        record["data"]["splits"]["test"]["sha256"] = "0" * 64
        path.write_text(json.dumps(record))
    assert "digits: the test split" in complaint("evaluate", copied, code=3)


def test_an_autoencoder_asked_to_sample_says_what_it_can_do(complaint, tmp_path):
    model = autoencoder.mlp((4, 4, 1), latent_dim=2, hidden=(4,))
    tiny = experiment("chain", model=model)
    record = {"experiment": to_json(tiny), "data": {}}
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(jax.jit(tiny.fresh_state)(jax.random.key(0)), record)
    text = complaint("sample", tmp_path, code=2)
    assert "Autoencoder has no sample" in text
    assert "jaxgen reconstruct" in text


def test_tensorboard_that_is_not_installed_is_named(complaint, tfds_dir, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    place = ("--data.dir", tfds_dir, "--workdir", tmp_path)
    text = complaint("train", "--tensorboard", *place, code=2)
    assert "pip install 'jaxgen[tensorboard]'" in text


def test_a_file_in_the_place_of_a_folder_is_named(complaint, tfds_dir, tmp_path):
    (tmp_path / "file").write_text("")
    text = complaint("train", "--data.dir", tfds_dir, "--workdir", tmp_path / "file", code=6)
    assert str(tmp_path / "file") in text


def test_a_place_that_cannot_be_written_is_named(complaint, finished):
    assert "/proc/x.png" in complaint("sample", finished, "--out", "/proc/x.png", code=6)


def test_debug_shows_the_traceback_too(finished, capsys):
    assert main(["sample", str(finished), "--num", "0", "--debug"]) == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.splitlines()[-1] == "error: --num: got 0, expected >= 1"


def test_settings_are_checked_without_a_command_line():
    with pytest.raises(ValueError, match="--steps: got 0"):
        replace(Settings(steps=3), steps=0)


@pytest.mark.parametrize("transform", ["levels", "unit", "dequantise"])
def test_a_likelihood_of_other_values_than_the_data_is_refused(
    complaint, tfds_dir, tmp_path, transform
):
    place = ("--data.dir", tfds_dir, "--workdir", tmp_path / "run")
    text = complaint("train", *place, "--data.transform", transform, code=2)
    assert f"--data.transform {transform}" in text
    assert "Bernoulli is for 2 values" in text


def test_networks_for_other_shapes_than_the_data_are_refused():
    with pytest.raises(ConfigError, match=r"images \[H, W, C\], not \[2\]"):
        vae.conv((2,))
    with pytest.raises(ConfigError, match=r"vectors \[D\], not \[8, 8, 1\]"):
        linear_gaussian.linear((8, 8, 1), latent_dim=2)


def test_a_full_disk_is_named_with_what_is_free(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise ValueError("RESOURCE_EXHAUSTED: writing: No space left on device")

    tiny = experiment()
    with Checkpoints(tmp_path) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "save", refuse)
        with pytest.raises(StorageError, match=r"needed, [\d,]+ free\): RESOURCE") as error:
            checkpoints.save(jax.jit(tiny.fresh_state)(jax.random.key(0)), {})
    assert len(str(error.value).splitlines()) == 1
