"""Data: pictures, tasks, batches as a function of (seed, task, step), bounded memories."""
