"""The table of recipes: found by reading their files, so that a name is answered without jax.

A recipe is a public function that is said to return an `Experiment`, in a file FAMILY/MODEL.py. In
a wheel the files are the package `jaxgen.recipes`; in a checkout they are the folder `experiments`
beside `jaxgen`.
"""

import ast
import difflib
import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any, TypeGuard

import jaxgen
from jaxgen.errors import ConfigError, first_line

WIDTH = 80  # of a terminal
_SHIPPED = "jaxgen.recipes"
_CHECKOUT = "experiments"
_NO_FAMILY = "studies"
_DEFAULT_DATA = "digits"  # the name in Data()
# As in `jaxgen.data.load`, which is not imported: it brings jax.
EMBEDDED = (
    *("digits", "chain", "bars", "small_bars", "markov", "banana", "linear_gaussian"),
    "sources",
    *("ring", "small_ring", "grid", "tones"),
)
_ON_DISK = " *"
_TO_FETCH = " +"
_LEGEND = """
*  read from files: where yours lie elsewhere, --data.name PATH
+  from TensorFlow Datasets: --data.download, once
Train one: jaxgen train NAME; its flags: jaxgen train NAME --help"""


@dataclass(frozen=True)
class Recipe:
    """An entry of the table.

    Attributes:
      name: of the function, of its run folder, and of the recipe in records.
      module: under the package, as 'vae.vae'.
      model: the model and its paper.
      data: the name of the data set, or a path.
      summary: one line.
    """

    name: str
    module: str
    model: str
    data: str
    summary: str

    @property
    def data_shown(self) -> str:
        """The name of the data set (of a path its last part), marked where it is not embedded."""
        path = PurePath(self.data)
        if path.is_absolute():
            return path.name + _ON_DISK
        return self.data if self.data in EMBEDDED else self.data + _TO_FETCH

    def function(self) -> Callable[..., Any]:
        """Import the recipe's module, and jax with it, and return the function."""
        module = importlib.import_module(f"{_package()[0]}.{self.module}")
        return getattr(module, self.name)


def table() -> dict[str, Recipe]:
    """Return {name: recipe}, by family, model and place in the file.

    Raises:
      ConfigError: a file that is not Python; names it.
    """
    _, folder = _package()
    files = sorted(folder.glob("*/*.py"))
    recipes = [recipe for file in files for recipe in _read(file)]
    return {recipe.name: recipe for recipe in recipes}


def find(name: str) -> Recipe:
    """Return the recipe of a name. Raises ConfigError that names the nearest ones."""
    known = table()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Near it: {', '.join(near)}\n" if near else ""
    raise ConfigError(f"train: no recipe is called {name[:80]!r}\n{hint}Try: jaxgen recipes")


def own(name: str) -> Callable[..., Any] | None:
    """Return the recipe of that name in the user's own file, the one that is run; None if none is.

    A copy of a shipped file that was changed is the user's.
    """
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or Path(file).resolve().is_relative_to(_package()[1].resolve()):
        return None
    function = getattr(main, name, None)
    if getattr(function, "__module__", "") != "__main__":
        return None
    made = getattr(function, "__annotations__", {}).get("return")
    return function if getattr(made, "__name__", made) == "Experiment" else None


def listing() -> str:
    """Return all recipes under their models, as text for a terminal of 80 columns."""
    recipes = table().values()
    name_width = max(len(recipe.name) for recipe in recipes)
    data_width = max(len(recipe.data_shown) for recipe in recipes)
    lines: list[str] = []
    model = ""
    for recipe in recipes:
        if recipe.model != model:
            model = recipe.model
            lines += textwrap.wrap(model, WIDTH)
        start = f"  {recipe.name:{name_width}}  {recipe.data_shown:{data_width}}  "
        indent = " " * len(start)
        lines += textwrap.wrap(
            recipe.summary, WIDTH, initial_indent=start, subsequent_indent=indent
        )
    return "\n".join([*lines, *_LEGEND.splitlines()])


def _package() -> tuple[str, Path]:
    """Return the name of the package of recipes, and its folder."""
    home = Path(jaxgen.__file__).parent
    shipped = home / "recipes"
    if shipped.is_dir():
        return _SHIPPED, shipped
    beside = home.parent / _CHECKOUT
    spec = find_spec(_CHECKOUT)
    places = (spec and spec.submodule_search_locations) or []
    if str(beside) in places:
        return _CHECKOUT, beside
    return _SHIPPED, beside  # an editable install, used from another folder


def _read(file: Path) -> Iterator[Recipe]:
    family = file.parent.name
    if family == _NO_FAMILY:
        return
    try:
        tree = ast.parse(file.read_text())
    except (SyntaxError, ValueError, OSError) as error:
        raise ConfigError(f"{file}: not read as a file of recipes: {first_line(error)}") from error
    model = _summary(tree) or file.stem
    for item in tree.body:
        if _is_recipe(item):
            summary = _summary(item) or "No description"
            yield Recipe(item.name, f"{family}.{file.stem}", model, _data(item), summary)


def _summary(node: ast.Module | ast.FunctionDef) -> str:
    """Return the first line of a docstring, '' if there is none."""
    return (ast.get_docstring(node) or "").partition("\n")[0].rstrip(".")


def _is_recipe(item: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    if not isinstance(item, ast.FunctionDef) or item.name.startswith("_"):
        return False
    return isinstance(item.returns, ast.Name) and item.returns.id == "Experiment"


def _data(function: ast.FunctionDef) -> str:
    """Return the data set that a recipe's argument `data` has by default."""
    arguments = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    for argument, default in arguments:
        if argument.arg == "data" and isinstance(default, ast.Call):
            named = {keyword.arg: keyword.value for keyword in default.keywords}
            name = default.args[0] if default.args else named.get("name")
            if name is not None:
                return str(name.value) if isinstance(name, ast.Constant) else ast.unparse(name)
    return _DEFAULT_DATA
