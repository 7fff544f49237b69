import numpy as np
import pytest

from oncovec.data import embeddings
from oncovec.learning.inference import Embedded

CLASSES = ["ant", "cat"]


@pytest.fixture
def table():
    labels, sides = (
        ["cat", "bee", "ant", "dog", "bee", "cat"],
        ["train", "train", "val", "test", "val", "test"],
    )
    return [
        {"image": f"{number}.png", "side": side, "label": label, "group": f"g{number // 2}"}
        for number, (label, side) in enumerate(zip(labels, sides, strict=True))
    ]


@pytest.fixture
def written(tmp_path):
    """Write a table's embeddings as the stage does: `written(table, head)` is the path."""

    def write(table, head=None, positive=None):
        path = tmp_path / "zoo.npz"
        facts = {
            "classes": CLASSES,
            "positive": positive,
            "source": "phantom",
            "task": "zoo",
            "dataset": "zoo",
        }
        embedded = Embedded(np.eye(len(table), 8), head, np.eye(len(table), 3))
        embeddings.write(path, table, facts, embedded, tta=True)
        return path

    return write


def assert_rows(found, table, rows, classes):
    assert found.classes == tuple(classes)
    assert found.images.tolist() == [table[row]["image"] for row in rows]
    assert found.sides.tolist() == [table[row]["side"] for row in rows]
    assert found.groups.tolist() == [table[row]["group"] for row in rows]
    assert [classes[label] for label in found.labels] == [table[row]["label"] for row in rows]
    assert np.array_equal(found.vectors, np.eye(len(table), 8, dtype=np.float32)[list(rows)])
    assert np.array_equal(found.appearance, np.eye(len(table), 3, dtype=np.float32)[list(rows)])
    assert (found.source, found.task, found.dataset, found.tta) == ("phantom", "zoo", "zoo", True)


def test_images_of_unseen_classes_are_read_apart(table, written):
    head = np.random.default_rng(0).dirichlet([1, 1], len(table)).astype(np.float32)
    found = embeddings.read(written(table, head))
    assert_rows(found, table, [0, 2, 5], CLASSES)
    assert np.array_equal(found.head, head[[0, 2, 5]])
    assert_rows(found.unseen, table, [1, 3, 4], ["bee", "dog"])
    assert found.unseen.head is None and found.unseen.unseen is None


def test_the_file_holds_every_image_and_loads_without_pickle(table, written):
    with np.load(written(table, np.full((6, 2), 0.5)), allow_pickle=False) as archive:
        assert archive["label"].tolist() == [row["label"] for row in table]
        assert archive["classes"].tolist() == CLASSES and archive["unseen"].tolist() == ["bee", "dog"]
        assert len(archive["embedding"]) == len(archive["head_probability"]) == 6


def test_without_unseen_classes_nothing_stands_apart(table, written):
    kept = [row for row in table if row["label"] in CLASSES]
    path = written(kept, positive="cat")
    found = embeddings.read(path)
    assert found.unseen is None and found.positive == "cat" and found.head is None
    assert_rows(found, kept, range(3), CLASSES)
    with np.load(path, allow_pickle=False) as archive:
        assert archive["unseen"].tolist() == []
        older = {name: archive[name] for name in archive.files if name != "unseen"}
    np.savez(path, **older)
    assert embeddings.read(path).unseen is None
