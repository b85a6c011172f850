"""The ranges of the numbers that a user gives; a message names the field, got and expected.

Bounds are those that computing needs: counters are int32 and parameters float32.
"""

from jaxgen.errors import ConfigError

COUNT = 2**31 - 1  # the largest counter
SIZE = 2**20  # the largest side of an array of parameters
LARGE, SMALL = 1e30, 1e-30  # beyond, a product of two is soon infinite or 0
ALMOST_ONE = 1 - 1e-7  # the next float32 but one is 1


def require_within(least: int | float, most: int | float, **values: int | float) -> None:
    """Raises ConfigError unless each value is in least .. most."""
    for name, value in values.items():
        if not value >= least:
            raise ConfigError(f"{name}: got {value}, expected >= {least:g}")
        if value > most:
            raise ConfigError(f"{name}: got {value}, expected <= {most}")


def require_fraction(**values: int | float) -> None:
    """Raises ConfigError unless each value is in [0, 1), and remains so as a float32."""
    for name, value in values.items():
        if not 0 <= value <= ALMOST_ONE:
            raise ConfigError(f"{name}: got {value}, expected a number in [0, 1)")
