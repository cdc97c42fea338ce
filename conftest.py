"""Registers nothing: the plugin arrives through its entry point. Its place marks the root of the repository."""
