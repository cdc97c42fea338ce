"""Where pytest meets the line: the only room that imports pytest.

One capability, one module: options, collection, the model fixture, running documents, scheduling under `-n`, the
run folder, the summary. All of them are silent in a session without documents.
"""

pytest_plugins = (
    "pytest_lmms.plugin.environment",  # before whoever imports it: pytest 8 warns of plugins imported already
    "pytest_lmms.plugin.videos",  # likewise
    "pytest_lmms.plugin.options",
    "pytest_lmms.plugin.runs",
    "pytest_lmms.plugin.collection",
    "pytest_lmms.plugin.places",
    "pytest_lmms.plugin.garbage",
    "pytest_lmms.plugin.fixtures",
    "pytest_lmms.plugin.loop",
    "pytest_lmms.plugin.recording",  # as environment
    "pytest_lmms.plugin.reports",  # likewise
    "pytest_lmms.plugin.run_document",
    "pytest_lmms.plugin.worker",
    "pytest_lmms.plugin.budget",
    "pytest_lmms.plugin.controller",
    "pytest_lmms.plugin.transport",
    "pytest_lmms.plugin.summary",
    "pytest_lmms.plugin.demands",
    "pytest_lmms.plugin.gates",
    "pytest_lmms.plugin.dryrun",
    "pytest_lmms.plugin.loggers",
    "pytest_lmms.plugin.report",
    "pytest_lmms.plugin.outward",
)
