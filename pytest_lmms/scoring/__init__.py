"""Responses to scores: reasoning tags, filters, metrics, and the stage that runs them.

This room is pure: it opens no file and asks no model (the judge, which does ask one, goes through
an engine that it is handed). It knows records and nothing of how a task was loaded.
"""
