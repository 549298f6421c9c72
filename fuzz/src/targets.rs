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

/// The notes of a picture, and the settings that they may hold; as the bytes are, and with right
/// checksums, without which what they say would never be read.
pub fn png_metadata(bytes: &[u8]) -> bool {
    let read = |bytes: &[u8]| {
        let Ok(text) = codec::decode_text(bytes, "fuzz.png") else { return false };
        metadata::request_of(&text);
        !text.is_empty()
    };
    read(bytes) | read(&with_checksums(bytes))
}

/// A PNG's chunks are a length, four letters, that many bytes, and a checksum of letters and bytes.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut fixed = bytes.to_vec();
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4).and_then(|four| four.try_into().ok()) {
        let end = (at + 8).saturating_add(u32::from_be_bytes(length) as usize);
        let Some(content) = bytes.get(at + 4..end).filter(|_| end + 4 <= bytes.len()) else {
            break;
        };
        fixed[end..end + 4].copy_from_slice(&checksum(content).to_be_bytes());
        at = end + 4;
    }
    fixed
}

/// CRC-32 as PNG has it.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 }
        })
    })
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
