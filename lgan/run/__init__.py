"""A run on disk, and what comes in from outside while it is trained.

`folder` names its files and says whether two configs mean the same run; `record` is results.json;
`checkpoints` writes the state inside a task and finds the newest whole one, from which
`lgan.training.runner` resumes; `lock` lets one process at a time train it; `rewinds` says what a
loss that ran away has changed; `signals` hears SIGTERM and its like; numbers go to `csv_logger`,
`wandb_logger` and, with pictures, through `loggers`.
"""
