"""What a run writes down and shows."""

import json
import os
import pty
import re
import struct
import sys
from contextlib import suppress
from types import SimpleNamespace

import jax.numpy as jnp
import pytest

from jaxgen.errors import ConfigError, StorageError
from jaxgen.experiment import Settings
from jaxgen.loop import journal as journals
from jaxgen.loop.journal import Journal

SETTINGS = Settings(steps=100, batch_size=8)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def journal(folder, begin=0, **more):
    return Journal(folder, SETTINGS.steps, SETTINGS.batch_size, begin=begin, **more)


def written(folder, *steps):
    with journal(folder) as book:
        for step in steps:
            book.add(step, {"loss": jnp.ones(10)})
            book.flush()


def test_a_line_is_the_mean_over_the_steps_since_the_last(tmp_path):
    with journal(tmp_path) as book:
        book.add(2, {"loss": jnp.asarray([1.0, 2.0])})
        book.add(3, {"loss": jnp.asarray([6.0])})
        book.flush()
        book.add(4, {"loss": jnp.asarray([10.0])})
        book.flush()
    assert [(x["step"], x["split"], x["loss"]) for x in lines(tmp_path)] == [
        (3, "train", 3.0),
        (4, "train", 10.0),
    ]


def test_steps_that_were_not_taken_are_no_line(tmp_path):
    with journal(tmp_path) as book:
        book.add(1, {})
        book.flush()
        book.add(2, {})
        book.add(3, {"loss": jnp.asarray([6.0])})
        book.flush()
    assert [(x["step"], x["loss"]) for x in lines(tmp_path)] == [(3, 6.0)]


class Narrow:
    """A file on a disk with room for so many bytes more, for a while."""

    def __init__(self, file, room):
        self._file, self.room = file, room

    def write(self, content):
        """As the system does it: what fits, without a word."""
        return self._file.write(content[: self.room])

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_a_line_for_which_there_is_half_the_room_is_written_whole_later(tmp_path, capsys):
    with journal(tmp_path) as book:
        book._file = Narrow(book._file, 20)
        book.write("validation", {"elbo": -3.0})
        assert (tmp_path / "metrics.jsonl").read_bytes() == b""
        assert "not written: No space left" in capsys.readouterr().err
        book._file.room = 10**6
        book.write("validation", {"elbo": -2.0})
    assert [x["elbo"] for x in lines(tmp_path)] == [-3.0, -2.0]


def test_a_torn_line_costs_that_line_alone(tmp_path):
    written(tmp_path, 10, 20, 30)
    path = tmp_path / "metrics.jsonl"
    first, second, third = path.read_text().splitlines()
    path.write_text(f"{first}\n{second[:30]}\n{third}\n")
    with journal(tmp_path, begin=30):
        assert [x["step"] for x in lines(tmp_path)] == [10, 30]


def test_nothing_new_writes_nothing(tmp_path):
    with journal(tmp_path) as book:
        book.flush()
    assert lines(tmp_path) == []


def test_an_evaluation_is_a_line_of_its_own(tmp_path):
    with journal(tmp_path) as book:
        book.add(5, {"loss": jnp.ones(5)})
        book.flush()
        book.write("validation", {"elbo": -3.0})
    assert lines(tmp_path)[1]["split"] == "validation"
    assert lines(tmp_path)[1]["elbo"] == -3.0
    assert lines(tmp_path)[1]["step"] == 5


def test_a_line_is_on_disk_before_the_next_step(tmp_path):
    with journal(tmp_path) as book:
        book.add(5, {"loss": jnp.ones(5)})
        book.flush()
        assert len(lines(tmp_path)) == 1


def test_lines_after_the_restored_step_are_cut(tmp_path):
    written(tmp_path, 10, 20, 30)
    with journal(tmp_path, begin=20) as book:
        assert [line["step"] for line in lines(tmp_path)] == [10, 20]
        book.add(30, {"loss": jnp.full(10, 2.0)})
        book.flush()
    assert [(line["step"], line["loss"]) for line in lines(tmp_path)] == [
        (10, 1.0),
        (20, 1.0),
        (30, 2.0),
    ]


@pytest.mark.parametrize(
    "torn", ['{"step": 20, "los', '{"step": 2', "{", '{"a": "\\ud8', "20", "{}"]
)
def test_a_torn_last_line_is_repaired(tmp_path, torn):
    written(tmp_path, 10)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(torn)
    with journal(tmp_path, begin=10) as book:
        book.add(20, {"loss": jnp.ones(10)})
        book.flush()
    assert [line["step"] for line in lines(tmp_path)] == [10, 20]


def test_torn_bytes_are_repaired(tmp_path):
    written(tmp_path, 10)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b"\xc3\x00\xff")
    journal(tmp_path, begin=10).__exit__()
    assert [line["step"] for line in lines(tmp_path)] == [10]


def test_steps_never_decrease_over_restarts(tmp_path):
    written(tmp_path, 10, 20, 30)
    for begin in (20, 0, 10):
        with journal(tmp_path, begin=begin) as book:
            for step in range(begin + 10, 60, 10):
                book.add(step, {"loss": jnp.ones(10)})
                book.flush()
    steps = [line["step"] for line in lines(tmp_path)]
    assert steps == sorted(set(steps))


def test_time_goes_on_where_it_stopped(tmp_path):
    written(tmp_path, 10)
    first = lines(tmp_path)[0] | {"seconds": 1000.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(first) + "\n")
    with journal(tmp_path, begin=10) as book:
        book.write("train", {})
    assert lines(tmp_path)[1]["seconds"] >= 1000


def test_the_window_of_a_process_that_left_is_part_of_the_next_line(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    values = [jnp.asarray([0.1, 0.7]), jnp.asarray([1 / 3])]
    with journal(whole, begin=0) as book:
        book.add(2, {"loss": values[0]})
        book.add(3, {"loss": values[1]})
        book.flush()
    with journal(parts, begin=0) as book:
        book.add(2, {"loss": values[0]})
        window = json.loads(json.dumps(book.window()))
    with journal(parts, begin=2, window=window) as book:
        book.add(3, {"loss": values[1]})
        book.flush()
    assert lines(parts)[0]["loss"] == lines(whole)[0]["loss"]


def test_a_line_that_the_disk_refused_is_written_with_the_next(tmp_path, monkeypatch):
    with journal(tmp_path, begin=0) as book:
        file, refused = book._file, OSError(28, "No space left on device")
        monkeypatch.setattr(book, "_file", Refusing(file, refused))
        book.write("train", {"loss": 1.0})
        assert lines(tmp_path) == []
        with pytest.raises(StorageError, match="No space left"):
            book.close()
        monkeypatch.setattr(book, "_file", file)
        book.write("validation", {"elbo": 2.0})
    assert [line["split"] for line in lines(tmp_path)] == ["train", "validation"]


class Refusing:
    """A file of a full disk: half of a line, then the error."""

    def __init__(self, file, error):
        self.file, self.error = file, error

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        """Half of it."""
        self.file.write(content[: len(content) // 2])
        raise self.error


def test_plain_lines_without_a_terminal(tmp_path, capsys):
    metrics = {"kl": jnp.full(5, 2.0), "loss": jnp.ones(5)}
    with journal(tmp_path) as book:
        book.say("hello")
        book.add(5, metrics)
        book.compiled()
        book.flush()
        book.add(10, metrics)
        book.flush()
    out, said = capsys.readouterr()
    hello, compiled, first, second = said.splitlines()
    assert hello == "hello"
    assert compiled.startswith("compiled in ")
    assert first.rstrip() == "step   5/100  loss 1  kl 2"
    assert second.startswith("step  10/100  loss 1  kl 2  ")
    assert re.search(r"  [\d,]+ images/s  [\d:]+ left$", second)
    assert out == ""
    assert not set("\x1b\r") & set(said)


def test_the_time_of_the_first_dispatch_is_no_speed(tmp_path):
    with journal(tmp_path) as book:
        book.add(5, {"loss": jnp.ones(5)})
        book.compiled()
        book.flush()
        book.add(10, {"loss": jnp.ones(5)})
        book.flush()
    assert "images_per_second" not in lines(tmp_path)[0]
    assert lines(tmp_path)[1]["images_per_second"] > 0


@pytest.mark.parametrize(
    ("seconds", "left"), [(5, "0:45"), (100, "15:00"), (407, "1:01:03"), (14_000, "35:00:00")]
)
def test_the_time_left_is_told_in_hours_minutes_and_seconds(
    seconds, left, tmp_path, capsys, monkeypatch
):
    """Ten of a hundred steps took so long; nine times as long is left."""
    clock = iter([0.0, 0.0, seconds, seconds])
    monkeypatch.setattr(journals, "time", SimpleNamespace(monotonic=lambda: next(clock, seconds)))
    with journal(tmp_path) as book:
        book.add(10, {"loss": jnp.ones(10)})
        book.flush()
    assert capsys.readouterr().err.rstrip().endswith(f"  {left} left")


def everything(leader):
    """Read what a terminal was told, piece by piece, and close it.

    A terminal passes on what it has so far; when the other end is closed, the last piece is an
    error.
    """
    pieces = []
    with suppress(OSError):
        while piece := os.read(leader, 100_000):
            pieces.append(piece)
    os.close(leader)
    return b"".join(pieces).decode()


def test_one_progress_line_on_a_terminal(tmp_path, monkeypatch):
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "150")
        with journal(tmp_path) as book:
            book.say("hello")
            for step in (10, 20):
                book.add(step, {"loss": jnp.full(10, 1.5)})
                book.flush()
    shown = everything(leader)
    assert "hello" in shown
    last = [line for line in shown.replace("\r", "\n").split("\n") if "20/100" in line][-1]
    for part in ("step 20/100", "loss 1.5", "images/s", "left"):
        assert part in last
    assert len([line for line in shown.split("\n") if "/100" in line]) <= 2  # redrawn in place


def events(folder):
    """(tag, step, value) of all TensorBoard events, from the files' own framing."""
    from tensorboardX.proto.event_pb2 import Event

    for path in (folder / "tensorboard").iterdir():
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                yield value.tag, event.step, value.simple_value


def test_tensorboard_has_the_same_numbers(tmp_path):
    with journal(tmp_path, tensorboard=True) as book:
        for step in (10, 20):
            book.add(step, {"loss": jnp.full(10, step / 2)})
            book.flush()
        book.write("validation", {"elbo": -3.0})
    found = {(tag, step): value for tag, step, value in events(tmp_path)}
    assert found["train/loss", 10] == 5.0
    assert found["train/loss", 20] == 10.0
    assert found["validation/elbo", 20] == -3.0


def test_without_tensorboard_the_flag_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ConfigError, match="--tensorboard") as error:
        journal(tmp_path, tensorboard=True)
    assert "pip install" in str(error.value)
    assert len(str(error.value).splitlines()) <= 3


def test_without_the_flag_no_event_file_is_written(tmp_path):
    written(tmp_path, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_what_is_counted_in_a_second_has_its_name(tmp_path):
    with journal(tmp_path) as log:
        log.noun = "examples"
        log.resume()
        log.add(10, {"loss": jnp.ones(10)})
        log.flush()
    assert lines(tmp_path)[0]["examples_per_second"] > 0
