"""Settings of the whole test suite."""

from hypothesis import settings

# Derandomized, so that a failure in CI is the same failure here; no deadline, since machines differ in speed.
settings.register_profile("project", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("project")
