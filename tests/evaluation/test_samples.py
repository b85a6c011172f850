"""Samples against real examples: what the numbers do when samples get worse, and what is said."""

import numpy as np
import pytest

from jaxgen.data import Data, load
from jaxgen.errors import ConfigError, NonFiniteError
from jaxgen.evaluation import Real, measure_samples, real_examples
from jaxgen.evaluation import samples as samples_module
from jaxgen.evaluation.features import Extractor, extract, raw_values
from jaxgen.evaluation.samples import compare, copies

CENTRES = 6 * np.eye(4)
NUM = 400


def draws(seed, num=NUM, classes=4):
    """Points around as many centres as there are classes."""
    random = np.random.default_rng(seed)
    centres = CENTRES[random.integers(0, classes, num)]
    return (centres + random.normal(size=(num, 4))).astype(np.float32)


def posterior(x):
    """log p(class | x) of the mixture that `draws` draws from."""
    x = np.asarray(x)
    logits = -((x[:, None] - CENTRES) ** 2).sum(axis=-1) / 2
    return x, logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


MIXTURE = Extractor("the points themselves", posterior)
REAL = Real("test", draws(0), draws(1), "train", train=draws(1, 2000), unseen=draws(0))


def table(samples, **arguments):
    found = measure_samples(samples, REAL, MIXTURE, **arguments)
    return {record.metric: record for record in found}


def numbers(samples):
    return compare(extract(MIXTURE, samples), extract(MIXTURE, REAL.reference))


def test_a_perfect_model_gets_what_real_examples_get():
    found = table(draws(2))
    for name, most in (
        ("frechet_distance", 0.5),
        ("precision", 0.05),
        ("recall", 0.05),
        ("density", 0.15),
        ("coverage", 0.05),
        ("two_sample_accuracy", 0.1),
        ("classifier_score", 0.2),
    ):
        assert found[name].value == pytest.approx(found[f"real/{name}"].value, abs=most), name
    assert found["classifier_score"].value == pytest.approx(4, abs=0.3)
    assert found["two_sample_accuracy"].value == pytest.approx(0.5, abs=0.07)


def test_noise_takes_samples_away_from_the_data():
    noise = np.random.default_rng(9).normal(size=(NUM, 4)).astype(np.float32)
    found = [numbers(draws(2) + deviation * noise) for deviation in (0.0, 2.0, 4.0, 8.0)]
    for name, rises in (("frechet_distance", 1), ("kernel_distance", 1), ("precision", -1)):
        values = [rises * each[name] for each in found]
        assert values == sorted(values), name
        assert values[0] != values[-1]


def test_classes_that_are_not_drawn_are_missed():
    found = [numbers(draws(2, classes=num)) for num in (4, 3, 2, 1)]
    for name in ("recall", "coverage", "classifier_score"):
        values = [-each[name] for each in found]
        assert values == sorted(values), name
        assert values[0] < values[-1] - 0.3
    assert min(each["precision"] for each in found) > 0.8


def test_samples_learned_by_heart_are_found_out():
    train = REAL.train
    learned = copies(train[:NUM], REAL)
    assert (learned["train_distance"], learned["nearer_to_train"]) == (0.0, 1.0)
    fresh = copies(draws(2), REAL)
    assert fresh["nearer_to_train"] == pytest.approx(0.5, abs=0.07)
    assert fresh["unseen_train_distance"] == learned["unseen_train_distance"] > 0
    far = copies(draws(2) + 50, REAL)
    assert far["nearer_to_train"] == 0.0


def test_an_equal_distance_counts_half():
    assert copies(REAL.unseen, REAL)["nearer_to_train"] == pytest.approx(0.5, abs=2 / NUM)
    grid = np.zeros((10, 2))
    real = Real("test", grid, grid, "train", train=grid + 1, unseen=grid)
    assert copies(grid, real)["nearer_to_train"] == 0.5


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_copies_are_found_wherever_they_stand(share, reverse, monkeypatch):
    monkeypatch.setattr(samples_module, "COPY_SAMPLES", 400)
    num = 1200
    learned = REAL.train[: int(share * num)]
    x = np.concatenate([learned, draws(2, num - len(learned)) + 50])
    found = copies(x[::-1] if reverse else x, REAL)
    assert found["nearer_to_train"] == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("sign", [-1, 1])
def test_modes_are_found_wherever_they_stand(axis, sign, monkeypatch):
    monkeypatch.setattr(samples_module, "MODE_SAMPLES", 600)
    mixture = real_examples(load(Data(name="grid", transform="none")), num=100).mixture
    x = mixture.draw(np.random.default_rng(3), 3000)
    in_order = x[np.argsort(sign * x[:, axis])]
    assert samples_module.modes(in_order, mixture)["modes_covered"] == 25


def test_nothing_can_be_copied_of_examples_that_are_drawn_for_ever():
    endless = Real("test", draws(0), draws(1), "train", train=None, unseen=draws(0))
    assert copies(draws(2), endless) == {}
    names = {record.metric for record in measure_samples(draws(2), endless, MIXTURE)}
    assert "frechet_distance" in names
    assert not any("train" in name for name in names)


def test_every_record_says_what_was_compared_and_by_what():
    found = table(draws(2), protocol=("mixture test split", "step 8, seed 0"))
    mine, floor = found["recall"], found["real/recall"]
    for part in (
        "400 samples against 400 test examples",
        "mixture test split",
        "step 8, seed 0",
        "features: the points themselves",
        "50 subsets of 200",
    ):
        assert part in mine.protocol
    assert "400 train examples against 400 test examples" in floor.protocol
    assert "step 8" not in floor.protocol
    assert "too few" not in mine.protocol
    for record in found.values():
        assert (record.split, record.num, record.standard_error) == ("test", NUM, None)
        assert np.isfinite(record.value)


def test_the_floor_is_that_of_the_other_real_examples():
    found = table(draws(2))
    expected = numbers(REAL.other)
    assert {name.removeprefix("real/") for name in found if name.startswith("real/")} == set(
        expected
    )
    assert all(found[f"real/{name}"].value == value for name, value in expected.items())


def test_a_second_set_of_samples_has_a_name_and_no_floor():
    found = table(draws(2), prefix="best/", floor=False)
    assert all(name.startswith("best/") for name in found)
    assert found["best/recall"].unit == "share"
    assert found["best/frechet_distance"].unit == "squared"


def test_without_classes_there_is_no_classifier_score():
    found = measure_samples(draws(2), REAL, raw_values((4,)))
    assert not any("classifier" in record.metric for record in found)
    assert "features: raw values" in found[0].protocol


def test_too_few_examples_for_the_covariance_are_said_to_be():
    real = Real(
        "test", draws(0, 40), draws(1, 40), "train", train=draws(1, 200), unseen=draws(0, 40)
    )
    wide = Extractor("wide", lambda x: (np.repeat(x, 11, axis=1), None))
    found = measure_samples(draws(2, 40), real, wide)
    assert "too few for the covariance of 44" in found[0].protocol


def test_equal_numbers_are_required():
    with pytest.raises(ConfigError, match="399 samples against 400"):
        measure_samples(draws(2)[:399], REAL, MIXTURE)


def test_a_feature_that_is_not_finite_is_refused():
    broken = draws(2)
    broken[7] = np.nan
    with pytest.raises(NonFiniteError, match="raw values"):
        measure_samples(broken, REAL, raw_values((4,)))


@pytest.mark.parametrize("num", [99, 100, 250])
def test_batches_change_no_feature(num):
    features, log_posterior = extract(MIXTURE, draws(3, num))
    whole = posterior(draws(3, num))
    np.testing.assert_array_equal(features, whole[0])
    np.testing.assert_array_equal(log_posterior, whole[1])


def test_raw_values_of_a_large_image_are_means_of_blocks():
    small = raw_values((8, 8, 1))
    assert small.description == "raw values"
    large = raw_values((65, 64, 3))
    assert large.description == "raw values, means of 4 x 4 pixels"
    x = np.random.default_rng(0).random((2, 65, 64, 3)).astype(np.float32)
    features, log_posterior = extract(large, x)
    assert log_posterior is None
    assert features.shape == (2, 17 * 16 * 3)
    np.testing.assert_allclose(features[0, :3], x[0, :4, :4].mean(axis=(0, 1)), rtol=1e-5)
    edge = features[1].reshape(17, 16, 3)[16, 5]
    np.testing.assert_allclose(edge, x[1, 64, 20:24].mean(axis=0), rtol=1e-5)


def test_real_examples_of_a_finite_set(tfds_dir):
    dataset = load(Data(dir=tfds_dir))
    real = real_examples(dataset)
    assert len(real.reference) == len(real.other) == 360
    assert (real.split, real.other_split, len(real.train)) == ("test", "train", 1300)
    np.testing.assert_array_equal(real.unseen, dataset.examples("test"))
    np.testing.assert_array_equal(real.other, dataset.examples("train", 360))


def test_the_training_split_is_compared_with_what_was_held_out(tfds_dir):
    dataset = load(Data(dir=tfds_dir))
    real = real_examples(dataset, "train")
    assert len(real.reference) == len(real.other) == 137 + 360
    assert real.other_split == "validation and test"
    np.testing.assert_array_equal(real.unseen, real.other)


def test_examples_that_are_drawn_for_ever():
    dataset = load(Data(name="banana", transform="none"))
    real = real_examples(dataset, num=50)
    assert real.train is None
    assert real.reference.shape == real.other.shape == (50, 2)
    assert not np.isin(real.other[:, 0], real.reference[:, 0]).any()
    np.testing.assert_array_equal(real_examples(dataset, num=50).other, real.other)


def test_modes_are_counted_where_they_are_known():
    real = real_examples(load(Data(name="grid", transform="none")), num=1000)
    drawn = real.mixture.draw(np.random.default_rng(3), 3000)
    collapsed = drawn[drawn[:, 0] > 1][:1000]
    found = {r.metric: r for r in measure_samples(collapsed, real, raw_values((2,)))}
    assert (found["modes_covered"].value, found["modes_covered"].unit) == (10, "modes")
    # 1000 draws over 10 modes add about 9 / 2000 nats
    assert found["modes_reverse_kl"].value == pytest.approx(np.log(25 / 10), abs=0.02)
    assert found["real/modes_covered"].value == 25
    assert found["real/high_quality"].value == pytest.approx(0.9889, abs=0.01)


def test_a_handful_of_examples_is_refused(tfds_dir):
    with pytest.raises(ConfigError, match="expected 10 or more"):
        real_examples(load(Data(dir=tfds_dir)), num=9)
