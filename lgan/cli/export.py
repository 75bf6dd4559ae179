"""`lgan-export`: one task's generator of a finished run, for other programs."""

from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import MinLen

from lgan.arguments import Text
from lgan.cli.common import script
from lgan.errors import RunError, warn

FormatName = Literal["safetensors", "pix2pix", "torch_export", "torchscript", "onnx"]


@script("export")
def main(
    run: Text,
    task: int | Text | None,
    output: Text,
    formats: Annotated[list[FormatName], MinLen(1)],
    after: int | Text | None,
    trust: list[Text],
    direction: Literal["forward", "backward"],
    overwrite: bool,
) -> None:
    """Run the console script `lgan-export`."""
    import lgan
    from lgan.files import refuse_existing, staged, write_json
    from lgan.inference.export import REPORT, choose_formats, describe, export

    opened, folder = lgan.load(run, trust=trust), Path(output)
    network = opened.task_network(task, after, direction)
    method, border = opened.state(after)
    chosen = choose_formats(list(formats), method)
    names = (*(made.file for made in chosen.values()), REPORT)
    refuse_existing((folder / name for name in names), overwrite)
    facts = {"run": run, "method": method.name, "after": border["task"]}
    with staged(folder) as part:
        rows = export(network, chosen, part)
        write_json(part / REPORT, facts | describe(network) | {"formats": rows})
        show(rows)
        if all("refused" in row for row in rows.values()):
            raise RunError(f"nothing was exported to {output}; see the reasons above.")
    if method.test_mode != "eval":
        warn(
            "this run was measured with training.test_mode=paper, as in training; exported "
            "networks are in eval mode, without dropout."
        )
    print(f"{network.name}: {output}", flush=True)


def show(rows: dict[str, Any]) -> None:
    """Print a line for each format: its file and difference, or why it was refused."""
    for name, row in rows.items():
        if "refused" in row:
            warn(f"formats={name} was left out: {row['refused']}")
            continue
        how = "bitwise equal" if row["difference"] == 0 else f"differs by {row['difference']:.3g}"
        print(f"{row['file']}: {row['bytes'] / 2**20:.1f} MiB, {how}")


if __name__ == "__main__":
    main()
