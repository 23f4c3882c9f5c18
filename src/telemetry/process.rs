//! What this process costs its machine, read from `/proc/self`; nothing where there is none.

use metrics::gauge;

use crate::descriptors;
use crate::tick::unix_millis;

/// Clock ticks a second in `/proc/self/stat`: fixed by Linux's interface to user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// Says when the process has started: at about this call, which the start makes.
pub(super) fn started() {
    gauge!("throng_process_start_seconds").set(unix_millis() as f64 / 1_000.0);
}

/// Sets the process metrics to what they are now. Reads small files of the kernel's.
pub(super) fn measure() {
    if let Some(seconds) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu)
    {
        gauge!("throng_process_cpu_seconds_total").set(seconds);
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        if let Some(kib) = field(&status, "VmRSS:") {
            gauge!("throng_process_resident_bytes").set(kib * 1024.0);
        }
        if let Some(threads) = field(&status, "Threads:") {
            gauge!("throng_process_threads").set(threads);
        }
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the look itself.
        gauge!("throng_process_open_descriptors").set(open.count().saturating_sub(1) as f64);
    }
    if let Some(most) = descriptors::limit() {
        gauge!("throng_process_max_descriptors").set(most as f64);
    }
}

/// User and system time. The process's name stands in brackets and may hold anything, so the
/// fields are counted from the last bracket: state is the first, user time the twelfth.
fn cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 100";
        assert_eq!(cpu(stat), Some(3.0));
        assert_eq!(cpu("nonsense"), None);
    }
}
