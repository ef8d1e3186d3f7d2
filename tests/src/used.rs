//! Used: the time in which processors did something, by whomever. Where one instruction takes one nanosecond, as in a
//! counted guest, that is a number of instructions.

use std::{fs::File, io, os::unix::fs::FileExt, time::Duration};

/// `/proc/schedstat`, open. Once it is, to look costs nothing but a read.
#[derive(Debug)]
pub struct Used(File);

impl Used {
    /// Opens it.
    pub fn open() -> io::Result<Self> {
        File::open("/proc/schedstat").map(Self)
    }

    /// Nanoseconds since the boot, those of the calling thread until the end of the rest: a thread's time is counted
    /// when it leaves its processor.
    pub fn after_a_rest(&self, rest: Duration) -> io::Result<u64> {
        std::thread::sleep(rest);
        let mut text = [0; 8192];
        let length = self.0.read_at(&mut text, 0)?;
        sum(&String::from_utf8_lossy(&text[..length]))
            .ok_or_else(|| io::Error::other("/proc/schedstat names no processor"))
    }
}

/// The sum over all processors: of a line `cpuN`, the seventh number (Documentation/scheduler/sched-stats.rst).
fn sum(statistics: &str) -> Option<u64> {
    const PLACE: usize = 7;
    let lines = statistics.lines().filter(|line| line.starts_with("cpu"));
    let numbers: Option<Vec<u64>> =
        lines.map(|line| line.split_whitespace().nth(PLACE)?.parse().ok()).collect();
    numbers.filter(|numbers| !numbers.is_empty()).map(|numbers| numbers.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_all_processors_is_added_up() {
        let text = "version 15\ntimestamp 4294\ncpu0 1 2 3 4 5 6 70 8 9\ndomain0 3 0 0 0 0 0 0 0\n\
                    cpu1 1 2 3 4 5 6 700 8 9\n";
        assert_eq!(sum(text), Some(770));
        assert_eq!(sum("version 15\n"), None);
        assert_eq!(sum("cpu0 1 2\n"), None);
    }
}
