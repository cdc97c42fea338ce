"""Requests to responses. Knows no task and no pytest."""
