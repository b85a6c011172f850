"""Tables: independent elements, Markov chains AR(N), and the full joint distribution.

The chain rule without any assumption needs a table with a row for every prefix, 2^n - 1 numbers
for n binary elements. Assuming that an element depends on the N before it leaves

    p(x) = prod_t p(x_t | x_{t-N}, ..., x_{t-1}),      (n - N + 1) 2^N - 1 numbers:

n for N = 0 (independent elements), 2n - 1 for AR(1), again 2^n - 1 for N = n - 1. One table for all
positions, a stationary chain, needs 2^N - 1 + 2^N. With m values the counts are those of `rows`
times m - 1. Maximum likelihood has a closed form: conditional frequencies (`fit`).
"""

from jaxgen.autoregressive.tabular.frequencies import fit
from jaxgen.autoregressive.tabular.joint_table import JointTable
from jaxgen.autoregressive.tabular.markov_chain import MarkovChain, independent

__all__ = ["JointTable", "MarkovChain", "fit", "independent"]
