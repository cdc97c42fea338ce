"""Evaluation over HTTP: jobs in a queue, each a pytest process of its own.

`schema` says what is sent and answered, `policy` what a job may name, `jobs` keeps them in SQLite, `queue` gives
devices to them and runs them, `reporting` is the part inside a job's pytest, `guard` lets requests in, `app` has the
endpoints. Run folders are read, never written; the plugin is never imported.
"""
