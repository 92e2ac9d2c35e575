"""The section of docs/benchmarks.md about conformance."""

from __future__ import annotations

from page.cells import Json, Targets, short, table, whole, yes

SHARE = 0.98
"""At least 49 faults of 50."""
SIGNS = {"pass": "pass", "differs": "**differs**", "not tried": "-"}


def conformance_targets(section: Json) -> Targets:
    faults = section["result"]["faults"]
    found = sum(fault["found"] for fault in faults)
    located = sum(fault["located"] for fault in faults)
    modes = [mode for mode in section["result"]["modes"] if mode["verdict"] != "not tried"]
    passed = sum(mode["verdict"] == "pass" for mode in modes)
    names = {mode["implementation"] for mode in modes}
    return [
        (
            f"planted faults found, of {len(faults)} in simple implementations",
            f"at least {SHARE:.0%}",
            f"{found} of {len(faults)}",
            yes(found >= SHARE * len(faults)),
        ),
        ("of those, the report points at the right place", "all", f"{located} of {found}", yes(located == found)),
        (
            f"implementations ({len(names)}) times ways of calling them that conform",
            "all, or the fault is shown",
            f"{passed} of {len(modes)}; {len(modes) - passed} shown",
            yes(all(mode["reproduction"] for mode in modes if mode["verdict"] == "differs")),
        ),
    ]


def conformance_body(section: Json) -> list[str]:
    size, result = section["size"], section["result"]
    ran = [run for run in result["runs"] if not run["missing"]]
    tried = [mode for mode in result["modes"] if mode["trials"]]
    names = list(dict.fromkeys(mode["mode"] for mode in tried))
    verdicts = {(mode["implementation"], mode["mode"]): mode for mode in result["modes"]}
    rows = []
    for run in ran:
        cells = [verdicts.get((run["implementation"], name)) for name in names]
        own = [cell for cell in cells if cell]
        rows.append(
            [
                run["implementation"],
                run["kind"],
                whole(run["checkpoints"]),
                *("-" if cell is None else SIGNS[cell["verdict"]] for cell in cells),
                whole(sum(cell["trials"] for cell in own)),
                whole(sum(cell["tokens"] for cell in own)),
                short(run["seconds"]),
            ]
        )
    packages = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    which = "the quick set" if size["quick"] else "the full set"
    head = ["implementation", "kind", "checkpoints", *names, "trials", "tokens", "seconds"]
    parts = [
        f"`scancraft.conformance` on {which}, unless a command below says otherwise: logits compared bit for bit with "
        "what a language's acceptor or a program run in integers says (docs/conformance.md). A mode ends at its first "
        f"difference. On the CPU, in float32. Packages: {packages}.",
        table(head, rows, "llr" + "c" * len(names) + "r"),
        *_missing(result),
        *_notes(ran),
        *_differences(result),
        "### Planted faults",
        _mutation(result, size),
    ]
    missed = [fault for fault in result["faults"] if not fault["located"]]
    if missed:
        cells = [[f["name"], f["base"], f["mode"], f["told"] or "survived"] for f in missed]
        parts += ["Not found, or not located:", table(["fault", "in", "mode", "what was told"], cells, "l")]
    after = [[f["after"], f["name"], f["mode"], f["told"]] for f in result["faults"] if f["after"]]
    if after:
        parts += [
            "Modelled on faults of released projects:",
            table(["after", "fault", "mode", "what was told: case, token, parameter, channel"], after, "l"),
        ]
    return parts


def _missing(result: Json) -> list[str]:
    missing = [[run["implementation"], run["missing"]] for run in result["runs"] if run["missing"]]
    return ["Not run here:", table(["implementation", "why"], missing, "l")] if missing else []


def _notes(ran: list[Json]) -> list[str]:
    special = [run for run in ran if run["note"] or run["command"] != f"scancraft conformance {run['implementation']}"]
    rows = [[run["implementation"], run["note"], f"`{run['command']}`"] for run in special]
    if not rows:
        return []
    return [
        "What is not as published, and what was not tried:",
        table(["implementation", "note", "command"], rows, "l"),
    ]


def _differences(result: Json) -> list[str]:
    """Implementations with the same smallest reproduction share an entry."""
    found: dict[str, list[str]] = {}
    for mode in result["modes"]:
        if mode["verdict"] == "differs":
            found.setdefault(mode["difference"], []).append(f"{mode['implementation']} ({mode['mode']})")
    if not found:
        return []
    parts = ["### Differences, with the smallest reproduction found"]
    for told, who in found.items():
        parts += [", ".join(who) + ":", "\n".join(["```text", *told.split("\n"), "```"])]
    return parts


def _mutation(result: Json, size: Json) -> str:
    rows = []
    for kind, base in dict.fromkeys((fault["kind"], fault["base"]) for fault in result["faults"]):
        some = [fault for fault in result["faults"] if (fault["kind"], fault["base"]) == (kind, base)]
        sound = result["sound"].get(f"{kind}, {base}")
        rows.append(
            [
                kind,
                base,
                "-" if sound is None else yes(sound),
                whole(len(some)),
                whole(sum(fault["found"] for fault in some)),
                whole(sum(fault["located"] for fault in some)),
            ]
        )
    totals = [whole(sum(f[key] for f in result["faults"])) for key in ("found", "located")]
    rows.append(["**all**", "", "", whole(len(result["faults"])), *totals])
    head = ["kind", "plain implementation", "passes without a fault", "faults", "found", "located"]
    text = (
        "One edit at a time of simple implementations (`tests/support/plain_*.py`). *Located*: the first difference "
        "matches a pattern written beside the fault: the case, the parameter or the channel's meaning. "
        f"Everything together, in {size['jobs']} processes: {whole(result['seconds'])} s."
    )
    return text + "\n\n" + table(head, rows, "llcr")
