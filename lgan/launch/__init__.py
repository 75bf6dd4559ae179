"""Starting processes: ranks of one run, jobs of a sweep, and where they go."""
