"""How property tests choose their inputs: the same ones on every run, or with `make fuzz` new ones."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("wild", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("steady")
