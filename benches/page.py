"""benches/RESULTS.md out of what was measured: pure, and nothing but text. `benches/run` calls it."""

import statistics

PAGE = """# Results

Written by `benches/run --write` out of `benches/measured.json`; see [README.md](README.md) for how it
measures. Each row is one command of those at the end: the server alone on the first core, the bots
on the others, the bare loop of the same call measured in the server's place right after it. Figures
are medians, with the smallest and largest of the runs in brackets. Processor time is what the
operating system has counted for the server's processes.

{about}

## Targets

Reached: by the median of the runs. The bare loop is that of the same call. Where a target is not
reached, "What is left" in [README.md](README.md) says where the time goes and what was tried.

{targets}

## All rows

{table}

"In view" and "delivered" are counted by watchers, one bot in eight or fewer. "Kernel" is what of
the core the server spent inside system calls. "Ratio" is its processor time for each delivered
packet as a multiple of the bare loop's, which carries as many packets of the same size: for rows of
one scenario the same as for each entity update.

{others}

## A zone's tick

`cargo bench --bench world -- tick`; the arguments are players, who all walk, and NPCs more. A tick
may take 50 ms.

```
{ticks}
```

## Commands

```
{commands}
```
"""

# key, how it is read from a report
FIGURES = {
    "players": lambda r: r["connected"],
    "visible": lambda r: r["visible"],
    "delivered": lambda r: 100 * r["delivered"] / r["expected"],
    "p50_ms": lambda r: r["latency"]["p50_ms"],
    "p99_ms": lambda r: r["latency"]["p99_ms"],
    "before_p99_ms": lambda r: r["latency_before"]["p99_ms"],
    "later_p99_ms": lambda r: r["latency_later"]["p99_ms"],
    "kb_each": lambda r: r["in"]["bytes_per_second_per_client"] / 1e3,
    "core": lambda r: 100 * r["server_cpu"],
    "kernel": lambda r: 100 * r["server_kernel"],
    "packet_us": lambda r: r["packet_us"],
    "update_us": lambda r: r["update_us"],
    "update_bytes": lambda r: r["update_bytes"],
    "bare_packet_us": lambda r: r["bare"]["packet_us"],
    "bare_core": lambda r: 100 * r["bare"]["cpu"],
    "bare_p50_us": lambda r: 1e3 * r["bare"]["round_trip_ms"][0],
    "ratio": lambda r: r["ratio"],
    "players_per_core": lambda r: r["players_per_core"],
    "bots_core": lambda r: 100 * r["bots_cpu"],
    "database_core": lambda r: 100 * r["database_cpu"],
    "zone_core": lambda r: 100 * r["threads"]["zone"],
    "io_core": lambda r: 100 * r["threads"]["io"],
    "hashing_core": lambda r: 100 * r["threads"]["hashing"],
    "packets_came": lambda r: 100 * r["syncs"] / r["syncs_due"],
    "jitter_p99_ms": lambda r: r["jitter"]["p99_ms"],
    "tick_mean_ms": lambda r: r["ticks"]["mean_ms"],
    "tick_p99_ms": lambda r: r["ticks"]["p99_ms"],
    "tick_late_ms": lambda r: r["ticks"]["lag_max_ms"],
    "overruns": lambda r: r["ticks"]["overruns"],
    "save_age_s": lambda r: r["ticks"]["save_age_seconds"],
    "session_kib": lambda r: r["session_bytes"] / 1024,
    "server_mb": lambda r: r["server_memory"] / 1e6,
    "up_ms": lambda r: r["came_up_ms"],
    "oldest_ms": lambda r: r["age"]["max_ms"],
    "age_p99_ms": lambda r: r["age"]["p99_ms"],
    "done_per_second": lambda r: r["delivered"] / r["seconds"],
    "log_ins": lambda r: r["log_ins_per_second"],
    "sent_per_second": lambda r: r["out"]["packets_per_second"],
    "came_per_second": lambda r: r["in"]["packets_per_second"],
    "updates_per_second": lambda r: r["updates_per_second"],
    "errors": lambda r: sum(r["errors"].values()),
    "load_before": lambda r: float(r["load_before"]),
    "failed": lambda r: r["failed"],
}


def figures(report):
    """The figures that a report has."""
    found = {}
    for key, read in FIGURES.items():
        try:
            value = read(report)
        except (KeyError, TypeError, ZeroDivisionError, IndexError):
            continue
        if value is not None:
            found[key] = round(value, 5) if isinstance(value, float) else value
    return found


def of(key, times=1):
    """Reads one figure of a run."""
    return lambda run: run[key] * times


# what, row, unit, how, floor, target, the larger the better, the bare loop's figure
TARGETS = [
    ("groups of 50, 2,500 players: delivered", "walk-2500", "%", of("delivered"), 99, 99, True, None),
    ("groups of 50, 2,500 players: p99", "walk-2500", "ms", of("p99_ms"), 100, 100, False, None),
    ("groups of 50, 5,000 players: delivered", "walk-5000", "%", of("delivered"), None, 99, True, None),
    ("groups of 50, 5,000 players: p99", "walk-5000", "ms", of("p99_ms"), None, 100, False, None),
    ("an entity update, 2,000 players ÷ bare loop", "walk-2000", "×", of("ratio"), 1.5, 1.15, False,
     "bare_packet_us"),
    ("bytes an entity update", "walk-2000", "", of("update_bytes"), 13, 10, False, None),
    ("echo of 100 bytes, 200 connections ÷ bare loop", "echo-200", "×", of("ratio"), 2.0, 1.3, False,
     "bare_packet_us"),
    ("echo of 100 bytes, one connection: p50", "echo-1", "µs", of("p50_ms", 1e3), 200, 100, False,
     "bare_p50_us"),
    ("a word in a room of 1,000 ÷ bare loop", "chat-1000", "×", of("ratio"), 1.5, 1.1, False,
     "bare_packet_us"),
    ("crowd of 1,000: to each", "crowd-1000", "KB/s", of("kb_each"), 30, 30, False, None),
    ("crowd of 1,000: oldest view", "crowd-1000", "ms", of("oldest_ms"), 2000, 2000, False, None),
    ("crowd of 2,000: to each", "crowd-2000", "KB/s", of("kb_each"), None, 30, False, None),
    ("crowd of 2,000: oldest view", "crowd-2000", "ms", of("oldest_ms"), None, 2000, False, None),
    ("memory of an idle session", "idle-5000", "KiB", of("session_kib"), 32, 12, False, None),
    ("idle sessions held", "idle-10000", "", of("players"), 5000, 10000, True, None),
    ("10,000 NPCs in one zone: of a core", "npcs-10000", "%", of("core"), 50, 50, False, None),
    ("10,000 NPCs in one zone: mean tick", "npcs-10000", "ms", of("tick_mean_ms"), 25, 25, False, None),
    ("beside a slow reader: p99 as a share of before", "slow-reader", "%",
     lambda run: 100 * run["later_p99_ms"] / run["before_p99_ms"], 110, 110, False, None),
    ("three processes ÷ one: an entity update", ("three-processes", "one-process"), "×",
     of("update_us"), 1.3, 1.3, False, None),
    ("entries by ticket, each resumed", "entry-storm", "/s",
     lambda run: 2 * run["done_per_second"], 1000, 1000, True, None),
    ("echo's p99 beside log-ins as a share of before", "hashing-echo", "%",
     lambda run: 100 * run["later_p99_ms"] / run["before_p99_ms"], None, 150, False, None),
    ("walkers' p99 beside log-ins as a share of before", "hashing-walk", "%",
     lambda run: 100 * run["later_p99_ms"] / run["before_p99_ms"], None, 150, False, None),
    ("saves of 5,000, SQLite: the zone's work ÷ without", ("walk-5000", "unsaved-5000"), "×",
     of("zone_core"), None, 1.2, False, None),
    ("saves of 5,000, SQLite: latest tick (bucket)", "walk-5000", "ms", of("tick_late_ms"), 50, 25,
     False, None),
    ("saves of 5,000, PostgreSQL: the zone's work ÷ without", ("postgres-5000", "unsaved-5000"), "×",
     of("zone_core"), None, 1.2, False, None),
    ("saves of 5,000, PostgreSQL: latest tick (bucket)", "postgres-5000", "ms", of("tick_late_ms"),
     50, 25, False, None),
    ("up, its accounts and keys there already", "walk-2000", "ms", of("up_ms"), 300, 300, False, None),
]

COLUMNS = [
    ("players", "players", 0),
    ("in view", "visible", 1),
    ("delivered %", "delivered", 2),
    ("p50 ms", "p50_ms", 2),
    ("p99 ms", "p99_ms", 2),
    ("KB/s each", "kb_each", 2),
    ("core %", "core", 1),
    ("kernel %", "kernel", 1),
    ("µs/packet", "packet_us", 2),
    ("µs/update", "update_us", 4),
    ("bare µs/packet", "bare_packet_us", 2),
    ("ratio", "ratio", 2),
    ("bots' core %", "bots_core", 0),
    ("load before", "load_before", 1),
]

WALK = [
    ("position packets due that came, %", "packets_came", 2),
    ("bytes an update", "update_bytes", 2),
    ("times between updates off whole ticks, p99 ms", "jitter_p99_ms", 2),
    ("zone's core %", "zone_core", 2),
    ("I/O shards' core %", "io_core", 2),
    ("mean tick, ms", "tick_mean_ms", 3),
    ("tick p99, ms (bucket)", "tick_p99_ms", 1),
    ("latest tick, ms (bucket)", "tick_late_ms", 1),
    ("ticks too long", "overruns", 0),
    ("oldest save waiting at the end, s", "save_age_s", 1),
    ("database's core %", "database_core", 1),
]
HALVES = [("p99 before, ms", "before_p99_ms", 2), ("p99 in the second half, ms", "later_p99_ms", 2)]
OTHERS = {
    "walk": WALK,
    "seldom": WALK,
    "unsaved": WALK,
    "postgres": WALK,
    "npcs": WALK,
    "one": WALK,
    "three": WALK,
    "crowd": [
        ("oldest view, ms", "oldest_ms", 0),
        ("view's age p99, ms", "age_p99_ms", 0),
        ("latest tick, ms (bucket)", "tick_late_ms", 1),
    ],
    "echo": [("answers a second", "done_per_second", 0), ("bare loop's p50, µs", "bare_p50_us", 0)],
    "chat": [("deliveries a second", "came_per_second", 0)],
    "idle": [("KiB a session", "session_kib", 1), ("server MB", "server_mb", 0), ("up, ms", "up_ms", 0)],
    "slow": HALVES,
    "hashing": HALVES
    + [("log-ins a second beside", "log_ins", 1), ("hashing's core %", "hashing_core", 1)],
    "entry": [("entries a second, each resumed", "done_per_second", 0)],
    "login": [("log-ins into the world a second", "done_per_second", 1)],
}


def page(measured):
    rows = measured.get("rows", {})
    return (
        PAGE.format(
            about=about(measured),
            targets=targets(measured),
            table=table(rows),
            others=others(rows),
            ticks=measured.get("ticks", "not measured"),
            commands="\n".join(f"{row['command']}   # {name}" for name, row in rows.items()),
        ).rstrip()
        + "\n"
    )


def about(measured):
    told = measured.get("about", {})
    lines = [f"- {key}: {told[key]}" for key in ("machine", "system", "throng") if key in told]
    lines.append(f"- {told.get('runs', 0)} runs of each row at most, {told.get('seconds', 0)} s each")
    for profile, build in measured.get("builds", {}).items():
        lines.append(
            f"- clean build, {profile}: {build['seconds']:.0f} s, {build['megabytes']:.0f} MB"
        )
    lines.append(f"- crates in the tree: {told.get('crates', 'not counted')}")
    return "\n".join(lines)


def values(rows, row, how):
    """What one figure was in each run that did not fail; of two rows, their quotient, run by run."""
    if isinstance(row, tuple):
        above, below = (values(rows, name, how) for name in row)
        return [a / b for a, b in zip(above, below) if b]
    found = []
    for run in rows.get(row, {}).get("runs", []):
        try:
            found.append(how(run))
        except (KeyError, ZeroDivisionError):
            pass
    return found


def show(found, digits):
    """The median, and from where to where."""
    if not found:
        return "-"
    middle = f"{statistics.median(found):,.{digits}f}"
    if len(found) < 2:
        return middle
    return f"{middle} ({min(found):,.{digits}f}–{max(found):,.{digits}f})"


def judge(middle, floor, target, larger):
    def holds(bound):
        return middle >= bound if larger else middle <= bound

    if holds(target):
        return "target"
    return "floor" if floor is not None and holds(floor) else "no"


def targets(measured):
    rows = measured.get("rows", {})
    lines = ["| what | floor | target | measured | bare loop | reached | row |", "|---" * 7 + "|"]
    for what, row, unit, how, floor, target, larger, bare in TARGETS:
        found = values(rows, row, how)
        reached = "not measured"
        if found:
            reached = judge(statistics.median(found), floor, target, larger)
        beside = show(values(rows, row, of(bare)), 2) + " µs" if bare else ""
        bounds = ["" if bound is None else f"{bound:,g} {unit}".strip() for bound in (floor, target)]
        name = " ÷ ".join(row) if isinstance(row, tuple) else row
        cells = [what, *bounds, f"{show(found, 2)} {unit}".strip(), beside, reached, name]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table(rows):
    heads = ["row"] + [head for head, _, _ in COLUMNS]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name in rows:
        cells = [show(values(rows, name, of(key)), digits) for _, key, digits in COLUMNS]
        lines.append("| " + " | ".join([name] + cells) + " |")
    return "\n".join(lines)


def others(rows):
    lines = ["| row | figure | median (spread) |", "|---|---|---|"]
    for name, row in rows.items():
        for head, key, digits in OTHERS.get(name.split("-")[0], []):
            found = values(rows, name, of(key))
            if found:
                lines.append(f"| {name} | {head} | {show(found, digits)} |")
        for run in row["runs"]:
            for key in ("failed", "errors"):
                if run.get(key):
                    lines.append(f"| {name} | {key} | {run[key]} |")
    return "\n".join(lines)
