"""For these tests: a search among few cases, since what fails here fails for most."""

import pytest
from hypothesis import settings


@pytest.fixture(autouse=True)
def few_examples():
    """A quarter of the cases that users have."""
    settings.register_profile("few", settings.get_profile("default"), max_examples=25)
    before = settings.get_current_profile_name()
    settings.load_profile("few")
    yield
    settings.load_profile(before)
