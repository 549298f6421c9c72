//! Every shader parses and is valid, checked without a graphics card.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use overpaint::render::shaders::ShaderSources;

fn validate(name: &str, text: &str) -> Result<naga::Module, String> {
    let module = naga::front::wgsl::parse_str(text)
        .map_err(|error| format!("{name}: {}", error.emit_to_string(text)))?;
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .map_err(|error| format!("{name}: {}", error.emit_to_string(text)))?;
    Ok(module)
}

#[test]
fn every_shader_is_valid_without_optional_features() {
    let sources = ShaderSources::built_in();
    let mut names = 0;
    for name in ShaderSources::entry_names() {
        let text = sources.text(name).expect("built-in sources are complete");
        let module = validate(name, &text).unwrap_or_else(|error| panic!("{error}"));
        let entries: Vec<_> = module.entry_points.iter().map(|e| e.name.as_str()).collect();
        let expected: &[&str] = if text.contains("@compute") {
            &["compute_main"]
        } else {
            &["vertex_main", "fragment_main"]
        };
        assert_eq!(entries, expected, "{name}");
        names += 1;
    }
    assert_eq!(names, 11, "effects and passes");
}

#[test]
fn a_broken_shader_is_refused() {
    let mut text = ShaderSources::built_in().text("cursor.wgsl").expect("built in");
    text.push_str("fn broken() -> f32 { return 1u; }");
    assert!(validate("cursor.wgsl", &text).is_err());
}
