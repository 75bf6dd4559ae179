"""Starting processes: the ranks of one run, the jobs of a sweep, and where they go.

`job` is what one job does; `processes` starts the ranks of a run with several, each a `worker`;
`sweep` notes how jobs end and prints the table, which `sweep_table` writes; `gpus` knows joblib's,
submitit's and Slurm's ways, and shares GPUs out; `compose` makes configs of overrides.
"""
