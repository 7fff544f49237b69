import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from oncovec.core import params, paths, sheets, tables
from oncovec.core.errors import OncovecError
from oncovec.learning import heat_sheet, heatmap
from oncovec.serving import predict
from stages import explain

CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path_factory, tmp_path, monkeypatch):
    """A copy of a checkout with trained systems, which is the current folder."""
    copy = tiny.copied(tiny.trained(tmp_path_factory), tmp_path)
    monkeypatch.chdir(copy)
    return copy


def with_a_mistake(name):
    """Let the first prediction that pictures show be wrong; the systems of the squares make no mistake."""
    table = tables.read(paths.queries(name), sheets.PREDICTION)
    label = table.loc[0, "label"]
    table.loc[0, "predicted"] = next(each for each in tiny.CLASSES if each != label)
    tables.write(paths.queries(name), table)
    return label, table.loc[0, "predicted"]


def test_a_mistake_has_a_map_of_the_predicted_and_of_the_true_class_and_a_right_prediction_one(folder):
    label, predicted = with_a_mistake("head")
    found = heat_sheet.explain("head", CPU)
    n = len(found.predictions)
    assert found.rows.tolist() == [0, 0, *range(1, n)]
    assert found.classes[:2] == [predicted, label]
    assert found.classes[2:] == found.predictions["label"].tolist()[1:]
    assert found.maps.shape == (n + 1, tiny.SIZE, tiny.SIZE)


@pytest.mark.parametrize("name", ["head", "nearest"])
def test_the_maps_are_those_that_the_server_shows(folder, name):
    with_a_mistake(name)
    found = heat_sheet.explain(name, CPU)
    system = predict.System(predict.CheckoutParts(name, folder))
    theirs = system.heat_maps(found.pixels[found.rows], found.classes)
    assert np.allclose(found.maps, theirs, atol=1e-3) and found.maps.max() == 1


def test_every_image_has_its_frame_and_every_map_a_grey_one(folder, tmp_path):
    with_a_mistake("head")
    sheets.save(heat_sheet.draw("head", CPU), tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as image:
        pixels = np.array(image)
    step, found = heat_sheet.CELL + sheets.GAP, []
    cells = [pixels[:, sheets.GAP + column * step :][:, : heat_sheet.CELL] for column in range(6)]
    for frame in (sheets.WRONG, sheets.RIGHT, sheets.NEUTRAL):
        colour = list(bytes.fromhex(frame.colour[1:]))
        longest = [(cell == colour).all(axis=2).sum(axis=1).max() for cell in cells]
        found.append([column for column, length in enumerate(longest) if length > heat_sheet.CELL // 3])
    assert found == [[0], [0, 3], [1, 2, 4]]


def test_the_stage_draws_every_system_again_with_the_same_bytes(folder):
    files = [paths.picture("heatmaps", name) for name in ("nearest", "head")]
    before = [file.read_bytes() for file in files]
    explain.main(params.load())
    assert [file.read_bytes() for file in files] == before
    assert sorted(files[0].parent.iterdir()) == sorted(files)


def test_a_backbone_without_maps_gets_a_line_that_says_so(folder, monkeypatch):
    monkeypatch.setattr(heatmap, "listed_layers", lambda backbone: [])
    figure = heat_sheet.draw("head", CPU)
    assert "no layer with maps" in figure.texts[0].get_text()
    assert figure.get_figheight() * sheets.DPI < 40


def test_embeddings_by_other_weights_are_refused(folder):
    paths.embeddings("head").write_bytes(paths.embeddings("nearest").read_bytes())
    with pytest.raises(OncovecError, match="made by other weights") as error:
        heat_sheet.draw("head", CPU)
    tiny.one_line(error)
