"""Compare all systems: a summary, the tables that `dvc plots` draws, and one page per system."""

import json
from pathlib import Path
from typing import Any

from oncovec.core import files, parallel, paths, rows, sheets
from oncovec.core.errors import OncovecError
from oncovec.core.stage import run
from oncovec.core.tables import read_table
from oncovec.evaluation import overlay, overview, report, summary

COLOURS = 128
"""Of a page, which stands in Git."""


def main(_: object) -> None:
    """Write `metrics/summary.json`, `plots/<kind>/<task>.csv` and `plots/overview/<system>.png`."""
    table = rows.read_systems()
    results = {row["system"]: read(row["system"]) for row in table}
    reports = {system: read_table(paths.report(system), report.REPORT_COLUMNS) for system in results}
    found = {system: summary.summarise(results[system], reports[system]) for system in results}
    files.write_json(paths.SUMMARY, found)
    tasks: dict[str, list[str]] = {}
    for row in table:
        tasks.setdefault(row["task"], []).append(row["system"])
    for kind in overlay.COLUMNS:
        with files.replacing_folder(paths.PLOTS / kind) as folder:
            for task, systems in tasks.items():
                files.write_csv(folder / paths.plot(kind, task).name, *overlay.joined(kind, systems))
    with files.replacing_folder(paths.PLOTS / "overview") as folder:
        pages = [
            (system, summary.in_words(row["task"], results[system], reports[system]), folder)
            for row in table
            for system in [row["system"]]
        ]
        for _ in parallel.ordered_map(draw_page, pages):
            pass


def draw_page(page: tuple[str, list[str], Path]) -> None:
    """Draw the page of a system, with notes below its name, into a folder."""
    system, notes, folder = page
    figure = overview.draw(system, notes, {kind: overlay.read(system, kind) for kind in overlay.COLUMNS})
    sheets.save(figure, folder / paths.overview(system).name, COLOURS)


def read(system: str) -> dict[str, Any]:
    """Read a system's headline metrics."""
    path = paths.system_metrics(system)
    try:
        return dict(files.read_json(path))
    except FileNotFoundError:
        raise OncovecError(f"{path}: not there yet; run `dvc repro`") from None
    except json.JSONDecodeError as error:
        raise OncovecError(f"{path} is damaged ({error}); run `dvc repro`") from None


if __name__ == "__main__":
    run(main)
