"""Finished runs at work: `load` rebuilds a run's method, `task_network` takes one task out of it.

`sample` draws images of classes; `translate` puts a folder of pictures through a task; `export`
writes a task's network for other programs, in the `formats` there are, and compares.
"""
