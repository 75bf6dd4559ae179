"""Starting processes: the ranks of one run, the jobs of a sweep, and where they go."""
