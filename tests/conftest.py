"""Set-up for all tests. What a test needs from the machine it says by `tests.support.need`."""

from hypothesis import settings

from tests.support import guard

guard.install()

pytest_plugins = ["pytester"]

# Machines differ in speed; a deadline per example would make slow ones fail at random.
settings.register_profile("qga", settings.get_profile("default"), deadline=None)
if settings.get_current_profile_name() == "default":  # not "ci", nor one asked for by name
    settings.load_profile("qga")
