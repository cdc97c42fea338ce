"""For all tests: pytest's own tool for testing plugins, and how hypothesis draws on machines that are busy."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

settings.register_profile("busy machines", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machines")
