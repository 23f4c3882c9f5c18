//! The report as people read it.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::{Bare, Fight, Flow, Machine, Quantiles, Report};
use crate::loadtest::assertion::Verdict;
use crate::loadtest::scrape::Ticks;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, clients, connected, seconds, rate, .. } = self;
        writeln!(
            f,
            "{scenario}: {connected} of {clients} bots, {seconds:.1} s, {rate} inputs/s each"
        )?;
        self.write_flows(f)?;
        self.write_times(f)?;
        self.write_fight(f)?;
        self.write_machine(f)?;
        self.write_cost(f)?;
        self.write_bare(f)?;
        for (name, counts) in
            [("errors", &self.errors), ("refusals", &self.refusals), ("lost", &self.disconnects)]
        {
            writeln!(f, "  {name:<12}{}", listed(counts))?;
        }
        if let Some(log_ins) = self.log_ins_per_second {
            writeln!(f, "  {:<12}{log_ins:>10.1} /s beside, in the second half", "log-ins")?;
        }
        if !self.machine.threads.is_empty() {
            let threads = self.machine.threads.iter();
            let shares = threads.map(|(kind, share)| format!("{kind} {:.1}", share * 100.0));
            let shares: Vec<String> = shares.collect();
            writeln!(f, "  {:<12}{} % of a core", "threads", shares.join(", "))?;
        }
        if let Some(share) = self.machine.database_cpu {
            writeln!(f, "  {:<12}{:>10.1} % of a core", "database", share * 100.0)?;
        }
        if !self.settings.is_empty() {
            writeln!(f, "  {:<12}{}", "server told", self.settings.join(" "))?;
        }
        for line in &self.server_said {
            writeln!(f, "  {:<12}{line}", "server said")?;
        }
        for Verdict { condition, actual, passed } in &self.verdicts {
            let word = if *passed { "ok" } else { "FAILED" };
            writeln!(f, "  {word:<12}{condition} ({actual})")?;
        }
        Ok(())
    }
}

impl Report {
    fn write_flows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, flow, updates) in [
            ("to server", &self.out, self.moves_per_second),
            ("to clients", &self.into, self.updates_per_second),
        ] {
            let Flow { packets_per_second, bytes_per_second_per_client } = flow;
            writeln!(
                f,
                "  {name:<12}{packets_per_second:>10.0} packets/s  {updates:>10.0} moves/s  \
                 {bytes_per_second_per_client:>8.0} bytes/s per client"
            )?;
        }
        let Some(visible) = self.visible else { return Ok(()) };
        let note = if self.groups_isolated { "" } else { "; groups see each other: small zone" };
        writeln!(f, "  {:<12}{visible:>10.1} entities on average{note}", "in view")
    }

    fn write_times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(due) = self.syncs_due.filter(|due| *due > 0) {
            let share = self.syncs as f64 / due as f64 * 100.0;
            let packets = self.syncs;
            writeln!(f, "  {:<12}{share:>10.2} %   {packets} of {due} due, one a tick", "packets")?;
        }
        if self.expected > 0 {
            let share = self.delivered as f64 / self.expected as f64 * 100.0;
            let what = match self.scenario.as_str() {
                "wander" | "walk" | "crowd" | "fight" => {
                    "inputs of bots in a watcher's view whose place came there"
                }
                "chat" => "messages in a watcher's room that came there",
                "login-storm" => "log-ins that ended in the world",
                "entry-storm" => "entries that were resumed",
                _ => "requests that were answered",
            };
            let (delivered, expected) = (self.delivered, self.expected);
            writeln!(f, "  {:<12}{share:>10.2} %   {delivered} of {expected} {what}", "delivered")?;
        }
        let before = self.latency_before.as_ref().map(|before| ("first half", before));
        let later = self.latency_later.as_ref().map(|later| ("second half", later));
        let times = [
            ("latency", &self.latency),
            ("round trip", &self.round_trip),
            ("view's age", &self.age),
            ("jitter", &self.jitter),
        ];
        for (name, quantiles) in times.into_iter().chain(before).chain(later) {
            if quantiles.count > 0 {
                let Quantiles { p50_ms, p95_ms, p99_ms, p999_ms, max_ms, .. } = quantiles;
                writeln!(
                    f,
                    "  {name:<12}{:>10} {p50_ms:.2}  p95 {p95_ms:.2}  p99 {p99_ms:.2}  \
                     p99.9 {p999_ms:.2}  max {max_ms:.2} ms",
                    "p50"
                )?;
            }
        }
        Ok(())
    }

    fn write_fight(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Fight { own_due, own_came, events_per_second_per_client: events }) = self.fight
        else {
            return Ok(());
        };
        let shed = self.machine.shed.map_or(String::new(), |shed| {
            format!(
                "; shed: {} events, {} positions; {} told again",
                shed.events, shed.positions, shed.retold
            )
        });
        writeln!(
            f,
            "  {:<12}{events:>10.1} /s to each, {own_came} of {own_due} of one's own came{shed}",
            "events"
        )
    }

    fn write_machine(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Machine { server_cpu, server_kernel, server_memory, bots_cpu, .. } = &self.machine;
        if let (Some(cpu), Some(memory)) = (server_cpu, server_memory) {
            let (cpu, megabytes) = (cpu * 100.0, memory as f64 / 1e6);
            let kernel = server_kernel.unwrap_or(0.0) * 100.0;
            writeln!(
                f,
                "  {:<12}{cpu:>10.1} % of a core   {kernel:.1} % in the kernel, {megabytes:.0} MB",
                "server"
            )?;
        }
        let cpu = bots_cpu.map_or(String::new(), |cpu| format!("{:.0} % of a core", cpu * 100.0));
        let (late, corrections) = (self.late, self.corrections);
        writeln!(f, "  {:<12}{cpu:>21}   {late} late inputs, {corrections} corrections", "bots")
    }

    fn write_cost(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let super::Cost { packet_us, update_us, players_per_core, session_bytes, update_bytes } =
            self.cost;
        if let (Some(packet), Some(players)) = (packet_us, players_per_core) {
            let update = update_us.zip(update_bytes).map_or(String::new(), |(us, bytes)| {
                format!(", {us:.4} an update of {bytes:.1} bytes")
            });
            writeln!(
                f,
                "  {:<12}{packet:>10.2} µs a packet{update}; {players:.0} bots a core",
                "cost"
            )?;
        }
        if let (Some(bytes), Some(up)) = (session_bytes, self.machine.came_up_ms) {
            let kib = bytes / 1_024.0;
            writeln!(f, "  {:<12}{kib:>10.1} KiB each; up in {up:.0} ms", "sessions")?;
        }
        if let Some(ticks) = &self.machine.ticks {
            let Ticks { count, mean_ms, p50_ms, p99_ms, lag_p99_ms, lag_max_ms, overruns, .. } =
                ticks;
            let save = ticks.save_age_seconds;
            writeln!(
                f,
                "  {:<12}{count:>10}   work {mean_ms:.2} on average, p50 <= {p50_ms} p99 <= {p99_ms} ms, late p99 <= \
                 {lag_p99_ms} max <= {lag_max_ms} ms, {overruns} overruns, oldest save {save:.1} s",
                "ticks"
            )?;
        }
        Ok(())
    }

    fn write_bare(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(bare) = &self.bare else { return Ok(()) };
        let &Bare { cpu, kernel, packet_us, delivered, .. } = bare;
        let (cpu, kernel) = (cpu.unwrap_or(0.0) * 100.0, kernel.unwrap_or(0.0) * 100.0);
        let (packet, delivered) = (packet_us.unwrap_or(0.0), delivered * 100.0);
        writeln!(
            f,
            "  {:<12}{cpu:>10.1} % of a core   {kernel:.1} % in the kernel, {packet:.2} µs a \
             packet, {delivered:.1} % came",
            "bare loop"
        )?;
        if let Some((p50, p99)) = bare.round_trip_ms {
            writeln!(f, "  {:<12}{:>10} {p50:.3}  p99 {p99:.3} ms", "", "p50")?;
        }
        match self.ratio {
            Some(ratio) => writeln!(f, "  {:<12}{ratio:>10.2} x the bare loop", "ratio"),
            None => writeln!(f, "  {:<12}{:>10}", "ratio", "not measured"),
        }
    }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for (what, count) in counts {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{what} {count}");
    }
    if text.is_empty() { "none".to_owned() } else { text }
}
