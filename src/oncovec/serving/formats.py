"""Predictions as text: a table for readers, csv and json for programs."""

import json
from collections.abc import Sequence
from typing import Any

from oncovec.core import tables
from oncovec.core.files import rounded
from oncovec.evaluation.report import exact
from oncovec.serving.predict import Prediction

Labels = Sequence[str] | None
"""True class of each image, '' if it is not known; None if no image has a label."""

NEIGHBOURS = "    distance, class and path of the nearest training images"

OOD = "unlike the training images (out of distribution)"


def as_table(predictions: Sequence[Prediction], classes: Sequence[str], labels: Labels = None) -> str:
    """Return one line per image: path, prediction, probability, true class if known; then its neighbours.

    Where the prediction set has more classes than the predicted one, a line names them. Where another class
    has more votes, a line names that one. An image out of
    distribution shows a note instead of a class and a probability. The last line counts the right predictions
    among the readable images with a label. An image out of distribution is neither right nor wrong.
    """
    lines = [["path", "predicted", "probability", *(["true"] if labels else [])]]
    for i, prediction in enumerate(predictions):
        told = (
            ["-", f"error: {prediction.error}"]
            if prediction.error
            else [OOD, "-"]
            if prediction.ood
            else [prediction.predicted, f"{prediction.probability:.3f}"]
        )
        true = [_verdict(prediction, labels[i])] if labels else []
        path = prediction.path.replace("\n", "\\n").replace("\r", "\\r")
        lines.append([path, *told, *true])
    text = tables.aligned(lines)
    for i in reversed(range(len(predictions))):
        near = [
            f"    {distance:.3f}  {label}  {image}" for image, label, distance in predictions[i].neighbours
        ]
        if rival := _more_likely(predictions[i]):
            near.insert(0, f"    {rival} has more votes; the operating point decides")
        if len(others := predictions[i].prediction_set) > 1:
            near.insert(0, f"    may be {' or '.join(others)}")
        text[i + 2 : i + 2] = near
    if any(each.neighbours for each in predictions):
        text.insert(1, NEIGHBOURS)
    if labels:
        pairs = zip(predictions, labels, strict=True)
        known = [(prediction, label) for prediction, label in pairs if label and not prediction.error]
        right = sum(prediction.predicted == label for prediction, label in known)
        ood = sum(prediction.ood for prediction, _ in known)
        text.append(f"{right} of {len(known)} right" + (f", {ood} {OOD}" if ood else ""))
    elif trained_on := sum(each.trained_on for each in predictions):
        text.append(f"{trained_on} of {len(predictions)} images have the embedding of a training image")
    return "\n".join(text)


def _more_likely(prediction: Prediction) -> str:
    """Return the class that has more votes than the predicted one; '' if there is none."""
    if not prediction.predicted:
        return ""
    likeliest = max(prediction.probabilities, key=prediction.probabilities.__getitem__)
    return likeliest if prediction.probabilities[likeliest] > prediction.probability else ""


def _verdict(prediction: Prediction, label: str) -> str:
    """Return the true class, with a mark if the predicted class differs from it."""
    wrong = label and prediction.predicted not in ("", label)
    return f"{label} (wrong)" if wrong else label or "-"


def as_csv(predictions: Sequence[Prediction], classes: Sequence[str], labels: Labels = None) -> str:
    """Return a CSV with one row per image.

    Its columns are `path,predicted,probability,p_<class>…,neighbour_1,distance_1,…,prediction_set,ood,error`.
    The column `label` is added if labels are known. The classes of `prediction_set` are joined by `|`. `ood`
    is `true` or `false`. If it is true, `predicted` and `prediction_set` are empty.
    """
    most = max((len(prediction.neighbours) for prediction in predictions), default=0)
    near = [f"{what}_{number}" for number in range(1, most + 1) for what in ("neighbour", "distance")]
    known = ["label"] if labels else []
    columns = ["path", *known, "predicted", "probability", *(f"p_{name}" for name in classes), *near]
    records = [_record(prediction) for prediction in predictions]
    for record, label in zip(records, labels or [], strict=False):
        record["label"] = label
    columns += ["prediction_set", "ood", "error"]
    return tables.as_csv(
        tables.of(columns, ([record.get(name, "") for name in columns] for record in records))
    )


def as_json(predictions: Sequence[Prediction], classes: Sequence[str], labels: Labels = None) -> str:
    """Return a JSON list of objects, with neighbours as `{image, label, distance}`.

    `predicted` is '', and `prediction_set` has no class, if `ood` is true.
    """
    content = []
    for i, prediction in enumerate(predictions):
        item: dict[str, Any] = {"path": prediction.path}
        if labels:
            item["label"] = labels[i]
        if prediction.error:
            item["error"] = prediction.error
        else:
            item |= {
                "predicted": prediction.predicted,
                "probability": prediction.probability,
                "probabilities": prediction.probabilities,
                "neighbours": [
                    {"image": image, "label": label, "distance": rounded(distance)}
                    for image, label, distance in prediction.neighbours
                ],
                "prediction_set": list(prediction.prediction_set),
                "ood": prediction.ood,
            }
        content.append(item)
    return json.dumps(content, indent=2, ensure_ascii=False)


def _record(prediction: Prediction) -> dict[str, Any]:
    """Return one row of the csv; a failed image has only its path and its error."""
    if prediction.error:
        return {"path": prediction.path, "error": prediction.error}
    record: dict[str, Any] = {
        "path": prediction.path,
        "predicted": prediction.predicted,
        "probability": exact(prediction.probability),
        **{f"p_{name}": exact(value) for name, value in prediction.probabilities.items()},
        "prediction_set": "|".join(prediction.prediction_set),
        "ood": str(prediction.ood).lower(),
    }
    for number, (image, _, distance) in enumerate(prediction.neighbours, start=1):
        record |= {f"neighbour_{number}": image, f"distance_{number}": distance}
    return record


FORMATS = {"table": as_table, "csv": as_csv, "json": as_json}
