//! `{red|green|blue}`: one of them, chosen by the seed. They nest, and a backslash before a brace
//! or bar makes it text.

/// Deeper nesting is text.
const MAX_DEPTH: usize = 32;

/// The text with every choice made. `stream` tells texts of one run apart, so that a prompt and
/// its negative choose independently. The same arguments give the same text, on every machine.
///
/// Braces without a bar are text, and so is what is not closed.
pub fn resolve(text: &str, seed: u64, stream: u64) -> String {
    let mut random = SplitMix64(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
    let mut resolved = String::with_capacity(text.len());
    write(text, &mut random, 0, &mut resolved);
    resolved
}

fn write(text: &str, random: &mut SplitMix64, depth: usize, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(['{', '\\']) {
        out.push_str(&rest[..at]);
        let here = &rest[at..];
        let behind = &here[1..];
        rest = if here.starts_with('\\') {
            // Only braces and bars are escaped here; other backslashes are for the prompt's syntax.
            let escapes = behind.starts_with(['{', '|', '}']);
            out.push_str(if escapes { &here[1..2] } else { "\\" });
            &behind[usize::from(escapes)..]
        } else if let Some((options, after)) = options(behind).filter(|_| depth < MAX_DEPTH) {
            let chosen = random.below(options.len());
            write(options[chosen], random, depth + 1, out);
            after
        } else {
            out.push('{');
            behind
        };
    }
    out.push_str(rest);
}

/// The options up to the brace that closes, two at least, and what follows.
fn options(text: &str) -> Option<(Vec<&str>, &str)> {
    let (mut options, mut from, mut depth, mut escaped) = (Vec::new(), 0, 0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => {
                escaped = false;
                continue;
            }
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '|' if depth == 0 => {
                options.push(&text[from..at]);
                from = at + 1;
            }
            '}' => {
                options.push(&text[from..at]);
                return (options.len() > 1).then_some((options, &text[at + 1..]));
            }
            _ => {}
        }
    }
    None
}

/// Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `count - 1`, each as likely as the others.
    fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_drawn_and_the_seed_decides() {
        let text = "a {red|green|{dark|light} blue} door";
        let all: std::collections::BTreeSet<_> = (0..64).map(|s| resolve(text, s, 0)).collect();
        let expected = ["a dark blue door", "a green door", "a light blue door", "a red door"];
        assert_eq!(all.iter().collect::<Vec<_>>(), expected);
        assert_eq!(resolve(text, 7, 1), resolve(text, 7, 1));
        assert!((0..64).any(|seed| resolve(text, seed, 0) != resolve(text, seed, 1)));
    }

    #[test]
    fn choices_stay_what_they_were() {
        // A picture's settings name its seed: another choice would be another picture.
        let chosen: String = (0..16).map(|seed| resolve("{a|b|c}", seed, 0)).collect();
        assert_eq!(chosen, "cbbabbcbbcaabcbb");
    }

    #[test]
    fn what_is_no_choice_is_text() {
        for text in ["{a}", "{a|b", "a|b}", "{}", r"\(a\)", "{"] {
            assert_eq!(resolve(text, 1, 0), text);
        }
        assert_eq!(resolve(r"\{a|b\}", 1, 0), "{a|b}");
        assert_eq!(resolve("{|}x", 1, 0), "x");
        let deep = format!("{}x{}", "{a|".repeat(50_000), "}".repeat(50_000));
        assert!(!resolve(&deep, 1, 0).is_empty());
    }
}
