//! The server's processor time and memory as the operating system counts them, if it runs on this
//! machine and lets us look. Linux only; elsewhere nothing is measured.

use std::fs;
use std::net::ToSocketAddrs;

/// Kernel clock ticks of a second; 100 on every Linux that is met.
const CLOCK_TICKS: f64 = 100.0;
/// `st` of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Processor time, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spent {
    pub all: f64,
    /// Of it in the kernel.
    pub kernel: f64,
}

impl Spent {
    /// That of a process's or a thread's `stat`.
    pub(super) fn in_stat(stat: &str) -> Option<Self> {
        // The second field is the program's name in brackets, whatever that holds.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some(Self { all: (user + system) / CLOCK_TICKS, kernel: system / CLOCK_TICKS })
    }

    /// What was spent from `before` on, as a share of one core over so many seconds.
    pub(super) fn since(self, before: Self, seconds: f64) -> Self {
        Self {
            all: (self.all - before.all) / seconds,
            kernel: (self.kernel - before.kernel) / seconds,
        }
    }
}

/// A process on this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process(u32);

impl Process {
    /// This one.
    pub(super) fn own() -> Self {
        Self(std::process::id())
    }

    /// A child of this one.
    pub(super) fn of(pid: u32) -> Self {
        Self(pid)
    }

    /// Who listens on a TCP port here, if `host` is this machine.
    pub(super) fn listening_on(host: &str, port: u16) -> Option<Self> {
        (host, port).to_socket_addrs().ok()?.find(|address| address.ip().is_loopback())?;
        let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
            fs::read_to_string(table).ok()?.lines().find_map(|line| listening_inode(line, port))
        })?;
        let wanted = format!("socket:[{inode}]");
        fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let mut open = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
            open.any(|fd| {
                fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str())
            })
            .then_some(Self(pid))
        })
    }

    /// Its number.
    pub(super) fn pid(self) -> u32 {
        self.0
    }

    /// This one and its children, as they are now.
    pub(super) fn family(self) -> Processes {
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Self));
        let children = pids.filter(|process| {
            process.stat().as_deref().and_then(parent_of).is_some_and(|parent| parent == self.0)
        });
        std::iter::once(self).chain(children).collect::<Vec<_>>().into()
    }

    fn stat(self) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()
    }

    /// Processor time so far.
    pub(super) fn spent(self) -> Option<Spent> {
        Spent::in_stat(&self.stat()?)
    }

    /// Resident memory, bytes.
    pub(super) fn memory(self) -> Option<u64> {
        memory_of(&fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?)
    }
}

/// Several that are one server, or one database.
#[derive(Debug, Clone)]
pub(super) struct Processes(Vec<Process>);

impl From<Vec<Process>> for Processes {
    fn from(processes: Vec<Process>) -> Self {
        Self(processes)
    }
}

impl Processes {
    /// Their processor time so far; none: one of them is not to be seen.
    pub(super) fn spent(&self) -> Option<Spent> {
        let sum = |sum: Spent, one: Spent| Spent {
            all: sum.all + one.all,
            kernel: sum.kernel + one.kernel,
        };
        self.0.iter().map(|process| process.spent()).reduce(|a, b| Some(sum(a?, b?)))?
    }

    /// Their resident memory, bytes; what they share counts for each.
    pub(super) fn memory(&self) -> Option<u64> {
        self.0.iter().map(|process| process.memory()).sum()
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Process> + '_ {
        self.0.iter().copied()
    }
}

/// The parent's number in a `/proc/<pid>/stat`.
fn parent_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Resident memory in a `/proc/<pid>/status`, bytes.
fn memory_of(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1_024)
}

/// The inode of a line of `/proc/net/tcp` if it is a socket that listens on `port`.
fn listening_inode(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = fields.get(1)?.rsplit_once(':')?.1;
    let listens = *fields.get(3)? == LISTENING && u16::from_str_radix(local, 16).ok()? == port;
    if listens { fields.get(9)?.parse().ok() } else { None }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_tells_is_read() {
        let stat = "42 (a ) b) S 7 42 42 0 -1 4194304 900 0 0 0 250 50 0 0 20 0 9 0 123 456 789";
        assert_eq!(Spent::in_stat(stat), Some(Spent { all: 3.0, kernel: 0.5 }));
        assert_eq!(parent_of(stat), Some(7));
        assert_eq!(Spent::in_stat("42 (cut) S 7"), None);
        assert_eq!(memory_of("Name:\tx\nVmRSS:\t   12 kB\n"), Some(12_288));
        assert_eq!(memory_of("Name:\tx\n"), None);
        let (before, after) = (Spent { all: 1.0, kernel: 0.5 }, Spent { all: 3.0, kernel: 1.5 });
        assert_eq!(after.since(before, 4.0), Spent { all: 0.5, kernel: 0.25 });
    }

    #[test]
    fn a_family_is_a_process_and_its_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let family = Process::own().family();
        let found = family.iter().any(|process| process.pid() == child.id());
        let _ = child.kill();
        let _ = child.wait();
        assert!(found && family.iter().any(|process| process.pid() == std::process::id()));
    }

    #[test]
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let process = Process::listening_on("127.0.0.1", port).unwrap();
        assert_eq!(process.0, std::process::id());
        assert!(process.spent().is_some() && process.memory().unwrap() > 100_000);
        assert!(Process::listening_on("192.0.2.1", port).is_none(), "another machine's");
    }
}
