"""The ranges of the numbers that a user gives, and the packages that not every install has.

A message names the field, got and expected. Bounds are those that computing needs: counters are
int32 and parameters float32.
"""

import importlib

from jaxgen.errors import ConfigError, first_line

COUNT = 2**31 - 1  # the largest counter
SIZE = 2**20  # the largest side of an array of parameters
LARGE = 1e30  # beyond, a product of two is soon infinite
SMALL = 1e-30  # below, a product of two is soon 0
ALMOST_ONE = 1 - 1e-7  # the next float32 but one is 1
# {extra: (module, requirement)}, as setup.cfg has them.
EXTRAS = {"tensorboard": ("tensorboardX", "tensorboardX>=2.6.4")}


def require_within(least: int | float, most: int | float, **values: int | float) -> None:
    """Raise ConfigError unless each value is in least .. most."""
    for name, value in values.items():
        if not value >= least:
            raise ConfigError(f"{name}: got {value}, expected >= {least:g}")
        if value > most:
            raise ConfigError(f"{name}: got {value}, expected <= {most}")


def require_fraction(**values: int | float) -> None:
    """Raise ConfigError unless each value is in [0, 1), and remains so as a float32."""
    for name, value in values.items():
        if not 0 <= value <= ALMOST_ONE:
            raise ConfigError(f"{name}: got {value}, expected a number in [0, 1)")


def require_positive(**sizes: int | tuple[int, ...]) -> None:
    """Raise ConfigError, naming the argument, unless every size is 1 .. SIZE."""
    for name, value in sizes.items():
        each = (value,) if isinstance(value, int) else value
        if min(each, default=1) < 1:
            raise ConfigError(f"{name}: got {value}, expected sizes >= 1")
        if max(each, default=1) > SIZE:
            raise ConfigError(f"{name}: got {value}, expected sizes <= {SIZE}")


def require_extra(extra: str, asked: str) -> None:
    """Import the package of an extra, so that what asks for it is refused before any work.

    Args:
      extra: a key of `EXTRAS`.
      asked: the flag or field that asks for it.

    Raises:
      ConfigError: it cannot be imported; says how to install it.
    """
    module, requirement = EXTRAS[extra]
    try:
        importlib.import_module(module)
    except ImportError as error:
        # The requirement can be installed anywhere, the extra only of a jaxgen that pip knows.
        raise ConfigError(
            f"{asked}: the package {module} cannot be imported ({first_line(error)})\n"
            f"Try: pip install '{requirement}'\n"
            f"or, where jaxgen is installed: pip install 'jaxgen[{extra}]'"
        ) from error
