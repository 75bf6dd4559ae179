"""The evaluator on a data set small enough to know every answer."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from lgan import distributed
from lgan.data.images import TensorImages, to_float
from lgan.errors import ConfigError, DataError, RunError, TrainingDivergedError, warn_once
from lgan.metrics.accuracy_generated import AccuracyGenerated
from lgan.metrics.accuracy_reverse import AccuracyReverse, as_many
from lgan.metrics.accuracy_single_head import AccuracySingleHead
from lgan.metrics.base import Metric, Values
from lgan.metrics.classifier_training import ClassifierTraining
from lgan.metrics.diversity import Diversity
from lgan.metrics.evaluator import Evaluator
from lgan.metrics.evidence import Evidence, generate
from lgan.metrics.features import ClassifierFeatures
from lgan.metrics.fid import FID
from lgan.metrics.kid import KID
from lgan.metrics.paired import PairedDistances
from lgan.metrics.precision_recall import PrecisionRecall

CLASSES = 5  # one of them, 4, is in no task
TASKS = [SimpleNamespace(classes=(2, 0)), SimpleNamespace(classes=(1, 3))]
ORDER = torch.arange(CLASSES)


class Rows(nn.Module):
    """Features are the rows' means."""

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(image_shape[1], num_classes)

    def features(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def draw(labels: Tensor, seed: int) -> Tensor:
    """Class c: row c bright; uint8 (N, 1, 5, 2)."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 80, (len(labels), 1, CLASSES, 2), generator=generator)
    images[torch.arange(len(labels)), 0, labels] += 150
    return images.to(torch.uint8)


class FakeData:
    """The part of the datamodule that the evaluator uses."""

    num_classes, image_shape, tasks, num_tasks = CLASSES, (1, CLASSES, 2), TASKS, len(TASKS)
    paired, task_kind, class_names = False, "classes", "abcdef"

    def __init__(self) -> None:
        labels = ORDER.repeat(8)
        self.train = TensorImages(draw(labels, 0), labels)
        # test counts per class: 5, 6, 7, 8, 9
        labels = torch.repeat_interleave(ORDER, ORDER + 5)
        self.test = TensorImages(draw(labels, 1), labels)

    def training_images_for_evaluation(self) -> TensorImages:
        return self.train

    def test_images_of(self, classes: tuple[int, ...]) -> TensorImages:
        return self.test.of_classes(classes)


class FreshSampler:
    """Draws perfect images; remembers the labels of each call."""

    def __init__(self) -> None:
        self.calls: list[Tensor] = []

    def __call__(self, labels: Tensor) -> Tensor:
        self.calls.append(labels)
        return to_float(draw(labels, 100 + len(self.calls)))


class Fixed:
    """An evaluator that is handed one sampler, or none, in the place of what makes samplers."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.inner, self.prepare = evaluator, evaluator.prepare

    @property
    def references(self) -> dict:
        return self.inner.references

    def evaluate(self, sampler, head, task: int) -> Values:
        return self.inner.evaluate(sampler and (lambda: sampler), head, task)


def make(tmp_path: Path, reverse: str = "never", fid: bool = True, **knobs: object) -> Fixed:
    settings = {"samples_per_class": 6, "batch_per_class": 4} | knobs
    training = ClassifierTraining(steps=150, batch_size=16, learning_rate=0.1)
    listed = [AccuracyGenerated(), AccuracySingleHead(), AccuracyReverse(reverse), FID(), KID()]
    listed += [PrecisionRecall(), PairedDistances(), Diversity(), *knobs.pop("more", [])]
    settings.pop("more", None)
    metrics = {str(number): metric for number, metric in enumerate(listed)} | {"left out": None}
    features = ClassifierFeatures if fid else None
    return Fixed(
        Evaluator(
            metrics,
            classifier=Rows,
            classifier_training=training,
            extractor=features,
            cache_dir=tmp_path,
            **settings,
        )
    )


@pytest.fixture
def evaluator(tmp_path: Path) -> Fixed:
    evaluator = make(tmp_path)
    evaluator.prepare(FakeData(), "cpu")
    return evaluator


def test_perfect_generator(evaluator: Fixed) -> None:
    row = evaluator.evaluate(FreshSampler(), None, 1)
    assert len(row.metrics) == 2
    names = {"accuracy_generated", "diversity"}
    names |= {f"{m}_classifier" for m in ("fid", "kid", "precision", "recall")}
    assert set(row.metrics[0]) == names
    assert set(row.overall) == names | {"fid_classifier_pooled", "kid_classifier_deviation"}
    assert row.overall["accuracy_generated"] == 1.0
    assert set(row.per_class["accuracy_generated"]) == {"2", "0", "1", "3"}
    assert 0.7 < row.overall["diversity"] < 1.3
    mean = (row.metrics[0]["fid_classifier"] + row.metrics[1]["fid_classifier"]) / 2
    assert row.overall["fid_classifier"] == pytest.approx(mean)


def test_kids_deviation_is_the_mean_over_the_tasks(evaluator: Fixed, monkeypatch) -> None:
    told = iter([(1.0, 0.25), (3.0, 0.75)])
    monkeypatch.setattr("lgan.metrics.kid.kid", lambda *_: next(told))
    row = evaluator.evaluate(FreshSampler(), None, 1)
    assert [each["kid_classifier"] for each in row.metrics] == [1.0, 3.0]
    assert row.overall["kid_classifier"] == 2.0
    assert row.overall["kid_classifier_deviation"] == 0.5


def test_every_call_holds_every_seen_class_equally(evaluator: Fixed) -> None:
    sampler = FreshSampler()
    evaluator.evaluate(sampler, None, 0)
    evaluator.evaluate(sampler, None, 1)
    counts = [torch.bincount(labels, minlength=CLASSES).tolist() for labels in sampler.calls]
    # 6 samples in batches of 4: two full calls each; the class in no task never appears
    assert counts == [[4, 0, 4, 0, 0]] * 2 + [[4, 4, 4, 4, 0]] * 2


def test_wrong_class_is_seen_where_it_is_wrong(evaluator: Fixed) -> None:
    def swaps(labels: Tensor) -> Tensor:
        return to_float(draw(torch.where(labels == 1, 3, labels), 7))

    row = evaluator.evaluate(swaps, None, 1)
    assert row.per_class["accuracy_generated"] == {"2": 1.0, "0": 1.0, "1": 0.0, "3": 1.0}
    assert [metrics["accuracy_generated"] for metrics in row.metrics] == [1.0, 0.5]
    assert row.overall["accuracy_generated"] == 0.75
    assert row.metrics[1]["fid_classifier"] > 10 * row.metrics[0]["fid_classifier"]


def test_collapse_shows_in_diversity_not_in_accuracy(evaluator: Fixed) -> None:
    once = draw(ORDER, 3)
    row = evaluator.evaluate(lambda labels: to_float(once[labels]), None, 1)
    assert row.overall["accuracy_generated"] == 1.0
    assert row.overall["diversity"] == 0.0


def test_single_head_chooses_among_seen_classes_and_counts_images(evaluator: Fixed) -> None:
    def head(images: Tensor) -> Tensor:
        assert images.min() >= -1 and images.max() <= 1
        return torch.tensor([[1.0, 0.0, 2.0, 3.0, 9.0]]).expand(len(images), -1)

    first = evaluator.evaluate(FreshSampler(), head, 0)
    # after task 0 only 2 and 0 compete: everything is called 2; 7 of 5 + 7 images are 2s
    assert first.per_class["accuracy_single_head"] == {"2": 1.0, "0": 0.0}
    assert first.overall["accuracy_single_head"] == pytest.approx(7 / 12)
    second = evaluator.evaluate(FreshSampler(), head, 1)
    assert second.metrics[0]["accuracy_single_head"] == 0.0
    assert second.metrics[1]["accuracy_single_head"] == pytest.approx(8 / (6 + 8))
    assert second.overall["accuracy_single_head"] == pytest.approx(8 / (5 + 6 + 7 + 8))


def test_top_five_is_measured_from_six_classes_on(tmp_path: Path) -> None:
    """Three tasks of two classes, one test image more of each class than of the one before."""
    tasks = [SimpleNamespace(classes=(2, 0)), SimpleNamespace(classes=(1, 3)),
             SimpleNamespace(classes=(5, 4))]  # fmt: skip

    class SixClasses(FakeData):
        num_classes, num_tasks, image_shape = 6, 3, (1, 6, 2)

        def __init__(self) -> None:
            self.tasks, order = tasks, torch.arange(6)
            counts = order + 3  # 3, 4, 5, 6, 7, 8: 33 images
            self.train = TensorImages(draw_six(order.repeat(8)), order.repeat(8))
            labels = torch.repeat_interleave(order, counts)
            self.test = TensorImages(draw_six(labels), labels)

    def draw_six(labels: Tensor) -> Tensor:
        images = torch.zeros(len(labels), 1, 6, 2, dtype=torch.uint8)
        images[torch.arange(len(labels)), 0, labels] = 255
        return images

    evaluator = make(tmp_path, fid=False)
    evaluator.prepare(SixClasses(), "cpu")
    # the same order for every image: 2 3 0 1 5 4, so that class 4 is the only one not in five
    logits = torch.tensor([[4.0, 3.0, 9.0, 5.0, 1.0, 2.0]])
    row = evaluator.evaluate(None, lambda x: logits.expand(len(x), -1), 2)
    assert row.overall["accuracy_single_head"] == pytest.approx(5 / 33)
    assert row.overall["accuracy_single_head_top5"] == pytest.approx(26 / 33)
    found = [metrics["accuracy_single_head_top5"] for metrics in row.metrics]
    assert found == pytest.approx([1.0, 1.0, 8 / 15])
    assert row.per_class["accuracy_single_head_top5"]["4"] == 0.0
    four_seen = evaluator.evaluate(None, lambda x: logits.expand(len(x), -1), 1)
    assert set(four_seen.overall) == {"accuracy_single_head"}


def test_without_a_generator_only_the_head_is_measured(tmp_path: Path) -> None:
    evaluator = make(tmp_path, reverse="every")
    evaluator.prepare(FakeData(), "cpu")
    row = evaluator.evaluate(None, lambda x: torch.ones(len(x), CLASSES), 1)
    assert set(row.overall) == set(row.per_class) == {"accuracy_single_head"}
    # all logits are equal: the class that was learnt first wins, 7 of 26 images
    assert row.overall["accuracy_single_head"] == pytest.approx(7 / 26)


def test_reverse_last_learns_from_generated_images_only(tmp_path: Path) -> None:
    evaluator = make(tmp_path, reverse="last", fid=False)
    evaluator.prepare(FakeData(), "cpu")
    assert "accuracy_reverse" not in evaluator.evaluate(FreshSampler(), None, 0).overall
    row = evaluator.evaluate(FreshSampler(), None, 1)
    assert row.overall["accuracy_reverse"] == 1.0
    assert row.overall["accuracy_reverse_ceiling"] == 1.0
    assert set(row.per_class["accuracy_reverse"]) == {"2", "0", "1", "3"}
    evidence = Evidence(evaluator.inner, 1, FreshSampler, None)
    real = as_many(evidence)  # six were drawn of each class, there are eight
    assert [int((real.labels == c).sum()) for c in range(CLASSES)] == [6, 6, 6, 6, 0]
    assert torch.equal(real.labels.unique(), evidence.generated.labels.unique())

    def swaps(labels: Tensor) -> Tensor:
        return to_float(draw(torch.tensor([2, 1, 0, 3, 4])[labels], 11))

    assert evaluator.evaluate(swaps, None, 1).metrics[0]["accuracy_reverse"] == 0.0


def test_reverse_every_gives_the_value_over_all_classes(tmp_path: Path) -> None:
    evaluator = make(tmp_path, reverse="every", fid=False)
    evaluator.prepare(FakeData(), "cpu")
    row = evaluator.evaluate(FreshSampler(), None, 0)
    assert row.overall["accuracy_reverse"] == 1.0
    assert row.overall["accuracy_reverse_all_classes"] == pytest.approx(12 / 26)


def test_references_say_what_was_used(tmp_path: Path) -> None:
    evaluator = make(tmp_path, reference_per_class=4)
    evaluator.prepare(FakeData(), "cpu")
    found = evaluator.references
    assert found["classifier"].startswith("rows-")
    assert found["classifier_test_accuracy"] == 1.0
    assert (found["feature_extractor"], found["samples_per_class"]) == ("classifier", 6)
    assert found["reference_split"] == "test"
    assert found["reference_images"] == {"0": 4, "1": 4, "2": 4, "3": 4}


def test_two_evaluators_agree_and_share_the_cache(tmp_path: Path) -> None:
    rows = []
    for _ in range(2):
        evaluator = make(tmp_path, reverse="last")
        evaluator.prepare(FakeData(), "cpu")
        rows.append(evaluator.evaluate(FreshSampler(), None, 1))
    assert rows[0] == rows[1]
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 2  # one classifier, one set of features


def test_calls_of_other_ranks_are_passed_over_in_their_turn(monkeypatch) -> None:
    made = []

    class Turns:
        def __call__(self, labels: Tensor) -> Tensor:
            made.append(("drawn", labels.item()))
            return torch.zeros(1, 1, 1, 1)

        def skip(self, labels: Tensor) -> None:
            made.append(("passed over", labels.item()))

    monkeypatch.setattr(distributed, "world", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    other = torch.full((1, 1, 1, 1), 7, dtype=torch.uint8)
    monkeypatch.setattr(distributed, "all_values", lambda own: [[other], own])
    calls = [torch.tensor([c]) for c in (0, 1, 0, 1)]
    found = generate(Turns(), calls, {1: 2, 0: 1}, (1, 1, 1))
    assert made == [(what, c) for _ in "ab" for what, c in (("passed over", 0), ("drawn", 1))]
    assert found.labels.tolist() == [1, 1, 0] and found.images.flatten().tolist() == [128, 128, 7]


def test_what_has_no_values_by_task_yet_takes_them_in() -> None:
    values = Values(overall={"kept": 1.0}).add(Values.by_task("fid", [3.0, 5.0]))
    assert values.metrics == [{"fid": 3.0}, {"fid": 5.0}]
    assert values.overall == {"kept": 1.0, "fid": 4.0}


def test_a_class_without_test_images_is_nan_and_does_not_spoil_the_mean() -> None:
    row = Values.by_class("a", {0: 0.5, 1: math.nan}, [(0, 1)], {0: 4, 1: 0})
    assert row.metrics == [{"a": 0.5}] and row.overall == {"a": 0.5}


def test_diverged_or_misshapen_images_are_refused(evaluator: Fixed) -> None:
    with pytest.raises(TrainingDivergedError, match="not finite"):
        evaluator.evaluate(lambda y: torch.full((len(y), 1, CLASSES, 2), math.nan), None, 0)
    with pytest.raises(DataError, match=r"\(8, 1, 4, 2\).*expected \(8, 1, 5, 2\)"):
        evaluator.evaluate(lambda y: torch.zeros(len(y), 1, 4, 2), None, 0)


def test_samples_are_rounded_once_to_uint8() -> None:
    values = torch.tensor([-1.2, -1.0, 0.0, 1.0]).view(1, 4, 1, 1)
    calls = [torch.tensor([3, 3, 1, 1])] * 2
    found = generate(lambda y: values.expand(len(y), -1, -1, -1), calls, {3: 3, 1: 2}, (4, 1, 1))
    assert found.labels.tolist() == [3, 3, 3, 1, 1] and found.images.dtype == torch.uint8
    assert found.images.shape == (5, 4, 1, 1)
    assert found.images[4].flatten().tolist() == [0, 0, 128, 255]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("samples_per_class=1", "evaluation.samples_per_class=1 must be a whole number of at le"),
        ("batch_per_class=0", "evaluation.batch_per_class=0"),
        ("reference_per_class=1", "evaluation.reference_per_class=1"),
        ("reverse=always", "evaluation.reverse=always must be one of last, every, never"),
        ("classifier_training.steps=0", "evaluation.classifier_training.steps=0"),
    ],
)
def test_settings_out_of_range_name_their_key(override: str, message: str) -> None:
    from hydra import compose, initialize_config_module

    from lgan.arguments import check_section

    with initialize_config_module("lgan.conf", version_base="1.3"):
        config = compose("train", [f"evaluation.{override}"])
    with pytest.raises(ConfigError, match=message):
        check_section(config, "callbacks.evaluation")


def test_a_metric_that_needs_what_is_not_there_is_passed_over(tmp_path: Path) -> None:
    class Asking(Metric):
        needs = ("generated", "pairs")

        def measure(self, evidence: Evidence) -> Values:
            raise AssertionError("there are no pairs")

    evaluator = make(tmp_path, more=[Asking()], fid=False)
    evaluator.prepare(FakeData(), "cpu")
    row = evaluator.evaluate(FreshSampler(), None, 1)
    assert set(row.overall) == {"accuracy_generated", "diversity"}


def test_no_classifier_is_trained_for_metrics_that_need_none(tmp_path: Path) -> None:
    training = ClassifierTraining(steps=1)
    metrics = {"diversity": Diversity()}
    evaluator = Evaluator(
        metrics,
        classifier=Rows,
        classifier_training=training,
        extractor=ClassifierFeatures,
        cache_dir=tmp_path,
    )
    evaluator.prepare(FakeData(), "cpu")
    assert evaluator.references["classifier"] is None
    assert list(tmp_path.iterdir()) == []


def test_two_metrics_of_one_name_are_refused(tmp_path: Path) -> None:
    evaluator = make(tmp_path, more=[Diversity()])
    evaluator.prepare(FakeData(), "cpu")
    with pytest.raises(ConfigError, match="'diversity' is measured twice"):
        evaluator.evaluate(FreshSampler(), None, 0)


def test_evaluation_before_preparation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="prepare"):
        make(tmp_path).evaluate(FreshSampler(), None, 0)


@pytest.mark.slow
def test_digits_meet_their_accuracy(tmp_path: Path) -> None:
    """The default classifier on the real digits, with the settings of conf/evaluation."""
    from hydra import compose, initialize_config_module
    from hydra.utils import instantiate

    with initialize_config_module("lgan.conf", version_base="1.3"):
        config = compose("train", [f"paths.cache={tmp_path}", "data=digits"])
    datamodule = instantiate(config.data)
    datamodule.setup()
    evaluator = instantiate(config.evaluation)
    evaluator.prepare(datamodule, "cpu")
    assert evaluator.references["classifier_test_accuracy"] >= 0.97
    test = datamodule.test_images_of(range(10))
    first = torch.tensor([(test.labels == c).nonzero()[0].item() for c in range(10)])
    row = evaluator.evaluate(lambda: lambda y: to_float(test.take(first[y])), None, 4)
    assert row.overall["accuracy_generated"] >= 0.9
    assert row.overall["diversity"] == 0


@pytest.mark.parametrize("name", ["default", "fast", "inception", "mergan_code"])
def test_presets_build(tmp_path: Path, name: str) -> None:
    from hydra import compose, initialize_config_module
    from hydra.utils import instantiate

    with initialize_config_module("lgan.conf", version_base="1.3"):
        config = compose("train", [f"paths.cache={tmp_path}", f"evaluation={name}"])
    evaluator = instantiate(config.evaluation)
    assert isinstance(evaluator, Evaluator) and isinstance(evaluator.factory, partial)
    assert isinstance(evaluator.training, ClassifierTraining)
    assert evaluator.samples_per_class == config.evaluation.samples_per_class


def test_too_few_pictures_and_a_poor_judge_are_told_before_training(tmp_path, capsys) -> None:
    """Three real test images of a task have no precision; the numbers stay empty."""
    data = FakeData()
    kept = torch.cat([(data.test.labels == c).nonzero().flatten()[:1] for c in range(CLASSES)])
    data.test = data.test.subset(kept)
    evaluator = make(tmp_path)
    evaluator.inner.training = ClassifierTraining(steps=1, batch_size=2, learning_rate=1e-9)
    warn_once.cache_clear()
    evaluator.prepare(data, "cpu")
    evaluator.prepare(data, "cpu")  # as the next job of a sweep does
    said = capsys.readouterr().err
    assert said.count("evaluation classifier takes only") == 1
    assert "PrecisionRecall will be empty" in said and "2 real test images" in said
