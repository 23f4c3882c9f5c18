//! Which cores a thread may run on, for `--pin`: the server on the first, the bots on the others.
//!
//! A child inherits what its parent has when it starts, so the fleet narrows itself twice: before
//! it starts a server, and after. Linux only; elsewhere pinning is refused.

use anyhow::bail;

/// The first core of this process: the server's.
const SERVER: fn(usize) -> bool = |place| place == 0;
/// All others: the bots'.
const BOTS: fn(usize) -> bool = |place| place > 0;

/// The cores that this process had when the run began.
#[derive(Debug, Clone)]
pub(super) struct Cores(Vec<usize>);

impl Cores {
    /// What this process may use now.
    ///
    /// # Errors
    /// If the system does not say, or there are fewer than two.
    pub(super) fn of_process() -> anyhow::Result<Self> {
        let cores = allowed()?;
        if cores.len() < 2 {
            bail!("--pin needs two cores: one for the server, the others for the bots");
        }
        Ok(Self(cores))
    }

    /// From here on this thread, and what it starts, has the server's core.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn become_server(&self) -> anyhow::Result<()> {
        self.take(SERVER)
    }

    /// From here on this thread, and what it starts, has the bots' cores.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn become_bots(&self) -> anyhow::Result<()> {
        self.take(BOTS)
    }

    /// Moves another process of this run, and what it starts from now on, to the bots' cores.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn move_to_bots(&self, pid: u32) -> anyhow::Result<()> {
        pin(Some(pid), self.of(BOTS))
    }

    fn of(&self, whose: fn(usize) -> bool) -> impl Iterator<Item = usize> + '_ {
        let mine = self.0.iter().enumerate().filter(move |(place, _)| whose(*place));
        mine.map(|(_, core)| *core)
    }

    fn take(&self, whose: fn(usize) -> bool) -> anyhow::Result<()> {
        pin(None, self.of(whose))
    }
}

#[cfg(target_os = "linux")]
fn allowed() -> anyhow::Result<Vec<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

#[cfg(target_os = "linux")]
fn pin(pid: Option<u32>, cores: impl Iterator<Item = usize>) -> anyhow::Result<()> {
    use rustix::process::Pid;
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    cores.for_each(|core| set.set(core));
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    Ok(sched_setaffinity(pid, &set)?)
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> anyhow::Result<Vec<usize>> {
    bail!("--pin works on Linux only")
}

#[cfg(not(target_os = "linux"))]
fn pin(_: Option<u32>, _: impl Iterator<Item = usize>) -> anyhow::Result<()> {
    bail!("--pin works on Linux only")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn server_and_bots_share_no_core() {
        let Ok(cores) = Cores::of_process() else { return };
        // A thread of its own: the test's other threads keep all cores.
        let seen = std::thread::spawn(move || {
            cores.become_server().unwrap();
            let server = allowed().unwrap();
            cores.become_bots().unwrap();
            (server, allowed().unwrap(), cores.0)
        });
        let (server, bots, all) = seen.join().unwrap();
        assert_eq!(server, all[..1]);
        assert_eq!(bots, all[1..]);
    }
}
