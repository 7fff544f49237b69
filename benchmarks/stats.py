"""Facts about the code: modules, imports between rooms, circles, lengths of files and functions, arguments.

python benchmarks/stats.py
"""

import ast
from collections import Counter
from itertools import combinations
from pathlib import Path
from statistics import median

import grimp

SOURCE = Path(__file__).parents[1] / "src" / "oncovec"
ROOMS = ("core", "metrics", "data", "learning", "evaluation", "serving")
LONGEST, MOST_ARGUMENTS = 320, 5


def functions() -> list[tuple[str, int, int]]:
    """Of every function its place, its lines and its arguments; `self` and `cls` are none."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                arguments = [each for each in every if each.arg not in ("self", "cls")]
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                place = f"{path.relative_to(SOURCE)}:{node.lineno} {node.name}"
                found.append((place, lines, len(arguments)))
    return found


def circles(graph: grimp.ImportGraph, modules: list[str]) -> list[tuple[str, str]]:
    """Pairs of modules each of which imports the other, directly or through others."""
    reached = {module: graph.find_upstream_modules(module) for module in modules}
    return [(a, b) for a, b in combinations(modules, 2) if b in reached[a] and a in reached[b]]


def main() -> None:
    """Print the facts."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE.rglob("*.py")}
    graph = grimp.build_graph("oncovec", cache_dir=None)
    modules = sorted(graph.modules)
    room_of = {module: module.split(".")[1] if "." in module else "" for module in modules}
    arrows = Counter(
        (room_of[module], room_of[other])
        for module in modules
        for other in graph.find_modules_directly_imported_by(module)
        if room_of[module] != room_of[other]
    )
    for room in ROOMS:
        own = {path: lines for path, lines in lengths.items() if path.relative_to(SOURCE).parts[0] == room}
        to = ", ".join(f"{other} {count}" for (one, other), count in sorted(arrows.items()) if one == room)
        print(f"{room:11} {len(own):3} modules {sum(own.values()):5} lines; imports from: {to or 'nothing'}")
    against = [(a, b) for a, b in arrows if a and b and ROOMS.index(a) < ROOMS.index(b)]
    print(f"arrows against the order of rooms: {len(against)} {against or ''}")
    found = circles(graph, modules)
    print(f"circles: {len(found)} {found or ''}")
    long = [f"{path.relative_to(SOURCE)} {lines}" for path, lines in lengths.items() if lines > LONGEST]
    print(
        f"lines of src: {sum(lengths.values())}; files above {LONGEST}: {len(long)} {', '.join(sorted(long))}"
    )
    every = functions()
    print(f"functions: {len(every)}, median {median(lines for _, lines, _ in every):g} lines")
    many = sorted((count, place) for place, _, count in every if count > MOST_ARGUMENTS)
    print(f"functions with more than {MOST_ARGUMENTS} arguments: {len(many)}")
    for count, place in reversed(many):
        print(f"  {count} {place}")


if __name__ == "__main__":
    main()
