import base64
import io
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from fnmatch import fnmatch
from html.parser import HTMLParser

import atlases
import evaluated
import numpy as np
import pytest
import synthetic
import tiny
from PIL import Image
from sklearn.decomposition import PCA

from oncovec.core import paths, tables
from oncovec.core.errors import OncovecError
from oncovec.core.parts import CheckoutParts
from oncovec.data import embeddings
from oncovec.evaluation.gallery import Gallery
from oncovec.serving.atlas import page, thumbnails, view


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout with its atlas; read it, do not change it."""
    folder = atlases.checkout(tmp_path_factory.mktemp("atlas") / "checkout")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        atlases.call()
        atlases.call("--no-images", "-o", "none.html")
    return folder


@pytest.fixture
def own(checkout, tmp_path, monkeypatch):
    """A copy of the checkout, in which a test may change files, as the working directory."""
    folder = tiny.copied(checkout, tmp_path)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def text(checkout):
    return (checkout / "data/atlas.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def content(text):
    return atlases.data(text)


@pytest.fixture(scope="module", params=["animals", "again", "two"])
def system(request, content):
    return next(each for each in content["systems"] if each["name"] == request.param)


def named(content, system, numbers):
    return [content["images"][system["dataset"]][number] for number in numbers]


def test_every_evaluated_image_is_a_point_with_its_split_class_and_prediction(checkout, content, system):
    table = tables.read(checkout / paths.predictions(system["name"]))
    assert named(content, system, system["image"]) == table["image"].tolist()
    assert [system["splits"][each] for each in system["split"]] == table["split"].tolist()
    assert [system["classes"][each] for each in system["label"]] == table["label"].tolist()
    assert [system["classes"][each] for each in system["predicted"]] == table["predicted"].tolist()
    chosen = [float(row[f"p_{row['predicted']}"]) for row in table.to_dict("records")]
    assert system["probability"] == pytest.approx(chosen, abs=1e-4)


def test_neighbours_are_those_of_the_gallery(checkout, content, system):
    gallery = Gallery.load(CheckoutParts(system["name"], checkout))
    known = embeddings.read(checkout / paths.embeddings(system["name"]))
    row_of = {image: row for row, image in enumerate(known.images.tolist())}
    rows = [row_of[image] for image in named(content, system, system["image"])]
    distances, found = gallery.neighbours(known.vectors[rows], view.NEIGHBOURS)
    assert [named(content, system, row) for row in system["neighbours"]] == gallery.images[found].tolist()
    assert system["neighbour_labels"] == gallery.labels[found].tolist()
    assert np.allclose(system["distances"], distances, atol=1e-4)


def test_images_out_of_distribution_are_those_of_the_gallery(checkout, content, system):
    gallery = Gallery.load(CheckoutParts(system["name"], checkout))
    known = embeddings.read(checkout / paths.embeddings(system["name"]))
    row_of = {image: row for row, image in enumerate(known.images.tolist())}
    rows = [row_of[image] for image in named(content, system, system["image"])]
    expected = gallery.is_ood(known.ood_features[rows], np.array(system["predicted"]))
    assert system["ood"] == expected.astype(int).tolist()
    assert 0 < sum(system["ood"]) < len(rows)


def test_points_stand_where_pca_puts_their_images(checkout, content, system):
    known = embeddings.read(checkout / paths.embeddings(system["name"]))
    row_of = {image: row for row, image in enumerate(known.images.tolist())}
    rows = [row_of[image] for image in named(content, system, system["image"])]
    vectors = known.vectors.astype(np.float64)
    pca = PCA(2, svd_solver="full").fit(vectors[known.rows("train")])
    assert np.allclose(np.transpose(system["planes"]["pca"]), pca.transform(vectors[rows]), atol=1e-4)


def test_tsne_puts_images_of_near_embeddings_near(own):
    names = ("ant", "bee", "cat")
    evaluated.write(own / "clear", {"clear": synthetic.embeddings(names, noise=0.1)})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(own / "clear")
        found = view.read("clear", 0)
    plane, labels = found.planes["tsne"], found.embeddings.labels[found.rows]
    apart = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    assert (labels[apart.argmin(axis=1)] == labels).all()


def test_only_evaluated_images_of_val_are_points(own):
    halves = replace(
        synthetic.embeddings(), val_parts=np.array(60 * [""] + 15 * ["choose", "calibrate"] + 30 * [""])
    )
    evaluated.write(own / "halves", {"halves": halves})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(own / "halves")
        found = view.read("halves", 0)
    assert len(found.rows) == 15 + 30
    assert all(len(plane) == 15 + 30 for plane in found.planes.values())


class Tags(HTMLParser):
    """Counts the elements of a page, and keeps the attributes that run code."""

    def __init__(self, text):
        super().__init__()
        self.count, self.handlers = {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def test_names_of_files_become_no_html(text, content):
    found = Tags(text)
    assert found.count["script"] == len(page.SCRIPTS) + 2
    assert not {"img", "b"} & set(found.count)
    assert not found.handlers
    assert set(atlases.NAMES.values()) <= set(content["images"]["zoo"])


def test_a_page_names_no_host_and_its_policy_forbids_all(text):
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text
    assert "unsafe" not in text


def test_each_thumbnail_is_of_its_image(checkout, text, content):
    for system in content["systems"]:
        dataset = system["dataset"]
        row_of = {
            image: row
            for row, image in enumerate(
                embeddings.read(checkout / paths.embeddings(system["name"])).images.tolist()
            )
        }
        sheets = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet))))
            for sheet in atlases.data(text, "sheets")[dataset]
        ]
        for number, image in enumerate(content["images"][dataset]):
            sheet, place = divmod(number, thumbnails.ACROSS**2)
            top, left = (each * thumbnails.SIDE for each in divmod(place, thumbnails.ACROSS))
            middle = sheets[sheet][top + thumbnails.SIDE // 2, left + thumbnails.SIDE // 2]
            assert np.abs(middle.astype(int) - evaluated.colour(row_of[image])).max() < 16, image


def test_without_images_there_is_no_image(checkout, content):
    text = (checkout / "none.html").read_text(encoding="utf-8")
    assert 'id="sheets"' not in text
    assert base64.b64encode(b"RIFF").decode()[:5] not in text
    assert atlases.data(text) == content
    assert "holds no images" in text and "thumbnails of the images" not in text


def test_without_images_the_prepared_images_are_not_read(own):
    shutil.rmtree(own / "data/prepared")
    atlases.call("--no-images")


def test_a_page_with_images_says_so_at_its_top(text):
    assert text.index("holds thumbnails of the images, which may be patients'") < text.index("<main>")


def test_the_same_results_give_the_same_bytes(own):
    before = (own / "data/atlas.html").read_bytes()
    atlases.call()
    assert (own / "data/atlas.html").read_bytes() == before


def test_a_page_says_which_images_are_phantoms(own, text):
    assert "The images of animals, again are phantoms:" in text
    atlases.call("--system", "animals", "-o", "all.html")
    assert "All images are phantoms:" in (own / "all.html").read_text(encoding="utf-8")
    atlases.call("--system", "two", "-o", "none.html")
    assert "phantoms:" not in (own / "none.html").read_text(encoding="utf-8")


def test_named_systems_alone_are_shown_once_each_in_that_order(own):
    atlases.call("--system", "two", "--system", "animals", "--system", "two")
    shown = atlases.data((own / "data/atlas.html").read_text(encoding="utf-8"))["systems"]
    assert [each["name"] for each in shown] == ["two", "animals"]


def test_rows_that_are_not_evaluated_are_left_out_and_named(own, capsys):
    shutil.rmtree(own / paths.results("again"))
    atlases.call()
    said = capsys.readouterr()
    assert "2 systems, 180 points" in said.out
    assert said.err.count("\n") == 1 and said.err.endswith(": again\n")


def refused(*arguments):
    with pytest.raises(OncovecError) as error:
        atlases.call(*arguments)
    return tiny.one_line(error)


def test_an_unknown_system_is_refused(own):
    assert "animal (did you mean animals?)" in refused("--system", "animal")


@pytest.mark.parametrize("path", [paths.embeddings, paths.gallery, paths.predictions])
def test_a_missing_file_is_named(own, path):
    (own / path("two")).unlink()
    assert refused("--system", "two").startswith(f"{path('two')}: not there")


def test_nothing_evaluated_is_refused(own):
    shutil.rmtree(own / paths.RESULTS)
    assert refused().startswith(f"{paths.RESULTS}: not there")


def test_a_gallery_of_other_weights_is_refused(own):
    path = own / paths.gallery("two")
    replace(Gallery.load(CheckoutParts("two", own)), weights="other").save(path)
    assert refused("--system", "two").startswith(f"{paths.gallery('two')}: does not belong to")


@pytest.mark.parametrize("column", ["image", "label", "split", "predicted"])
def test_predictions_of_other_embeddings_are_refused(own, column):
    table = tables.read(own / paths.predictions("two"))
    table.loc[3, column] = {"label": "no", "split": "val"}.get(column, "other")
    table.loc[4, column] = {"label": "yes", "split": "test"}.get(column, "other")
    tables.write(own / paths.predictions("two"), table)
    assert refused("--system", "two").startswith(f"{paths.predictions('two')}: does not belong to")


def test_a_dataset_that_was_prepared_anew_with_other_images_is_refused(own):
    table = tables.read(own / paths.index("two"))
    tables.write(own / paths.index("two"), table.assign(image=table["image"] + "x"))
    assert refused("--system", "two").startswith(f"{paths.index('two')}: lacks ")


def test_an_output_that_is_no_page_is_refused(own):
    assert refused("-o", "atlas.png") == "atlas: --output atlas.png must end in .html"


def test_an_output_that_cannot_be_written_is_refused_in_one_line(own):
    (own / "taken.html").mkdir()
    assert "taken.html" in refused("-o", "taken.html")


def test_the_atlas_needs_no_torch():
    code = "import sys, oncovec.serving.cli, oncovec.serving.atlas.page; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_the_wheel_has_every_file_of_the_page(repository):
    declared = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = declared["tool"]["setuptools"]["package-data"]["oncovec.serving.atlas"]
    files = [path.name for path in page.HERE.iterdir() if path.is_file() and path.suffix != ".py"]
    assert {*page.SCRIPTS, "page.html", "atlas.css"} == set(files)
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in files)
