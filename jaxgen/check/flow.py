"""Laws of flows, at the parameters of the run: inverse, log-determinant, density and prior.

    f^-1(f(x)) = x,    log |det df/dx| by forward differentiation of f alone,
    log p(x) = log p(z) + log |det df/dx|,    exp(log p(z)) sums to 1;

together they say that the density of x does too.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.law import Law, Subject, at_most
from jaxgen.typing import Array, Variables

_NUM = 4  # examples, whose Jacobians are taken
LARGEST = 1024  # elements, of which a Jacobian is written out
_ROUNDING = 1e-3  # in float32, relative to the sizes of what is compared
_GRID = np.linspace(-60.0, 60.0, 24_001)


def inverts(subject: Subject) -> list[Law]:
    """Test that the inverse gives back each example, relative to its size."""
    model = subject.model

    @jax.jit
    def there_and_back(variables: Variables, x: Array) -> tuple[jax.Array, jax.Array]:
        z, _ = model.forward(variables, x)
        return z, model.inverse(variables, z)

    z, back = there_and_back(subject.variables, subject.x)
    x = np.asarray(subject.x, np.float64)
    size = 1 + max(np.abs(x).max(), float(jnp.abs(z).max()))
    error = np.abs(np.asarray(back, np.float64).reshape(x.shape) - x).max()
    return [
        at_most(
            "the inverse of f(x) is x",
            error / size,
            _ROUNDING,
            "largest relative difference",
            f"Over {len(x)} examples, relative to the largest number in x and z.",
        )
    ]


def determinant(subject: Subject) -> list[Law]:
    """Test that the log-determinant is that of the Jacobian, where this can be written out."""
    model = subject.model
    x = subject.x[:_NUM]
    dim = int(np.prod(x.shape[1:]))
    if dim > LARGEST:
        return []

    @jax.jit
    def both(variables: Variables, x: Array) -> tuple[jax.Array, jax.Array]:
        def code(row: Array) -> jax.Array:
            z, _ = model.forward(variables, row[None])
            return jnp.asarray(z)[0]

        _, log_det = model.forward(variables, x)
        return jax.lax.map(jax.jacfwd(code), x), log_det

    jacobian, log_det = both(subject.variables, x)
    square = np.asarray(jacobian, np.float64).reshape(len(x), dim, dim)
    expected = np.linalg.slogdet(square).logabsdet
    return [
        at_most(
            "log |det| is that of the Jacobian",
            np.abs(np.asarray(log_det) - expected).max() / dim,
            _ROUNDING,
            "nats an element",
            f"By forward differentiation at {len(x)} examples.",
        )
    ]


def change_of_variables(subject: Subject) -> list[Law]:
    """Test that the density is the prior's, and the stretch of space."""
    model = subject.model

    @jax.jit
    def both(variables: Variables, x: Array) -> tuple[jax.Array, jax.Array]:
        z, log_det = model.forward(variables, x)
        return model.log_prob(variables, x), model.latent_log_prob(z) + log_det

    found, expected = (np.asarray(part, np.float64) for part in both(subject.variables, subject.x))
    return [
        at_most(
            "log p(x) = log p(z) + log |det|",
            (np.abs(found - expected) / (1 + np.abs(expected))).max(),
            _ROUNDING,
            "largest relative difference",
            f"Over {len(found)} examples.",
        )
    ]


def prior(subject: Subject) -> list[Law]:
    """Test that the prior of one element integrates to 1, the others at 0.

    Elements are independent and alike, so p(0) = p_1(0)^D, and what the integral along one axis
    gives without its constant is 1 / p_1(0).
    """
    model = subject.model
    dim = int(np.prod(subject.x.shape[1:]))
    axis = jnp.zeros((len(_GRID), dim)).at[:, 0].set(_GRID)
    log_density = np.asarray(jax.jit(model.latent_log_prob)(axis), np.float64)
    at_zero = log_density[len(_GRID) // 2]
    integral = np.trapezoid(np.exp(log_density - at_zero), _GRID)
    return [
        at_most(
            "the prior integrates to 1",
            abs(at_zero / dim + np.log(integral)),
            _ROUNDING,
            "nats an element",
            "Along one axis, by the trapezoidal rule.",
        )
    ]


LAWS = (inverts, determinant, change_of_variables, prior)
