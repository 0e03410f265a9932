"""What every test runs under."""

from hypothesis import settings

# The same examples every time, and no deadline: a busy machine must not turn a good test red.
settings.register_profile("steady", derandomize=True, deadline=None, database=None)
settings.load_profile("steady")
