"""The command line.

main        `jaxgen VERB ...`, `jaxgen train RECIPE ...`, and `launch` for recipes of one's own
recipes     the table of recipes
verbs/      a file for each verb, and `output`, which says and saves what they make
parsing     arguments, by tyro
process     what surrounds a command: exit codes, warnings, jax's caches
"""
