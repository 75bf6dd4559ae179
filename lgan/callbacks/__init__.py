"""Callbacks: what happens at the border between two tasks, and every few steps inside one.

`lgan.training.runner` calls them: first those that a method brings itself (`configure_callbacks`).
At a task's start `ExpandLayers` makes room; at its end `FreezeFilterBank` (`bank`) freezes the
filter bank and appends to it, and `CumulateMasks` (`masks`) binarises the masks and cumulates them.
Then those of the config, which measure, draw and log. Inside a task `StepCheckpoint` (`checkpoint`)
and `StopOnSignal` (`stop`) write checkpoints.
"""
