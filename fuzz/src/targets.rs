//! The readers. Each takes any bytes, must come back, and says whether it accepted them.

use std::{cell::OnceCell, fs, path::Path};

use overpaint::{
    catalog::header::Header,
    diffusion::{
        SchedulerConfig,
        schedulers::{PipelineKind, build},
    },
    engine::metadata,
    networks::{
        AutoencoderConfig, ClipTextConfig, ControlNetConfig, MovqConfig, PriorConfig,
        TinyAutoencoderConfig, UNetConfig,
    },
    pixels::codec,
};

/// All of them, by the names of their folders of seeds.
pub const ALL: [(&str, fn(&[u8]) -> bool); 3] = [
    ("safetensors_header", safetensors_header),
    ("png_metadata", png_metadata),
    ("config", config),
];

/// What is accepted lies within the file, tensor behind tensor.
pub fn safetensors_header(bytes: &[u8]) -> bool {
    let Ok(header) = Header::read_from(&mut &bytes[..], bytes.len() as u64) else { return false };
    let tensors = header.tensors.values();
    let data: u64 = tensors.map(|tensor| tensor.end - tensor.begin).sum();
    assert!(data + 8 <= bytes.len() as u64, "more tensors than bytes");
    true
}

/// The notes of a picture, and the settings that they may hold.
pub fn png_metadata(bytes: &[u8]) -> bool {
    let Ok(text) = codec::decode_text(bytes, "fuzz.png") else { return false };
    metadata::request_of(&text);
    true
}

/// A model's configurations; the first byte says which reader.
pub fn config(bytes: &[u8]) -> bool {
    let Some((&which, text)) = bytes.split_first() else { return false };
    let readers: [fn(&Path) -> bool; 7] = [
        |file| UNetConfig::open(file).is_ok(),
        |file| AutoencoderConfig::open(file).is_ok(),
        |file| ClipTextConfig::open(file).is_ok(),
        |file| ControlNetConfig::open(file).is_ok(),
        |file| MovqConfig::open(file).is_ok(),
        |file| PriorConfig::open(file).is_ok(),
        |file| TinyAutoencoderConfig::open(file).is_ok(),
    ];
    match readers.get(usize::from(which.wrapping_sub(b'0'))) {
        Some(reader) => with_file(text, reader),
        None => scheduler(text),
    }
}

fn scheduler(text: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(text) else { return false };
    let Ok(config) = SchedulerConfig::parse("fuzz", text) else { return false };
    build(&config, None, &Default::default(), PipelineKind::TextToImage).is_ok()
}

/// In a folder that lasts as long as the thread.
fn with_file(text: &[u8], read: impl Fn(&Path) -> bool) -> bool {
    thread_local!(static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() });
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("a temporary folder"));
        let file = folder.path().join("config.json");
        fs::write(&file, text).expect("room for a small file");
        read(&file)
    })
}
