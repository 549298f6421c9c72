//! Values of options, from text.

use std::path::Path;

use serde_json::Value;

use crate::{
    engine::{
        Device, Dtype, EmbeddingUse, FillMode, LoraUse, NoiseKind, PreviewMethod, PromptSyntax,
        bench::{self, Stage},
    },
    geometry::Extent,
    pixels::blend::Seam,
};

/// One of a few words; the error lists them.
fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("must be one of {}", names.join(", "))
    })
}

pub fn device(text: &str) -> Result<Device, String> {
    if let Some(index) = text.strip_prefix("cuda:") {
        let index = index.parse().map_err(|_| "after cuda: comes a number, 0 or more")?;
        return Ok(Device::Cuda(index));
    }
    let choices = [
        ("auto", Device::Auto),
        ("cpu", Device::Cpu),
        ("cuda", Device::Cuda(0)),
        ("metal", Device::Metal),
    ];
    choice(text, &choices).map_err(|error| format!("{error}, cuda:N"))
}

pub fn dtype(text: &str) -> Result<Dtype, String> {
    choice(text, &[("f32", Dtype::F32), ("f16", Dtype::F16), ("bf16", Dtype::Bf16)])
}

pub fn noise(text: &str) -> Result<NoiseKind, String> {
    choice(text, &[("torch", NoiseKind::Torch), ("philox", NoiseKind::Philox)])
}

pub fn preview(text: &str) -> Result<PreviewMethod, String> {
    choice(
        text,
        &[
            ("linear", PreviewMethod::Linear),
            ("tiny", PreviewMethod::Tiny),
            ("full", PreviewMethod::Full),
        ],
    )
}

/// A part that can be measured.
pub fn stage(text: &str) -> Result<Stage, String> {
    choice(text, &Stage::ALL.map(|stage| (stage.name(), stage)))
}

/// One of the architectures that can be measured.
pub fn architecture(text: &str) -> Result<String, String> {
    let names = bench::names();
    let choices: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    choice(text, &choices).map(str::to_owned)
}

pub fn fill_mode(text: &str) -> Result<FillMode, String> {
    choice(text, &[("original", FillMode::Original), ("content-aware", FillMode::ContentAware)])
}

pub fn seam(text: &str) -> Result<Seam, String> {
    choice(text, &[("match", Seam::Match), ("feather", Seam::Feather)])
}

/// `FILE[:SCALE]`; a colon before anything but a number belongs to the name.
pub fn lora(text: &str) -> Result<LoraUse, String> {
    let scaled = text.rsplit_once(':').and_then(|(path, scale)| Some((path, scale.parse().ok()?)));
    let (path, scale) = scaled.unwrap_or((text, 1.0));
    if path.is_empty() {
        return Err("must be FILE or FILE:SCALE, as in style.safetensors:0.8".into());
    }
    Ok(LoraUse { path: path.into(), scale })
}

pub fn prompt_syntax(text: &str) -> Result<PromptSyntax, String> {
    let choices = [
        ("plain", PromptSyntax::Plain),
        ("a1111", PromptSyntax::A1111),
        ("compel", PromptSyntax::Compel),
    ];
    choice(text, &choices)
}

/// `FILE[:TOKEN]`; the token begins behind `.safetensors:`, or behind the last colon where what
/// stands before it is a file.
pub fn embedding(text: &str) -> Result<EmbeddingUse, String> {
    const ENDING: &str = ".safetensors";
    let marked = text.find(".safetensors:").map(|at| at + ENDING.len());
    let is_file = |at: &usize| Path::new(&text[..*at]).is_file();
    let colon = marked.or_else(|| text.rfind(':').filter(is_file));
    let (path, token) = match colon {
        Some(at) => (&text[..at], Some(text[at + 1..].to_owned())),
        None => (text, None),
    };
    if path.is_empty() || token.as_deref() == Some("") {
        return Err("must be FILE or FILE:TOKEN, as in moss.safetensors:<moss>".into());
    }
    Ok(EmbeddingUse { path: path.into(), token })
}

/// `WIDTHxHEIGHT` in pixels.
pub fn extent(text: &str) -> Result<Extent, String> {
    let sides = text.split_once(['x', 'X']);
    let number = |text: &str| text.trim().parse().ok().filter(|side| *side > 0);
    sides
        .and_then(|(width, height)| Some(Extent::new(number(width)?, number(height)?)))
        .ok_or_else(|| "must be WIDTHxHEIGHT in pixels, as in 1024x768".into())
}

/// `X,Y` in pixels.
pub fn offset(text: &str) -> Result<(i32, i32), String> {
    let parts = text.split_once(',');
    let number = |text: &str| text.trim().parse().ok();
    parts
        .and_then(|(x, y)| Some((number(x)?, number(y)?)))
        .ok_or_else(|| "must be X,Y in pixels, as in 0,64".into())
}

pub fn count(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|threads| (1..=1024).contains(threads));
    threads.ok_or_else(|| "must be a whole number from 1 to 1024".into())
}

/// Negative seeds count from 2^64 down, as `torch.Generator.manual_seed` takes them.
pub fn seed(text: &str) -> Result<u64, String> {
    let negative = || text.parse::<i64>().map(i64::cast_unsigned);
    text.parse::<u64>()
        .or_else(|_| negative())
        .map_err(|_| "must be a whole number from 0 to 18446744073709551615".into())
}

/// `KEY=VALUE`; the value as JSON or Python writes it, otherwise a word.
pub fn scheduler_option(text: &str) -> Result<(String, Value), String> {
    let Some((key, value)) = text.split_once('=') else {
        return Err("must be KEY=VALUE, as in use_karras_sigmas=true".into());
    };
    let value = match value {
        "True" => Value::Bool(true),
        "False" => Value::Bool(false),
        "None" => Value::Null,
        _ => serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.into())),
    };
    Ok((key.trim().replace('-', "_"), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_become_values() {
        assert_eq!(device("cuda:3"), Ok(Device::Cuda(3)));
        assert_eq!(device("CPU"), Ok(Device::Cpu));
        assert_eq!(device("gpu").unwrap_err(), "must be one of auto, cpu, cuda, metal, cuda:N");
        assert_eq!(seed("-1"), Ok(u64::MAX));
        assert_eq!(seed("18446744073709551615"), Ok(u64::MAX));
        assert!(seed("1.5").is_err());
        assert!(count("0").is_err());
    }

    #[test]
    fn a_lora_may_have_a_scale() {
        let parts = |text| lora(text).map(|lora| (lora.path.display().to_string(), lora.scale));
        assert_eq!(parts("a.safetensors"), Ok(("a.safetensors".into(), 1.0)));
        assert_eq!(parts("a.safetensors:-0.5"), Ok(("a.safetensors".into(), -0.5)));
        assert_eq!(parts("C:\\a:2"), Ok(("C:\\a".into(), 2.0)));
        assert_eq!(parts("C:\\a"), Ok(("C:\\a".into(), 1.0)));
        assert!(parts(":1").is_err());
    }

    #[test]
    fn sizes_and_offsets_are_pairs() {
        assert_eq!(extent("96x64"), Ok(Extent::new(96, 64)));
        assert_eq!(offset("12,-5"), Ok((12, -5)));
        for wrong in ["96", "96x", "0x64", "a,b"] {
            assert!(extent(wrong).is_err() && offset(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_embedding_may_have_a_token() {
        let parts = |text| {
            embedding(text).map(|e| (e.path.display().to_string(), e.token.unwrap_or_default()))
        };
        let expected = |path: &str, token: &str| Ok((path.to_owned(), token.to_owned()));
        assert_eq!(parts("a.safetensors"), expected("a.safetensors", ""));
        assert_eq!(parts("C:\\a.safetensors:<a:b>"), expected("C:\\a.safetensors", "<a:b>"));
        assert_eq!(parts("C:\\a.pt"), expected("C:\\a.pt", ""));
        assert!(parts("a.safetensors:").is_err());
        assert_eq!(prompt_syntax("Compel"), Ok(PromptSyntax::Compel));
        assert!(prompt_syntax("comfy").unwrap_err().contains("plain, a1111, compel"));
    }

    #[test]
    fn scheduler_options_keep_their_types() {
        let value = |text| scheduler_option(text).unwrap().1;
        assert_eq!(value("solver_order=3"), json!(3));
        assert_eq!(value("use_karras_sigmas=True"), json!(true));
        assert_eq!(value("timestep_spacing=trailing"), json!("trailing"));
        assert_eq!(scheduler_option("a-b=1.5").unwrap(), ("a_b".into(), json!(1.5)));
        assert!(scheduler_option("karras").is_err());
    }
}
