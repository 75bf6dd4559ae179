"""What a run's samples show after which task, so that their files grow as the tasks do."""

FEW = 10


def shows_all(task: int) -> bool:
    """Return whether the file after a task (from 0) shows all tasks so far, and not it alone.

    It does after each of the first ten, then after half as many again as the last time: all such
    files together are no more than a few of the last. That of a run's last task does anyway.
    """
    count = FEW
    while count <= task:
        count += count // 2
    return task < FEW or count == task + 1
