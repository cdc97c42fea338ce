"""Checks by programs, one document at a time: metrics that `metric_list` names, and what runs a model's code."""
