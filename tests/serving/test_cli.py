import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
from PIL import Image

from oncovec.core import params, paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.parts import CheckoutParts
from oncovec.data import embeddings, index, splitting
from oncovec.evaluation import predictions, scores, subsets
from oncovec.evaluation.gallery import Gallery
from oncovec.serving import cli, named_files, predict


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    return tiny.trained(tmp_path_factory)


@pytest.fixture
def call(checkout, monkeypatch, capsys):
    """Run the command in the trained checkout: exit code, standard output, standard error."""
    monkeypatch.chdir(checkout)
    capsys.readouterr()

    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main([str(argument) for argument in arguments])
        code = stop.value.code
        said = capsys.readouterr()
        # Python prints a text given to sys.exit to standard error, and exits with 1.
        return (1, said.out, f"{said.err}{code}\n") if isinstance(code, str) else (code, said.out, said.err)

    return run


def images_of(checkout, split, label):
    """Images of one split and class of the checkout's dataset; the class is the folder."""
    rows = splitting.read(checkout / paths.split("squares")).to_dict("records")
    names = [row["image"] for row in rows if row["split"] == split]
    return [checkout / "squares" / name for name in names if name.startswith(f"{label}/")]


@pytest.fixture
def pictures(tmp_path, checkout):
    """A folder with two training images, one of them in a folder of its own, and a text file."""
    (tmp_path / "pictures/below").mkdir(parents=True)
    for name, copy in (("green", "green.png"), ("red", "below/red.PNG")):
        shutil.copy(images_of(checkout, "train", name)[0], tmp_path / "pictures" / copy)
    (tmp_path / "pictures/notes.txt").write_text("no image")
    return tmp_path / "pictures"


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def fails(call, *arguments):
    """The one line of a mistake."""
    code, out, err = call(*arguments)
    assert code == 1
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("oncovec: ")
    return err


def predicted(call, *arguments):
    code, out, err = call("predict", "--system", "nearest", "--format", "csv", *arguments)
    assert code == 0
    assert not err or "1 files that are no images ignored (1 txt)" in err
    return [(row["path"], row["predicted"]) for row in table(out)]


def test_files_get_answers_in_their_order(call, pictures):
    files = [str(pictures / "below/red.PNG"), str(pictures / "green.png")]
    assert predicted(call, *files) == [(files[0], "red"), (files[1], "green")]


def test_a_folder_gives_the_images_below_it_in_sorted_order(call, pictures):
    expected = [(str(pictures / "below/red.PNG"), "red"), (str(pictures / "green.png"), "green")]
    assert predicted(call, pictures) == expected


@pytest.mark.parametrize("command", ["predict", "embed"])
def test_a_progress_bar_is_on_a_terminal_only_and_changes_no_other_output(
    call, pictures, tmp_path, monkeypatch, command
):
    (pictures / "broken.png").write_bytes(b"")
    output = ["--output", tmp_path / "out.npz"] if command == "embed" else []
    asked = (command, "--system", "nearest", pictures, *output)
    code, out, err = call(*asked)
    assert "0/3" not in err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert call(*asked)[:2] == (code, out)
    shown = call(*asked)[2]
    assert f"{command}:   0%" in shown and "0/3" in shown
    assert all(line in shown for line in err.splitlines())


@pytest.mark.parametrize("column", ["image", "path"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_csv_gives_the_images_of_its_column_relative_to_itself(call, pictures, column, encoding):
    rows = [column + ",other", "green.png,1", f"{pictures}/below/red.PNG,2"]
    (pictures / "list.csv").write_text("\n".join(rows), encoding=encoding)
    expected = [(str(pictures / "green.png"), "green"), (str(pictures / "below/red.PNG"), "red")]
    assert predicted(call, pictures / "list.csv") == expected


def test_csv_columns_are_exactly_those_promised(call, pictures):
    _, out, _ = call("predict", "--system", "head", "--format", "csv", pictures)
    neighbours = min(cli._load("head").gallery.k, predict.SHOWN)
    near = [f"{what}_{n}" for n in range(1, neighbours + 1) for what in ("neighbour", "distance")]
    expected = [
        "path",
        "predicted",
        "probability",
        "p_green",
        "p_red",
        *near,
        "prediction_set",
        "ood",
        "error",
    ]
    assert out.splitlines()[0] == ",".join(expected)


def test_json_parses(call, pictures):
    code, out, _ = call("predict", "--system", "head", "--format", "json", pictures)
    assert code == 0
    assert [item["predicted"] for item in json.loads(out)] == ["red", "green"]


def test_the_table_is_aligned(call, pictures):
    code, out, _ = call("predict", "--system", "head", pictures)
    assert code == 0
    head, *lines = [line for line in out.splitlines() if not line.startswith("    ")]
    assert lines.pop() == "head has not been tried on images of another collection"
    lines = [line for line in lines if "embedding of a training image" not in line]
    for column in ("predicted", "probability"):
        start = head.index(column)
        assert all(line[start - 2 : start] == "  " and line[start] != " " for line in lines)


def test_two_calls_print_the_same(call, pictures):
    arguments = ("predict", "--system", "nearest", "--format", "csv", pictures)
    assert call(*arguments) == call(*arguments)


@pytest.fixture
def spoilt(pictures):
    """The folder of pictures with files that cannot be read among them."""
    good = (pictures / "green.png").read_bytes()
    (pictures / "cut.png").write_bytes(good[: len(good) // 2])
    (pictures / "text.jpg").write_text("this is text")
    (pictures / "scan.dcm").write_bytes(b"\0" * 128 + b"DICM")
    return pictures


REASONS = {"cut.png": "truncated", "text.jpg": "not an image", "scan.dcm": "DICOM without pixels"}


def test_unreadable_files_are_named_the_others_answered_and_the_exit_code_is_1(call, spoilt):
    code, out, err = call("predict", "--system", "nearest", "--format", "csv", spoilt)
    assert code == 1
    assert err == f"{spoilt}: 1 files that are no images ignored (1 txt)\n"
    found = {row["path"].rsplit("/", 1)[1]: row for row in table(out)}
    assert {name for name, row in found.items() if row["error"]} == set(REASONS)
    assert all(reason in found[name]["error"] for name, reason in REASONS.items())
    assert (found["red.PNG"]["predicted"], found["green.png"]["predicted"]) == ("red", "green")


@pytest.mark.parametrize("form", ["table", "json"])
def test_unreadable_files_are_named_in_every_format(call, spoilt, form):
    code, out, _ = call("predict", "--system", "nearest", "--format", form, spoilt)
    assert code == 1
    assert all(reason in out for reason in REASONS.values())


def test_a_missing_path_is_named_before_anything_is_predicted(call, pictures):
    missing = pictures / "nothing.png"
    line = fails(call, "predict", "--system", "nearest", pictures, missing)
    assert line == f"oncovec: {missing}: no such file or folder\n"


def test_a_missing_image_of_a_csv_gets_an_error_of_its_own(call, pictures):
    (pictures / "list.csv").write_text("image\ngreen.png\nnothing.png\n")
    code, out, _ = call("predict", "--system", "nearest", "--format", "csv", pictures / "list.csv")
    assert code == 1
    assert [bool(row["error"]) for row in table(out)] == [False, True]


@pytest.mark.parametrize(
    "content", ["", "image\n", "file\ngreen.png\n", "image,other\n,1\n", "image,other\ngreen.png,1\n,2\n"]
)
def test_a_csv_without_images_gets_one_line(call, pictures, content):
    (pictures / "list.csv").write_text(content)
    assert str(pictures / "list.csv") in fails(call, "predict", "--system", "nearest", pictures / "list.csv")


@pytest.fixture
def listed(checkout, tmp_path):
    """The test split with labels and groups, one image of noise, one that cannot be read, two unlabelled."""
    split = {name: images_of(checkout, "test", name) for name in ("red", "green")}
    red, green = split.values()
    (tmp_path / "cut.png").write_bytes(red[0].read_bytes()[:-200])
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    rows = [(path, name, f"{name}{i // 2}") for name in split for i, path in enumerate(split[name])]
    rows += [("noise.png", "red", "noise"), ("cut.png", "red", "red0"), (red[1], "", ""), (green[1], " ", "")]
    lines = ["image,label,group", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    return tmp_path / "list.csv"


def test_a_csv_with_labels_gets_metrics_below_the_table(call, listed):
    code, out, err = call("predict", "--system", "nearest", listed)
    assert (code, err) == (1, "")
    table, metrics = out.split("\n\n")
    assert "true" in table.splitlines()[0].split()
    assert "unlike the training images" in next(line for line in table.splitlines() if "noise.png" in line)
    assert metrics.startswith("images judged: 13; left out: 1 that could not be read, 2 without a label\n")
    assert "by 7 groups" in metrics
    for name in ("accuracy", "balanced_accuracy", "f1_macro", "auroc", "average_precision", "sensitivity"):
        assert f"\n{name} " in metrics
    assert re.search(r"\nrecall of green +1\.0000  6 images\n", metrics)
    assert re.search(r"\nrefused .* of 13 images are unlike", metrics)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_metrics_leave_standard_output_to_csv_and_json(call, listed, form):
    code, out, err = call("predict", "--system", "nearest", "--format", form, listed)
    assert code == 1
    rows = table(out) if form == "csv" else json.loads(out)
    assert [row["label"] for row in rows] == ["red"] * 6 + ["green"] * 6 + ["red", "red", "", ""]
    assert rows[12]["predicted"] == "" and rows[12]["ood"] in ("true", True)
    assert err.startswith("images judged: 13; left out: 1 that")
    _, shown, _ = call("predict", "--system", "nearest", listed)
    assert shown.removesuffix("nearest has not been tried on images of another collection\n").endswith(
        f"\n\n{err}"
    )


def test_the_pipelines_own_test_split_gets_the_metrics_of_its_evaluation(call, checkout, tmp_path):
    rows = [row for row in splitting.of_task("squares", "label").to_dict("records") if row["split"] == "test"]
    lines = [f"{checkout}/squares/{row['image']},{row['label']},{row['group']}" for row in rows]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,group", *lines]))
    _, _, err = call("predict", "--system", "head", "--format", "csv", tmp_path / "list.csv")
    content = embeddings.read(paths.embeddings("head"))
    output = predictions.of_splits(content, Gallery.load(CheckoutParts("head")), ["test"])[0]
    settings = params.load().evaluate
    scored, _ = scores.score(
        [output], [], content.groups, subsets.Parts({}, {}, {}), settings.bootstrap, settings.seed
    )
    shown = {line.split()[0]: line.split()[1:] for line in err.splitlines()[2:]}
    expected = {metric: cells for _, _, _, metric, *cells in scored}
    for metric in output.metrics():
        value, low, high = expected[metric]
        assert shown[metric] == [f"{value:.4f}", f"{low:.4f}", "to", f"{high:.4f}"]


def test_a_label_that_is_no_class_is_refused_before_any_image_is_read(call, listed, monkeypatch):
    monkeypatch.setattr("oncovec.serving.predict.System.predict", None)
    listed.write_text(f"{listed.read_text()}\nnoise.png,purple,\nother.png,blue,")
    line = fails(call, "predict", "--system", "head", listed)
    where = f"{listed}: row 18 ({listed.parent}/noise.png)"
    assert f"{where}: label 'purple' is no class of head, which has green, red;" in line


def test_a_csv_whose_labels_are_all_empty_has_nothing_to_judge(call, pictures):
    (pictures / "list.csv").write_text("image,label\ngreen.png,\n")
    code, _, err = call("predict", "--system", "head", "--format", "csv", pictures / "list.csv")
    assert code == 0
    assert err == "images judged: 0; left out: 0 that could not be read, 1 without a label\n"


def test_a_csv_that_is_none_gets_one_line(call, pictures):
    (pictures / "list.csv").write_bytes(b"\xff\xfe\0\0image")
    line = fails(call, "predict", "--system", "nearest", pictures / "list.csv")
    assert str(pictures / "list.csv") in line


def test_a_folder_without_images_gets_one_line(call, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no image below this folder" in fails(call, "predict", "--system", "nearest", tmp_path / "empty")


def test_an_unknown_system_is_refused_with_those_that_there_are(call, pictures):
    line = fails(call, "predict", "--system", "nearst", pictures)
    assert "no row of systems: is called nearst (did you mean nearest?); there are nearest, head" in line


def test_a_system_that_is_not_trained_yet_is_refused_with_what_to_run(
    call, checkout, pictures, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    paths.weights("head").unlink()
    line = fails(call, "predict", "--system", "head", pictures)
    assert "no such trained system; there are nearest; run `dvc repro evaluate@head`" in line


@pytest.mark.parametrize("command", ["predict", "embed"])
def test_a_corrupt_model_file_gets_one_line(call, checkout, pictures, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    paths.weights("head").write_bytes(b"garbage")
    output = ["-o", str(tmp_path / "e.npz")] if command == "embed" else []
    line = fails(call, command, "--system", "head", *output, pictures)
    assert "models/head/weights.safetensors: damaged" in line


@pytest.mark.parametrize("arguments", [[], ["--random", "2", "image.png"]])
def test_either_paths_or_a_number_of_test_images_must_be_given(call, arguments):
    assert "either PATHs or --random N" in fails(call, "predict", "--system", "head", *arguments)


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5", "²"])
def test_a_number_of_test_images_must_be_one(call, number):
    code, _, err = call("predict", "--system", "head", f"--random={number}")
    assert code == 2
    assert number in err


def test_random_shows_test_images_with_what_they_truly_are(call):
    code, out, _ = call("predict", "--system", "head", "--format", "csv", "--random", 5)
    assert code == 0
    test = {
        r["image"]: r["label"]
        for r in splitting.of_task("squares", "label").to_dict("records")
        if r["split"] == "test"
    }
    rows = table(out)
    assert len({row["path"] for row in rows}) == 5
    assert all(test[row["path"]] == row["label"] for row in rows)
    assert all(row["predicted"] == ("" if row["ood"] == "true" else row["label"]) for row in rows)


def test_random_in_a_table_shows_true_classes_and_counts_what_is_right(call):
    _, out, _ = call("predict", "--system", "nearest", "--random", 4)
    head, *lines, _ = out.splitlines()
    assert "true" in head.split()
    pattern = r"(\d) of 4 right(?:, (\d) unlike the training images \(out of distribution\))?"
    right, ood = re.fullmatch(pattern, lines[-1]).groups("0")
    assert int(right) + int(ood) == 4


def test_random_takes_the_whole_test_split_at_most_and_the_seed_decides(call):
    def chosen(number, seed):
        _, out, _ = call("predict", "--system", "head", "--format", "csv", "--random", number, "--seed", seed)
        return [row["path"] for row in table(out)]

    assert chosen(4, 1) == chosen(4, 1) != chosen(4, 2)
    assert len(chosen(1000, 0)) == sum(
        r["split"] == "test" for r in splitting.read(paths.split("squares")).to_dict("records")
    )


def test_random_takes_no_image_of_a_class_that_the_system_was_not_trained_on(
    call, checkout, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    rows = index.read(paths.index("squares")).to_dict("records")
    test = [
        row["image"]
        for row in splitting.read(paths.split("squares")).to_dict("records")
        if row["split"] == "test"
    ]
    relabelled = [row | {"label": "blue"} if row["image"] in test[::3] else row for row in rows]
    tables.write(paths.index("squares"), pd.DataFrame(relabelled))
    _, out, _ = call("predict", "--system", "head", "--format", "csv", "--random", 1000)
    assert {row["path"] for row in table(out)} == set(test) - set(test[::3])


def test_random_refuses_a_split_that_was_drawn_anew_since_the_system_was_trained(
    call, checkout, tmp_path, monkeypatch
):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    rows = splitting.read(paths.split("squares")).to_dict("records")
    swapped = {"train": "test", "test": "train", "val": "val"}
    cells = ((row["image"], row["group"], swapped[row["split"]], row["val_part"]) for row in rows)
    tables.write(paths.split("squares"), tables.of(splitting.COLUMNS, cells))
    line = fails(call, "predict", "--system", "head", "--random", 3)
    assert "drawn anew since head was trained, which so knows 36 of its test images" in line
    assert "`dvc repro evaluate@head`" in line


@pytest.mark.parametrize("change", [{"image_size": 20}, {"resize": "squash"}])
def test_random_refuses_images_that_were_prepared_anew_since_the_system_was_trained(
    call, checkout, tmp_path, monkeypatch, change
):
    monkeypatch.chdir(tiny.copied(checkout, tmp_path))
    file = paths.prepared_facts("squares")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    line = fails(call, "predict", "--system", "head", "--random", 3)
    assert "prepared anew since head was trained" in line and "`dvc repro evaluate@head`" in line


def test_commands_work_in_any_folder_of_the_checkout(call, checkout, monkeypatch):
    whole = call("predict", "--system", "head", "--random", 3, "--format", "csv")
    monkeypatch.chdir(checkout / "squares" / "red")
    assert call("predict", "--system", "head", "--random", 3, "--format", "csv") == whole
    assert Path.cwd() == checkout
    monkeypatch.chdir(checkout / "squares")
    image = images_of(checkout, "test", "red")[0].relative_to(checkout / "squares")
    assert predict.load("head").predict(image)[0].predicted == "red"


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("cp1252", b"\\u0421\\u043d\\u0438\\u043c\\u043e\\u043a \\u4e2d \xe9"),
        ("utf-8", "Снимок 中 ".encode() + b"\xe9"),
    ],
)
def test_the_file_name_of_any_script_is_printed_on_any_terminal(tmp_path, monkeypatch, encoding, printed):
    name = "Снимок 中 \udce9.csv"  # the last letter is a byte that is no UTF-8
    (tmp_path / name).write_text("nothing\n")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        cli.main(["predict", "--system", "head", name])
    print(stop.value.code, file=sys.stderr, flush=True)
    assert terminal.buffer.getvalue().startswith(b"oncovec: " + printed + b".csv: no rows")


@pytest.mark.parametrize("command", ["predict", "embed"])
@pytest.mark.parametrize("name", ["../head", "a b", "", "two\nlines"])
def test_a_name_that_no_system_can_have_is_refused_before_a_path_is_made_of_it(
    call, pictures, tmp_path, command, name
):
    output = ["-o", str(tmp_path / "e.npz")] if command == "embed" else []
    line = fails(call, command, "--system", name, *output, pictures)
    assert f"{name!r} is no name of a system" in line


def test_trust_takes_a_row_of_downloads(call, monkeypatch):
    monkeypatch.setattr(
        "oncovec.data.download.trust", lambda found, name: iter([name, str(found.data.limit)])
    )
    assert call("trust", "anything") == (0, "anything\nNone\n", "")


@pytest.mark.parametrize("name", ["squares", "../squares"])
def test_trust_refuses_what_is_no_row_of_downloads(call, name):
    assert f"no row {name!r} in downloads:" in fails(call, "trust", name)


def test_embed_writes_the_paths_and_their_embeddings(call, pictures, tmp_path):
    code, out, err = call("embed", "--system", "nearest", "-o", tmp_path / "new/e.npz", pictures)
    assert (code, err) == (0, f"{pictures}: 1 files that are no images ignored (1 txt)\n")
    assert "2 embeddings of length 128" in out
    with np.load(tmp_path / "new/e.npz", allow_pickle=False) as found:
        assert found["path"].tolist() == [f"{pictures}/below/red.PNG", f"{pictures}/green.png"]
        assert found["embedding"].shape == (2, 128)
        assert found["embedding"].dtype == np.float32
        assert np.allclose(np.linalg.norm(found["embedding"], axis=1), 1, atol=1e-5)


def test_embed_names_an_unreadable_image_writes_the_others_and_exits_with_1(call, spoilt, tmp_path):
    code, _, err = call("embed", "--system", "head", "-o", tmp_path / "e.npz", spoilt)
    assert code == 1
    assert all(name in err and reason in err for name, reason in REASONS.items())
    assert len(err.splitlines()) == 4
    assert len(np.load(tmp_path / "e.npz")["path"]) == 2


def test_embed_of_nothing_but_unreadable_images_writes_nothing(call, spoilt, tmp_path):
    code, _, err = call("embed", "--system", "head", "-o", tmp_path / "e.npz", spoilt / "cut.png")
    assert code == 1
    assert "truncated" in err
    assert "nothing was written" in err
    assert not (tmp_path / "e.npz").exists()


def test_embed_insists_on_npz(call, pictures, tmp_path):
    assert "must end in .npz" in fails(call, "embed", "--system", "head", "-o", tmp_path / "e.csv", pictures)


def test_an_output_that_cannot_be_written_gets_one_line(call, pictures):
    output = pictures / "notes.txt/e.npz"
    assert str(output) in fails(call, "embed", "--system", "head", "-o", output, pictures)


def test_images_are_those_of_a_folder_and_links_in_it(tmp_path, pictures):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/one.png").symlink_to(pictures / "green.png")
    (tmp_path / "links/broken.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "links/round.png").symlink_to("round.png")
    found = [image.path.name for image in named_files.find([str(tmp_path / "links")])]
    assert found == ["broken.png", "one.png", "round.png"], (
        "as in the pipeline, which counts two as unreadable"
    )


def test_what_is_hidden_in_a_folder_is_passed_over_and_linked_folders_are_followed(tmp_path, pictures):
    (tmp_path / "given/__MACOSX").mkdir(parents=True)
    (tmp_path / "given/.ipynb_checkpoints").mkdir()
    for hidden in ("__MACOSX/._green.png", ".ipynb_checkpoints/green-checkpoint.png"):
        shutil.copy(pictures / "green.png", tmp_path / "given" / hidden)
    (tmp_path / "given/patient").symlink_to(pictures)
    found = [
        image.path.relative_to(tmp_path).as_posix() for image in named_files.find([str(tmp_path / "given")])
    ]
    assert found == ["given/patient/below/red.PNG", "given/patient/green.png"]


def test_a_group_or_label_that_is_not_known_is_none(pictures):
    (pictures / "list.csv").write_text("image,label,group\ngreen.png,NA,unknown\nbelow/red.PNG,red,p1\n")
    found = named_files.find([str(pictures / "list.csv")])
    assert [image.group for image in found] == ["", "p1"]
    assert named_files.labels_of(found, "head", ["green", "red"]) == ["", "red"]
    assert named_files.labels_of(found, "head", ["NA", "red"]) == ["NA", "red"]


def test_one_file_under_two_labels_is_refused(pictures):
    (pictures / "list.csv").write_text("image,label\ngreen.png,green\nbelow/../green.png,red\n")
    with pytest.raises(OncovecError, match=r"row 3 .*: labelled red, in .*row 2 green"):
        named_files.labels_of(named_files.find([str(pictures / "list.csv")]), "head", ["green", "red"])


@pytest.mark.slow
def test_a_name_that_is_no_text_is_printed_as_it_is(checkout, pictures):
    odd = os.fsencode(pictures) + b"/bl\xe9.png"
    shutil.copy(os.fsencode(pictures / "green.png"), odd)
    script = (
        "import sys; from oncovec.serving import cli; cli.main(['predict', '--system', 'head', sys.argv[1]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, odd],
        cwd=checkout,
        env={"PYTHONPATH": str(tiny.ROOT / "src"), "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
    )
    assert done.returncode == 1, done.stderr
    assert odd in done.stdout and b"error: its name has a line break or is not UTF-8" in done.stdout


def test_a_file_of_any_suffix_is_taken_when_it_is_named(pictures):
    assert named_files.find([str(pictures / "notes.txt")]) == [named_files.Listed(pictures / "notes.txt")]
    with pytest.raises(OncovecError, match="no such file"):
        named_files.find([str(pictures / "nothing")])


def test_help_comes_without_torch():
    script = (
        "import sys\nfrom oncovec.serving import cli\n"
        "try: cli.main(['--help'])\nfinally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(tiny.ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "not for clinical use" in done.stdout


@pytest.mark.slow
def test_a_reader_that_goes_away_gets_no_traceback(checkout):
    script = "from oncovec.serving import cli\ncli.main(['predict', '--system', 'head', '--random', '9'])"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", script],
        cwd=checkout,
        env={"PYTHONPATH": str(tiny.ROOT / "src"), "OMP_WAIT_POLICY": "passive"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    assert process.wait() == 1
