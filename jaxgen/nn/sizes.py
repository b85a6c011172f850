"""The sizes of a network, checked where they are given."""

from jaxgen.errors import ConfigError
from jaxgen.ranges import SIZE


def require_positive(**sizes: int | tuple[int, ...]) -> None:
    """Raises ConfigError, naming the argument, unless every size is 1 .. SIZE."""
    for name, value in sizes.items():
        each = (value,) if isinstance(value, int) else value
        if min(each, default=1) < 1:
            raise ConfigError(f"{name}: got {value}, expected sizes >= 1")
        if max(each, default=1) > SIZE:
            raise ConfigError(f"{name}: got {value}, expected sizes <= {SIZE}")
