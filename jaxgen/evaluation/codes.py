"""Measures of codes that are to look like draws from a prior: rows of the table in `measures.py`.

    code_ks         the largest distance of the distribution functions of codes and as many draws,
                    over the dimensions (Kolmogorov-Smirnov); about 1.4 / sqrt(N / 2) at most in 19
                    of 20 pairs of equal distributions; classes are left out
    emptiest_mode   the share of the codes in the mode of the prior that has fewest; 1 / M at best

Neither asks for a density. Codes are without noise.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from jaxgen.evaluation.row import Given, Measure, Shown, Values
from jaxgen.typing import Array, Encoder, Key


@runtime_checkable
class WithModes(Encoder, Protocol):
    """A model whose codes are to have a prior of some modes."""

    def latents(self, key: Key, num: int) -> Array:
        """Return `num` draws from the prior, [num, Z]."""
        ...

    def log_modes(self, z: Any) -> Array:
        """Return the log-probability of each mode at a code, [B, M]."""
        ...

    def continuous(self, z: Any) -> Array:
        """Return the part of codes [B, Z] of which the prior is continuous, [B, C]."""
        ...

    @property
    def num_modes(self) -> int:
        """M."""
        ...


def has_several(model: Any) -> bool:
    """Return whether the prior has more than one mode."""
    return model.num_modes > 1


def beside_the_prior(given: Given) -> Values:
    """Compute the codes, and as many draws from the prior, without what is a class."""
    model = given.model
    code = model.encode(given.variables, given.x, **given.conditions)
    drawn = model.latents(given.key, len(code))
    return {"code": model.continuous(code), "draw_of_prior": model.continuous(drawn)}


def distance(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | int]:
    """Compute the largest distance over the dimensions."""
    code = found["code"]
    drawn = found["draw_of_prior"]
    each = [kolmogorov_smirnov(code[:, i], drawn[:, i]) for i in range(code.shape[1])]
    return {"code_ks": np.asarray([max(each)])}


def kolmogorov_smirnov(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " m"]) -> float:
    """Return the largest difference of two empirical distribution functions, 0 .. 1."""
    points = np.concatenate([a, b])
    of_a = np.searchsorted(np.sort(a), points, side="right") / len(a)
    of_b = np.searchsorted(np.sort(b), points, side="right") / len(b)
    return float(np.abs(of_a - of_b).max())


def modes(given: Given) -> Values:
    """Compute the log-probability of each mode at each code."""
    code = given.model.encode(given.variables, given.x, **given.conditions)
    return {"log_modes": given.model.log_modes(code)}


def emptiest(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray | int]:
    """Compute 1 for each code in the mode with the fewest, else 0."""
    log_modes = found["log_modes"]
    mode = log_modes.argmax(axis=1)
    counts = np.bincount(mode, minlength=log_modes.shape[1])
    return {"emptiest_mode": (mode == counts.argmin()).astype(np.float32)}


ROWS: tuple[Measure, ...] = (
    Measure(
        needs=(WithModes,),
        of=beside_the_prior,
        whole=distance,
        shown=(Shown("code_ks", "probability"),),
        protocol="codes without noise against as many draws from the prior, seed {seed}",
    ),
    Measure(
        needs=(WithModes,),
        where=has_several,
        of=modes,
        whole=emptiest,
        shown=(Shown("emptiest_mode", "share"),),
        protocol="codes without noise, each in the mode of largest probability",
    ),
)
