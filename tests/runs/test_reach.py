"""A run folder may have any name that the file system allows."""

import os
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest
from tiny_runs import assert_same

from jaxgen.errors import StorageError
from jaxgen.runs.checkpoint import Checkpoints
from jaxgen.runs.reach import Reach, is_plain
from jaxgen.step import Player, init_state

PLAYER = Player("p", ("net",), lambda *_: (0.0, ({}, {})), optax.sgd(1e-3))
ODD = [b"caf\xe9", b"\xff\xfe", b"lr[0.1]", b"[a-z]*", b"what?", b"caf\xc3", b"\x80 \n[/red]"]
PLAIN = ["runs/vae", "日本", "a b", "100%", "{x}", "c:d", "a\nb", "-x", "~", "a#b&c"]


def state_at(step):
    variables = {"net": {"params": {"w": jnp.arange(6.0) + step}}}
    state = init_state(jax.random.key(7), variables, (PLAYER,))
    return state.replace(step=jnp.asarray(step, jnp.int32))


def test_plain_names_need_no_link():
    for name in PLAIN:
        folder = Path("/") / name
        assert is_plain(folder)
        assert Reach(folder, create=True).path == folder


@pytest.mark.parametrize("name", ODD)
def test_checkpoints_are_saved_and_restored_under_any_name(tmp_path, name, monkeypatch):
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(links))
    folder = tmp_path / os.fsdecode(name) / "checkpoints"
    assert not is_plain(folder)
    states = [state_at(step) for step in (1, 2)]
    with Checkpoints(folder) as checkpoints:
        for state in states:
            checkpoints.save(state, {})
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]
    with Checkpoints(folder, read_only=True) as checkpoints:
        assert checkpoints.steps() == [2, 1]
        assert_same(checkpoints.restore_newest(lambda _: states[0]), states[1])
    assert list(links.iterdir()) == []  # and no link stays


def test_where_no_link_can_be_made_one_line_says_so(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"\xff")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(StorageError, match="cannot be linked to"):
        Reach(folder, create=True)
    odd = tmp_path / "[tmp]"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    with pytest.raises(StorageError, match="TMPDIR"):
        Reach(folder, create=True)
    assert list(odd.iterdir()) == []
