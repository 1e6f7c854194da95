//! Where networks run: the first GPU in a build with the `cuda` feature where there is one, the processor otherwise.

use std::sync::OnceLock;

use candle_core::Device;

/// Returns the device that loaded networks run on.
#[must_use]
pub fn preferred() -> Device {
    static FOUND: OnceLock<Device> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

fn find() -> Device {
    #[cfg(feature = "cuda")]
    match Device::new_cuda(0) {
        Ok(device) => return device,
        // The library's text may hold paths of the machine that it was built on: not for the log.
        Err(_) => tracing::warn!("no GPU can be used: networks run on the processor"),
    }
    Device::Cpu
}
