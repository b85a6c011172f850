"""jaxgen: deep generative models as pure functions, each with its defining property proven."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from jaxgen.run import load


def __getattr__(name: str) -> Any:
    # Imported on first use, so that `jaxgen --help` need not wait for jax.
    if name == "load":
        from jaxgen.run import load

        return load
    raise AttributeError(f"module 'jaxgen' has no attribute {name!r}")
