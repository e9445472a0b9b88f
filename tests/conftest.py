"""How property tests choose their inputs: the same ones on every run, or with `make fuzz` new ones."""

from hypothesis import settings

settings.register_profile("steady", derandomize=True)
settings.register_profile("wild", derandomize=False, print_blob=True)
settings.load_profile("steady")
