"""What ranks tell each other: three processes say what they got, and it is checked by hand."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import torch
import warm
from torch import nn

from lgan import distributed
from lgan.errors import RunError

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys
import torch, torch.distributed as dist
from torch import nn
from lgan import distributed as d
from lgan.errors import RunError

dist.init_process_group("gloo")
rank, said = dist.get_rank(), {}
rows = torch.arange(7.0)[:, None]
said["share"] = d.share(rows).flatten().tolist()
said["gathered"] = d.gather(d.share(rows)).flatten().tolist()
said["sum"] = float(d.total_of(torch.tensor(float(rank))))
said["largest"] = d.largest(10 * rank)
said["from_main"] = d.from_main(f"rank {rank}")
said["spread"] = d.spread(lambda item: [item, rank], list("abcd"))
try:
    d.decided(lambda: (_ for _ in ()).throw(RunError("no")))
except RunError as error:
    said["decided"] = str(error)

norm = nn.BatchNorm1d(2)
with torch.no_grad():
    norm.running_mean.fill_(rank)
own = d.differing_buffers(norm)
said["own"] = [sorted(buffers) for buffers in own]
said["means"] = [float(buffers["running_mean"][0]) for buffers in own]
d.synchronise_buffers(norm)
said["synchronised"] = norm.running_mean.tolist()
d.check_equal(norm, "after task 0")
with torch.no_grad():
    norm.weight[1] += 1e-7 * (rank == 2)
try:
    d.check_equal(norm, "after task 1")
except RunError as error:
    said["unequal"] = str(error)
json.dump(said, open(f"{sys.argv[1]}/{rank}.json", "w"))
dist.barrier()
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> list[dict]:
    folder: Path = tmp_path_factory.mktemp("said")
    (folder / "script.py").write_text(SCRIPT)
    command = [warm.python(), "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3",
               str(folder / "script.py"), str(folder)]  # fmt: skip
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(3)]


def test_rows_are_dealt_out_and_come_back_in_order(said) -> None:
    assert [s["share"] for s in said] == [[0, 3, 6], [1, 4], [2, 5]]
    assert all(s["gathered"] == list(range(7)) for s in said)


def test_sums_maxima_and_what_the_first_rank_says(said) -> None:
    for s in said:
        assert (s["sum"], s["largest"], s["from_main"]) == (3.0, 20, "rank 0")
        assert s["decided"] == "no", "an error of rank 0 is raised by all"


def test_work_is_spread_and_its_results_are_in_order(said) -> None:
    for s in said:
        assert s["spread"] == [["a", 0], ["b", 1], ["c", 2], ["d", 0]]


def test_statistics_of_each_rank_are_kept_and_then_evened_out(said) -> None:
    for s in said:
        assert s["own"] == [["running_mean"]] * 3 and s["means"] == [0.0, 1.0, 2.0]
        assert s["synchronised"] == [0.0, 0.0]


def test_a_rank_with_another_bit_is_found_by_all(said) -> None:
    for s in said:
        assert "after task 1 rank 2 holds other parameters than rank 0" in s["unequal"]


def test_a_single_process_has_nobody_to_wait_for() -> None:
    rows = torch.arange(4)
    assert torch.equal(distributed.gather(distributed.share(rows)), rows)
    assert distributed.spread(str, [1, 2]) == ["1", "2"] and distributed.is_main()
    assert distributed.differing_buffers(nn.BatchNorm1d(2)) == []
    with pytest.raises(RunError):
        distributed.decided(fail)


def fail() -> None:
    raise RunError("no")
