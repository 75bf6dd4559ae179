"""A run on disk, and what comes in from outside while it is trained."""
