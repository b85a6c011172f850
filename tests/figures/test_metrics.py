"""Metrics as curves: exact while they are few, bounded and with every peak when they are many."""

import json
import os
import tracemalloc

import numpy as np
import pytest

from jaxgen.cli.verbs.report import report as verb
from jaxgen.errors import CheckpointError
from jaxgen.figures import metrics, report
from jaxgen.figures.metrics import Points
from jaxgen.files import MAX_LINE, read_lines
from jaxgen.loop.journal import Journal


def line(step, split="train", **values):
    return json.dumps({"step": step, "split": split, **values, "seconds": step / 10}) + "\n"


@pytest.fixture
def folder(tmp_path):
    """A run folder with a spec, and no metrics yet."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "spec.json").write_text('{"recipe": "r", "experiment": {"seed": 1}}')
    return tmp_path


def points(steps, values):
    found = Points()
    for step, value in zip(steps, values, strict=True):
        found.add(int(step), float(value))
    return found.curve()


def test_few_points_are_all_kept():
    steps = np.arange(0, 3000, 3)
    values = np.random.default_rng(0).normal(size=1000)
    found = points(steps, values)
    np.testing.assert_array_equal(found.steps, steps)
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.means, values)


@pytest.mark.parametrize("num", [64, 65, 1000, 4999])
def test_of_many_the_extremes_the_means_and_the_last_are_kept(monkeypatch, num):
    monkeypatch.setattr(metrics, "MOST", 64)
    steps = 10 * np.arange(num)
    values = np.random.default_rng(num).normal(size=num) + np.linspace(0, 5, num)
    values[num // 3] = 99.0
    values[num // 2] = -99.0
    found = points(steps, values)
    assert len(found.steps) <= 2 * 64 + 3
    assert (np.diff(found.steps) >= 0).all()
    np.testing.assert_array_equal(values[(found.steps / 10).astype(int)], found.values)
    assert found.values.max() == 99.0
    assert found.values.min() == -99.0
    assert (found.steps[-1], found.values[-1]) == (steps[-1], values[-1])
    whole = found.means[:-1] if num % 64 else found.means
    assert np.mean(whole) == pytest.approx(values.mean(), abs=1.5)
    resolution = np.diff(found.steps).max()
    assert resolution <= 4 * 10 * num / 64 + 10  # as fine at the begin as at the end


@pytest.mark.parametrize("most", [8, 2**15])
def test_a_run_that_went_back_repeats_steps_and_the_later_ones_stand(monkeypatch, most):
    monkeypatch.setattr(metrics, "MOST", most)
    steps = [*range(100), *range(40, 70)]
    values = [0.0] * 40 + [9.0] * 60 + [1.0] * 30
    found = points(steps, values)
    assert found.values.max() == 1.0
    assert found.steps[-1] == 69
    assert (np.diff(found.steps) >= 0).all()


def test_long_metrics_are_read_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "MOST", 2**4)
    path = tmp_path / "metrics.jsonl"
    with path.open("w") as file:
        for step in range(800):
            file.write(line(step, loss=float(step % 7), kl=1e6 if step == 321 else 1.0))
    tracemalloc.start()
    found = metrics.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e5  # of all records 1e6
    assert found.series()["kl"]["train"].values.max() == 1e6
    assert found.last_step == 799
    assert found.torn == 0


def test_a_file_of_any_size_has_its_curves(folder):
    """72 MB, of lines that are long; one longer than any line may be is torn."""
    padding = "x" * 900_000
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(80):
            file.write(line(step, loss=float(step), note=padding))
        file.write(json.dumps({"step": 80, "loss": 1.0, "note": "x" * (2 * MAX_LINE)}) + "\n")
    assert (folder / "metrics.jsonl").stat().st_size > 72e6
    page = report.render(folder)
    assert "<svg" in page
    assert "79 steps" in page
    assert "1 unreadable line" in page


@pytest.mark.parametrize(
    "name",
    [
        "metrics.jsonl",
        "evaluation.json",
        "certificate.json",
        "data.json",
        "environment.json",
        "samples.png",
    ],
)
@pytest.mark.parametrize("damage", ["link", "pipe", "folder", "torn"])
def test_what_is_there_and_cannot_be_read_is_named(folder, name, damage, capsys):
    path = folder / name
    if damage == "link":
        path.symlink_to(folder / "spec.json")
    elif damage == "pipe":
        os.mkfifo(path)
    elif damage == "folder":
        path.mkdir()
    else:
        path.write_text('{"step": 1, "loss')
    assert verb(folder) == 0
    told = capsys.readouterr().out
    page = (folder / "report.html").read_text()
    if name == "metrics.jsonl" and damage == "torn":
        assert "1 unreadable line" in page
        return
    assert f"left out: {path}: cannot be " in told
    assert "Damaged, and left out" in page
    assert page.count("cannot be ") >= 1


def test_what_is_too_large_is_named(folder, monkeypatch, capsys):
    (folder / "evaluation.json").write_text("[" + " " * 2**24 + "]")
    assert verb(folder) == 0
    assert "16,777,218 bytes, more than 16,777,216" in capsys.readouterr().out


def test_names_without_end_are_bounded_and_counted(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(line(i, **{f"name {i}": 1.0}) for i in range(metrics.MAX_NAMES + 9)))
    found = metrics.read(path)
    assert len(found.series()) == metrics.MAX_NAMES
    assert found.crowded == 9


def test_lines_of_no_file_are_none_and_of_a_link_an_error(tmp_path):
    assert list(read_lines(tmp_path / "none")) == []
    (tmp_path / "link").symlink_to(tmp_path / "none")
    with pytest.raises(CheckpointError, match="it is a link"):
        list(read_lines(tmp_path / "link"))


def test_a_run_goes_on_in_a_journal_of_any_length(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with path.open("w") as file:
        for step in range(3_000):
            file.write(line(step, loss=1.0))
            if step % 500 == 0:
                file.write(line(step, "validation", elbo=-1.0))
        file.write('{"step": 3001, "sp')
    tracemalloc.start()
    with Journal(tmp_path, 2_000, 8, begin=1_500) as journal:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert set(journal.validations) == {0, 500, 1000, 1500}
    assert peak < 2e5
    lines = path.read_text().splitlines()
    assert len(lines) == 1_501 + 4
    assert json.loads(lines[-2])["step"] == 1_500
