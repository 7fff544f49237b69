import csv
import shutil
import tempfile
from pathlib import Path

import pytest
from PIL import Image
from test_audit import SPLIT, audited

from oncovec.core import files, params, paths
from oncovec.core.errors import OncovecError
from oncovec.data import phantoms
from oncovec.data.audit import command, leaks, measure
from oncovec.serving import cli


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder: exit code, standard output, standard error."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    capsys.readouterr()

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(["audit", *map(str, arguments)])
        code = stop.value.code
        said = capsys.readouterr()
        return (1, said.out, f"{said.err}{code}\n") if isinstance(code, str) else (code, said.out, said.err)

    return run


def fails(call, *arguments):
    """The one line of a mistake."""
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("oncovec: ")
    return err


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Drawn pictures of tissue, no two of them related."""
    root = tmp_path_factory.mktemp("drawn")
    phantoms.draw("multi_cancer", root, 52, 160, 0)
    organs = ("breast", "colon", "kidney", "lung", "lymph", "oral")
    found = sorted(path for path in root.rglob("*_0001.jpg") if path.name.startswith(organs))
    return [Image.open(path).convert("RGB") for path in found]


def save(image, path, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **how)
    return path


@pytest.fixture(scope="module")
def planted(pool, tmp_path_factory):
    """Five images of the pool in train; in test two, an exact duplicate, two near ones (one relabelled)
    and a cut one.
    """
    root = tmp_path_factory.mktemp("planted")
    for number, image in enumerate(pool[:5]):
        save(image, root / "Training" / ("cat" if number < 3 else "dog") / f"{number}.png")
    first = save(pool[0], root / "Testing/cat/same.png")
    assert first.read_bytes() == (root / "Training/cat/0.png").read_bytes()
    save(pool[1].transpose(Image.Transpose.ROTATE_90), root / "Testing/cat/turned.jpg", quality=80)
    save(pool[2].point(lambda value: min(255, value * 1.15)), root / "Testing/dog/bright.jpg", quality=85)
    save(pool[10], root / "Testing/cat/new.png")
    save(pool[11], root / "Testing/dog/other.png")
    (root / "Testing/cat/cut.png").write_bytes(first.read_bytes()[:2000])
    return root


def test_a_folder_with_planted_duplicates(call, planted, tmp_path):
    code, out, err = call(planted, "-o", tmp_path / "found/here")
    assert code == 0
    assert err == f"oncovec: {planted}/Testing/cat/cut.png: truncated\n"
    assert "This split leaks: 3 (60.0%) of test; no patient, lesion or slide is known" in out
    assert "Testing/dog/bright.jpg  Training/cat/2.png  (near-duplicate, " in out
    assert "Testing/cat/same.png  Training/cat/0.png  (exact duplicate)" in out
    found = files.read_json(tmp_path / "found/here/audit.json")
    assert found["images"] == 10
    assert found["train"] == {"images": 5}
    assert found["test"] == {
        "images": 5,
        "exact_duplicate": {"images": 1, "share": 0.2},
        "near_duplicate": {"images": 3, "share": 0.6},
        "any": {"images": 3, "share": 0.6},
        "any_by_class": {"label": {"cat": 0.666667, "dog": 0.5}},
    }
    assert found["two_labels"]["label"]["exact_duplicate"]["images"] == 0
    assert found["two_labels"]["label"]["near_duplicate"]["images"] == 2
    with (tmp_path / "found/here/pairs.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["first"], row["second"], row["kind"]) for row in rows] == [
        ("Testing/dog/bright.jpg", "Training/cat/2.png", "near_duplicate"),
        ("Testing/cat/same.png", "Training/cat/0.png", "exact_duplicate"),
        ("Testing/cat/turned.jpg", "Training/cat/1.png", "near_duplicate"),
    ]
    with Image.open(tmp_path / "found/here/pairs.png") as sheet:
        assert sheet.width > 900


def test_a_leak_fails_where_it_is_asked_to(call, planted):
    assert call(planted, "--fail")[0] == 1


def test_the_same_images_give_the_same_files(call, planted, tmp_path):
    for name in "ab":
        call(planted, "-o", tmp_path / name)
    for name in ("audit.json", "pairs.csv", "pairs.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.fixture
def unrelated(pool, tmp_path):
    """Four images of the pool and a table of them, which has them in two splits and of three patients."""
    for number, image in enumerate(pool[:4]):
        save(image, tmp_path / f"unrelated/pictures/{number}.png")
    table = tmp_path / "unrelated/split.csv"
    table.write_text(
        "path,split,patient_id,kind\n"
        + "".join(
            f"pictures/{number}.png,{split},{patient},{kind}\n"
            for number, split, patient, kind in (
                (0, "train", "p", 1),
                (1, "train", "q", 1),
                (2, "test", "q", 2),
                (3, "test", "r", 2),
            )
        )
    )
    return table


def test_a_table_leaks_through_its_patients(call, unrelated, tmp_path):
    code, out, err = call(unrelated, "--fail", "-o", tmp_path / "out")
    assert (code, err) == (1, "")
    assert out.startswith("columns of split.csv: image 'path', split 'split', patient 'patient_id'\n")
    assert "This split leaks: 1 (50.0%) of test\n" in out
    found = files.read_json(tmp_path / "out/audit.json")["test"]
    assert {
        kind: found[kind]["images"] for kind in ("exact_duplicate", "near_duplicate", "patient", "any")
    } == {
        "exact_duplicate": 0,
        "near_duplicate": 0,
        "patient": 1,
        "any": 1,
    }


def test_a_split_of_unrelated_images_does_not_leak(call, unrelated):
    code, out, _ = call(unrelated, "--fail", "--group", "kind")
    assert code == 0
    assert "No leak found\n" in out


def test_an_image_that_is_in_two_splits_of_a_table_leaks(call, unrelated):
    unrelated.write_text("path,split\npictures/0.png,train\npictures/0.png,test\npictures/1.png,test\n")
    code, out, _ = call(unrelated, "--fail")
    assert code == 1
    assert "pictures/0.png  pictures/0.png  (exact duplicate)" in out


def test_blank_images_in_two_splits_are_no_leak(call, pool, tmp_path):
    for number, split in enumerate(("train", "train", "test", "test")):
        save(pool[number], tmp_path / f"set/{split}/{number}.png")
        save(Image.new("RGB", (60, 60)), tmp_path / f"set/{split}/blank{number % 3}.png")
    code, out, _ = call(tmp_path / "set", "--fail")
    assert code == 0 and "4 blank images are no duplicates of each other" in out


def test_an_image_that_cannot_be_read_fails_a_check(call, unrelated):
    with unrelated.open("a") as stream:
        stream.write("pictures/gone.png,test,s,2\n")
    code, out, err = call(unrelated, "--fail", "--group", "kind")
    assert code == 1
    assert "gone.png: cannot be opened" in err
    assert "No leak found" in out


def test_class_folders_without_splits_are_searched_for_duplicates(call, unrelated, pool):
    save(pool[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT), unrelated.parent / "more/mirrored.png")
    code, out, err = call(unrelated.parent)
    assert code == 1
    assert "no verdict: fewer than two splits; splits are told by" in err
    assert "5 images, and no splits: no split to audit" in out
    assert "No leak found" not in out
    assert "images with an exact duplicate with another label: 0 (0.0%); with any duplicate: 2 (40.0%)" in out


def test_files_that_are_no_images_get_one_line(call, tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/text.png").write_text("this is text")
    assert "none of 1 images can be read; the first is text.png: not an image" in fails(
        call, tmp_path / "train"
    )


def test_one_split_alone_is_no_verdict_and_fails_in_one_line(call, planted, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/Testing").symlink_to(planted / "Testing")
    (tmp_path / "one/prior").symlink_to(planted / "Training")
    assert "no verdict: test is the only split recognised; none in prior" in fails(call, tmp_path / "one")


def test_a_training_folder_of_another_name_is_asked(call, planted, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/Testing").symlink_to(planted / "Testing")
    (tmp_path / "one/trainval").symlink_to(planted / "Training")
    code, out, _ = call(tmp_path / "one", "--fail")
    assert code == 1
    assert "classes: cat, dog\n" in out
    assert "This split leaks: 3 (60.0%) of test" in out


def test_a_folder_of_no_known_split_fails_a_check(call, pool, tmp_path):
    for number, place in enumerate(("train/0.png", "test/1.png", "prior/2.png")):
        save(pool[number], tmp_path / "odd" / place)
    save(pool[1].rotate(90), tmp_path / "odd/prior/copy.png")
    code, out, err = call(tmp_path / "odd", "--fail")
    assert code == 1
    assert "through 2 images are missed, for no split is recognised in prior" in err
    assert "No leak found in what could be looked at" in out


def test_a_path_that_ends_in_dots_leaves_nothing_behind(call, unrelated, tmp_path, monkeypatch):
    (tmp_path / "temporary/inner").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary/inner"))
    (unrelated.parent / "deeper").mkdir()
    monkeypatch.chdir(unrelated.parent / "deeper")
    assert "4 images" in call("..")[1]
    assert [path.name for path in (tmp_path / "temporary").rglob("*")] == ["inner"]


def test_test_images_that_are_in_val_leak(call, pool, tmp_path):
    for number, place in enumerate(("train/0.png", "val/1.png", "test/2.png")):
        save(pool[number], tmp_path / "split" / place)
    save(pool[1].rotate(90), tmp_path / "split/test/copy.png")
    code, out, _ = call(tmp_path / "split", "--fail", "-o", tmp_path / "out")
    assert code == 1
    assert "This split leaks: 1 (50.0%) of test are in val, on which choices are made; no patient" in out
    found = files.read_json(tmp_path / "out/audit.json")["test"]
    assert found["any"]["images"] == 0
    assert found["in_val"] == {
        "exact_duplicate": {"images": 0, "share": 0.0},
        "near_duplicate": {"images": 1, "share": 0.5},
        "any": {"images": 1, "share": 0.5},
    }


def test_an_audit_of_the_folder_that_it_wrote_into_finds_the_same(call, planted, tmp_path):
    (tmp_path / "own").mkdir()
    for split in ("Training", "Testing"):
        (tmp_path / "own" / split).symlink_to(planted / split)
    first, again = (call(tmp_path / "own", "-o", tmp_path / "own/out") for _ in range(2))
    assert "10 images: train 5, test 5\n" in first[1]
    assert "10 images: train 5, test 5\n" in again[1]
    assert again[2] == first[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "nothing: no such file or folder"),
        ([], "no split was audited here; give a PATH, or run `dvc repro` in a checkout"),
        (["--dataset", "organ"], "no split was audited here"),
        (["nothing", "--dataset", "organ"], "give either a PATH or --dataset"),
        (["--dataset", "organ", "-o", "there"], "give a PATH; --dataset alone"),
        (["--split", "split"], "give a PATH"),
    ],
)
def test_contradictions_get_one_line(call, arguments, message):
    assert message in fails(call, *arguments)


def test_an_output_that_cannot_be_written_gets_one_line_before_the_work(call, unrelated):
    code, _, err = call(unrelated, "-o", unrelated)
    assert (code, err) == (1, f"oncovec: audit: cannot write into {unrelated} (File exists)\n")


def audit_of(dataset, split):
    files.write_json(paths.split_metrics(dataset), {"images": 9, "audit": leaks.table(split)})


def test_the_pipelines_own_splits_are_told_from_their_metrics(call):
    audit_of("leaky", SPLIT)
    audit_of("clean", audited("train cat a A", "val cat b B", patient=["p", "q"]))
    code, out, _ = call()
    assert code == 0
    assert [line for line in out.splitlines() if line.endswith(":") or "leak" in line] == [
        "clean:",
        "  No leak found",
        "leaky:",
        "  This split leaks: 1 (100.0%) of val, 3 (75.0%) of test",
    ]
    assert call("--dataset", "leaky", "--fail")[0] == 1
    assert call("--dataset", "clean", "--fail")[0] == 0
    assert "there are clean, leaky" in fails(call, "--dataset", "other")


@pytest.mark.parametrize("text", ['{"images": 9}', "[]", "<<<<<<< ours"])
def test_metrics_without_an_audit_get_one_line(call, text):
    paths.split_metrics("zoo").parent.mkdir(parents=True)
    paths.split_metrics("zoo").write_text(text)
    assert "metrics/splits/zoo.json: has no audit; run `dvc repro --force split@zoo`" in fails(call)


def test_files_left_over_and_datasets_without_an_audit_are_named(call, repository, tmp_path):
    (tmp_path / "here/params.yaml").write_text((repository / "params.yaml").read_text())
    names = ("isic2020", "multi_cancer", "multi_organ", "pcam")
    for name in names:
        audit_of(name, audited("train cat a A", "val cat b B"))
    audit_of("old", SPLIT)
    code, out, err = call("--fail")
    assert code == 0
    assert [line for line in out.splitlines() if line.endswith(":")] == [f"{name}:" for name in names]
    assert err == "oncovec: metrics/splits/old.json is left over: params.yaml has no dataset of that name\n"
    paths.split_metrics("pcam").unlink()
    code, _, err = call("--fail")
    assert code == 1
    assert "oncovec: pcam was not audited; run `dvc repro split@pcam`\n" in err


def test_outside_of_a_checkout_the_settings_are_those_of_the_committed_params(repository, call):
    assert measure.settings() == params.load(repository / "params.yaml").near_duplicates


def test_in_a_checkout_the_settings_are_those_of_its_params(call, changed):
    shutil.copy(changed({"near_duplicates.inliers": 99}), "params.yaml")
    assert measure.settings().inliers == 99
    shutil.copy(changed({"near_duplicates.inliers": 1}), "params.yaml")
    with pytest.raises(OncovecError, match=r"near_duplicates.inliers = 1"):
        measure.settings()


def test_another_projects_params_are_none_of_ours(call):
    Path("params.yaml").write_text("systems: 3\n")
    assert measure.settings() == measure.DEFAULTS


def test_a_table_is_laid_out_by_split_and_kind():
    assert list(command.lines(leaks.table(SPLIT))) == [
        "9 images: train 3, val 1, test 4",
        "",
        "images that have                          val         test",
        "an exact duplicate in train               1 (100.0%)  1 (25.0%)",
        "a near-duplicate (or exact one) in train  1 (100.0%)  2 (50.0%)",
        "the same patient in train                 0 (0.0%)    1 (25.0%)",
        "any of these in train                     1 (100.0%)  3 (75.0%)",
        "an exact duplicate in val                             0 (0.0%)",
        "a near-duplicate (or exact one) in val                0 (0.0%)",
        "the same patient in val                               0 (0.0%)",
        "any of these in val                                   0 (0.0%)",
        "",
        "of each class of test: cat 50.0%, dog 100.0%",
        "images with an exact duplicate with another label: 5 (55.6%); with any duplicate: 5 (55.6%)",
        "images with an exact duplicate in their own split: 2 (22.2%); with any duplicate: 2 (22.2%)",
        "This split leaks: 1 (100.0%) of val, 3 (75.0%) of test",
    ]


def test_known_duplicates_of_real_images_are_found(call, shared, tmp_path):
    """Exact, near and mirrored duplicates of the brain set, and an ultrasound image of two classes."""
    brain = shared / "multi_organ/masoudnickparvar/brain-tumor-mri-dataset/Training"
    breast = shared / "multi_organ/aryashah2k/breast-ultrasound-images-dataset/Dataset_BUSI_with_GT"
    numbers = {
        "Training": {"notumor": ("no_0291", "no_1243", "no_0708"), "meningioma": ("me_0782", "me_0018")},
        "Testing": {"notumor": ("no_0057", "no_1054", "no_1177"), "meningioma": ("me_1214", "me_0899")},
    }
    files_of = [
        (split, label, brain / label / f"Tr-{number}.jpg")
        for split, classes in numbers.items()
        for label, images in classes.items()
        for number in images
    ]
    files_of += [("Training", "malignant", breast / "malignant/malignant (145).png")]
    files_of += [("Testing", "benign", breast / "benign/benign (433).png")]
    for split, label, file in files_of:
        link = tmp_path / "real" / split / label / file.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    code, _, err = call(tmp_path / "real", "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    found = files.read_json(tmp_path / "out/audit.json")
    assert found["test"]["exact_duplicate"] == {"images": 2, "share": 0.333333}
    assert found["test"]["near_duplicate"] == {"images": 4, "share": 0.666667}
    assert found["two_labels"]["label"]["exact_duplicate"]["images"] == 2
