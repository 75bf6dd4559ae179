"""The report: self-contained, inert, complete."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest
from many_runs import write_runs
from PIL import Image

from lgan.errors import RunError
from lgan.reports.charts import NAME, NAMED, Axis, heat_map, scatter
from lgan.reports.collect import collect
from lgan.reports.report import render, split
from lgan.reports.tables import Cell, Table

VOID = {"meta", "img", "link", "br", "hr", "input", "wbr"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.images, self.links, self.text, self.open = [], [], [], "", []
        self.shapes = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attributes)
        if tag == "img":
            self.images.append(found)
        if tag == "svg":
            self.shapes.append(found)
        self.links += [found[key] for key in ("src", "href", "srcset", "data") if key in found]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def report(runs: Path, write_samples) -> str:
    for folder in sorted(runs.iterdir()):
        write_samples(folder)
    return render(collect(runs), title="Digits & <more>")


def test_nothing_is_loaded_from_elsewhere(report: str):
    page = Page(report)
    assert page.open == []
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert page.tags.count("script") == 2, "data, and the page's own"
    assert re.search(r"default-src 'none'; [^\"]*script-src 'sha256-[\w+/]+=*'\"", report)
    assert "link" not in page.tags
    assert "http://" not in report
    assert "https://" not in report
    assert "url(" not in report
    assert "@import" not in report


def test_pictures_decode_and_have_alternative_texts(report: str):
    images = Page(report).images
    assert len(images) == 3, "what each method shows after the last task"
    for image in images:
        data = base64.b64decode(image["src"].partition(",")[2])
        assert Image.open(io.BytesIO(data)).size == (4 * 8, 2 * 8)
        assert len(image["alt"]) > 20
    curves = [each for each in Page(report).shapes if each.get("role") == "img"]
    # Curves of accuracy, FID and drift, size and quality; of each metric a matrix per method.
    assert len(curves) == 4 + 2 * 3
    assert all(len(each["aria-label"]) > 20 for each in curves)


def test_a_picture_is_stored_once(report: str):
    pictures = re.findall(r"data:image/png;base64,[\w+/=]+", report)
    strips = [each for each in pictures if len(each) > 100]
    assert len(strips) >= 3 + 3 + 6, "after both tasks, and matrices"
    assert all(report.count(each) <= 3 for each in strips), "the three methods show the same"


def test_twenty_runs_of_62_tasks_are_a_few_megabytes(tmp_path: Path):
    write_runs(tmp_path, methods=20, tasks=62, size=28)
    text = render(collect(tmp_path))
    assert len(text) < 6e6, "the pictures are noise, which no format makes smaller"
    assert len(Page(text).images) == 21


def test_good_is_bright_and_low_scores_are_good_where_they_are():
    matrix = np.array([[10.0, np.nan], [90.0, 50.0]])
    for lower, (good, bad) in {True: ((0, 0), (1, 0)), False: ((1, 0), (0, 0))}.items():
        uri = heat_map(matrix, 10.0, 90.0, lower)["picture"]
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
        assert pixels[good][:3].sum() > 2 * pixels[bad][:3].sum()
        assert pixels[0, 1, 3] == 0, "what was not measured is clear"


def test_ticks_are_round_and_few():
    assert Axis(0, 1, 0, 100).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert Axis(9, 187.1, 0, 100).ticks() == pytest.approx([50, 100, 150])
    assert Axis(0, 4, 0, 100, log=True).ticks() == pytest.approx([1e-8, 1e-6, 1e-4, 0.01, 1])


def test_names_from_outside_are_inert(report: str):
    assert "<script>alert" not in report
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in report
    page = Page(report)
    assert "a_b&c%" in page.text
    assert "Digits & <more>" in page.text


def test_numbers_rules_references_and_settings_are_there(report: str):
    text = Page(report).text
    for expected in (
        "30.0 ± 14.1",
        "Breaks the rule: uses all real data",
        "small_cnn-ab12cd",
        "samples_per_class",
        "1,500",
        "steps: 10",
        "AFQ of FID (classifier, N=100 per class, test=100)",
    ):
        assert expected in " ".join(text.split()), expected
    assert "3 methods learnt digits, a sequence of 2 tasks with 2 classes in all" in text
    assert "Warnings" not in text


def test_incomplete_runs_are_warned_of(make_run, tmp_path: Path):
    make_run("sft", 0)
    make_run("<b>ewc", 0, rows=1)
    html = render(collect(tmp_path))
    text = Page(html).text
    assert "Warnings" in text
    assert "1 of 2 tasks" in text
    assert "<b>ewc" not in html


def test_the_run_with_the_most_tasks_names_the_rows(tmp_path: Path):
    write_runs(tmp_path / "a", methods=1, tasks=2)
    write_runs(tmp_path / "b", methods=2, tasks=3)
    rmtree(tmp_path / "b/run0")  # the same method
    html = render(collect(tmp_path))
    named = "".join(f"<li>class {number}</li>" for number in range(3))
    assert f'<ol class="rows" aria-hidden="true">{named}</ol>' in html
    assert "a sequence of 2 or 3 tasks with 3 classes in all" in html


def test_no_complete_run_is_an_error(make_run, tmp_path: Path):
    make_run("sft", 0, rows=1)
    with pytest.raises(RunError, match="no complete run"):
        render(collect(tmp_path))


def test_retention_is_exact_only_if_every_old_task_is(make_run, tmp_path: Path):
    make_run("sft")
    found = collect(tmp_path)
    assert "0.25 on average, 0.5 at most" in render(found)
    for row in found.groups[0].first.rows:
        for entry in row["retention"]:
            entry["exact"] = True
    assert "exact: images of old tasks from the same noise never changed" in render(found)


def test_wide_tables_are_cut_and_keep_every_column_once():
    titles = ["method", *(str(i) for i in range(9))]
    table = Table("t", titles, titles, [[Cell(title) for title in titles]])
    parts = split(table, most=5)
    assert [part.titles for part in parts] == [titles[:6], ["method", *titles[6:]]]
    assert [cell.text for cell in parts[1].rows[0]] == parts[1].titles
    assert split(table, most=20)[0].title == "t"


def test_of_many_points_those_are_named_whose_name_is_free_to_read():
    crowd = [(k, f"m{k}", 1e4 * 1.02**k, 20 + 0.1 * k) for k in range(NAMED + 3)]
    alone = (99, "alone", 1e3, 90.0)
    points = scatter([*crowd, alone], percent=False)["points"]
    named = [(x, place) for _, _, x, _, _, _, place in points if place is not None]
    assert [label for _, label, *_, place in points if place is not None][-1] == "alone"
    assert 1 < len(named) < len(points)
    hidden = [
        (x, place)
        for x, place in named
        for _, _, other, y, *_ in points
        if 0 < other - x < NAME and abs(y - place) < 10
    ]
    assert not hidden
    few = scatter([*crowd[: NAMED - 1], alone], percent=False)["points"]
    assert all(place is not None for *_, place in few)
