"""Laws of codes against a prior: the losses of the game, its moves, and the draws of the prior.

The critics' logits mean one thing, the larger the more like the prior, and p(x | z) is the
decoder's. Of them alone, beside the model's losses, follow

    loss of the critics = sum softplus(-l(draws)) + softplus(l(codes)),
    loss of the encoder = sum softplus(-l(codes)),
    loss of the autoencoder = -E log p(x | z) at drawn codes,

where a critic does the same in training as in evaluation, and where a small step of each player
has to lead. A prior that knows its density must draw from it: E[grad log p(z)] = 0 and
E[z . grad log p(z)] = -Z (Stein).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.check.law import Law, Subject, at_least, at_most
from jaxgen.check.objectives import descended, few, loss_of
from jaxgen.check.training import without_zeros
from jaxgen.typing import Key, Variables

_NUM_KEYS = 64
_SIGMAS = 5.0
_ROUNDING = 1e-5  # relative, of float32 means
_DRAWS = 4000
_LEAST_SHARE = 0.5  # of draws of a mode that are told to be of it


def losses_of_logits(subject: Subject) -> list[Law]:
    """Test that the losses are the costs of logits and of the decoder's likelihood."""
    subject = few(subject)
    players = {player.name: player for player in subject.experiment.players()}
    expected = _expected(subject)
    laws = []
    for name, of_key in expected.items():
        if name != "autoencoder" and not _plain(subject):
            continue
        player = players[name]

        def claimed(key: Key, player: Any = player) -> jax.Array:
            everyone = tuple(players.values())
            return loss_of(player, everyone, subject.variables, subject.batch, key)[0]

        first, second = jax.random.split(subject.key)
        found = _values(claimed, first)
        made = _values(of_key, second)
        error = np.hypot(found.std(), made.std()) / _NUM_KEYS**0.5
        error += _ROUNDING * (1 + abs(made.mean()))
        laws.append(
            at_most(
                f"the {name}'s loss is its cost",
                abs(found.mean() - made.mean()) / error,
                _SIGMAS,
                "standard errors",
                f"Means over {_NUM_KEYS} draws: the loss is {found.mean():.4f}, what the logits of "
                f"codes and p(x | z) make of it {made.mean():.4f} nats.",
            )
        )
    return laws


def _expected(subject: Subject) -> dict[str, Callable[[Key], jax.Array]]:
    """Return what each loss should be, as a function of a key."""
    model = subject.model
    variables = subject.variables

    def logits(key: Key) -> tuple[Any, Any]:
        return _logits(subject, variables, key)

    def of_critic(key: Key) -> jax.Array:
        real, fake = logits(key)
        costs = [jax.nn.softplus(-real[name]) + jax.nn.softplus(fake[name]) for name in real]
        return jnp.asarray(costs).mean(axis=1).sum()

    def of_encoder(key: Key) -> jax.Array:
        _, fake = logits(key)
        costs = [jax.nn.softplus(-each) for each in fake.values()]
        return jnp.asarray(costs).mean(axis=1).sum()

    def of_autoencoder(key: Key) -> jax.Array:
        codes = model.draw(variables, subject.x, key)
        params = model.decoder_outputs(variables, codes)
        of_elements = model.observation.log_prob(params, subject.x)
        return -of_elements.reshape(len(codes), -1).sum(axis=1).mean()

    return {"critic": of_critic, "encoder": of_encoder, "autoencoder": of_autoencoder}


def _logits(
    subject: Subject,
    variables: Variables,
    key: Key,
) -> tuple[Any, Any]:
    """Return the critics' logits of draws and of codes, without noise of their own."""
    code_key, prior_key = jax.random.split(key)
    model = subject.model
    codes = model.draw(variables, subject.x, code_key)
    drawn = model.beside(prior_key, subject.batch)
    real = model.code_logits(variables, drawn, subject.batch)
    return real, model.code_logits(variables, codes, subject.batch)


def _values(function: Callable[[Key], jax.Array], key: Key) -> np.ndarray:
    """Return the function of some keys, [K] in float64."""
    keys = jax.random.split(key, _NUM_KEYS)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(function, keys))(keys), np.float64)


def _plain(subject: Subject) -> bool:
    """Return whether the critics do the same in training as in evaluation."""
    model = subject.model
    codes = model.beside(subject.key, subject.batch)
    told = model.code_logits(subject.variables, codes, subject.batch)
    trained = model.code_logits(subject.variables, codes, subject.batch, subject.key)
    return all(np.allclose(told[name], trained[name], rtol=1e-4, atol=1e-5) for name in told)


def moves(subject: Subject) -> list[Law]:
    """Test that small steps of each player lead where it wants to be, from fresh variables."""
    subject = few(subject)
    players = subject.experiment.players()
    keys = jax.random.split(subject.key, _NUM_KEYS)
    wanted = _wanted(subject)
    variables = without_zeros(jax.jit(subject.model.init)(subject.key))
    laws = []
    for player in players:
        if player.name not in wanted:
            continue
        what, of_key = wanted[player.name]

        def measured(variables: Variables, of_key: Any = of_key) -> jax.Array:
            return jax.vmap(lambda key: of_key(variables, key))(keys).mean()

        def mean_loss(variables: Variables, player: Any = player) -> jax.Array:
            def of_loss(key: Key) -> jax.Array:
                return loss_of(player, players, variables, subject.batch, key)[0]

            return jax.vmap(of_loss)(keys).mean()

        look = jax.jit(measured)
        after = descended(mean_loss, player, variables)
        gain = float(look(after)) - float(look(variables))
        laws.append(
            at_least(
                f"small steps down its loss: the {player.name} {what}",
                gain,
                0.0,
                "nats",
                "From fresh variables, plain steps; logits, or log p(x | z) an element.",
            )
        )
    return laws


def _wanted(
    subject: Subject,
) -> dict[str, tuple[str, Callable[[Variables, Key], jax.Array]]]:
    """Return what each player wants, in words and as a function of variables and a key."""
    model = subject.model

    def apart(variables: Variables, key: Key) -> jax.Array:
        real, fake = _logits(subject, variables, key)
        sure = jax.nn.log_sigmoid
        return jnp.asarray([sure(real[x]).mean() + sure(-fake[x]).mean() for x in real]).sum()

    def believed(variables: Variables, key: Key) -> jax.Array:
        _, fake = _logits(subject, variables, key)
        return jnp.asarray([each.mean() for each in fake.values()]).sum()

    def likely(variables: Variables, key: Key) -> jax.Array:
        codes = model.draw(variables, subject.x, key)
        params = model.decoder_outputs(variables, codes)
        return model.observation.log_prob(params, subject.x).mean()

    return {
        "critic": ("tells draws from codes better", apart),
        "encoder": ("has its codes taken for draws", believed),
        "autoencoder": ("makes examples likelier", likely),
    }


def prior(subject: Subject) -> list[Law]:
    """Test that draws of the whole prior are those of its modes, which tell them apart."""
    model = subject.model
    whole_key, key = jax.random.split(subject.key)
    whole = np.asarray(model.latents(whole_key, _DRAWS), np.float64)
    mode = np.asarray(model.log_modes(jnp.asarray(whole, jnp.float32))).argmax(axis=1)
    share = np.bincount(mode, minlength=model.num_modes) / _DRAWS
    even = 1 / model.num_modes
    laws = [
        at_least(
            "draws are in every mode of the prior",
            share.min() / even,
            _LEAST_SHARE,
            "of an even share",
            f"Of {_DRAWS} draws, by the mode of largest probability; {model.num_modes} modes.",
        )
    ]
    density = getattr(getattr(model, "prior", None), "log_prob", None)
    return laws + ([] if density is None else _stein(density, model.latents(key, _DRAWS)))


def _stein(density: Callable[[Any], jax.Array], z: jax.Array) -> list[Law]:
    """Test both identities of a density and its draws."""
    slopes = jax.jit(jax.grad(lambda z: density(z).sum()))(z)
    of_mean = np.asarray(slopes, np.float64)
    of_scale = np.asarray((z * slopes).sum(axis=1), np.float64) + z.shape[1]
    terms = np.concatenate([of_mean, of_scale[:, None]], axis=1)  # [N, Z + 1], each of mean 0
    error = terms.std(axis=0) / len(terms) ** 0.5 + _ROUNDING
    return [
        at_most(
            "draws of the prior are those of its density",
            (np.abs(terms.mean(axis=0)) / error).max(),
            _SIGMAS,
            "standard errors",
            f"E[grad log p] = 0 and E[z . grad log p] = -Z over {_DRAWS} draws.",
        )
    ]


LAWS = (losses_of_logits, moves, prior)
