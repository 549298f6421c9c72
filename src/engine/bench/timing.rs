//! How long a piece of work takes.

use std::time::{Duration, Instant};

use candle_core::Device;

use crate::engine::{EngineError, memory};

/// What was measured of one piece of work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timing {
    /// The first run, which counts for nothing else: memory is touched and kernels are made.
    pub warm_up: Duration,
    /// Every other run, in order.
    pub runs: Vec<Duration>,
    /// What all threads of the process worked in each of them, where the system says: on a processor
    /// that others use too this tells more than the clock on the wall.
    pub cpu_runs: Vec<Duration>,
    /// The largest resident set since before the warm-up, in bytes, where the system says.
    pub peak_bytes: Option<u64>,
}

impl Timing {
    /// Runs `work` once, then `repeat` times; the device has finished before a clock is read.
    ///
    /// # Errors
    /// What `work` fails with.
    pub fn of(
        device: &Device,
        repeat: usize,
        mut work: impl FnMut() -> Result<(), EngineError>,
    ) -> Result<Self, EngineError> {
        memory::forget_peak();
        let mut once = || {
            let (started, worked) = (Instant::now(), cpu_time());
            work()?;
            device.synchronize().map_err(EngineError::failed)?;
            let cpu = cpu_time().zip(worked).map(|(now, then)| now.saturating_sub(then));
            Ok::<_, EngineError>((started.elapsed(), cpu))
        };
        let (warm_up, _) = once()?;
        let runs = (0..repeat).map(|_| once()).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            warm_up,
            runs: runs.iter().map(|(run, _)| *run).collect(),
            cpu_runs: runs.iter().filter_map(|(_, cpu)| *cpu).collect(),
            peak_bytes: memory::peak_bytes(),
        })
    }

    /// The run in the middle; of an even number the mean of the two.
    pub fn median(&self) -> Duration {
        median(&self.runs).unwrap_or_default()
    }

    /// The same of the processor's time, where it is known.
    pub fn cpu_median(&self) -> Option<Duration> {
        median(&self.cpu_runs)
    }

    /// The fastest and the slowest run.
    pub fn spread(&self) -> (Duration, Duration) {
        let ends = (self.runs.iter().min(), self.runs.iter().max());
        (ends.0.copied().unwrap_or_default(), ends.1.copied().unwrap_or_default())
    }
}

fn median(runs: &[Duration]) -> Option<Duration> {
    let mut sorted = runs.to_vec();
    sorted.sort();
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => Some((*below + *above) / 2),
        (_, above) => above.copied(),
    }
}

/// What all threads of this process worked so far.
fn cpu_time() -> Option<Duration> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes to `time` and nothing else.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) } != 0;
        (!failed).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(millis: &[u64]) -> Timing {
        let runs = millis.iter().map(|&millis| Duration::from_millis(millis)).collect();
        Timing { runs, ..Timing::default() }
    }

    #[test]
    fn the_median_is_the_run_in_the_middle() {
        for (runs, median) in [(&[][..], 0), (&[7], 7), (&[9, 1, 4], 4), (&[8, 2, 4, 100], 6)] {
            assert_eq!(timing(runs).median(), Duration::from_millis(median), "{runs:?}");
        }
        let spread = timing(&[9, 1, 4]).spread();
        assert_eq!(spread, (Duration::from_millis(1), Duration::from_millis(9)));
    }

    #[test]
    fn the_warm_up_is_no_run() {
        let mut count = 0;
        let work = || {
            count += 1;
            Ok(())
        };
        let timing = Timing::of(&Device::Cpu, 3, work).unwrap();
        assert_eq!((count, timing.runs.len()), (4, 3));
    }
}
