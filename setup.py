"""The one thing that setup.cfg cannot say: `experiments/` is installed as `jaxgen.recipes`."""

from setuptools import find_packages, setup

SHIPPED = "jaxgen.recipes"

setup(
    packages=[
        *find_packages(include=["jaxgen", "jaxgen.*"]),
        SHIPPED,
        *(f"{SHIPPED}.{package}" for package in find_packages("experiments")),
    ],
    package_dir={SHIPPED: "experiments"},
)
