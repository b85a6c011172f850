"""Laws of every model: what initialisation, a step and a spec promise."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.check.law import Law, Subject, at_least, at_most, largest_difference
from jaxgen.experiment.spec import from_json, to_json, type_name, types_in
from jaxgen.runs.loaded import known_classes
from jaxgen.step import TrainState, init_state, train_step, update
from jaxgen.typing import Variables

_STEP = 7  # of the stage, before the first call
_WITHIN_FADE = 1  # at step 0 what is faded in has no gradient, at the end what is faded out
_NOISE = 0.1  # in layers of zeros


def initialisation(subject: Subject) -> list[Law]:
    """Certify that fresh variables are a function of the key."""
    init = jax.jit(subject.model.init)
    first = init(jax.random.key(3))
    second = init(jax.random.key(3))
    other = init(jax.random.key(4))
    return [
        at_most(
            "init(key) = init(key)",
            largest_difference(first, second),
            0.0,
            "largest difference",
            "Initialisation depends on the key and on nothing else.",
        ),
        at_least(
            "init(key) differs from init(another key)",
            largest_difference(first, other),
            1e-6,
            "largest difference",
            "The key matters.",
        ),
    ]


def ownership(subject: Subject) -> list[Law]:
    """Certify that a player moves every network it owns, and no other."""
    foreign, still = _moves(subject)
    return [
        at_most(
            "a player leaves what it does not own",
            foreign,
            0.0,
            "largest difference",
            "One move of each player; the parameters of all other networks stay bit for bit.",
        ),
        at_most(
            "a player moves what it owns",
            still,
            0,
            "networks that stood still",
            "One move of each player changes every network that it owns.",
        ),
    ]


def _moves(subject: Subject) -> tuple[float, int]:
    """Return the largest change of a network by another's player, and how many stood still."""
    # With an optimiser of its own: a warm-up or accumulation would stand still at first.
    players = [replace(player, tx=optax.adam(1e-3)) for player in subject.experiment.players()]
    frozen = subject.experiment.frozen
    start = without_zeros(subject.variables)
    state = init_state(subject.key, start, tuple(players), frozen=frozen)
    batch = {**subject.batch, "step": jnp.asarray(_WITHIN_FADE, jnp.int32)}
    foreign = 0.0
    still = 0
    for player in players:
        move = jax.jit(partial(update, player))
        moved, _ = move(state, batch, subject.key)
        for network, variables in start.items():
            if "params" not in variables:  # a pool or a chain
                continue
            params = moved.variables[network]["params"]
            change = largest_difference(variables["params"], params)
            if network not in player.owns:
                foreign = max(foreign, change)
            else:
                still += change == 0
    return foreign, still


def without_zeros(variables: Variables) -> Variables:
    """Return the variables with noise in the place of parameters that are all 0.

    A fresh layer of zeros passes no gradient on: its neighbours would stand still for one step.
    Trained parameters stay as they are.
    """
    random = np.random.default_rng(0)

    def noisy(leaf: jax.Array) -> jax.Array:
        if np.asarray(leaf).any():
            return leaf
        noise = _NOISE * random.normal(size=leaf.shape)
        return jnp.asarray(noise, leaf.dtype)

    found: dict[str, Mapping[str, Any]] = {}
    for network, collections in variables.items():
        found[network] = collections
        if "params" in collections:
            params = jax.tree.map(noisy, collections["params"])
            found[network] = {**collections, "params": params}
    return found


def purity(subject: Subject) -> list[Law]:
    """Certify that a step is a function, that it counts by one and that it compiles once."""
    first, second, num_traces = _three_calls(subject)
    return [
        at_most(
            "step(state) = step(state)",
            largest_difference(first, second),
            0.0,
            "largest difference",
            "The same state and batch give the same next state, bit for bit.",
        ),
        at_most(
            "a step counts by one",
            abs(int(first.step) - (subject.experiment.begin + _STEP + 1)),
            0,
            "steps",
            "The state's step grows by exactly one.",
        ),
        at_most(
            "a step compiles once",
            num_traces,
            1,
            "traces",
            "Three calls on states of the run trace the step once: nothing recompiles.",
        ),
    ]


def _three_calls(subject: Subject) -> tuple[TrainState, TrainState, int]:
    """Return what two calls of the compiled step give for one state, and how often it is traced.

    The third call, on a state that the step itself made, is for the count of traces alone.
    """
    players = subject.experiment.players()
    batch = subject.batch
    begin = subject.experiment.begin
    traces = []

    def step(state: TrainState, batch: dict[str, jax.Array]) -> TrainState:
        traces.append(1)
        order = subject.experiment.order
        state, _ = train_step(players, state, batch, order=order, begin=begin)
        return state

    compiled = jax.jit(step)
    frozen = subject.experiment.frozen
    state = init_state(subject.key, subject.variables, players, frozen=frozen)
    state = state.replace(step=jnp.asarray(begin + _STEP, jnp.int32))
    first = compiled(state, batch)
    second = compiled(state, batch)
    compiled(first, batch)
    return first, second, len(traces)


def specification(subject: Subject) -> list[Law]:
    """Certify that the spec on disk is the experiment."""
    table = known_classes(types_in(subject.experiment))
    text = json.dumps(to_json(subject.experiment))
    same = from_json(json.loads(text), table) == subject.experiment
    return [
        at_least(
            "from_json(to_json(experiment)) = experiment",
            float(same),
            1.0,
            "equal",
            f"{type_name(type(subject.model))} and all its settings survive the JSON of a run.",
        )
    ]
