import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from html.parser import HTMLParser

import pytest
import reported
import tiny

from oncovec.core import files, paths, tables
from oncovec.core.errors import OncovecError
from oncovec.serving import cli, pages
from oncovec.serving.report import content, limits, page, read


def call(*arguments):
    cli.app(["report", *map(str, arguments)], standalone_mode=False)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout with its report; read it, do not change it."""
    folder = reported.checkout(tmp_path_factory)
    with reported.inside(folder):
        call()
        call("--no-images", "-o", "none.html")
    return folder


@pytest.fixture
def own(checkout, tmp_path, monkeypatch):
    """A copy of the checkout, in which a test may change files, as the working directory."""
    folder = tiny.copied(checkout, tmp_path)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def run(checkout):
    with reported.inside(checkout):
        return read.run()


@pytest.fixture(scope="module")
def text(checkout):
    return (checkout / "data/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def without(checkout):
    return (checkout / "none.html").read_text(encoding="utf-8")


def refused(*arguments):
    with pytest.raises(OncovecError) as error:
        call(*arguments)
    return tiny.one_line(error)


class Elements(HTMLParser):
    """Tags of a page, its addresses, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]

    def handle_data(self, data):
        self.words.append(data)


def cells(table):
    """The cells of a table, by the name of the row and of the column."""
    return {
        (row[0], row[1]) if table.header[1] == "predicts" else row[0]: dict(
            zip(table.header, row, strict=True)
        )
        for row in table.rows
    }


def test_each_metric_is_that_of_the_report_with_its_interval(run, checkout):
    (table,) = content.systems(run)
    rows = tables.read(checkout / paths.report("head"))
    rows = rows[(rows["split"] == "test") & (rows["subset"] == "all") & (rows["class"] == "all")]
    for model in ("knn", "head"):
        shown = cells(table)["head", model]
        for row in rows[(rows["model"] == model) & rows["metric"].isin(shown)].itertuples():
            numbers = [float(each) for each in re.findall(r"[0-9.]+", shown[row.metric])]
            expected = [float(each) for each in (row.value, row.low, row.high) if each]
            assert numbers == pytest.approx(expected, abs=0.00051), row.metric
    assert "balanced_accuracy" in table.header


def test_a_baseline_of_several_systems_is_one_row(run):
    (table,) = content.systems(run)
    names = [row[1] for row in table.rows if row[0] == "baseline"]
    assert sorted(names) == ["histogram", "majority", "thumbnail"]


def test_a_system_that_beats_its_baseline_is_told_from_one_that_does_not(run):
    (table,) = content.systems(run)
    for name, each in run.systems.items():
        told = cells(table)[name, "knn"]["beats the best baseline"]
        assert told.startswith("yes" if each.headline["beats_baseline"] else "not shown")


def test_an_external_set_has_intervals_of_the_same_values_alone(run):
    (table,) = content.external(run)
    shown = cells(table)["head"]
    assert shown["auroc"] == "0.625 (0.500 to 0.700)"
    assert shown["coverage"] == "0.750"  # the plot has the interval of another value
    assert shown["set_coverage of the answered"] == "0.875"
    assert cells(table)["nearest"]["coverage"] == ""
    assert "3 two labels" in table.caption


def test_counts_of_the_data_are_those_of_the_metrics(run, checkout):
    found = json.loads((checkout / paths.data_metrics("squares")).read_text())
    shown = cells(content.datasets(run))["squares"]
    assert shown["images"] == str(found["images"])
    assert shown["unreadable"] == str(found["unreadable"])
    counts = json.loads((checkout / paths.split_metrics("squares")).read_text())
    split = cells(content.splits(run))["squares"]
    assert split["test"] == f"{counts['test']['images']} ({counts['test']['groups']})"
    assert split["strategy"] == "grouped"


def test_the_page_has_the_card_that_an_exported_file_has(run, text):
    words = "".join(Elements(text).words)
    for each in run.systems.values():
        plain = re.sub(r"[*`|#]|^- ", " ", each.card)
        assert each.facts["sha256"] in plain
        sentence = next(line for line in each.card.splitlines() if line.startswith("A network of Oncovec"))
        assert sentence in words


def test_what_was_not_measured_is_said_to_be_so(text):
    assert "not measured" in text
    assert "not recorded" in text


def test_a_task_with_an_external_set_and_without_phantoms_is_not_said_to_lack_them(run):
    told = "\n".join(limits.limitations(run))
    assert "No external test set" not in told
    assert "Phantoms" not in told


def test_a_task_without_an_external_set_is_named(own):
    text = (own / "params.yaml").read_text().partition("external:")
    (own / "params.yaml").write_text(text[0] + "external: {}\n" + text[2][text[2].index("preprocess:") :])
    assert "No external test set: colour." in "\n".join(limits.limitations(read.run()))


def test_phantoms_are_said_to_be_such(own):
    found = files.read_json(paths.data_metrics("squares"))
    files.write_json(paths.data_metrics("squares"), found | {"source": "phantom"})
    call()
    assert "Phantoms: squares." in (own / "data/report.html").read_text()


def test_leaks_are_told(own):
    found = files.read_json(paths.split_metrics("squares"))
    found["audit"]["test"]["any"]["images"] = 7
    found["strategy"] = "random"
    files.write_json(paths.split_metrics("squares"), found)
    run = read.run()
    assert "found leaks between the splits of squares" in "\n".join(limits.short(run))
    assert "squares: the split is random" in "\n".join(limits.limitations(run))


def test_the_page_has_no_script_and_asks_no_host(text):
    found = Elements(text)
    assert "script" not in found.tags
    assert all(each.startswith(("data:", "#")) for each in found.addresses)


def test_params_yaml_is_shown_as_it_is(text, checkout):
    assert reported.EVIL in "".join(Elements(text).words)


def test_a_card_with_names_that_look_like_markup_adds_nothing():
    evil = "# <img src=x>\n\n[a](http://b) ![c](http://d) <script>injected=1</script> http://e\n"
    assert set(Elements(page._as_html("evil", evil)).tags) == {"h3", "p"}


def test_pictures_of_images_are_left_out_on_request_and_charts_stay(text, without, run):
    per_dataset, per_system = len(page.OF_DATASETS), len(page.OF_SYSTEMS)
    images = len(run.datasets) * per_dataset + len(run.systems) * (per_system + 1)
    assert Elements(text).tags.count("img") == images
    assert Elements(without).tags.count("img") == len(run.systems)
    assert "may be patients" in text
    assert "may be patients" not in without


def test_a_page_without_images_names_no_image(without, checkout):
    names = tables.read(checkout / paths.index("squares"))["image"]
    assert not [name for name in names if name in without]


def test_equal_runs_give_equal_bytes(own, text):
    call()
    assert (own / "data/report.html").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "path",
    [
        paths.SUMMARY,
        paths.LOCK,
        paths.data_metrics("squares"),
        paths.group_metrics("squares"),
        paths.split_metrics("squares"),
        paths.external_metrics("far"),
        paths.report("head"),
        paths.gallery("head"),
        paths.model_facts("head"),
        paths.overview("head"),
        paths.picture("samples", "squares"),
        paths.picture("confused", "head"),
        paths.picture("heatmaps", "head"),
    ],
)
def test_a_missing_file_is_named_with_what_to_do(own, path):
    (own / path).unlink()
    told = refused()
    assert str(path) in told
    assert "dvc repro" in told


def test_a_damaged_file_is_named(own):
    (own / paths.group_metrics("squares")).write_text("{", encoding="utf-8")
    assert refused().startswith(f"{paths.group_metrics('squares')} is damaged")


def test_metrics_without_what_the_page_tells_are_refused(own):
    files.write_json(paths.split_metrics("squares"), {"strategy": "grouped"})
    assert refused().startswith(f"{paths.split_metrics('squares')} is damaged (lacks one of ")


def test_params_that_were_changed_since_the_run_are_refused(own):
    text = (own / "params.yaml").read_text()
    (own / "params.yaml").write_text(text.replace("backbone: pcam_cnn", "backbone: siamese_cnn"))
    told = refused()
    assert told.startswith(
        f"{paths.SUMMARY} is out of date: train@head did not run when systems.head changed"
    )
    assert "dvc repro" in told


def test_a_summary_of_another_report_is_refused(own):
    found = files.read_json(paths.SUMMARY)
    found["head"]["balanced_accuracy"] = 0.123
    files.write_json(paths.SUMMARY, found)
    assert refused() == f"{paths.SUMMARY}: does not belong to {paths.report('head')}; run `dvc repro`"


def test_a_summary_of_other_systems_is_refused(own):
    files.write_json(paths.SUMMARY, {"head": {}})
    assert refused() == f"{paths.SUMMARY}: has other systems than params.yaml; run `dvc repro`"


def test_a_gallery_of_other_weights_is_refused(own):
    facts = files.read_json(paths.model_facts("head"))
    files.write_json(paths.model_facts("head"), facts | {"sha256": "0" * 64})
    assert refused().startswith(f"{paths.gallery('head')}: made by other weights than")


def test_an_output_that_is_no_page_is_refused(own):
    assert refused("-o", "report.pdf") == "report: --output report.pdf must end in .html"


def test_an_output_that_cannot_be_written_is_refused_in_one_line(own):
    (own / "taken.html").mkdir()
    assert "taken.html" in refused("-o", "taken.html")


def test_the_report_needs_no_torch():
    code = "import sys, oncovec.serving.report.page; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_wheel_has_every_file_of_the_page(repository):
    declared = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = declared["tool"]["setuptools"]["package-data"]
    for package, files_of in {
        "oncovec.serving.report": [file for file in page.HERE.iterdir() if file.suffix in (".html", ".css")],
        "oncovec.serving": [pages.PALETTE],
    }.items():
        assert files_of
        for file in files_of:
            assert any(fnmatch(file.name, pattern) for pattern in patterns[package]), file
