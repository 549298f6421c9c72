//! What the system says about memory; where it says nothing, so do these.

use std::fs;

/// The largest resident set that this process has had, in bytes.
pub fn peak_bytes() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// Lets [`peak_bytes`] count from now on, where the system can do that.
pub fn forget_peak() {
    // What the file's manual says of 5; without it the peak is that of the whole process.
    let _not_here = fs::write("/proc/self/clear_refs", "5");
}

/// The machine's memory: all of it, and what is free for new work, in bytes.
pub fn machine_bytes() -> Option<(u64, u64)> {
    let file = "/proc/meminfo";
    Some((kilobytes(file, "MemTotal:")?, kilobytes(file, "MemAvailable:")?))
}

/// A line such as `VmHWM:   123456 kB`.
fn kilobytes(file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024)
}

/// Has freed memory go back to the system at once from now on. Otherwise the C library keeps what
/// may be wanted again, which is faster (measured: about a tenth) and comes on top of what is counted
/// here. There is no way back: the C library gives up its own rule for good.
pub fn give_back_at_once() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// The smallest block that is mapped and so unmapped for itself, in bytes; glibc's default
        /// before it adapts.
        const MAPPED_FROM: libc::c_int = 128 << 10;
        // SAFETY: sets a number of the allocator; both arguments are in range, and no memory is
        // touched.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
    }
}
