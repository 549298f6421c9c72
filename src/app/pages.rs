//! Web pages, in the browser that the person uses.

use std::process::{Command, Stdio};

/// Opens a page; where no browser can be started its address is in the clipboard.
pub fn open(ctx: &egui::Context, address: &str) {
    if !address.starts_with("https://") && !address.starts_with("http://") {
        return;
    }
    let (program, before): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else {
        ("xdg-open", &[])
    };
    let mut command = Command::new(program);
    command.args(before).arg(address);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(why) = command.spawn() {
        log::warn!("{address} could not be opened ({why}); it is in the clipboard");
        ctx.copy_text(address.to_owned());
    }
}
