"""Recipes, one a file. A signal while `python -m experiments.NAME` still imports is heard too."""

import sys

if sys.argv[0] == "-m":  # so it is until `python -m` has found the module
    from jaxgen import signals

    signals.leave_at_once()
