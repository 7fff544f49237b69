"""Predictions as text: a table for people, csv and json for programs."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from oncovec.core.files import rounded
from oncovec.core.tables import aligned
from oncovec.serving.predict import Prediction

Labels = Sequence[str] | None
"""What each image truly is, '' where that is not known; None where no image has a label."""

FAR = "far from all training images"


def as_table(answers: Sequence[Prediction], classes: Sequence[str], labels: Labels = None) -> str:
    """A line an image: path, prediction, probability, the true class if known; below it its neighbours.

    In place of the class of an image that is far stands that it is. The last line counts what is right among
    the images with a label that could be read; an image that is far is neither right nor wrong.
    """
    lines = [["path", "predicted", "probability", *(["true"] if labels else [])]]
    for i, answer in enumerate(answers):
        told = (
            ["-", f"error: {answer.error}"]
            if answer.error
            else [FAR if answer.far else answer.predicted, f"{answer.probability:.3f}"]
        )
        true = [_verdict(answer, labels[i])] if labels else []
        lines.append([answer.path, *told, *true])
    text = aligned(lines)
    for i in reversed(range(len(answers))):
        near = [f"    {distance:.3f}  {label}  {image}" for image, label, distance in answers[i].neighbours]
        text[i + 2 : i + 2] = near
    if labels:
        pairs = zip(answers, labels, strict=True)
        known = [(answer, label) for answer, label in pairs if label and not answer.error]
        right = sum(answer.predicted == label for answer, label in known)
        far = sum(answer.far for answer, _ in known)
        text.append(f"{right} of {len(known)} right" + (f", {far} {FAR}" if far else ""))
    return "\n".join(text)


def _verdict(answer: Prediction, label: str) -> str:
    """The true class, and whether the class named is another one."""
    wrong = label and answer.predicted not in ("", label)
    return f"{label} (wrong)" if wrong else label or "-"


def as_csv(answers: Sequence[Prediction], classes: Sequence[str], labels: Labels = None) -> str:
    """`path,predicted,probability,p_<class>…,neighbour_1,distance_1,…,far,error`, and `label` where known.

    `far` is `true` or `false`; where it is true `predicted` is empty.
    """
    rows = [_record(answer, classes) for answer in answers]
    for row, label in zip(rows, labels or [], strict=False):
        row["label"] = label
    most = max((len(answer.neighbours) for answer in answers), default=0)
    near = [f"{what}_{number}" for number in range(1, most + 1) for what in ("neighbour", "distance")]
    known = ["label"] if labels else []
    columns = ["path", *known, "predicted", "probability", *(f"p_{name}" for name in classes), *near]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*columns, "far", "error"], lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().rstrip("\n")


def as_json(answers: Sequence[Prediction], classes: Sequence[str], labels: Labels = None) -> str:
    """A list of objects; neighbours as `{image, label, distance}`; `predicted` is '' where `far` is true."""
    content = []
    for i, answer in enumerate(answers):
        item: dict[str, Any] = {"path": answer.path}
        if labels:
            item["label"] = labels[i]
        if answer.error:
            item["error"] = answer.error
        else:
            item |= {
                "predicted": answer.predicted,
                "probability": answer.probability,
                "probabilities": answer.probabilities,
                "neighbours": [
                    {"image": image, "label": label, "distance": distance}
                    for image, label, distance in answer.neighbours
                ],
                "far": answer.far,
            }
        content.append(item)
    return json.dumps(rounded(content), indent=2, ensure_ascii=False)


def _record(answer: Prediction, classes: Sequence[str]) -> dict[str, Any]:
    """One row of the csv; a failed image has only its path and its error."""
    if answer.error:
        return {"path": answer.path, "error": answer.error}
    record: dict[str, Any] = {
        "path": answer.path,
        "predicted": answer.predicted,
        "probability": rounded(answer.probability),
        **{f"p_{name}": rounded(answer.probabilities[name]) for name in classes},
    }
    for number, (image, _, distance) in enumerate(answer.neighbours, start=1):
        record |= {f"neighbour_{number}": image, f"distance_{number}": rounded(distance)}
    return record | {"far": str(answer.far).lower(), "error": ""}


FORMATS = {"table": as_table, "csv": as_csv, "json": as_json}
