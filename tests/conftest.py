"""How property tests choose their inputs: the same ones on every run, with `make fuzz` new ones; never in a hurry."""

from hypothesis import HealthCheck, settings

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", CALM, derandomize=True)
settings.register_profile("wild", CALM, derandomize=False, print_blob=True)
settings.load_profile("steady")
