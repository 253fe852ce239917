"""For these tests: a search among few cases, since what fails here fails for most."""

import os

import pytest
from hypothesis import settings

CHOSEN = os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default")


@pytest.fixture(autouse=True)
def few_examples():
    """A quarter of the cases that users have."""
    settings.register_profile("few", settings.get_profile(CHOSEN), max_examples=25)
    settings.load_profile("few")
    yield
    settings.load_profile(CHOSEN)
