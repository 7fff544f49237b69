"""Let every system of a task predict the images of an external test set, which none was trained on."""

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
    found = external.predict_set(name, settings, systems, params.near_duplicates)
    tables.write(paths.external(name), found.table)
    judged = {
        str(system): metrics.metrics(metrics.predictions(own, settings.labels))
        for system, own in found.table.groupby("system", sort=False)
    }
    source, left_out = source_of(settings), dict(found.left_out)
    content = {"source": source, "left_out": left_out, "systems": judged}
    files.write_json(paths.external_metrics(name), content)
    told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in left_out.items() if count)
    print(f"external@{name}: {len(found.table) // len(systems)} images; left out: {told or 'none'}")
    if source == "phantom":
        print(f"external@{name}: its images are drawn; these metrics do not say how good a system is")
    for note in found.notes:
        print(f"external@{name}: {note}")


if __name__ == "__main__":
    run(main)
