"""Ask every system of a task for the images of an external test set, which none was trained on."""

from oncovec.core import files, paths, rows, tables
from oncovec.core.params import Params
from oncovec.core.stage import row, run
from oncovec.data.roots import source_of
from oncovec.evaluation import external as metrics
from oncovec.learning.systems import use_threads
from oncovec.serving import external


def main(name: str, params: Params) -> None:
    """Write `data/external/<set>.csv` and `metrics/external/<set>.json`."""
    settings = row(params.external, "external", name)
    use_threads(params.train.threads)
    table = rows.read_systems()
    systems = table.loc[table["task"] == settings.task, "system"].tolist()
    asked = external.ask(name, settings, systems, params.near_duplicates)
    tables.write(paths.external(name), asked.table)
    found = {
        str(system): metrics.metrics(metrics.answers(own, settings.labels))
        for system, own in asked.table.groupby("system", sort=False)
    }
    head = {"source": source_of(settings), "left_out": dict(asked.left_out)}
    files.write_json(paths.external_metrics(name), head | {"systems": found})
    left_out = ", ".join(
        f"{count} {what.replace('_', '-')}" for what, count in asked.left_out.items() if count
    )
    print(f"external@{name}: {len(asked.table) // len(systems)} images; left out: {left_out or 'none'}")
    for note in asked.notes:
        print(f"external@{name}: {note}")


if __name__ == "__main__":
    run(main)
