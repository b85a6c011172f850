"""One preparation of the digits for all tests of this folder."""

import pytest

from jaxgen.data import Data, load


@pytest.fixture(scope="session")
def digits_dir(tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("tfds"))
    load(Data(dir=directory))
    return directory


@pytest.fixture
def digits(digits_dir):
    return load(Data(dir=digits_dir))
