"""The page of a run: complete, self-contained, harmless, and there even when files are missing."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from jaxgen.cli.verbs.report import report as verb
from jaxgen.errors import CheckpointError, StorageError
from jaxgen.figures import curves, embed, images, report
from jaxgen.figures import metrics as metrics_file
from jaxgen.figures.metrics import Curve

OPTIONAL = {
    "environment.json": "jaxgen train vae_digits --steps 5000",
    "data.json": "jaxgen train vae_digits --steps 5000",
    "metrics.jsonl": "jaxgen train vae_digits --steps 5000",
    "evaluation.json": "jaxgen evaluate",
    "certificate.json": "jaxgen check",
    "samples.png": "jaxgen sample",
    "reconstructions.png": "jaxgen reconstruct",
    "interpolation.png": "jaxgen interpolate",
}
NASTY = "<script>alert(1)</script><img src=x onerror=y>&amp;\"'"
NASTY += "\x1b[31mred\x1b[0m\x1b]0;title\x07\u202eab\ud800"

MLP = {"type": "MLP", "hidden": [400, 200], "activation": "relu"}
EXPERIMENT = {
    "type": "Experiment",
    "model": {"type": "VAE", "latent_dim": 20, "encoder": MLP, "decoder": MLP, "free_bits": None},
    "data": {"type": "Digits", "name": "digits", "transform": "binarise", "threshold": 8},
    "optimizers": [{"type": "Adam", "learning_rate": 0.001, "nesterov": False}],
    "steps": 5000,
    "batch_size": 128,
    "seed": 7,
    "precision": "float32",
}


def metrics(steps=5000):
    noise = np.random.default_rng(0)
    for step in range(10, steps + 1, 10):
        fall = np.exp(-step / 300)
        terms = {
            "reconstruction": 13.4 + 28 * fall + 0.5 * noise.normal(),
            "kl": 5.1 * (1 - np.exp(-step / 200)) + 0.1 * noise.normal(),
        }
        speed = {"images_per_second": 6e4 + 3e3 * noise.normal(), "seconds": step / 60}
        yield {"step": step, "split": "train", "loss": sum(terms.values()), **terms, **speed}
        if step % 500 == 0:
            yield {"step": step, "split": "validation", "elbo": -18.6 - 28 * fall}


def write_json(path, value):
    path.write_text(json.dumps(value))


@pytest.fixture
def run(tmp_path):
    """A finished run of a small VAE."""
    folder = tmp_path / "vae_digits"
    picture = images.png(images.grid(np.random.default_rng(1).random((36, 8, 8, 1))))
    (folder / "samples").mkdir(parents=True)
    command = "jaxgen train vae_digits --steps 5000"
    for step in range(500, 5001, 500):
        (folder / f"samples/step_{step:08d}.png").write_bytes(picture)
    for name in ("samples", "reconstructions", "interpolation"):
        (folder / f"{name}.png").write_bytes(picture)
    write_json(
        folder / "spec.json",
        {"format": 1, "recipe": "vae_digits", "command": command, "experiment": EXPERIMENT},
    )
    write_json(
        folder / "environment.json",
        {"jaxgen": "0.1.0", "python": "3.11.2", "jax": "0.10.2", "device": "cpu", "cpu_count": 2},
    )
    split = {"num": 360, "sha256": "ab12" * 16}
    write_json(
        folder / "data.json",
        {"name": "digits", "transform": "binarise", "shape": [8, 8, 1], "splits": {"test": split}},
    )
    record = {"metric": "elbo", "value": -18.1, "standard_error": 0.2, "unit": "nats"}
    protocol = "digits test split (360 images), binarised at >= 8; 16 posterior samples"
    write_json(
        folder / "evaluation.json",
        [record | {"split": "test", "num": 360, "protocol": protocol}],
    )
    laws = [
        {"law": "elbo <= iwae", "figure": 0.83, "bound": 0.0, "unit": "nats", "passed": True},
        {"law": "sample range", "figure": 1.5, "bound": 1.0, "unit": "", "passed": False},
    ]
    write_json(folder / "certificate.json", {"passed": False, "laws": laws})
    lines = [json.dumps(record) for record in metrics()]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return folder


class Page(HTMLParser):
    """Tags, attributes and visible text of a page; checks that every element is closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attrs):  # noqa: D102
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.open += [tag] * (tag not in self.VOID)

    def handle_startendtag(self, tag, attrs):  # noqa: D102
        self.tags.append(tag)

    def handle_endtag(self, tag):  # noqa: D102
        assert self.open.pop() == tag

    def handle_data(self, data):  # noqa: D102
        self.text += f" {data}" * ("style" not in self.open)


def page(folder):
    return Page(report.render(folder))


def harmless(parsed):
    """No script, no handler, and nothing that is loaded from elsewhere."""
    links = [v for _, name, v in parsed.attributes if name in ("src", "href", "xlink:href")]
    handlers = [name for _, name, _ in parsed.attributes if name.startswith("on")]
    local = all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    return "script" not in parsed.tags and not handlers and local


def test_everything_of_a_finished_run_is_on_the_page(run):
    parsed = page(run)
    text = " ".join(parsed.text.split())
    for expected in (
        "vae_digits", "test elbo −18.10 ± 0.20 nats", "5,000 steps", "83 s", "images / s",
        "loss train", "elbo validation", "16 posterior samples", "360", "✓ holds", "✗ broken",
        "✗ failed", "model.encoder.hidden 400, 200", "optimizers[0].learning_rate 0.001",
        "seed 7", "ab12ab12", "jaxgen train vae_digits --steps 5000", "jax 0.10.2",
        "step 500", "step 5,000",
    ):  # fmt: skip
        assert expected in text, expected
    assert parsed.tags.count("img") == 3 + embed.MAX_THUMBNAILS
    assert parsed.tags.count("svg") == 4  # loss, reconstruction, kl, elbo
    assert "is missing" not in text


def test_page_is_self_contained_and_the_same_each_time(run):
    html = report.render(run)
    assert harmless(Page(html))
    assert "http:" not in html
    assert "https:" not in html
    assert len(html) < 300_000
    assert report.render(run) == html


def test_identifiers_on_the_page_are_unique(run):
    ids = [value for _, name, value in page(run).attributes if name == "id"]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("damage", ["missing", "torn", "wrong"])
def test_optional_file_that_is_missing_or_damaged_names_its_command(run, name, damage):
    (run / "metrics.jsonl").write_text('{"step": 1, "split": "train", "loss": 2.5}')
    path = run / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:9] if damage == "torn" else b"[1, null]")
    text = " ".join(page(run).text.split())
    assert name in text
    assert OPTIONAL[name] in text


def test_the_headline_is_of_the_test_split_wherever_it_stands(run):
    metric = {"metric": "elbo", "standard_error": 0.2, "unit": "nats", "protocol": "p"}
    values = {"train": -11.0, "validation": -12.0, "test": -13.0}
    numbers = [metric | {"split": split, "value": value} for split, value in values.items()]
    write_json(run / "evaluation.json", numbers)
    assert "vae_digits: test elbo −13.00 ± 0.20 nats" in page(run).text
    write_json(run / "evaluation.json", numbers[:2])
    assert "vae_digits: train elbo −11.00 ± 0.20 nats" in page(run).text  # what there is


def test_without_numbers_the_headline_is_of_validation_before_training(run):
    (run / "evaluation.json").unlink()
    assert "vae_digits: validation elbo −18.6" in page(run).text
    lines = (run / "metrics.jsonl").read_text().splitlines()
    training = [line for line in lines if '"train"' in line]
    (run / "metrics.jsonl").write_text("\n".join(training) + "\n")
    assert "vae_digits: train loss 18." in page(run).text


def test_spec_alone_is_enough(run):
    for path in [*run.glob("*.json*"), *run.rglob("*.png")]:
        if path.name != "spec.json":
            path.unlink()
    parsed = page(run)
    assert "no numbers yet" in parsed.text
    assert harmless(parsed)


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_folder_without_spec_is_refused_in_one_line(run, content):
    (run / "spec.json").unlink()
    if content is not None:
        (run / "spec.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"vae_digits is no run folder.*spec\.json") as error:
        report.render(run)
    assert "\n" not in str(error.value)


def test_page_that_cannot_be_written(run):
    (run / "checkpoints").mkdir()
    (run / "report.html").mkdir()
    with pytest.raises(StorageError, match=r"report\.html"):
        verb(run)
    assert not [path for path in run.rglob("*") if path.name.endswith(".tmp")]


def test_the_verb_writes_the_page_beside_the_records(run):
    (run / "checkpoints").mkdir()
    assert verb(run) == 0
    assert (run / "report.html").read_text() == report.render(run)
    assert not [path for path in run.rglob("*") if path.name.endswith(".tmp")]


def poison(value):
    """The same JSON value, every text and every key of free choice in it made hostile."""
    if isinstance(value, dict):
        return {key: poison(item) for key, item in value.items()} | {NASTY: NASTY}
    if isinstance(value, list):
        return [poison(item) for item in value]
    return value + NASTY if isinstance(value, str) else value


def test_no_text_of_a_file_becomes_markup_or_a_control_character(run):
    for path in run.glob("*.json"):
        write_json(path, poison(json.loads(path.read_text())))
    record = {"step": 6000, "split": NASTY, NASTY: 1.0, NASTY + "_per_second": 2.0, "$\\frac$": 1}
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")
    parsed = page(run)
    html = report.render(run)
    assert harmless(parsed)
    assert "<script>alert(1)</script>" in parsed.text  # shown, not run
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", html)
    assert "[31m" not in html
    assert parsed.tags.count("img") == 3 + embed.MAX_THUMBNAILS


def test_many_large_pictures_stay_below_five_megabytes(run):
    noise = np.random.default_rng(2)
    large = images.png(noise.integers(0, 256, (1000, 1000, 3), dtype=np.uint8))
    names = [f"samples/step_{i:08d}.png" for i in range(60)]
    for name in ["samples.png", "reconstructions.png", "interpolation.png", *names]:
        (run / name).write_bytes(large)
    parsed = page(run)
    assert len(report.render(run).encode()) < 5_000_000
    assert parsed.tags.count("img") == 3 + embed.MAX_THUMBNAILS
    assert "step 0" in parsed.text
    assert "step 5,000" in parsed.text


def test_metrics_with_a_torn_line_and_repeated_steps(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "split": "train", "loss": 3.0}\n'
        '{"step": 2, "split": "train", "loss": 9.0}\n'
        '{"step": 2, "split": "validation", "loss": 4.0}\n'
        '{"step": 2, "split": "train", "loss": 2.0}\n'  # gone on from step 1
        '{"step": 3, "split": "train", "loss": NaN}\n'
        '{"step": "4", "split": ["x"], "loss": true}\n'  # odd, but no reason to stop
        '{"loss": 1.0}\n[]\n{"step": 4, "split": "tra'
    )
    found = metrics_file.read(path)
    series = found.series()
    assert found.torn == 3
    assert found.lost == 1
    np.testing.assert_array_equal(series["loss"]["train"][:2], [[1, 2], [3, 2]])
    np.testing.assert_array_equal(series["loss"]["validation"][:2], [[2], [4]])


def test_thinning_keeps_order_and_extremes():
    steps = np.arange(30_000)
    values = np.sin(steps / 500.0)
    values[12_345] = 50.0
    x, y = curves.thin(steps, values)
    assert len(x) <= curves.MAX_POINTS
    assert np.all(np.diff(x) > 0)
    assert y.max() == 50.0
    assert y.min() == values.min()
    np.testing.assert_array_equal(values[x], y)


def test_a_steep_fall_is_cut_and_a_gentle_one_is_not():
    steps = np.arange(1000.0)
    rest = np.sin(steps / 50)
    steep = rest + np.where(steps < 20, 500.0 - 25 * steps, 0.0)
    low, high = curves.cut(steep)
    assert low < -1 < 1 < high < 10  # the rest fills the plot
    assert low > -1.5
    assert curves.cut(rest) is None
    assert curves.cut(np.linspace(10, 0, 1000)) is None
    assert curves.cut(np.ones(10)) is None


def test_the_plot_of_a_steep_fall_shows_the_rest():
    """Labels of the vertical axis are those of the rest, not of the fall."""
    steps = np.arange(50.0)
    values = np.where(steps < 1, 200.0, np.sin(steps))
    drawn = str(curves.svg({"train": Curve(steps, values, values)}))
    labels = re.sub(r"<[^>]*>", " ", drawn).split()
    assert "40" in labels  # of the steps
    assert not {"50", "100", "150", "200"} & set(labels[labels.index("40") + 1 :])
    assert "1.0" in labels


def test_curves_stay_small(run):
    long = np.arange(100_000.0)
    noise = np.random.default_rng(0).normal(size=100_000)
    svg = curves.svg({"train": Curve(long, noise, noise)})
    assert len(svg) < 60_000


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (-18.1, 0.2, "−18.10 ± 0.20"),
        (1234.6, 25.0, "1235 ± 25"),
        (0.5, 0.00123, "0.5000 ± 0.0012"),
        (3.14159, None, "3.142"),
        (3.0, 0.0, "3"),
        (float("nan"), 1.0, "nan"),
        (None, None, "none"),
        ("many", 1, "many"),
    ],
)
def test_measured_shows_two_digits_of_the_error(value, error, expected):
    assert report.measured(value, error) == expected


def test_flatten_names_every_leaf():
    fields = dict(report.flatten(EXPERIMENT))
    assert fields["model"] == "VAE"
    assert fields["model.decoder.hidden"] == "400, 200"
    assert fields["model.free_bits"] == "none"
    assert fields["optimizers[0].nesterov"] == "no"


def with_classes(run, names):
    data = json.loads((run / "data.json").read_text())
    write_json(run / "data.json", data | {"class_names": names})
    return Page(report.render(run)).text


def test_the_classes_are_named_with_their_numbers(run):
    text = " ".join(with_classes(run, ["cat", "dog<b>", "caf\udce9", NASTY]).split())
    assert "The 4 classes: 0 cat, 1 dog<b>, 2 caf\\xe9, 3 " in text.replace(" ,", ",")
    many = with_classes(run, [f"class {i}" for i in range(1000)])
    assert "The 1000 classes" in many
    assert "class 99" in many
    assert "class 100" not in many


@pytest.mark.parametrize("names", [None, [], {}, "cat", {"0": "cat"}, 3])
def test_what_are_no_names_of_classes_is_left_out(run, names):
    assert "classes" not in with_classes(run, names)
