//! Which graphics adapters there are.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Every adapter's name, kind and interface, for a report. Empty where there is no driver.
pub fn adapter_names() -> Vec<String> {
    let instance = wgpu::Instance::default();
    let adapters = pin!(instance.enumerate_adapters(wgpu::Backends::all()));
    // Outside of browsers the answer is there at once.
    match adapters.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(adapters) => {
            adapters.iter().map(|adapter| describe(&adapter.get_info())).collect()
        }
        Poll::Pending => Vec::new(),
    }
}

fn describe(info: &wgpu::AdapterInfo) -> String {
    format!("{} ({:?}, {:?})", info.name, info.device_type, info.backend)
}
