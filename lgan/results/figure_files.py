"""The report's main figures as files of their own."""

from pathlib import Path

from lgan.files import file_names, write_atomically
from lgan.results import capacity_figures, drift_figures, figures, grids
from lgan.results.collect import Collection
from lgan.results.report import METRIC


def save_figures(found: Collection, folder: Path) -> int:
    """Write the report's main figures as PNG files, for READMEs and papers; return how many."""
    pictures: dict[str, bytes | None] = {}
    for data in found.data_names:
        groups = found.of_data(data)
        measured = [group for group in groups if METRIC in group.first.metric_names()]
        pictures[f"{data}\0curves"] = figures.mean_curves(measured) if measured else None
        pictures[f"{data}\0drift"] = drift_figures.drift_curves(groups)
        for group in groups:
            stem = f"{data}\0{group.label}\0"
            if group in measured:
                pictures[f"{stem}matrix"] = figures.matrix_heatmap(group, METRIC)
            pictures[f"{stem}growth"] = capacity_figures.growth_curve([group])
            pictures[f"{stem}reuse"] = capacity_figures.reuse_shares([group])
            pictures[f"{stem}masks"] = capacity_figures.mask_evolution([group])
            pictures[f"{stem}samples"] = grids.run_grid(group.runs[0])
    written = {name: png for name, png in pictures.items() if png is not None}
    for name, png in zip(file_names(list(written)), written.values(), strict=True):
        write_atomically(folder / f"{name}.png", png)
    return len(written)
