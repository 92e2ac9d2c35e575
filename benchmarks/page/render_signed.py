"""The section on the signed target; see ``render``."""

from __future__ import annotations

from page.cells import Json, Targets, code, short, table, whole, yes


def signed_targets(section: Json) -> Targets:
    compiled = [row for row in section["result"]["suite"] if row["blocks"]]
    certified = sum(row["scope"] == "every-implementation" and row["accepted"] for row in compiled)
    small = section["result"]["small"]
    tried = sum(row["compiled"] for row in small)
    proved = sum(min(row["certified"], row["accepted"]) for row in small)
    wrong, longest = sum(row["wrong"] for row in compiled), min(row["longest"] for row in compiled)
    return [
        (
            f"signed models of the suite, wrong prefixes up to length {longest:,}",
            "0 of 6 models",
            f"{wrong:,} of {sum(row['prefixes'] for row in compiled):,} in {len(compiled)}",
            yes(wrong == 0 and len(compiled) == 6),
        ),
        ("of these certified for every implementation, and checked", "all", whole(certified), yes(certified == 6)),
        (
            f"languages with at most {section['size']['states']} states over 2 letters that are nonnegative or signed: "
            f"compiled, certified and checked, of {tried:,}",
            "all",
            whole(proved),
            yes(proved == tried),
        ),
    ]


def signed_body(section: Json) -> list[str]:
    size, result = section["size"], section["result"]
    rows = [
        [
            code(row["name"]),
            whole(row["states"]),
            row["gates"],
            row["group"],
            f"{code(row['witness'])}, {row['period']}",
            *(
                [
                    f"{row['levels']} ({row['swaps']})",
                    whole(row["blocks"]),
                    whole(row["parameters"]),
                    row["scope"] or "no",
                    "yes" if row["accepted"] else "no",
                    f"{row['wrong']:,} of {row['prefixes']:,}",
                    whole(row["longest"]),
                ]
                if row["blocks"]
                else ["-"] * 7
            ),
        ]
        for row in result["suite"]
    ]
    states = sorted({int(n) for row in result["small"] for n in row["languages"]})
    small = [
        [
            row["gates"],
            *(whole(row["languages"].get(str(n), 0)) for n in states),
            whole(sum(row["languages"].values())),
            *([whole(row[key]) for key in ("compiled", "certified", "accepted", "blocks")]),
            short(row["seconds"]) if row["compiled"] else "-",
        ]
        for row in result["small"]
    ]
    head = (
        "language,states,gates,group,word and period,levels (swaps),blocks,parameters,certified,checked,wrong,longest"
    )
    small_head = ["gates", *(f"{n} state{'s' if n > 1 else ''}" for n in states), "all"]
    return [
        "The languages of the suite that are not star-free: the class of gates that each needs, the group that "
        "decides, and a word that permutes states with its period. The signed ones are compiled, certified in float32, "
        f"and compared with the acceptor on all short words, on 400 sampled ones, and on {size['long_words']} of "
        f"length {size['long']:,}.",
        table(head.split(","), rows, "lrll"),
        f"### All languages over two letters with at most {max(states)} states",
        "Every language over {a, b} by the number of states of its minimal complete DFA. All that are nonnegative or "
        "signed are compiled, certified in float32 (counted here: with the scope *every-implementation*), and the "
        "certificates checked by the separate checker. *Blocks*: the most that one of them needs; *seconds*: the "
        "median time of compiling and certifying one.",
        table([*small_head, "compiled", "certified", "checked", "blocks", "seconds"], small, "lr"),
    ]
