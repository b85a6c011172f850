"""The shape of the code: floors, one place for gradients and for files, short functions, docs."""

import ast
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "jaxgen"
FILES = sorted(ROOT.rglob("*.py"))

# From the top; a file imports from floors below its own, or from its own package.
FLOORS = (
    {"jaxgen"},  # the package itself: `jaxgen.load`, on first use
    {"cli"},
    {"verbs"},
    {"loop", "report", "check", "measurement"},
    {"stepping", "validation"},
    {"run", "gallery", "journal"},
    {"folder", "checkpoint", "diagnosis", "evaluation", "pictures", "status"},
    {"experiment", "plots", "curves"},
    {"autoregressive", "vae", "gan", "flow", "energy", "diffusion"},  # the families
    {"nn", "losses", "parallel", "optimizer", "data"},
    {"observation", "mixture"},
    {"train", "distributions", "spec", "files", "lock", "migrate", "ranges", "seal", "signals"}
    | {"committed"},
    {"console", "errors", "memory", "threads", "typing"},
)
FLOOR = {name: i for i, floor in enumerate(FLOORS) for name in floor}
FAMILIES = FLOORS[8]
RIM = {  # who may print, and who may touch files
    "print": {"console", "journal"},
    "files": {
        "cli",
        "verbs",
        "loop",
        "journal",
        "folder",
        "report",
        "checkpoint",
        "files",
        "lock",
        "data",
    },
}
READ_OR_WRITE = {"read_text", "read_bytes", "write_text", "write_bytes", "open", "mkdir", "unlink"}


@lru_cache
def tree(file):
    return ast.parse(file.read_text())


def nodes(file, *kinds):
    return [node for node in ast.walk(tree(file)) if isinstance(node, kinds)]


def unit(file):
    """The file's or package's name right under jaxgen."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return "jaxgen" if parts == ("__init__",) else parts[0]


def imported(file):
    """The names right under jaxgen that a file imports, wherever in it."""
    for node in nodes(file, ast.Import):
        for alias in node.names:
            if alias.name.startswith("jaxgen."):
                yield alias.name.split(".")[1]
    for node in nodes(file, ast.ImportFrom):
        assert node.level == 0, f"{file}: a relative import"
        package, *rest = (node.module or "").split(".")
        if package == "jaxgen":
            names = rest[:1] or [alias.name for alias in node.names]
            yield from (name for name in names if name in FLOOR)
            assert all(name in FLOOR or name.startswith("__") for name in names), (file, names)


def test_every_file_has_a_floor():
    assert {unit(file) for file in FILES} <= set(FLOOR)


def test_imports_run_downwards():
    upward = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in FILES
        for name in imported(file)
        if name != unit(file) and FLOOR[name] <= FLOOR[unit(file)]
    ]
    assert upward == []


def test_no_family_imports_another():
    crossing = [
        (unit(file), name)
        for file in FILES
        if unit(file) in FAMILIES
        for name in imported(file)
        if name in FAMILIES - {unit(file)}
    ]
    assert crossing == []


def test_gradients_of_training_are_taken_in_one_place():
    def takes(file):
        names = [n.attr for n in nodes(file, ast.Attribute)] + [n.id for n in nodes(file, ast.Name)]
        return "value_and_grad" in names

    assert [file.name for file in FILES if takes(file)] == ["train.py"]


def called(file):
    for node in nodes(file, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", None))
        yield name, f"{file.relative_to(ROOT)}:{node.lineno}: {name}"


def test_only_the_rim_prints():
    below = [where for f in FILES for name, where in called(f) if name == "print"
             and unit(f) not in RIM["print"]]  # fmt: skip
    assert below == []


def test_only_the_rim_touches_files():
    below = [where for f in FILES for name, where in called(f) if name in READ_OR_WRITE
             and unit(f) not in RIM["files"]]  # fmt: skip
    assert below == []


def test_no_file_is_longer_than_300_lines():
    assert [file.name for file in FILES if len(file.read_text().splitlines()) > 300] == []


def body_lines(function):
    """Lines of the body, without the docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def test_no_function_body_is_longer_than_40_lines():
    long = [
        f"{file.relative_to(ROOT)}: {function.name}: {body_lines(function)}"
        for file in FILES
        for function in nodes(file, ast.FunctionDef)
        if body_lines(function) > 40
    ]
    assert long == []


def public(node):
    """Public functions and classes of a file and public methods of its public classes."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.ClassDef) and not item.name.startswith("_"):
            yield item
            if isinstance(item, ast.ClassDef):
                yield from public(item)


def test_everything_public_is_documented():
    bare = [
        f"{file.relative_to(ROOT)}: {getattr(item, 'name', 'module')}"
        for file in FILES
        for item in [tree(file), *public(tree(file))]
        if not ast.get_docstring(item)
    ]
    assert bare == []


@pytest.mark.parametrize("module", ["jaxgen", "jaxgen.cli", "jaxgen.verbs"])
def test_the_command_line_answers_before_jax_is_imported(module):
    code = f"import sys, {module}; print({{'jax', 'flax', 'numpy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
