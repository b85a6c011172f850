"""Plain data to JSON and back, without importing what a file names."""

import json
from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import pytest

from jaxgen.errors import CheckpointError, ConfigError
from jaxgen.nn import MLP
from jaxgen.optimizer import Optimizer
from jaxgen.spec import class_table, from_json, to_json, type_name
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


def test_types_keep_their_kind():
    assert [type(x) for x in there_and_back((1, 1.0, True, "1"))] == [int, float, bool, str]


def test_a_class_is_named_by_its_package_in_jaxgen_and_by_its_module_elsewhere():
    assert [type_name(c) for c in (VAE, MLP, Optimizer)] == [
        "vae.VAE",
        "nn.MLP",
        "optimizer.Optimizer",
    ]
    assert type_name(Box) == "test_spec.Box"
    assert type_name(nn.Dense).startswith("flax.")


def test_networks_leave_linens_bookkeeping_behind():
    assert to_json(MLP((3,), 1)) == {
        "type": "nn.MLP",
        "hidden": [3],
        "features": 1,
        "activation": "tanh",
        "dtype": "float32",
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
        ({"type": ["test_spec.Box"]}, "unknown type"),
        ({"type": "test_spec.Box", "content": 1, "colour": 2}, "spec: .* no field 'colour'"),
        ({"type": "test_spec.Box"}, "spec: test_spec.Box cannot be made from it: .*content"),
        ({"type": "test_spec.Box", "content": 1, "size": 13}, "no box has size 13"),
        ({"type": "test_spec.Box", "content": [{"type": "x"}]}, r"spec.content\[0\]: unknown type"),
    ],
)
def test_a_damaged_or_foreign_spec_is_refused(value, message):
    with pytest.raises(CheckpointError, match=message):
        from_json(value, TABLE)
