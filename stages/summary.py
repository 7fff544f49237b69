"""One headline a system, from the metrics and reports of all of them."""

import json
from typing import Any

from oncovec.core import files, paths
from oncovec.core.errors import OncovecError
from oncovec.core.stage import run
from oncovec.core.tables import read_table
from oncovec.evaluation import report


def main(_: object) -> None:
    """Write `metrics/summary.json` and `plots/summary.csv`."""
    rows_of_params = paths.SYSTEMS.read_text().splitlines()
    found = {path.stem: path for path in sorted(paths.SYSTEM_METRICS.glob("*.json"))}
    gone = [system for system in found if system not in rows_of_params]
    if gone:
        print(f"left out, no such row of systems: {', '.join(gone)}; delete {paths.SYSTEM_METRICS}/NAME.json")
    systems = [system for system in rows_of_params if system in found]
    results = {system: read(system) for system in systems}
    reports = {system: read_table(paths.plot("report", system), report.REPORT_COLUMNS) for system in systems}
    rows = report.summary_rows(results, reports, systems)
    files.write_csv(paths.SUMMARY_PLOT, report.SUMMARY_COLUMNS, rows)
    files.write_json(paths.SUMMARY, report.summarise(results, reports, systems))


def read(system: str) -> dict[str, Any]:
    """Read a system's headline metrics."""
    path = paths.system_metrics(system)
    try:
        return dict(files.read_json(path))
    except json.JSONDecodeError as error:
        raise OncovecError(f"{path} is damaged ({error}); run `dvc repro -f evaluate@{system}`") from None


if __name__ == "__main__":
    run(main)
