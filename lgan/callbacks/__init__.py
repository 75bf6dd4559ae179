"""Callbacks: what happens at the border between two tasks, and every few steps inside one.

`lgan.training.runner` calls those that a method brings itself (`masks`), then those of the config,
which measure, draw and log. `checkpoint` and `stop` come last.
"""
