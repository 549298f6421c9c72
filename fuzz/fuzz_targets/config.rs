#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    overpaint_fuzz::targets::config(bytes);
});
