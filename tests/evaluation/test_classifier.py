"""The classifier: the same for the same seed, known by its hash; the score by its closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgen.data import Data, load
from jaxgen.errors import DataError
from jaxgen.evaluation import classifier
from jaxgen.evaluation.classifier import classifier_score
from jaxgen.evaluation.features import extract


@pytest.fixture(scope="module")
def digits(tfds_dir):
    return load(Data(dir=tfds_dir))


@pytest.fixture(scope="module")
def trained(digits):
    train, test = digits.batch("train"), digits.batch("test")
    model = classifier.for_examples(train["image"], 10)
    variables = classifier.fit(model, train["image"], train["label"], steps=200)
    accuracy = classifier.accuracy(model, variables, test["image"], test["label"])
    return classifier.Trained(model, variables, accuracy, "1300 train examples")


def stripes(num, side=16):
    """Images of horizontal or vertical stripes, or neither, and noise; which it is."""
    random = np.random.default_rng(0)
    label = random.integers(0, 3, num)
    lines = np.arange(side) % 4 < 2
    patterns = np.stack(
        [np.tile(lines, (side, 1)), np.tile(lines, (side, 1)).T, np.zeros((side, side))]
    )
    x = patterns[label] + 0.5 * random.normal(size=(num, side, side))
    return x[..., None].astype(np.float32), label


def test_digits_are_told_apart(trained):
    assert trained.accuracy > 0.85


def test_the_accuracy_is_the_share_of_test_examples_whose_class_is_found(trained, digits):
    test = digits.batch("test")
    _, log_posterior = trained.model.features(trained.variables, test["image"])
    assert trained.accuracy == (np.asarray(log_posterior).argmax(1) == test["label"]).mean()


def test_features_are_few_and_posteriors_sum_to_one(trained, digits):
    features, log_posterior = extract(trained.extractor(), digits.examples("test"))
    assert features.shape == (360, classifier.NUM_FEATURES)
    assert classifier.NUM_FEATURES <= 64
    np.testing.assert_allclose(np.exp(log_posterior).sum(axis=1), 1, rtol=1e-5)
    assert (features.std(axis=0) > 0).all()


def test_the_protocol_names_source_accuracy_and_hash(trained):
    said = trained.extractor().description
    for part in ("64 features", "1300 train examples", f"{trained.accuracy:.4f}"):
        assert part in said
    assert trained.sha256[:8] in said


@pytest.mark.parametrize("steps", [0, 5])
def test_a_seed_fixes_the_parameters(digits, steps):
    train = digits.batch("train")
    model = classifier.for_examples(train["image"], 10)
    fitted = [
        classifier.fit(model, train["image"], train["label"], steps=steps, seed=seed)
        for seed in (3, 3, 4)
    ]
    a, b, c = (classifier.Trained(model, variables, 0.0, "").sha256 for variables in fitted)
    assert a == b != c


def test_the_hash_sees_a_single_parameter(trained):
    arrays = classifier.parameters(trained.variables)
    changed = {name: np.array(x) for name, x in arrays.items()}
    next(iter(changed.values())).flat[0] += 1e-6
    other = classifier.Trained(trained.model, classifier.variables_of(changed), 0.0, "")
    same = classifier.Trained(trained.model, classifier.variables_of(arrays), 0.0, "")
    assert other.sha256 != trained.sha256 == same.sha256
    jax.tree.map(np.testing.assert_array_equal, same.variables, trained.variables)


def test_the_scale_of_the_data_does_not_matter(digits):
    x = digits.examples("train")
    models = [classifier.for_examples(values, 10) for values in (x, 16 * x - 3)]
    variables = jax.jit(models[0].init)(jax.random.key(0))
    a, b = (m.features(variables, v)[0] for m, v in zip(models, (x, 16 * x - 3), strict=True))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_constant_examples_are_no_division_by_zero():
    model = classifier.for_examples(np.ones((4, 3), np.float32), 2)
    assert (model.mean, model.std) == (1.0, 1.0)


def test_images_of_side_16_are_convolved_and_smaller_ones_are_not():
    assert classifier.build((16, 16, 3), 4).network.widths
    assert not classifier.build((8, 8, 1), 4).network.widths
    assert not classifier.build((64,), 4).network.widths


def test_the_convolutional_one_learns():
    x, label = stripes(400)
    model = classifier.for_examples(x, 3)
    assert model.network.widths
    variables = classifier.fit(model, x[:300], label[:300], steps=40)
    assert classifier.accuracy(model, variables, x[300:], label[300:]) > 0.9


def test_the_loss_is_the_cross_entropy(digits):
    batch = digits.batch("train", 16)
    model = classifier.for_examples(batch["image"], 10)
    variables = model.init(jax.random.key(0))
    loss, (metrics, _) = model.classifier_loss(variables, batch, jax.random.key(0))
    features, logits = model.network.apply(
        variables["classifier"], (batch["image"] - model.mean) / model.std
    )
    assert features.shape == (16, 64)
    chosen = jax.nn.softmax(logits)[jnp.arange(16), batch["label"]]
    assert float(loss) == pytest.approx(float(-jnp.log(chosen).mean()), rel=1e-5)
    assert 0 <= float(metrics["accuracy"]) <= 1


def one_hot(label, num=10):
    with np.errstate(divide="ignore"):
        return np.log(np.eye(num)[label])


def test_the_score_of_unsure_samples_is_one():
    assert classifier_score(np.full((100, 10), -np.log(10))) == pytest.approx((1, 0))


def test_the_score_of_sure_and_balanced_samples_is_the_number_of_classes():
    assert classifier_score(one_hot(np.arange(1000) % 10)) == pytest.approx((10, 0))


def test_the_score_of_one_class_is_one():
    assert classifier_score(one_hot(np.full(100, 3))) == pytest.approx((1, 0))


def test_the_score_is_taken_of_parts_in_their_order():
    """Sorted by class each of the parts holds one class; all together they are balanced."""
    log_posterior = one_hot(np.arange(1000) // 100)
    assert classifier_score(log_posterior)[0] == pytest.approx(1)
    assert classifier_score(log_posterior, num_splits=1)[0] == pytest.approx(10)


def test_the_score_by_hand():
    p = np.asarray([[0.9, 0.1], [0.4, 0.6]])
    mean = p.mean(axis=0)
    expected = np.exp(np.mean([(row * np.log(row / mean)).sum() for row in p]))
    assert classifier_score(np.log(p), num_splits=1)[0] == pytest.approx(expected)
    halves = [one_hot(np.arange(10) % 2, 2), one_hot(np.zeros(10, int), 2)]
    mean, std = classifier_score(np.concatenate(halves), num_splits=2)
    assert (mean, std) == pytest.approx((1.5, 0.5))  # scores 2 and 1, population deviation


def test_examples_of_no_known_class_teach_and_count_nothing():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    label = (x[:, 0] > 0).astype(np.int32)
    some = np.arange(40) % 4 > 0
    masked = np.where(some, label, -1)
    model = classifier.build((3,), 2)
    of_all = classifier.fit(model, x, masked, steps=3)
    of_known = classifier.fit(model, x[some], label[some], steps=3)
    jax.tree.map(np.testing.assert_array_equal, of_all, of_known)
    share = classifier.accuracy(model, of_all, x, masked)
    assert share == classifier.accuracy(model, of_all, x[some], label[some])
    with pytest.raises(DataError, match="none of 40 examples has a known class"):
        classifier.fit(model, x, np.full(40, -1))
    with pytest.raises(DataError, match="none of 40 examples has a known class"):
        classifier.accuracy(model, of_all, x, np.full(40, -1))


def test_the_loss_is_a_mean_over_known_classes():
    model = classifier.build((3,), 2)
    variables = model.init(jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    label = np.asarray([0, 1, -1, 1, -1, 0])
    known = label >= 0
    loss, _ = model.classifier_loss(variables, {"image": x, "label": label}, jax.random.key(1))
    few = {"image": x[known], "label": label[known]}
    expected, _ = model.classifier_loss(variables, few, jax.random.key(1))
    assert loss == pytest.approx(expected, rel=1e-6)
    nothing = {"image": x, "label": np.full(6, -1)}
    assert model.classifier_loss(variables, nothing, jax.random.key(1))[0] == 0
