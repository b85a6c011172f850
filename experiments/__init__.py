"""Recipes: FAMILY/MODEL.py holds one model, with a function for each data set that it was run on.

    python -m experiments vae_digits --steps 5000       from a checkout
    jaxgen train vae_digits --steps 5000                from anywhere; the same
    jaxgen recipes                                      all of them

A recipe is a public function that returns an `Experiment`; its keyword arguments are its flags. The
wheel has these files as `jaxgen.recipes`: imports among them are relative, for they have two names.

Studies compare many runs: `python -m experiments.studies.modes`.
"""
