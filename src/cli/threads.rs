//! How many threads the processor's kernels use.

/// Read by rayon and by candle, both at their first use.
const VARIABLE: &str = "RAYON_NUM_THREADS";

/// Uses this many threads; `None` leaves the choice to the environment, otherwise all.
pub fn use_threads(threads: Option<usize>) {
    if let Some(threads) = threads {
        set(threads);
    }
}

/// Leaves the window a core, unless the environment says otherwise.
pub fn leave_one_for_the_window() {
    if std::env::var_os(VARIABLE).is_none() {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        set(all.saturating_sub(1).max(1));
    }
}

fn set(threads: usize) {
    // SAFETY: called at the start of the program, before it has another thread that could read the
    // environment.
    unsafe { std::env::set_var(VARIABLE, threads.to_string()) };
}
