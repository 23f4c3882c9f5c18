//! The server's processor time and memory as the operating system counts them, if it runs on this
//! machine and lets us look. Linux only; elsewhere nothing is measured.

use std::fs;
use std::net::ToSocketAddrs;

/// Kernel clock ticks of a second; 100 on every Linux that is met.
const CLOCK_TICKS: f64 = 100.0;
/// `st` of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Processor time, seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub all: f64,
    /// Of it in the kernel.
    pub kernel: f64,
}

impl Spent {
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

    /// Processor time so far.
    pub(super) fn spent(self) -> Option<Spent> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some(Spent { all: (user + system) / CLOCK_TICKS, kernel: system / CLOCK_TICKS })
    }

    /// Resident memory, bytes.
    pub(super) fn memory(self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1_024)
    }
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
    fn a_listener_of_this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let process = Process::listening_on("127.0.0.1", port).unwrap();
        assert_eq!(process.0, std::process::id());
        assert!(process.spent().is_some() && process.memory().unwrap() > 100_000);
        assert!(Process::listening_on("192.0.2.1", port).is_none(), "another machine's");
    }
}
