"""The sizes of a network, checked where they are given."""

from jaxgen.errors import ConfigError


def require_positive(**sizes: int | tuple[int, ...]) -> None:
    """Raises ConfigError, naming the argument, unless every size is at least 1."""
    for name, value in sizes.items():
        if min((value,) if isinstance(value, int) else value, default=1) < 1:
            raise ConfigError(f"{name}: got {value}, expected sizes >= 1")
