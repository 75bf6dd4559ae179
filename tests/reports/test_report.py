"""The report: self-contained, inert, complete."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from lgan.errors import RunError
from lgan.reports.collect import collect
from lgan.reports.report import render, split
from lgan.reports.tables import Cell, Table

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.images, self.links, self.text, self.open = [], [], [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attributes)
        if tag == "img":
            self.images.append(found)
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
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "http://" not in report
    assert "https://" not in report
    assert "url(" not in report
    assert "@import" not in report


def test_pictures_decode_and_have_alternative_texts(report: str):
    images = Page(report).images
    # One mean curve, one of drift; per method: task curves, two matrices, samples.
    assert len(images) == 2 + 3 * 4
    for image in images:
        data = base64.b64decode(image["src"].partition(",")[2])
        assert min(Image.open(io.BytesIO(data)).size) > 50
        assert len(image["alt"]) > 20


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
    assert "Left out" not in text


def test_incomplete_runs_are_warned_of(make_run, tmp_path: Path):
    make_run("sft", 0)
    make_run("<b>ewc", 0, rows=1)
    html = render(collect(tmp_path))
    text = Page(html).text
    assert "Left out" in text
    assert "1 of 2 tasks" in text
    assert "<b>ewc" not in html


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
