//! Other names that a tensor may have in older files.

/// Autoencoders from before diffusers 0.17 name their attention's projections so.
const ATTENTION: [(&str, &str); 4] =
    [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")];

/// Text encoders are stored with this prefix by older versions of transformers, and without by
/// newer ones.
const TEXT_PREFIX: &str = "text_model.";

/// What `key` may be called instead, likeliest first; `key` itself is not among them.
pub fn aliases(key: &str) -> Vec<String> {
    let mut names = Vec::new();
    match key.strip_prefix(TEXT_PREFIX) {
        Some(bare) => names.push(bare.to_owned()),
        None => names.push(format!("{TEXT_PREFIX}{key}")),
    }
    for (new, old) in ATTENTION {
        let Some((path, end)) = key.rsplit_once(&format!(".{new}.")) else { continue };
        names.push(format!("{path}.{old}.{end}"));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::aliases;

    #[test]
    fn old_names_of_attention() {
        let key = "encoder.mid_block.attentions.0.to_out.0.weight";
        assert!(aliases(key).contains(&"encoder.mid_block.attentions.0.proj_attn.weight".into()));
    }

    #[test]
    fn the_text_prefix_comes_and_goes() {
        assert_eq!(aliases("text_model.a.weight"), ["a.weight"]);
        assert_eq!(aliases("a.weight"), ["text_model.a.weight"]);
    }
}
