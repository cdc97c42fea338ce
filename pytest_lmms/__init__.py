"""pytest-lmms: large multimodal models evaluated by pytest."""
