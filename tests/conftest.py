"""For all tests: pytest's own tool for testing plugins, and how hypothesis draws on machines that are busy."""

import contextlib

pytest_plugins = ["pytester"]

with contextlib.suppress(ModuleNotFoundError):  # tests beside other plugins draw nothing
    from hypothesis import HealthCheck, settings

    settings.register_profile("busy machines", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("busy machines")
