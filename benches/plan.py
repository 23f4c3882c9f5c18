#!/usr/bin/env python3
"""What hosts hold, by the cost model of docs/scaling.md.

    benches/plan.py                                  # 1, 10 and 100 hosts of 32 cores
    benches/plan.py --hosts 4 --cores 16 --visible 100 --inputs 5
    benches/plan.py --check                          # the model beside what was measured

Costs are microseconds of one core, estimated as docs/scaling.md says. Change them to those of your own
machine: `throng loadtest --start --pin --baseline` tells what a packet costs there.
"""

import argparse

TICKS = 20  # a second

COST = {
    # One write to a client: the kernel's part, then ours: the look around and the packet's frame.
    "write_kernel": 4.2,
    "write_own": 0.9,
    # One position record in it: finding it and copying nine bytes.
    "record": 0.012,
    # One packet from a client: the kernel's part, then ours: frame, checks, the way to the zone.
    "input_kernel": 2.2,
    "input_own": 1.5,
    # One entity in one tick of its zone, and one input carried out there.
    "entity_tick": 0.10,
    "input_applied": 0.35,
    # One entity that moved, on a link: encoded once for each gateway process, and made a frame again.
    "moved_encoded": 0.02,
    "moved_mirrored": 0.06,
    # One player saved in the database, on the database's machine.
    "row_saved": 40.0,
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


def gateway_us(visible, inputs):
    """A player's cost at its gateway, microseconds a second."""
    write = COST["write_kernel"] + COST["write_own"] + records(visible, inputs) * COST["record"]
    return TICKS * write + inputs * (COST["input_kernel"] + COST["input_own"])


def zone_us(inputs):
    """A player's cost in its zone, microseconds a second."""
    return TICKS * COST["entity_tick"] + inputs * COST["input_applied"]


def link_us(inputs, gateways):
    """A player's cost on the links from its zone to so many gateways that see it."""
    moved = min(inputs, TICKS)
    return gateways * moved * (COST["moved_encoded"] + COST["moved_mirrored"])


def bytes_each(visible, inputs):
    return TICKS * (PACKET_BYTES + RECORD_BYTES * records(visible, inputs) + WIRE_BYTES)


def plan(hosts, cores, visible, inputs, gigabits, together):
    gateways = 1 if hosts == 1 else min(hosts, max(1, visible // together))
    each = gateway_us(visible, inputs) + zone_us(inputs) + (
        link_us(inputs, gateways) if hosts > 1 else 0
    )
    by_cores = hosts * cores * FILL * 1e6 / each
    by_network = hosts * gigabits * 1e9 / 8 * FILL / bytes_each(visible, inputs)
    zone_most = min(ZONE_FILL * 1e6 / zone_us(inputs), ZONE_ENTITIES_MAX)
    players = min(by_cores, by_network)
    return {
        "hosts": hosts,
        "players": int(players),
        "bound by": "processor" if by_cores <= by_network else "network",
        "µs/s each": round(each, 1),
        "KB/s each": round(bytes_each(visible, inputs) / 1e3, 1),
        "GB/s out": round(players * bytes_each(visible, inputs) / 1e9, 2),
        "saves/s": int(players / SAVE_SECONDS),
        "database cores": round(players / SAVE_SECONDS * COST["row_saved"] / 1e6, 2),
        "in one zone": int(zone_most),
        "zones at least": max(1, -(-int(players) // int(zone_most))),
    }


def show(rows):
    heads = list(rows[0])
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(f"{row[head]:,}" if isinstance(row[head], int) else str(row[head])
                                for head in heads) + " |")


def check():
    """One core that has everything: the rows of RESULTS.md."""
    rows = []
    for name, players, visible in [
        ("walk-2000", 2000, 50),
        ("walk-5000", 5000, 50),
        ("crowd-1000", 1000, 1000),
        ("crowd-2000", 2000, 2000),
    ]:
        share = players * (gateway_us(visible, 10) + zone_us(10)) / 1e6
        each = TICKS * (PACKET_BYTES + RECORD_BYTES * records(visible, 10)) / 1e3
        rows.append({"row": name, "core % by the model": round(share * 100, 1), "KB/s each": each})
    show(rows)


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
    given = parser.parse_args()
    if given.check:
        return check()
    rows = [
        plan(hosts, given.cores, given.visible, given.inputs, given.gigabits, given.together)
        for hosts in ([given.hosts] if given.hosts else [1, 10, 100])
    ]
    show(rows)


if __name__ == "__main__":
    main()
