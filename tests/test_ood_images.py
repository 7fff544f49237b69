"""The measurement in benchmarks/ood_images.py, whose table stands in docs/flagships.md."""

import csv

import numpy as np
import ood_images


def test_photographs_are_square_parts_of_both_and_grey_ones_have_no_colour():
    found = ood_images.photographs()
    assert (found.shape, found.dtype) == ((40, 160, 160, 3), np.uint8)
    assert np.array_equal(found, ood_images.photographs())
    assert len({part.tobytes() for part in found}) == 40
    without = ood_images.grey(found)
    assert np.array_equal(without[..., 0], without[..., 2])
    assert np.abs(without[..., 0] - found.mean(axis=3)).max() <= 0.5
    assert np.ptp(found.astype(int), axis=3).max() > 50


def test_each_kind_takes_its_own_rows_of_an_index():
    of_brain = {"label": "brain_glioma", "organ": "Brain"}
    assert [kind for kind, (_, belongs) in ood_images.KINDS.items() if belongs(of_brain)] == [
        "brain MRI",
        "brain MRI (multi_cancer)",
        "nuclei",
        "skin",
    ]
    assert [dataset for dataset, _ in ood_images.KINDS.values()].count("multi_organ") == 3


def test_the_table_keeps_its_order_and_leaves_empty_what_was_not_asked():
    rows = [["a", 0, "val", 9, 0.01], ["a", 0, "skin", 9, 1], ["b", 0, "val, warm", 9, 0.25]]
    assert ood_images.table(rows) == [
        "| shown | a, seed 0 | b, seed 0 |",
        "| --- | --- | --- |",
        "| val | 0.01 |  |",
        "| val, warm |  | 0.25 |",
        "| skin | 1.00 |  |",
    ]


def test_the_table_of_the_docs_is_that_of_the_csv(repository):
    with (repository / "benchmarks/ood_images.csv").open(encoding="utf-8", newline="") as stream:
        rows = [[row[column] for column in ood_images.COLUMNS] for row in csv.DictReader(stream)]
    # The columns have names of their own in the docs.
    _, *lines = ood_images.table(rows)
    assert "\n".join(lines) in (repository / "docs/flagships.md").read_text(encoding="utf-8")
