//! Whole runs with weighted and long prompts and with textual inversion.

use libtest_mimic::Trial;
use overpaint::engine::Request;

use crate::{
    compare::{exact, measured},
    pipelines::{Case, cases_of, deviation, request, run},
};

/// Something about a request that is not as it was.
type Change = fn(&mut Request);

const CHANGES: [(&str, &str, Change); 14] = [
    ("prompt-compel", "negative-weight", |request| {
        request.negative_prompt = request.negative_prompt.as_ref().map(|n| n.replace("0.5", "0.6"));
    }),
    ("prompt-compel", "syntax", |request| request.prompt_syntax = None),
    ("prompt-compel-long", "cut", |request| request.long_prompts = false),
    ("prompt-compel-skip", "clip-skip", |request| request.clip_skip = None),
    ("prompt-a1111", "weight", |request| request.prompt = request.prompt.replace("1.4", "1.2")),
    ("prompt-inversion", "word", |request| request.embeddings.truncate(1)),
    ("sd2-compel", "weight", |request| request.prompt = request.prompt.replace("0.4", "0.45")),
    ("xl-compel", "weight", |request| request.prompt = request.prompt.replace("0.4", "0.45")),
    // The pooled text reads the marks.
    ("xl-compel", "marks", |request| {
        request.prompt = request.prompt.replace("++", ".attend(1.21)")
    }),
    ("xl-compel-second", "weight", |request| second(request, "1.3", "1.35")),
    ("xl-compel-second", "swapped", |request| {
        let first = request.prompt_2.replace(request.prompt.clone());
        request.prompt = first.unwrap_or_default();
    }),
    ("xl-compel-long", "cut", |request| request.long_prompts = false),
    ("xl-a1111", "weight", |request| second(request, "1.2", "1.25")),
    ("xl-inversion", "word", |request| request.embeddings.truncate(1)),
];

/// Changes the second prompt.
fn second(request: &mut Request, from: &str, to: &str) {
    request.prompt_2 = request.prompt_2.as_ref().map(|text| text.replace(from, to));
}

pub fn trials() -> Vec<Trial> {
    let cases = cases_of("prompts.json");
    let mut trials = Vec::new();
    for (name, what, change) in CHANGES {
        let case = cases.iter().find(|case| case.name == name).cloned();
        trials.push(exact(format!("prompts::{name}-{what}-differs"), move || {
            let case = case.ok_or_else(|| format!("there is no {name}"))?;
            let mut changed = request(&case)?;
            change(&mut changed);
            match run(changed).and_then(|outcome| deviation(&case, &outcome)) {
                Ok(deviation) if deviation.is_within() => Err(format!("still {deviation}")),
                _ => Ok(()),
            }
        }));
    }
    let whole = |case: Case| {
        measured(format!("prompts::{}", case.name), move || {
            deviation(&case, &run(request(&case)?)?)
        })
    };
    trials.extend(cases.into_iter().map(whole));
    trials
}
