"""Helpers that task files written for lmms-eval import, by lmms-eval's names and with its results.

`standins` gives these modules those names where lmms-eval is not installed. What they compute is computed in `scoring`
and `media`; here are only the names, the shapes of arguments and what comes back. Where lmms-eval draws an answer at
random, these find none.
"""
