"""Two binaries by turns: which is slower? Pure but for the runs that it is handed. `benches/run
--compare` calls it.

A figure of one run differs from the next by more than what is looked for, and the machine's weather
changes within minutes. So each turn runs both binaries one after the other, in an order that
changes with each turn, and what counts is the median of the turns' own quotients.
"""

import math
import statistics

# What of a row is compared: key of `page.FIGURES`, its unit, whether more is better.
COMPARED = [
    ("packet_us", "µs of the server's core for a packet", False),
    ("delivered", "% delivered", True),
    ("p99_ms", "ms, p99 of what was delivered", False),
    ("kb_each", "KB/s to each", False),
    ("oldest_ms", "ms, oldest view", False),
    ("tick_mean_ms", "ms, mean tick", False),
    ("session_kib", "KiB a session", False),
    ("done_per_second", "done a second", True),
]
# Where that figure means what its name says; every row has the others.
ONLY = {
    "done_per_second": ("entry-storm", "login-storm", "echo"),
    "session_kib": ("idle",),
    "oldest_ms": ("crowd", "fight"),
    "tick_mean_ms": ("npcs",),
    "kb_each": ("walk", "crowd", "fight", "chat"),
    "packet_us": ("walk", "crowd", "fight", "chat", "echo-200", "seldom", "npcs"),
}


def compared(row):
    """The figures of a row that are compared."""
    for key, unit, more in COMPARED:
        rows = ONLY.get(key)
        if rows is None or any(row.startswith(begin) for begin in rows):
            yield key, unit, more


def turns(number):
    """The order of the binaries in each turn: neither is always the first."""
    return [("old", "new") if turn % 2 == 0 else ("new", "old") for turn in range(number)]


def chance(worse, of):
    """How likely `worse` or more of `of` equal turns would be worse by mere chance."""
    return sum(math.comb(of, n) for n in range(worse, of + 1)) / 2**of


def verdict(quotients, tolerance):
    """What a figure's quotients (above 1: the new binary is worse) say.

    Slower or faster only if the median is beyond the tolerance and the turns agree; beyond it
    without agreement it is unclear, which more turns may settle.
    """
    median = statistics.median(quotients)
    worse = sum(quotient > 1 for quotient in quotients)
    better = sum(quotient < 1 for quotient in quotients)
    if median > 1 + tolerance:
        return "slower" if chance(worse, worse + better) <= 0.11 else "unclear"
    if median < 1 - tolerance:
        return "faster" if chance(better, worse + better) <= 0.11 else "unclear"
    return "equal"


def table(found, tolerance):
    """The page of it: `found` has for each row a list of turns `{"old": figures, "new": figures}`."""
    lines = [
        "| row | figure | old | new | new ÷ old (by turns) | verdict |",
        "|---|---|---|---|---|---|",
    ]
    slower = []
    for row, pairs in found.items():
        for key, unit, more in compared(row):
            both = [p for p in pairs if p["old"].get(key) and p["new"].get(key)]
            if not both:
                continue
            ratios = [pair["new"][key] / pair["old"][key] for pair in both]
            said = verdict([1 / ratio for ratio in ratios] if more else ratios, tolerance)
            if said == "slower":
                slower.append(f"{row}: {unit}")
            old, new = (statistics.median(pair[side][key] for pair in both) for side in ("old", "new"))
            spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"
            lines.append(f"| {row} | {unit} | {old:,.2f} | {new:,.2f} | {spread} | {said} |")
    return "\n".join(lines), slower
