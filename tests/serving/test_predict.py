import json
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import exp
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import ExifTags, Image

import oncovec
from oncovec.core import params, paths
from oncovec.core.errors import OncovecError
from oncovec.data import embeddings, index, prepare, splitting
from oncovec.evaluation import predictions, scores
from oncovec.serving.batches import AHEAD
from oncovec.serving.predict import BATCH, NETWORKS, SHOWN
from stages import embed, evaluate, train


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    return tiny.trained(tmp_path_factory)


@pytest.fixture(scope="module")
def loaded(checkout):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(checkout)
        return {name: oncovec.load(name) for name in ("nearest", "head")}


@pytest.fixture(params=["nearest", "head"])
def system(request, loaded, checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    return loaded[request.param]


def answers_agree(system, *images):
    first, *others = system.predict(images)
    assert not first.error
    for other in others:
        assert other.error == ""
        assert other.probabilities == pytest.approx(first.probabilities, abs=1e-6)
        assert other.predicted == first.predicted
        assert [n[:2] for n in other.neighbours] == [n[:2] for n in first.neighbours]


def colour(seed=3, width=20, height=14):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_squares_are_told_apart(system, monkeypatch):
    monkeypatch.setattr(system, "gallery", replace(system.gallery, ood_limit=np.inf))
    pixels, labels = tiny.squares(20, seed=9)
    found = system.predict(list(pixels))
    assert [answer.predicted for answer in found] == [tiny.CLASSES[label] for label in labels]


def test_an_answer_is_complete(system):
    train = next(
        row["image"]
        for row in splitting.read(paths.split("squares")).to_dict("records")
        if row["split"] == "train"
    )
    answer = system.predict([f"squares/{train}"])[0]
    assert list(answer.probabilities) == system.classes == list(tiny.CLASSES)
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.probability == answer.probabilities[answer.predicted]
    assert len(answer.neighbours) == SHOWN
    distances = [distance for _, _, distance in answer.neighbours]
    assert distances == sorted(distances)
    assert 0 <= distances[0] <= distances[-1] <= 2


def test_answers_name_the_nearest_few_of_all_that_vote(system, monkeypatch):
    pictures, gallery = [colour(seed) for seed in range(3)], system.gallery
    few = system.predict(pictures)
    assert {len(answer.neighbours) for answer in few} == {SHOWN}
    monkeypatch.setattr("oncovec.serving.predict.SHOWN", len(gallery.labels))
    for answer, every in zip(few, system.predict(pictures), strict=True):
        assert answer == replace(every, neighbours=every.neighbours[:SHOWN])
        deviation = every.neighbours[gallery.k - 1][2] / 3
        votes = dict.fromkeys(system.classes, 0.0)
        for _, label, distance in every.neighbours:
            votes[label] += exp(-((distance / deviation) ** 2) / 2)
        expected = {name: votes[name] / sum(votes.values()) for name in votes}
        assert answer.probabilities == pytest.approx(expected)


def test_neighbours_are_training_images_with_their_own_class(system):
    rows = {row["image"]: row for row in splitting.of_task("squares", "label").to_dict("records")}
    for answer in system.predict([colour(seed) for seed in range(5)]):
        for image, label, _ in answer.neighbours:
            assert rows[image]["split"] == "train"
            assert rows[image]["label"] == label


def test_a_training_image_is_its_own_nearest_neighbour_at_distance_zero(system):
    train = [
        row["image"]
        for row in splitting.read(paths.split("squares")).to_dict("records")
        if row["split"] == "train"
    ]
    found = system.predict([f"squares/{image}" for image in train])
    for image, answer in zip(train, found, strict=True):
        assert answer.neighbours[0][2] == pytest.approx(0, abs=1e-3)
        near = [name for name, _, distance in answer.neighbours if distance < 1e-3]
        assert image in near or len(near) == len(answer.neighbours)


def test_a_file_is_embedded_as_the_embed_stage_did(system):
    with np.load(paths.embeddings(system.name)) as stored:
        images, expected = stored["image"].tolist(), stored["embedding"]
    assert np.allclose(system.embed([f"squares/{image}" for image in images]), expected, atol=1e-5)


def test_predicting_prepared_squares_is_predicting_their_files(system):
    rows = index.read(paths.index("squares")).to_dict("records")[:6]
    array = prepare.open_prepared("squares")[:6]
    found = system.predict([f"squares/{row['image']}" for row in rows])
    for file, square in zip(found, system.predict_prepared(array), strict=True):
        assert square.predicted == file.predicted
        assert square.probabilities == pytest.approx(file.probabilities, abs=1e-6)


def test_many_images_get_the_answers_that_each_gets_alone(system):
    images = [colour(seed) for seed in range(70)]
    found = system.predict(images)
    assert list(system.predict_each(images)) == found
    for position in (0, 15, 16, 63, 64, 69):
        alone = system.predict([images[position]])[0]
        assert alone.predicted == found[position].predicted
        assert alone.probabilities == pytest.approx(found[position].probabilities, abs=1e-4)


SAME = {
    "colour": (colour(), "png"),
    "colour jpeg": (colour(), "jpg"),
    "grey": (colour()[..., 0], "png"),
    "transparent": (np.dstack([colour(), colour(4)[..., 0]]), "png"),
    "16 bit": (colour()[..., 0].astype(np.uint16) * 257, "png"),
    "16 bit tiff": (colour()[..., 0].astype(np.uint16) * 40, "tif"),
    "32 bit": (colour()[..., 0].astype(np.int32) * 100, "tif"),
    "float": (colour()[..., 0].astype(np.float32) / 255, "tif"),
    "black and white": (colour()[..., 0] > 127, "png"),
}


@pytest.mark.parametrize("kind", SAME)
def test_a_picture_gets_one_answer_as_path_as_pillow_image_and_as_array(system, tmp_path, kind):
    pixels, suffix = SAME[kind]
    file = tmp_path / f"picture.{suffix}"
    Image.fromarray(pixels).save(file)
    with Image.open(file) as picture:
        answers_agree(system, file, str(file), picture, np.asarray(picture))
        if suffix != "jpg":
            answers_agree(system, file, Image.fromarray(pixels), pixels)


def test_a_palette_with_transparency_gets_one_answer_as_path_and_as_pillow_image(system, tmp_path):
    picture = Image.fromarray(colour()).quantize(8)
    picture.save(tmp_path / "palette.png", transparency=3)
    with Image.open(tmp_path / "palette.png") as opened:
        answers_agree(system, tmp_path / "palette.png", opened)


def test_a_photograph_held_sideways_gets_one_answer_as_path_and_as_pillow_image(system, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(colour()).save(tmp_path / "turned.png", exif=exif)
    upright = np.rot90(colour(), -1)
    with Image.open(tmp_path / "turned.png") as picture:
        answers_agree(system, tmp_path / "turned.png", picture, upright)


def test_a_large_jpeg_gets_nearly_one_answer_as_path_and_as_pillow_image(system, tmp_path):
    large = Image.fromarray(colour(width=12, height=12)).resize((300, 300), Image.Resampling.BICUBIC)
    large.save(tmp_path / "large.jpg", quality=95)
    with Image.open(tmp_path / "large.jpg") as picture:
        first, second = system.embed([tmp_path / "large.jpg", picture])
    assert np.linalg.norm(first - second) < 0.05


def test_a_picture_that_is_not_square_and_one_of_a_pixel_get_answers(system):
    found = system.predict([colour(width=200, height=3), colour(width=1, height=1)])
    assert not any(answer.error for answer in found)


def test_no_image_gets_no_answer(system):
    assert system.predict([]) == []
    assert system.embed([]).shape == (0, system.facts["embedding_dim"])


def test_embeddings_have_length_one(system):
    found = system.embed([colour(seed) for seed in range(5)])
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


@pytest.fixture
def broken(tmp_path):
    """Files that are no readable images, by what their error must say."""
    good = tmp_path / "good.png"
    Image.fromarray(colour()).save(good)
    files = {
        "truncated": good.read_bytes()[:-200],
        "not an image": b"this is text",
        "empty file": b"",
        "DICOM": b"\0" * 128 + b"DICM" + b"\0" * 100,
    }
    for number, content in enumerate(files.values()):
        (tmp_path / f"broken{number}.jpg").write_bytes(content)
    return {reason: tmp_path / f"broken{number}.jpg" for number, reason in enumerate(files)}


def test_an_unreadable_file_gets_its_reason_and_the_others_their_answers(system, broken, tmp_path):
    items = [tmp_path / "good.png", *broken.values(), tmp_path / "good.png", tmp_path / "nothing.png"]
    first, *failed, last, missing = system.predict(items)
    assert first.probabilities
    assert first == last
    for answer, reason in zip(failed, broken, strict=True):
        assert reason in answer.error
        assert "\n" not in answer.error
        assert answer.predicted == ""
        assert answer.probabilities == {}
    assert "cannot be opened" in missing.error
    assert [answer.path for answer in failed] == [str(path) for path in broken.values()]


def test_an_element_that_is_no_picture_gets_a_reason_and_the_others_their_answers(system):
    for image in (None, 7, np.zeros((14, 20, 5), np.uint8), colour() / 128 - 1):
        answer, other = system.predict([image, colour()])
        assert answer.error
        assert answer.path == ""
        assert other.probabilities
        with pytest.raises(OncovecError, match=r"^images\[1\]: ") as error:
            system.embed([colour(), image])
        tiny.one_line(error)


@pytest.mark.parametrize("images", [None, {"a": colour()}, {"a.png"}, b"a.png", colour().transpose(2, 0, 1)])
def test_what_is_neither_an_image_nor_several_is_refused(system, images):
    for ask in (system.predict, system.embed, system.embed_each):
        with pytest.raises(OncovecError, match=r"^images: ") as error:
            ask(images)
        tiny.one_line(error)


ONE = {
    "path": lambda file: file,
    "str": str,
    "Pillow image": Image.open,
    "array": lambda file: np.asarray(Image.open(file)),
    "floats": lambda file: np.asarray(Image.open(file)) / 255,
    "tensor": lambda file: torch.tensor(np.asarray(Image.open(file)).transpose(2, 0, 1)),
    "batch of one": lambda file: np.asarray(Image.open(file))[None],
    "generator": lambda file: (each for each in [file]),
}


@pytest.mark.parametrize("kind", ONE)
def test_one_image_by_itself_gets_one_answer_and_one_embedding_whatever_its_kind(system, tmp_path, kind):
    Image.fromarray(colour()).save(tmp_path / "picture.png")
    expected = system.predict([tmp_path / "picture.png"])[0]
    found = system.predict(ONE[kind](tmp_path / "picture.png"))
    assert [replace(each, path="") for each in found] == [replace(expected, path="")]
    vectors = system.embed(ONE[kind](tmp_path / "picture.png"))
    assert np.array_equal(vectors, system.embed([tmp_path / "picture.png"]))


def test_a_batch_gets_the_answers_of_a_list_of_its_images(system):
    batch = np.stack([colour(seed) for seed in range(5)])
    expected = system.predict(list(batch))
    assert system.predict(batch) == expected
    assert system.predict(torch.tensor(batch.transpose(0, 3, 1, 2))) == expected


def test_a_generator_of_any_length_is_read_a_few_batches_ahead(system):
    taken = []

    def endless():
        while True:
            taken.append(colour(len(taken) % 5))
            yield taken[-1]

    ahead = (AHEAD * NETWORKS + 1) * BATCH
    for ask in (system.embed_each, system.predict_each):
        taken.clear()
        each = ask(endless())
        for count in range(1, 3 * BATCH + 1):
            next(each)
            assert len(taken) <= count + ahead + BATCH
        each.close()


def readers():
    names = ("oncovec-reader", "oncovec-network")
    return [thread for thread in threading.enumerate() if thread.name.startswith(names)]


def test_threads_end_when_the_consumer_stops_early_or_an_image_or_the_source_of_images_fails(system):
    each = system.embed_each([colour()] * 3)
    next(each)
    assert readers()
    each.close()
    assert not readers()
    with pytest.raises(OncovecError) as kept:
        system.embed([None, colour()])
    assert "no image" in tiny.one_line(kept)
    assert not readers()
    with pytest.raises(ZeroDivisionError) as source:
        system.predict(colour() if number < 3 else 1 / 0 for number in range(5))
    assert source.value
    assert not readers()


@pytest.fixture
def often():
    """Let threads take turns a hundred times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(before / 100)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("often")
def test_threads_that_use_one_system_at_once_get_the_answers_that_each_gets_alone(system, tmp_path):
    asked = [[colour(10 * thread + number) for number in range(3 + thread)] for thread in range(8)]
    for thread, images in enumerate(asked):
        Image.fromarray(images[0]).save(tmp_path / f"{thread}.png")
        images[0] = tmp_path / f"{thread}.png"
    expected = [(system.predict(images), system.embed(images)) for images in asked]
    start = threading.Barrier(len(asked), timeout=60)

    def ask(images):
        start.wait()
        return [(system.predict(images), system.embed(images)) for _ in range(3)]

    with ThreadPoolExecutor(len(asked)) as pool:
        found = list(pool.map(ask, asked))
    for rounds, (answers, vectors) in zip(found, expected, strict=True):
        for predicted, embedded in rounds:
            assert predicted == answers
            assert np.array_equal(embedded, vectors)


def test_a_system_sent_to_another_process_gives_the_same_answers(system):
    assert pickle.loads(pickle.dumps(system)).predict(colour()) == system.predict(colour())


def test_a_pillow_image_of_a_cut_file_gets_a_reason(system, broken):
    with Image.open(broken["truncated"]) as picture:
        assert system.predict([picture])[0].error


def test_embedding_an_unreadable_file_raises_its_line(system, broken):
    with pytest.raises(OncovecError, match="not an image"):
        system.embed([broken["not an image"]])


def test_a_pillow_image_given_is_left_as_it_was(system):
    picture = Image.fromarray(colour())
    system.predict([picture])
    assert np.array_equal(np.asarray(picture), colour())


@pytest.mark.parametrize(("threshold", "expected"), [(0.0, "red"), (1.1, "green")])
def test_the_operating_point_decides_in_a_binary_task(system, monkeypatch, threshold, expected):
    thresholds = np.where(np.isnan(system.gallery.thresholds), np.nan, threshold)
    assert np.isnan(thresholds).sum() == 1
    monkeypatch.setattr(system, "gallery", replace(system.gallery, thresholds=thresholds, ood_limit=np.inf))
    found = system.predict([colour(seed) for seed in range(20)])
    assert {answer.predicted for answer in found} == {expected}
    assert all(answer.probability == answer.probabilities[expected] for answer in found)


def test_what_looks_like_no_training_image_gets_no_class_but_keeps_its_probabilities(system):
    pixels, labels = tiny.squares(40, size=20, seed=9)
    squares, noise = system.predict(list(pixels)), system.predict([colour(seed) for seed in range(40)])
    assert all(answer.ood and answer.predicted == "" for answer in noise)
    assert all(sum(answer.probabilities.values()) == pytest.approx(1) for answer in noise)
    assert all(answer.probability in answer.probabilities.values() for answer in noise)
    # Val has 12 images here, so that the limit is their largest: of new ones about 1 in 13 is beyond.
    assert sum(answer.ood for answer in squares) <= 20
    for answer, label in zip(squares, labels, strict=True):
        assert answer.predicted == ("" if answer.ood else tiny.CLASSES[label])
        assert answer.prediction_set == () if answer.ood else answer.predicted in answer.prediction_set


def test_as_much_of_test_is_out_of_distribution_as_the_report_says(system):
    content = embeddings.read(paths.embeddings(system.name))
    rows = content.rows("test")
    answers = system.predict([f"squares/{image}" for image in content.images[rows]])
    outputs = predictions.of_splits(content, system.gallery, ["test"])
    share, held, size = scores.answers(outputs[:1], system.gallery, content, 100, 0)
    assert share[:5] == ("test", "knn", "all", "ood_share", sum(answer.ood for answer in answers) / 12)
    assert (held[3], size[3]) == ("set_coverage", "set_size")
    # Halfway between two scores, so that the last bit of an image's ood_features decides nothing.
    ood = sorted(system.gallery.ood_score(content.ood_features[rows], outputs[0].predicted))
    gallery = replace(system.gallery, ood_limit=system.gallery.ood_limit * (ood[7] + ood[8]) / 2)
    assert scores.answers(outputs[:1], gallery, content, 100, 0)[0][4] == 4 / 12


@pytest.mark.parametrize("name", ["set_threshold", "thresholds", "ood_limit", "ood_means"])
def test_a_gallery_without_a_threshold_or_centres_is_refused(checkout, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    with np.load(paths.gallery("head")) as archive:
        arrays = {each: archive[each] for each in archive.files if each != name}
    np.savez(paths.gallery("head"), **arrays)
    with pytest.raises(OncovecError) as error:
        oncovec.load("head")
    line = tiny.one_line(error)
    assert f"lacks {name}" in line and "dvc repro evaluate@head" in line


def test_a_gallery_of_another_version_is_refused(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    with np.load(paths.gallery("head")) as archive:
        arrays = {name: archive[name] for name in archive.files}
    narrow = {"ood_means": arrays["ood_means"][:, :40], "ood_whitening": arrays["ood_whitening"][:40, :40]}
    plain = {name: array for name, array in arrays.items() if name != "ood_whitening"}
    for changed in (arrays | narrow, plain):
        np.savez(paths.gallery("head"), **changed)
        with pytest.raises(OncovecError) as error:
            oncovec.load("head")
        line = tiny.one_line(error)
        assert "another version" in line and "dvc repro evaluate@head" in line


def test_no_images_get_no_answers(system):
    assert system.predict([]) == []
    assert system.predict_prepared(np.zeros((0, 20, 20, 3), np.uint8)) == []


def test_a_gallery_made_by_other_weights_is_refused(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    content = params.load()
    train.main("head", content.model_copy(update={"train": content.train.model_copy(update={"seed": 1})}))
    for again in (lambda: None, lambda: embed.main("head", content)):
        again()
        with pytest.raises(OncovecError) as error:
            oncovec.load("head")
        line = tiny.one_line(error)
        assert "other weights" in line and "dvc repro evaluate@head" in line
    evaluate.main("head", content)
    assert oncovec.load("head").predict(colour())[0].probabilities


def test_a_gallery_of_other_classes_is_refused(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    facts = json.loads(paths.model_facts("head").read_text())
    paths.model_facts("head").write_text(json.dumps(facts | {"classes": facts["classes"][::-1]}))
    with pytest.raises(OncovecError) as error:
        oncovec.load("head")
    assert "of other classes" in tiny.one_line(error)


@pytest.mark.parametrize("name", ["../head", "a b", "", "models/head", "head\n", "-head", None, Path("head")])
def test_what_can_be_no_name_of_a_system_is_refused(checkout, monkeypatch, name):
    monkeypatch.chdir(checkout)
    with pytest.raises(OncovecError, match="is no name of a system") as error:
        oncovec.load(name)
    assert repr(name) in tiny.one_line(error)


def test_a_damaged_gallery_gets_one_line(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    paths.gallery("head").write_bytes(paths.gallery("head").read_bytes()[:-50])
    with pytest.raises(OncovecError) as error:
        oncovec.load("head")
    assert "dvc repro evaluate@head" in tiny.one_line(error)


def test_a_system_without_a_gallery_gets_one_line(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    paths.gallery("head").unlink()
    with pytest.raises(OncovecError) as error:
        oncovec.load("head")
    assert "dvc repro evaluate@head" in tiny.one_line(error)


def test_a_gallery_of_another_model_gets_one_line(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    paths.gallery("nearest").write_bytes(paths.gallery("head").read_bytes())
    with pytest.raises(OncovecError) as error:
        oncovec.load("nearest")
    assert "dvc repro" in tiny.one_line(error)


def test_the_package_offers_what_it_names():
    assert set(oncovec.__all__) == {"Prediction", "System", "load"}
    assert all(hasattr(oncovec, name) for name in oncovec.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = oncovec.nothing


def test_the_root_is_found_above_or_given(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(checkout / "squares")
    found = oncovec.load("head")
    monkeypatch.chdir(tmp_path)
    given = oncovec.load("head", root=str(checkout))
    assert found.predict([colour()]) == given.predict([colour()])
    with pytest.raises(
        OncovecError, match=r"in no checkout: no params\.yaml beside a dvc\.yaml here or above"
    ):
        oncovec.load("head")
    with pytest.raises(OncovecError, match=r"weights\.safetensors: not there; fetch it \(`dvc pull`\)"):
        oncovec.load("head", root=tmp_path)


def test_answers_are_plain_numbers_and_strings(system):
    answer = system.predict([colour()])[0]
    assert json.loads(
        json.dumps([answer.predicted, answer.probability, answer.probabilities, answer.neighbours])
    )


def test_queries_are_embedded_with_test_time_augmentation_where_the_gallery_was(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    system = oncovec.load("nearest")
    square = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), dtype=np.uint8)
    plain = system.embed_prepared(square)
    system.gallery = replace(system.gallery, tta=True)
    assert not np.allclose(system.embed_prepared(square), plain)
    np.testing.assert_allclose(
        system.embed_prepared(square[:, :, ::-1]), system.embed_prepared(square), atol=1e-5
    )
