"""Laws of every model: what initialisation, a step and a spec promise."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import optax

from jaxgen.check.law import Law, Subject, at_least, at_most, largest_difference
from jaxgen.run import known_classes
from jaxgen.spec import from_json, to_json, type_name
from jaxgen.train import TrainState, init_state, train_step, update


def initialisation(subject: Subject) -> list[Law]:
    """Fresh variables are a function of the key."""
    init = jax.jit(subject.model.init)
    first, second = init(jax.random.key(3)), init(jax.random.key(3))
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
    """A player moves every network it owns, and no other."""
    # With an optimiser of its own: a warm-up or accumulation would stand still at first.
    players = [replace(player, tx=optax.adam(1e-3)) for player in subject.experiment.players()]
    state = init_state(subject.key, subject.variables, tuple(players))
    foreign, still = 0.0, 0
    for player in players:
        move = jax.jit(partial(update, player))
        moved, _ = move(state, subject.batch, subject.key)
        for network, variables in subject.variables.items():
            change = largest_difference(variables["params"], moved.variables[network]["params"])
            if network not in player.owns:
                foreign = max(foreign, change)
            else:
                still += change == 0
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


def purity(subject: Subject) -> list[Law]:
    """A step is a function: same in, same out; it counts by one and compiles once."""
    traces = []

    def step(state: TrainState, batch: dict[str, jax.Array]) -> TrainState:
        traces.append(1)
        return train_step(players, state, batch, order=subject.experiment.order)[0]

    players = subject.experiment.players()
    compiled, batch = jax.jit(step), subject.batch
    state = init_state(subject.key, subject.variables, players)
    state = state.replace(step=jnp.asarray(7, jnp.int32))
    first, second = compiled(state, batch), compiled(state, batch)
    compiled(first, batch)
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
            abs(int(first.step) - 8),
            0,
            "steps",
            "The state's step grows by exactly one.",
        ),
        at_most(
            "a step compiles once",
            len(traces),
            1,
            "traces",
            "Three calls on states of the run trace the step once: nothing recompiles.",
        ),
    ]


def specification(subject: Subject) -> list[Law]:
    """The spec on disk is the experiment."""
    parts = [subject.model, *_parts(subject.model)]
    table = known_classes({type(part) for part in parts})
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


def _parts(model):
    """The dataclasses inside a model, of classes that jaxgen may not know."""
    values = [getattr(model, name) for name in getattr(model, "__dataclass_fields__", ())]
    parts = [value for value in values if hasattr(value, "__dataclass_fields__")]
    return [*parts, *(inner for part in parts for inner in _parts(part))]
