#!/usr/bin/env python3
"""What hosts hold, by the cost model of docs/scaling.md.

    benches/plan.py                                  # 1, 10 and 100 hosts of 32 cores
    benches/plan.py --hosts 4 --cores 16 --visible 100 --inputs 5
    benches/plan.py --check                          # the model beside what was measured
    benches/plan.py --write                          # the tables of docs/scaling.md

Costs are microseconds of one core, fitted to the rows of benches/measured.json, which
`benches/run --write` fills; run that on a machine of your own for your own costs.
"""

import argparse
import itertools
import json
import statistics
from pathlib import Path

HERE = Path(__file__).resolve().parent
MEASURED = HERE / "measured.json"
SCALING = HERE.parent / "docs" / "scaling.md"

TICKS = 20  # a second

# What each cost is, and where it falls.
COSTS = {
    "write_kernel": ("a write to a client, once a tick: the kernel's part", "gateway"),
    "write_own": ("the same: the look around, the packet's frame", "gateway"),
    "record": ("a position record in it: each visible pair whose mover moved", "gateway"),
    "input_kernel": ("a packet from a client: the kernel's part", "gateway"),
    "input_own": ("the same: frame, checks, the way to the zone", "gateway"),
    "entity_tick": ("an entity in one tick", "zone"),
    "input_applied": ("an input carried out", "zone"),
    "link_move": ("an input passed to another process, and its move told back to one gateway", "link"),
    "row_saved": ("a player saved, on the database's machine", "database"),
}

# Bytes to a client: a packet around the records, and each record.
PACKET_BYTES = 30
RECORD_BYTES = 9
# The rest of TCP and IP for a packet.
WIRE_BYTES = 66
# Records a tick in a crowd: nearest 50, a fifth of the next 200, 70 of those beyond.
RECORDS_MAX = 160
# What a core is filled to: the rest is for peaks.
FILL = 0.7
# What a zone's thread may use of its 50 ms.
ZONE_FILL = 0.5
SAVE_SECONDS = 5
# Handles of one zone are 16 bits.
ZONE_ENTITIES_MAX = 65_000


def records(visible, inputs):
    """Position records in one packet."""
    moved = visible * min(1.0, inputs / TICKS)
    return min(moved, RECORDS_MAX)


def gateway_us(cost, visible, inputs):
    """A player's cost at its gateway, microseconds a second."""
    write = cost["write_kernel"] + cost["write_own"] + records(visible, inputs) * cost["record"]
    return TICKS * write + inputs * (cost["input_kernel"] + cost["input_own"])


def zone_us(cost, inputs):
    """A player's cost in its zone, microseconds a second."""
    return TICKS * cost["entity_tick"] + inputs * cost["input_applied"]


def link_us(cost, inputs, gateways):
    """A player's cost on the links between its zone and so many gateways that see it, at most: each
    further gateway is told of moves only, and takes no inputs."""
    return gateways * min(inputs, TICKS) * cost["link_move"]


def bytes_each(visible, inputs):
    return TICKS * (PACKET_BYTES + RECORD_BYTES * records(visible, inputs) + WIRE_BYTES)


def plan(cost, hosts, cores, visible, inputs, gigabits, together):
    gateways = 1 if hosts == 1 else min(hosts, max(1, visible // together))
    each = gateway_us(cost, visible, inputs) + zone_us(cost, inputs) + (
        link_us(cost, inputs, gateways) if hosts > 1 else 0
    )
    by_cores = hosts * cores * FILL * 1e6 / each
    by_network = hosts * gigabits * 1e9 / 8 * FILL / bytes_each(visible, inputs)
    zone_most = min(ZONE_FILL * 1e6 / max(zone_us(cost, inputs), 1e-9), ZONE_ENTITIES_MAX)
    players = min(by_cores, by_network)
    return {
        "hosts": hosts,
        "players": int(players),
        "bound by": "processor" if by_cores <= by_network else "network",
        "µs/s each": round(each, 1),
        "KB/s each": round(bytes_each(visible, inputs) / 1e3, 1),
        "GB/s out": round(players * bytes_each(visible, inputs) / 1e9, 2),
        "saves/s": int(players / SAVE_SECONDS),
        "database cores": round(players / SAVE_SECONDS * cost["row_saved"] / 1e6, 2),
        "in one zone": int(zone_most),
        "zones at least": max(1, -(-int(players) // int(zone_most))),
    }


def table(rows):
    heads = list(rows[0])
    text = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row.values()] for row in rows]
    lines = ["| " + " | ".join(cells) + " |" for cells in [heads, *text]]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def read_measured():
    """What `benches/run` has measured; empty: nothing yet."""
    return json.loads(MEASURED.read_text()) if MEASURED.exists() else {}


def median(rows, name, key):
    found = [run[key] for run in rows.get(name, {}).get("runs", []) if key in run]
    return statistics.median(found) if found else None


def solve(equations, unknowns):
    """The least squares of relative errors with no cost below zero: `equations` are pairs of what
    each unknown counts and what all come to. Tries every set of unknowns that are not zero."""
    best = None
    for size in range(len(unknowns), 0, -1):
        for kept in itertools.combinations(range(len(unknowns)), size):
            scaled = [([each[i] / total for i in kept], 1.0) for each, total in equations]
            normal = [
                [sum(a[i] * a[j] for a, _ in scaled) for j in range(size)]
                + [sum(a[i] * b for a, b in scaled)]
                for i in range(size)
            ]
            found = eliminate(normal)
            if found is None or min(found) < 0:
                continue
            error = sum((sum(x * y for x, y in zip(a, found)) - b) ** 2 for a, b in scaled)
            if best is None or error < best[0]:
                best = (error, dict(zip((unknowns[i] for i in kept), found)))
    return {**dict.fromkeys(unknowns, 0.0), **(best[1] if best else {})}


def eliminate(rows):
    """Solves a square system, each row with its right side last; none: it has no single answer."""
    size = len(rows)
    rows = [list(row) for row in rows]
    for i in range(size):
        pivot = max(range(i, size), key=lambda row: abs(rows[row][i]))
        if abs(rows[pivot][i]) < 1e-12:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for j in range(size):
            if j != i:
                factor = rows[j][i] / rows[i][i]
                rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i])]
    return [rows[i][size] / rows[i][i] for i in range(size)]


# Rows of servers that write once a tick and are not full: where one is, a packet is cheaper and the
# next one late. Two rates of input tell what a write costs from what an input does.
FITTED = ["walk-2000", "walk-2500", "seldom-2000", "crowd-1000", "crowd-2000"]


def loads(rows, name):
    """What a row did in a second, and what that cost in microseconds; none: it was not measured."""
    keys = ["sent_per_second", "came_per_second", "updates_per_second", "core", "kernel", "players"]
    found = {key: median(rows, name, key) for key in keys}
    if None in found.values():
        return None
    writes = min(found["came_per_second"], found["players"] * TICKS)
    zone = (median(rows, name, "zone_core") or 0.0) * 1e4
    kernel = found["kernel"] * 1e4
    return {
        "writes": writes,
        "inputs": found["sent_per_second"],
        "records": found["updates_per_second"],
        "kernel": kernel,
        "own": max(found["core"] * 1e4 - kernel - zone, 1.0),
        "zone": zone,
        "players": found["players"],
    }


def fit(rows, before):
    """The costs by the rows; one whose rows are missing keeps what it had `before`."""
    cost = {key: before[key] for key in COSTS if key in before}
    measured = [load for load in (loads(rows, name) for name in FITTED) if load]
    if len(measured) == len(FITTED):
        counts = ["writes", "inputs"]
        kernel = [([load[key] for key in counts], load["kernel"]) for load in measured]
        cost |= solve(kernel, ["write_kernel", "input_kernel"])
        own = [([load[key] for key in [*counts, "records"]], load["own"]) for load in measured]
        cost |= solve(own, ["write_own", "input_own", "record"])
    crowd = loads(rows, "npcs-10000")
    if crowd:
        cost["entity_tick"] = crowd["zone"] / TICKS / 10_000
    walk = loads(rows, "walk-2000")
    if walk and "entity_tick" in cost:
        standing = walk["players"] * TICKS * cost["entity_tick"]
        cost["input_applied"] = max(walk["zone"] - standing, 0.0) / walk["inputs"]
    one, three = loads(rows, "one-process"), loads(rows, "three-processes")
    if one and three:
        dearer = sum(three[key] - one[key] for key in ("kernel", "own", "zone"))
        cost["link_move"] = max(dearer, 0.0) / three["inputs"]
    database = median(rows, "postgres-5000", "database_core")
    if database is not None:
        saves = median(rows, "postgres-5000", "players") / SAVE_SECONDS
        cost["row_saved"] = database * 1e4 / saves
    return {key: round(value, 4) for key, value in cost.items()}


def cost_table(cost):
    rows = [
        {"what": what, "µs of a core": f"{cost[key]:.3f}", "where": where, "name": f"`{key}`"}
        for key, (what, where) in COSTS.items()
    ]
    each = gateway_us(cost, 50, 10) + zone_us(cost, 10)
    return (
        table(rows) + "\n\nA player with 50 in view, 10 inputs a second and 20 ticks a second costs "
        f"{each:.0f} µs a second by them, {zone_us(cost, 10):.1f} of it in its zone: "
        f"{1e6 / each:,.0f} such players fill a core."
    )


def host_table(cost, visible):
    return table([plan(cost, hosts, 32, visible, 10, 25, 25) for hosts in (1, 10, 100)])


def write_tables(cost):
    """Puts what the costs come to in between the marks of docs/scaling.md."""
    if any(key not in cost for key in COSTS):
        print("some costs were never measured: docs/scaling.md stays as it is")
        return
    parts = {
        "costs": cost_table(cost),
        "hosts": host_table(cost, 50),
        "crowded hosts": host_table(cost, 500),
        "check": check_table(cost, read_measured().get("rows", {})),
    }
    text = SCALING.read_text()
    for name, part in parts.items():
        before, begins, rest = text.partition(f"<!-- plan.py: {name} -->\n")
        _, ends, after = rest.partition("<!-- end -->")
        if not begins or not ends:
            raise SystemExit(f"{SCALING} has no marks for {name}")
        text = f"{before}{begins}\n{part}\n\n{ends}{after}"
    SCALING.write_text(text)


def check_table(cost, rows):
    """One core that has everything: the model beside the rows that were measured."""
    told = []
    for name, players, visible in [
        ("walk-2000", 2000, 50),
        ("walk-2500", 2500, 50),
        ("walk-5000", 5000, 50),
        ("crowd-1000", 1000, 1000),
        ("crowd-2000", 2000, 2000),
    ]:
        share = players * (gateway_us(cost, visible, 10) + zone_us(cost, 10)) / 1e4
        bytes_told = TICKS * (PACKET_BYTES + RECORD_BYTES * records(visible, 10)) / 1e3
        core, kilobytes = median(rows, name, "core"), median(rows, name, "kb_each")
        told.append(
            {
                "row": name,
                "core % by the model": f"{share:.1f}",
                "measured": "-" if core is None else f"{core:.1f}",
                "KB/s each by the model": f"{bytes_told:.1f}",
                "measured ": "-" if kilobytes is None else f"{kilobytes:.1f}",
            }
        )
    return table(told)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, help="instead of 1, 10 and 100")
    parser.add_argument("--cores", type=int, default=32)
    parser.add_argument("--visible", type=int, default=50, help="entities in each player's view")
    parser.add_argument("--inputs", type=float, default=10, help="a second and player")
    parser.add_argument("--gigabits", type=float, default=25, help="of each host's network")
    parser.add_argument(
        "--together", type=int, default=25, help="players in one view who share a gateway"
    )
    parser.add_argument("--check", action="store_true", help="the model beside the measured rows")
    parser.add_argument("--write", action="store_true", help="write the tables of docs/scaling.md")
    given = parser.parse_args()
    measured = read_measured()
    cost = measured.get("costs", {})
    missing = [key for key in COSTS if key not in cost]
    if missing:
        raise SystemExit(f"{MEASURED} has no {', '.join(missing)}: benches/run --write")
    if given.write:
        write_tables(cost)
    elif given.check:
        print(check_table(cost, measured["rows"]))
    else:
        rows = [
            plan(cost, hosts, given.cores, given.visible, given.inputs, given.gigabits, given.together)
            for hosts in ([given.hosts] if given.hosts else [1, 10, 100])
        ]
        print(table(rows))


if __name__ == "__main__":
    main()
