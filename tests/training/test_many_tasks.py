"""Many tasks of two steps, tiny networks: they end, and what is kept grows with the tasks."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.many_tasks import bend, bytes_by_task

pytestmark = pytest.mark.slow
MEMORY, TENSORS, NAMES = range(3)  # columns
SLOWLY = (
    *("network.generator.width=1", "method.embedding_start=-50"),
    *("method.settle=0", "method.replay_tasks=2"),
)


@pytest.mark.parametrize("name", ["sft", "mergan_jtr", "piggyback_mask"])
def test_two_hundred_tasks_end_and_keep_as_much_each(name: str, tmp_path: Path) -> None:
    """In the method's memory and on the disk the second hundred adds what the first did.

    Replays of 199 classes, too, come from batches of eight rows. A border names what is new; the
    classes of all tasks, which each has, are some bytes a task.
    """
    kept = bytes_by_task(tmp_path, name, 200)
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    assert len(rows) == len(kept) == 200
    if name == "piggyback_mask":
        assert bend(kept[:, MEMORY]) == pytest.approx(1, abs=0.02)
    else:
        assert kept[-1, MEMORY] <= 2 * kept[0, MEMORY]  # JTR's has a snapshot in a task only
    assert bend(kept[:, TENSORS]) == pytest.approx(1, abs=0.05)
    new = [late - early for early, late in pairwise(kept[2:, NAMES].tolist())]
    assert max(new) <= min(new) + 20 * 200


def test_a_growing_generators_tasks_are_kept_once(tmp_path: Path) -> None:
    """DGMw: a border adds the weights, as many as there are now, and the newest task's masks.

    Later tasks' masks begin closed, so that few units are reserved: a generator that doubles every
    few tasks would take minutes (`make bench` has sixty tasks of it).
    """
    kept = bytes_by_task(tmp_path, "dgm_w", 200, *SLOWLY)
    rows = json.loads((tmp_path / "run" / "results.json").read_text())["rows"]
    weights = [row["disk"]["weights_fp32"] for row in rows]
    masks = [row["disk"]["masks_packed_bits"] for row in rows]
    held = kept[1:, MEMORY].tolist()  # after the first, the second ... task; room is made for more
    stored = kept[1:, TENSORS].tolist()
    fixed = stored[1] - stored[0]
    for task in range(2, 199):
        grown = weights[task] - weights[1]
        newest = masks[task] - masks[task - 1]
        assert stored[task] - stored[task - 1] <= fixed + grown + newest
        room = 2 * (weights[task + 1] - weights[2])  # of the next task, its embeddings too
        counters = 200 * task  # of norms
        assert held[task] - held[1] <= room + masks[task] - masks[1] + counters
