"""Split a dataset's images into train, val and test; the strategy `grouped` keeps each group in one split."""

from oncovec.core import paths, sheets
from oncovec.core.files import write_json
from oncovec.core.params import Params
from oncovec.core.stage import row, run
from oncovec.data import groups, index, layouts, prepare, splitting, val_parts
from oncovec.data.audit import leaks, pairs


def main(dataset: str, params: Params) -> None:
    """Write the table of splits, its counts and the findings of the audit, and draw the worst pairs."""
    settings = row(params.datasets, "datasets", dataset)
    table = index.read(paths.index(dataset))
    found = groups.read(paths.group_table(dataset)).set_index("image")
    data = splitting.labelled(table, found["group"].to_dict(), dataset, settings.stratify)
    drawn = dict(zip(data.images, splitting.assign(data, params.split, dataset), strict=True))
    group = leaks.key_of(layouts.GROUPS.get(settings.layout) or settings.columns.group or "")
    audited = leaks.of_split(table, drawn, found["duplicates"].to_dict(), list(data.labels), group)
    worst = pairs.pairs(audited, pairs.read(paths.pair_table(dataset), audited))
    sheet = pairs.sheet(audited, worst, prepare.open_prepared(dataset).__getitem__)

    audit, splits = leaks.table(audited), list(drawn.values())
    strategy = params.split.strategy
    splitting.write(data, splits, val_parts.halves(data, splits, strategy, params.split.seed), dataset)
    write_json(paths.split_metrics(dataset), splitting.table(data, splits, params.split) | {"audit": audit})
    sheets.save(sheet, paths.picture("audit", dataset))
    warnings = splitting.warnings(data, splits, dataset, strategy) + val_parts.warnings(
        data, splits, strategy
    )
    for line in (leaks.summary(audit), *warnings):
        print(f"split@{dataset}: {line}")


if __name__ == "__main__":
    run(main)
