//! The gate of all tests that draw: they need a graphics adapter, a real one or a software one.
//!
//! Without an adapter such tests are reported as ignored, with the reason. With
//! `OVERPAINT_REQUIRE_GPU=1` they fail instead: a machine that is meant to draw then cannot pass
//! by drawing nothing.

// Each test binary that includes this file uses its part of it.
#![allow(dead_code)]

use std::{
    pin::pin,
    sync::{LazyLock, mpsc},
    task::{Context, Poll, Wake, Waker},
};

use libtest_mimic::{Completion, Failed, Trial};

/// A device of the machine's adapter.
#[derive(Clone)]
pub struct Gpu {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
}

static ADAPTER: LazyLock<Result<wgpu::Adapter, String>> = LazyLock::new(|| {
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))
        .map_err(|error| format!("no graphics adapter: {error}"))
});

/// The machine's adapter, or why there is none.
pub fn adapter() -> Result<&'static wgpu::Adapter, String> {
    ADAPTER.as_ref().map_err(Clone::clone)
}

/// A new device with the limits that the window toolkit asks for.
pub fn device() -> Result<Gpu, String> {
    device_with(wgpu::Limits::default())
}

/// A new device with other limits.
pub fn device_with(required_limits: wgpu::Limits) -> Result<Gpu, String> {
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    let (device, queue) = block_on(adapter()?.request_device(&descriptor))
        .map_err(|error| format!("no graphics device: {error}"))?;
    Ok(Gpu { device, queue })
}

/// Whether a missing adapter is a failure.
pub fn is_required() -> bool {
    std::env::var("OVERPAINT_REQUIRE_GPU").is_ok_and(|value| value == "1")
}

/// A test that draws. It passes or fails by its panics; without an adapter it is ignored, or fails
/// if one is required.
pub fn trial(name: &'static str, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || match adapter() {
        Ok(_) => {
            test();
            Ok(Completion::Completed)
        }
        Err(reason) if is_required() => Err(Failed::from(reason)),
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}

/// Waits for a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Wakeup(mpsc::SyncSender<()>);

    impl Wake for Wakeup {
        fn wake(self: std::sync::Arc<Self>) {
            // If the channel is full, a wake-up that says the same is already waiting.
            let _ = self.0.try_send(());
        }
    }

    let (sender, receiver) = mpsc::sync_channel(1);
    let waker = Waker::from(std::sync::Arc::new(Wakeup(sender)));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        receiver.recv().expect("the waker lives as long as the future");
    }
}
