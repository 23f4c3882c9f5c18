//! How many files and sockets this process may have open. Called at start, by the server and by the
//! load test, and by telemetry, which tells it; changes nothing but the process's own limit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a server needs besides its clients' connections: database, files, links, wakers.
const BESIDES: u64 = 300;

/// Raises the limit to what the system allows this process, and gives what it is then; none: there is
/// no limit.
pub fn raise() -> Option<u64> {
    let most = getrlimit(Resource::Nofile).maximum;
    // If the system refuses, the limit is what it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    limit()
}

/// What the limit is now; none: there is none.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// What to tell an operator whose `net.max_connections` does not fit into the limit.
pub fn doubt(connections: usize, limit: Option<u64>) -> Option<String> {
    let (limit, needed) = (limit?, connections as u64 + BESIDES);
    (limit < needed).then(|| {
        format!(
            "this process may have {limit} files and sockets open, but net.max_connections = \
             {connections} needs {needed}: raise the limit (ulimit -Hn, LimitNOFILE), or lower \
             net.max_connections to {}",
            limit.saturating_sub(BESIDES)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_too_few_is_told_how_many_fit() {
        assert_eq!(doubt(5_000, None), None);
        assert_eq!(doubt(5_000, Some(5_300)), None);
        let told = doubt(5_000, Some(1_024)).unwrap();
        assert!(told.contains("1024 files") && told.contains("to 724"), "{told}");
    }
}
