"""Predictions as text: a table for readers, csv and json for programs."""

import json
from collections.abc import Sequence
from typing import Any

from oncovec.core import tables
from oncovec.core.files import rounded
from oncovec.serving.predict import Prediction

Labels = Sequence[str] | None
"""True class of each image, '' if it is not known; None if no image has a label."""

OOD = "unlike all training images (out of distribution)"


def as_table(answers: Sequence[Prediction], classes: Sequence[str], labels: Labels = None) -> str:
    """Return one line per image: path, prediction, probability, true class if known; neighbours follow below.

    An image out of distribution shows a note instead of a class. The last line counts the right predictions
    among the readable images with a label. An image out of distribution is neither right nor wrong.
    """
    lines = [["path", "predicted", "probability", *(["true"] if labels else [])]]
    for i, answer in enumerate(answers):
        told = (
            ["-", f"error: {answer.error}"]
            if answer.error
            else [OOD if answer.ood else answer.predicted, f"{answer.probability:.3f}"]
        )
        true = [_verdict(answer, labels[i])] if labels else []
        lines.append([answer.path, *told, *true])
    text = tables.aligned(lines)
    for i in reversed(range(len(answers))):
        near = [f"    {distance:.3f}  {label}  {image}" for image, label, distance in answers[i].neighbours]
        text[i + 2 : i + 2] = near
    if labels:
        pairs = zip(answers, labels, strict=True)
        known = [(answer, label) for answer, label in pairs if label and not answer.error]
        right = sum(answer.predicted == label for answer, label in known)
        ood = sum(answer.ood for answer, _ in known)
        text.append(f"{right} of {len(known)} right" + (f", {ood} {OOD}" if ood else ""))
    return "\n".join(text)


def _verdict(answer: Prediction, label: str) -> str:
    """Return the true class, with a mark if the predicted class differs from it."""
    wrong = label and answer.predicted not in ("", label)
    return f"{label} (wrong)" if wrong else label or "-"


def as_csv(answers: Sequence[Prediction], classes: Sequence[str], labels: Labels = None) -> str:
    """Return a CSV with columns `path,predicted,probability,p_<class>…,neighbour_1,distance_1,…,ood,error`.

    The column `label` is added if labels are known. `ood` is `true` or `false`. If it is true, `predicted` is
    empty.
    """
    most = max((len(answer.neighbours) for answer in answers), default=0)
    near = [f"{what}_{number}" for number in range(1, most + 1) for what in ("neighbour", "distance")]
    known = ["label"] if labels else []
    columns = ["path", *known, "predicted", "probability", *(f"p_{name}" for name in classes), *near]
    records = [_record(answer) for answer in answers]
    for record, label in zip(records, labels or [], strict=False):
        record["label"] = label
    columns += ["ood", "error"]
    return tables.as_csv(
        tables.of(columns, ([record.get(name, "") for name in columns] for record in records))
    )


def as_json(answers: Sequence[Prediction], classes: Sequence[str], labels: Labels = None) -> str:
    """Return a JSON list of objects, with neighbours as `{image, label, distance}`.

    `predicted` is '' if `ood` is true.
    """
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
                "ood": answer.ood,
            }
        content.append(item)
    return json.dumps(rounded(content), indent=2, ensure_ascii=False)


def _record(answer: Prediction) -> dict[str, Any]:
    """Return one row of the csv; a failed image has only its path and its error."""
    if answer.error:
        return {"path": answer.path, "error": answer.error}
    record: dict[str, Any] = {
        "path": answer.path,
        "predicted": answer.predicted,
        "probability": answer.probability,
        **{f"p_{name}": value for name, value in answer.probabilities.items()},
        "ood": str(answer.ood).lower(),
    }
    for number, (image, _, distance) in enumerate(answer.neighbours, start=1):
        record |= {f"neighbour_{number}": image, f"distance_{number}": distance}
    return record


FORMATS = {"table": as_table, "csv": as_csv, "json": as_json}
