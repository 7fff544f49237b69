import numpy as np
import pandas as pd
import pytest
import tiny

from oncovec.core.errors import OncovecError
from oncovec.data import embeddings
from oncovec.data.embeddings import Embedded

CLASSES = ["ant", "cat"]
FACTS = {"classes": CLASSES, "source": "phantom", "task": "zoo", "dataset": "zoo", "sha256": "5ca1ab1e"}


@pytest.fixture
def table():
    labels = ["cat", "bee", "ant", "dog", "bee", "cat"]
    splits = ["train", "train", "val", "test", "val", "test"]
    return [
        {
            "image": f"{number}.png",
            "split": split,
            "val_part": "choose" if split == "val" and number < 4 else "calibrate" if split == "val" else "",
            "label": label,
            "group": f"g{number // 2}",
        }
        for number, (label, split) in enumerate(zip(labels, splits, strict=True))
    ]


@pytest.fixture
def written(tmp_path):
    """Write a table's embeddings as the stage does: `written(table, head)` is the path."""

    def write(table, head=None, positive=None, few_shot=("bee", "dog"), normal=()):
        path = tmp_path / "zoo.npz"
        embedded = Embedded(np.eye(len(table), 8), head, np.eye(len(table), 3))
        facts = FACTS | {"positive": positive, "normal": normal, "few_shot_classes": list(few_shot)}
        embeddings.write(path, pd.DataFrame(table), facts, embedded, tta=True)
        return path

    return write


def assert_rows(found, table, rows, classes):
    assert found.classes == tuple(classes)
    assert found.images.tolist() == [table[row]["image"] for row in rows]
    assert found.splits.tolist() == [table[row]["split"] for row in rows]
    assert found.val_parts.tolist() == [table[row]["val_part"] for row in rows]
    assert found.groups.tolist() == [table[row]["group"] for row in rows]
    assert [classes[label] for label in found.labels] == [table[row]["label"] for row in rows]
    assert np.array_equal(found.vectors, np.eye(len(table), 8, dtype=np.float32)[list(rows)])
    assert np.array_equal(found.ood_features, np.eye(len(table), 3, dtype=np.float32)[list(rows)])
    assert (found.source, found.task, found.dataset, found.tta) == ("phantom", "zoo", "zoo", True)
    assert found.weights == "5ca1ab1e"


def refused(path):
    with pytest.raises(OncovecError) as error:
        embeddings.read(path)
    line = tiny.one_line(error)
    assert "dvc repro evaluate@zoo" in line
    return line


def changed(path, **arrays):
    """Replace some arrays of a written file; None takes one away."""
    with np.load(path, allow_pickle=False) as archive:
        content = {name: archive[name] for name in archive.files} | arrays
    np.savez(path, **{name: array for name, array in content.items() if array is not None})
    return path


def test_images_of_few_shot_classes_are_read_apart(table, written):
    head = np.random.default_rng(0).dirichlet([1, 1], len(table)).astype(np.float32)
    found = embeddings.read(written(table, head))
    assert_rows(found, table, [0, 2, 5], CLASSES)
    assert np.array_equal(found.head, head[[0, 2, 5]])
    assert_rows(found.few_shot, table, [1, 3, 4], ["bee", "dog"])
    assert found.few_shot.head is None and found.few_shot.few_shot is None


def test_the_file_holds_every_image_and_loads_without_pickle(table, written):
    with np.load(written(table, np.full((6, 2), 0.5)), allow_pickle=False) as archive:
        for column in ("image", "split", "label", "group"):
            assert archive[column].tolist() == [row[column] for row in table]
        assert archive["classes"].tolist() == CLASSES and archive["few_shot"].tolist() == ["bee", "dog"]
        assert archive["embedding"].dtype == archive["head_probability"].dtype == np.float32
        assert len(archive["embedding"]) == len(archive["head_probability"]) == 6


def test_the_file_holds_the_hash_of_the_weights_that_made_it(table, written):
    with np.load(written(table), allow_pickle=False) as archive:
        assert archive["weights"] == FACTS["sha256"]


def test_the_same_embeddings_give_the_same_bytes(table, written):
    first = written(table).read_bytes()
    assert first == written(table).read_bytes()


def test_a_system_without_a_head_writes_none(table, written):
    with np.load(written(table), allow_pickle=False) as archive:
        assert "head_probability" not in archive.files


def test_without_few_shot_classes_nothing_stands_apart(table, written):
    kept = [row for row in table if row["label"] in CLASSES]
    path = written(kept, positive="cat", few_shot=())
    found = embeddings.read(path)
    assert found.few_shot is None and found.positive == "cat" and found.head is None
    assert_rows(found, kept, range(3), CLASSES)
    with np.load(path, allow_pickle=False) as archive:
        assert archive["few_shot"].tolist() == []


def test_rows_of_a_split_keep_the_order_of_the_file(table, written):
    found = embeddings.read(written(table))
    assert [found.rows(split).tolist() for split in ("train", "val", "test")] == [[0], [1], [2]]


@pytest.mark.parametrize("name", ["weights", "few_shot", "split", "embedding"])
def test_a_file_that_lacks_an_array_gets_one_line(table, written, name):
    assert f"lacks {name}; delete it" in refused(changed(written(table), **{name: None}))


def test_a_missing_file_gets_one_line(tmp_path):
    assert "not there; fetch it" in refused(tmp_path / "zoo.npz")


def test_a_damaged_file_gets_one_line(table, written):
    path = written(table)
    content = path.read_bytes()
    for cut in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        assert "is damaged" in refused(path)


def test_embeddings_that_are_not_finite_get_one_line(table, written):
    assert "training diverged" in refused(changed(written(table), embedding=np.full((6, 8), np.nan)))
