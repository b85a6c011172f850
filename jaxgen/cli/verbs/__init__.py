"""The verbs of the command line, a file for each: a run in, a thing made, said and saved.

    jaxgen recipes                        the table of recipes
    jaxgen train vae_digits               train one of them; makes runs/vae_digits
    jaxgen evaluate runs/vae_digits       numbers with their standard errors and protocol
    jaxgen check runs/vae_digits          the certificate: the laws of this model, with figures
    jaxgen sample runs/vae_digits         samples, as a picture or as .npz
    jaxgen reconstruct runs/vae_digits    test examples and their reconstructions
    jaxgen interpolate runs/vae_digits    between the codes of test examples, or draws of the prior
    jaxgen complete runs/nade_digits      test examples of which half is given
    jaxgen report runs/vae_digits         one page with everything

Each but the first two takes `--out FILE`. `output` is what they share.
"""

from jaxgen.cli.verbs.check import check
from jaxgen.cli.verbs.complete import complete
from jaxgen.cli.verbs.evaluate import evaluate
from jaxgen.cli.verbs.interpolate import interpolate
from jaxgen.cli.verbs.recipes import recipes, train
from jaxgen.cli.verbs.reconstruct import reconstruct
from jaxgen.cli.verbs.report import report
from jaxgen.cli.verbs.sample import sample

COMMANDS = (
    recipes,
    train,
    evaluate,
    check,
    sample,
    reconstruct,
    interpolate,
    complete,
    report,
)
LIGHT = (recipes, train)  # those that answer without jax
