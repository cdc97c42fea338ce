"""Expressions of task files on texts of strangers: matched here, or in a process that may be ended. Knows no task."""
