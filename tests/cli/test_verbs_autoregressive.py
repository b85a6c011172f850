"""What the verbs do with an autoregressive run, class-conditional or not."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
import tiny_runs
from PIL import Image

import jaxgen
from jaxgen.autoregressive import FVBN, gated_pixel_cnn, wavenet
from jaxgen.cli.main import main
from jaxgen.data import Data, load
from jaxgen.errors import ConfigError
from jaxgen.evaluation.generate import known_half
from jaxgen.loop import loop


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tfds_dir):
    """A plain run and a class-conditional one, of a few steps on the digits."""
    shape = load(Data(dir=tfds_dir)).shape
    models = {
        "plain": FVBN(shape),
        "classes": gated_pixel_cnn.build(shape, num_layers=2, features=4, head=4, num_classes=10),
    }
    folders = {}
    for name, model in models.items():
        folders[name] = tmp_path_factory.mktemp("autoregressive") / name
        loop.run(tiny_runs.experiment(dir=tfds_dir, model=model), folders[name], recipe=name)
    return folders


def say(capsys, *argv, code=0):
    assert main([str(word) for word in argv]) == code
    return capsys.readouterr()


def metrics(folder):
    return {r["metric"]: r for r in json.loads((folder / "evaluation.json").read_text())}


def test_evaluate_gives_the_exact_density_in_nats_and_bits(runs, capsys):
    say(capsys, "evaluate", runs["plain"])
    found = metrics(runs["plain"])
    assert set(found) == {"log_prob", "log_prob_bits_per_dim"}
    bits = -found["log_prob"]["value"] / (64 * np.log(2))
    assert found["log_prob_bits_per_dim"]["value"] == pytest.approx(bits)


def test_evaluate_gives_the_marginal_and_the_conditional_of_a_class_conditional_model(runs, capsys):
    say(capsys, "evaluate", runs["classes"])
    found, run = metrics(runs["classes"]), jaxgen.load(runs["classes"])
    batch = run.dataset().batch("test")
    given = np.asarray(run.log_prob(batch["image"], label=batch["label"]))
    assert found["log_prob_given_label"]["value"] == pytest.approx(given.mean(), abs=1e-3)
    every = np.stack([run.log_prob(batch["image"], label=np.full(360, y)) for y in range(10)])
    marginal = np.log(np.exp(every - every.max()).mean(axis=0)) + every.max()
    assert found["log_prob"]["value"] == pytest.approx(marginal.mean(), abs=1e-3)
    correct = (every.argmax(axis=0) == batch["label"]).mean()
    assert found["bayes_accuracy"]["value"] == pytest.approx(correct, abs=1e-6)


def test_the_certificate_of_a_class_conditional_run_holds(runs, capsys):
    said = say(capsys, "check", runs["classes"]).out
    assert "fast sampling = naive sampling" in said
    assert "FAILS" not in said


def test_a_picture_has_a_row_for_each_class(runs, capsys):
    said = say(capsys, "sample", runs["classes"], "--num", 15).out
    assert "20 samples" in said  # two in each of ten rows
    with Image.open(runs["classes"] / "samples.png") as image:
        assert image.height > 4 * image.width


def test_an_array_holds_what_was_asked_for_and_its_labels(runs, capsys, tmp_path):
    say(capsys, "sample", runs["classes"], "--num", 15, "--out", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        assert arrays["x"].shape == (15, 8, 8, 1)
        assert list(arrays["label"]) == [i * 10 // 15 for i in range(15)]
    say(capsys, "sample", runs["classes"], "--label", 3, "--out", tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        assert (arrays["label"] == 3).all()


@pytest.mark.parametrize(
    ("run", "label", "expected"),
    [("classes", 10, "expected 0 .. 9"), ("plain", 0, "not class-conditional")],
)
def test_a_class_that_is_not_there_is_one_line(runs, capsys, run, label, expected):
    said = say(capsys, "sample", runs[run], "--label", label, code=2).err
    assert expected in said
    assert len(said.strip().splitlines()) == 1


def test_completions_keep_the_given_half(runs, capsys, tmp_path):
    say(capsys, "complete", runs["plain"], "--num", 3, "--times", 2, "--out", tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz") as arrays:
        x, real, known = arrays["x"], arrays["real"], arrays["known"]
    assert x.shape == (3, 2, 8, 8, 1)
    assert known.sum() == 32
    assert known[:4].all()
    np.testing.assert_array_equal(x[:, :, :4], np.repeat(real[:, None, :4], 2, axis=1))
    assert (x[:, 0] != x[:, 1]).any()


@pytest.mark.parametrize("known", ["upper", "left"])
def test_completions_are_drawn_between_what_is_given_and_the_truth(runs, capsys, known):
    say(capsys, "complete", runs["classes"], "--num", 2, "--times", 3, "--known", known)
    assert (runs["classes"] / "completions.png").stat().st_size > 500
    page = say(capsys, "report", runs["classes"]).out.splitlines()[-1]
    assert "Completions" in Path(page).read_text()


def test_what_cannot_be_completed_says_so(finished, capsys):
    assert "has no complete" in say(capsys, "complete", finished, code=2).err


def test_samples_of_a_model_of_sound_can_be_heard(runs, glances, capsys, tmp_path):
    sizes = {"num_layers": 2, "num_blocks": 1, "features": 4, "skip": 8}
    given = {"num_classes": 4, "context_dim": 10, "context_stride": 128}
    model = wavenet.build((2048,), **sizes, **given)
    experiment = tiny_runs.experiment("tones", transform="levels", model=model, batch_size=8)
    loop.run(experiment, tmp_path / "tones", recipe="tones")
    out = tmp_path / "x.wav"
    assert "4 samples" in say(capsys, "sample", tmp_path / "tones", "--num", 4, "--out", out).out
    with wave.open(str(out)) as sound:
        assert sound.getframerate() == 8000
        assert sound.getnframes() > 4 * 2048
    (tmp_path / "tones" / "samples.png").unlink(missing_ok=True)
    say(capsys, "complete", tmp_path / "tones", "--num", 2, "--times", 1)
    assert "no sound" in say(capsys, "sample", runs["plain"], "--out", out, code=2).err


def test_half_of_an_example():
    upper, left = (known_half((4, 6, 1), known)[..., 0] for known in ("upper", "left"))
    assert (upper == (np.arange(4) < 2)[:, None]).all()
    assert (left == (np.arange(6) < 3)).all()
    assert list(known_half((5,), "left")) == [True, True, False, False, False]


def test_a_conditional_model_needs_data_with_its_classes(tfds_dir, tmp_path):
    model = gated_pixel_cnn.build((8, 8, 1), num_layers=1, features=4, num_classes=7)
    with pytest.raises(ConfigError, match="has 10 classes, the model is conditioned on 7"):
        loop.run(tiny_runs.experiment(dir=tfds_dir, model=model), tmp_path / "run")
