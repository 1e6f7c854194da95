//! What the system says about this process, under the names that Prometheus clients give it.

use std::fs;

/// A clock tick of `/proc`: a hundredth of a second on every architecture that this program is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// What the system says about this process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Process {
    /// Bytes in memory.
    pub(crate) resident_memory_bytes: u64,
    /// Open file descriptors.
    pub(crate) open_fds: u64,
    /// Processor time.
    pub(crate) cpu_seconds: f64,
    /// When it started, in seconds since 1970.
    pub(crate) start_time_seconds: f64,
}

impl Process {
    /// Reads what the system says now; `None` where it says nothing.
    pub(crate) fn now() -> Option<Self> {
        let read = |path| fs::read_to_string(path).ok();
        let (status, stat, system) = (read("/proc/self/status")?, read("/proc/self/stat")?, read("/proc/stat")?);
        let open_fds = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64;
        Self::parse(&status, &stat, &system, open_fds)
    }

    fn parse(status: &str, stat: &str, system: &str, open_fds: u64) -> Option<Self> {
        let number_after = |text: &str, name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        // The program's name stands in parentheses and may have anything in it.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
        let mut ticks = || fields.next()?.parse::<u64>().ok().map(|ticks| ticks as f64 / TICKS_PER_SECOND);
        let cpu_seconds = ticks()? + ticks()?;
        let since_boot = fields.nth(6)?.parse::<u64>().ok()? as f64 / TICKS_PER_SECOND;
        Some(Self {
            resident_memory_bytes: number_after(status, "VmRSS:")? << 10,
            open_fds,
            cpu_seconds,
            start_time_seconds: number_after(system, "btime ")? as f64 + since_boot,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_those_of_proc() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 12345 1 2";
        let process = Process::parse("Name:\tx\nVmRSS:\t     12 kB\n", stat, "cpu 1\nbtime 1700000000\n", 3).unwrap();
        assert_eq!((process.resident_memory_bytes, process.open_fds), (12 << 10, 3));
        assert!((process.cpu_seconds - 2.0).abs() < 1e-9, "{process:?}");
        assert!((process.start_time_seconds - 1_700_000_123.45).abs() < 1e-3, "{process:?}");
        assert_eq!(Process::parse("", stat, "", 0), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_running_process_has_memory_and_files() {
        let process = Process::now().unwrap();
        assert!(process.resident_memory_bytes > 1 << 20 && process.open_fds >= 3, "{process:?}");
        assert!(process.start_time_seconds > 1.6e9, "{process:?}");
    }
}
