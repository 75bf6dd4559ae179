"""A run on disk: its folder, record, checkpoints, lock, and what comes in from outside."""
