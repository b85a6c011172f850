"""Plain data to JSON and back, without importing what a file names."""

import json
import os
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import pytest

from jaxgen.errors import CheckpointError, ConfigError
from jaxgen.experiment.optimizer import Optimizer
from jaxgen.experiment.spec import class_table, from_json, to_json, type_name
from jaxgen.nn import MLP
from jaxgen.runs.loaded import known_classes
from jaxgen.vae import VAE, Gaussian


@dataclass(frozen=True)
class Box:
    """Anything."""

    content: Any
    size: int = 1

    def __post_init__(self):
        if self.size == 13:
            raise ConfigError("no box has size 13")


TABLE = class_table([Box, MLP, Gaussian])


def there_and_back(value):
    return from_json(json.loads(json.dumps(to_json(value))), TABLE)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -1e-30,
        "text",
        (1, (2.5, None), ()),
        Box(Box((Box(1), False))),
        Box(MLP((3, 2), 1, "relu")),
        Gaussian(0.5),
    ],
)
def test_a_value_survives(value):
    assert there_and_back(value) == value


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\nb", "tab\t", "\u202eleft", "\x00", "\x7f"])
def test_a_string_that_a_terminal_would_obey_is_refused(text):
    """Alone, in a list and in a field, and what is said of it is printable."""
    where = {"spec": text, "spec[1]": [1, text], "spec.content": {"type": "Box", "content": text}}
    for path, value in where.items():
        with pytest.raises(CheckpointError, match="expected printable characters") as error:
            from_json(value, TABLE)
        assert str(error.value).startswith(f"{path}: got ")
        assert str(error.value).isprintable()


@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\x9b", b"\xe6\x97", "a\u3000b\xa0c".encode()])
def test_a_name_of_any_bytes_survives(name):
    box = Box(os.fsdecode(name))
    assert there_and_back(box) == box


def test_types_keep_their_kind():
    assert [type(x) for x in there_and_back((1, 1.0, True, "1"))] == [int, float, bool, str]


def test_a_class_is_named_by_its_bare_name():
    names = [type_name(c) for c in (VAE, MLP, Optimizer, Box, nn.Dense)]
    assert names == ["VAE", "MLP", "Optimizer", "Box", "Dense"]


def test_two_classes_of_one_name_are_refused():
    mine = dataclass(frozen=True)(type("MLP", (), {}))
    with pytest.raises(ConfigError, match=r"two classes are called MLP: .*rename yours"):
        class_table([MLP, mine])
    assert class_table([MLP, MLP]) == {"MLP": MLP}


def test_networks_leave_linens_bookkeeping_behind():
    assert to_json(MLP((3,), 1)) == {
        "type": "MLP",
        "hidden": [3],
        "features": 1,
        "activation": "tanh",
        "dtype": "float32",
        "kernel_init": None,
    }


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Box((1, float("inf"))), r"spec.content\[1\]: got inf"),
        (Box(len), r"spec.content: builtin_function_or_method .* has no form in JSON"),
        (Box(Box), r"spec.content: type .* has no form"),
    ],
)
def test_what_has_no_plain_form_is_named_by_its_path(value, message):
    with pytest.raises(ConfigError, match=message):
        to_json(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"type": "os.system"}, "spec: unknown type 'os.system'"),
        ({"size": 1}, "spec: unknown type None"),
        ({"type": ["Box"]}, "unknown type"),
        ({"type": "Box", "content": 1, "colour": 2}, "spec: .* no field 'colour'"),
        ({"type": "Box"}, "spec: Box cannot be made from it: .*content"),
        ({"type": "Box", "content": 1, "size": 13}, "no box has size 13"),
        ({"type": "Box", "content": [{"type": "x"}]}, r"spec.content\[0\]: unknown type"),
    ],
)
def test_a_damaged_or_foreign_spec_is_refused(value, message):
    with pytest.raises(CheckpointError, match=message):
        from_json(value, TABLE)


def test_the_names_of_all_classes_of_jaxgen_differ():
    classes = [cls for cls in known_classes().values() if cls.__module__.startswith("jaxgen")]
    assert len({type_name(cls) for cls in classes}) == len(classes) > 60
