//! `cargo run --release -- TARGET|all EXECUTIONS [SEED]`: without a nightly compiler.

use std::{env, fs, panic, path::Path, process::ExitCode};

use overpaint_fuzz::{
    mutation::{Numbers, Pool},
    targets::ALL,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place).and_then(|text| text.parse::<u64>().ok());
    let (Some(name), Some(executions)) = (arguments.first(), number(1)) else {
        eprintln!("name a target or `all`, and how many executions");
        return ExitCode::from(2);
    };
    let chosen: Vec<_> = ALL.iter().filter(|(target, _)| name == "all" || name == target).collect();
    let sound = chosen.iter().all(|(target, read)| run(target, *read, executions, number(2)));
    if sound && !chosen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether the reader came back from every input; the first that it did not is kept.
fn run(name: &str, read: fn(&[u8]) -> bool, executions: u64, seed: Option<u64>) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let corpus = root.join("corpus").join(name);
    let files = fs::read_dir(&corpus).into_iter().flatten().flatten();
    let mut files: Vec<_> = files.map(|entry| entry.path()).collect();
    files.sort();
    let mut pool = Pool::new(files.iter().filter_map(|file| fs::read(file).ok()).collect());
    if pool.is_empty() {
        eprintln!("{name}: no seeds in {}", corpus.display());
        return false;
    }
    let mut numbers = Numbers::new(seed.unwrap_or(1));
    let mut accepted = 0u64;
    for count in 0..executions {
        let input = pool.damaged(&mut numbers);
        match panic::catch_unwind(|| read(&input)) {
            Ok(true) => {
                accepted += 1;
                pool.keep(input, &mut numbers);
            }
            Ok(false) => {}
            Err(_) => {
                let kept = root.join("artifacts").join(format!("{name}-{count}"));
                let written = fs::create_dir_all(root.join("artifacts"))
                    .and_then(|()| fs::write(&kept, &input));
                eprintln!("{name}: broken by input {count}, {} ({written:?})", kept.display());
                return false;
            }
        }
    }
    println!("{name}: {executions} executions, {accepted} accepted, none broke it");
    true
}
