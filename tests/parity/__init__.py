"""Our prompts and scores against recordings of lmms-eval v0.7; see `run`."""
