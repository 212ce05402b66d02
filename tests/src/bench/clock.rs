//! Processor time, of a thread and of processes that have ended. Wall time is nobody's fault.

use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::time::{ClockId, clock_gettime};

/// Returns the processor time that the calling thread has used.
pub(super) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Returns the processor time of all processes that this one and its ended children have waited for, in
/// steps of one clock tick (10 ms). Those that nobody waited for are missing: see that they are.
pub(super) fn children_cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&stat).map_or(Duration::ZERO, |ticks| {
        Duration::from_micros(ticks * 1_000_000 / clock_ticks_per_second())
    })
}

/// Finds `cutime` and `cstime`, the 16th and 17th field; the second one is a name in brackets.
fn ticks(stat: &str) -> Option<u64> {
    let after = stat.rsplit_once(')')?.1;
    let mut fields = after.split_whitespace().skip(13);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_thread_that_works_uses_time() {
        let start = thread_cpu();
        let mut sum = 0_u64;
        while thread_cpu() < start + Duration::from_millis(2) {
            sum = black_box(sum + 1);
        }
        assert!(sum > 0);
    }

    #[test]
    fn the_time_of_children_is_found_whatever_they_are_called() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 200 100 30 12 20 0 1";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn a_child_that_was_waited_for_is_counted_with_its_own_children() {
        let before = children_cpu();
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let inner = format!("sh -c '{work}'");
        let done = Command::new("sh").args(["-c", &format!("{inner}; true")]).status().unwrap();
        assert!(done.success());
        assert!(children_cpu() > before);
    }
}
