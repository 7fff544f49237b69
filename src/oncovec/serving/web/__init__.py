"""Trained systems in a web browser and as a JSON interface, on this machine.

`app.py` has the page and the requests, `limits.py` what is refused and when, `answers.py` the answers.
"""
