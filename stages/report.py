"""Compare all systems: write a summary, the tables for `dvc plots`, and one page per system."""

import json
from pathlib import Path
from typing import Any

from oncovec.core import files, parallel, paths, rows, sheets, tables
from oncovec.core.errors import OncovecError, not_there
from oncovec.core.params import Evaluate, Params
from oncovec.core.stage import run
from oncovec.evaluation import external, overlay, overview, report, summary

COLOURS = 128
"""Number of colours of a page; pages are in Git."""


def main(params: Params) -> None:
    """Write `metrics/summary.json`, `plots/<kind>/<task>.csv` and `plots/overview/<system>.png`."""
    task_of = rows.read_systems().set_index("system")["task"].to_dict()
    results = {system: read(system) for system in task_of}
    reports = {system: tables.read(paths.report(system), report.REPORT_COLUMNS) for system in task_of}
    found = {system: summary.summarise(results[system], reports[system]) for system in results}
    files.write_json(paths.SUMMARY, found)
    for kind in overlay.COLUMNS:
        with files.new_folder(paths.PLOTS / kind) as folder:
            for task in dict.fromkeys(task_of.values()):
                systems = [system for system in task_of if task_of[system] == task]
                tables.write(folder / paths.plot(kind, task).name, overlay.joined(kind, systems))
    write_external(list(dict.fromkeys(task_of.values())), params.evaluate)
    with files.new_folder(paths.PLOTS / "overview") as folder:
        pages = [
            (system, summary.in_words(task, results[system], reports[system]), folder)
            for system, task in task_of.items()
        ]
        for _ in parallel.ordered_map(draw_page, pages):
            pass
    phantoms = sum(result["source"] == "phantom" for result in results.values())
    of_phantoms = (
        f"; metrics of {phantoms} are of phantoms and say that the pipeline works" if phantoms else ""
    )
    print(f"report: {len(results)} systems in {paths.SUMMARY} and {paths.PLOTS}{of_phantoms}")


def write_external(tasks: list[str], settings: Evaluate) -> None:
    """Write the tables of plots of external test sets, `plots/<kind>/<task>.csv`."""
    sets = rows.read_external()
    path_of = {name: paths.external(name) for name in sets["set"]}
    found = {task: external.read(path_of, sets, task) for task in tasks}
    drawn = {task: external.plotted(each, settings.bootstrap, settings.seed) for task, each in found.items()}
    for kind in external.PLOTS:
        with files.new_folder(paths.PLOTS / kind) as folder:
            for task in tasks:
                tables.write(folder / paths.plot(kind, task).name, drawn[task][kind])


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
        raise not_there(path) from None
    except json.JSONDecodeError as error:
        raise OncovecError(f"{path} is damaged ({error}); run `dvc repro`") from None


if __name__ == "__main__":
    run(main)
