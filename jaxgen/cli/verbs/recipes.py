"""`jaxgen recipes`, and the place of `train` in the list of verbs."""

from typing import Annotated

import tyro

from jaxgen.cli import recipes as table
from jaxgen.cli.verbs.output import tell


def recipes() -> int:
    """List the recipes: name, data and one line, under each model and its paper."""
    tell(table.listing())
    return 0


def train(recipe: Annotated[str, tyro.conf.Positional]) -> int:
    """Train a recipe in a run folder; `jaxgen train RECIPE --help` shows its flags.

    The command line meets `train` before it reads flags, for those are the recipe's own: this
    function is an entry of `jaxgen --help`.

    Args:
      recipe: its name.
    """
    table.find(recipe)
    return 0
