//! What is said where a device has no room for a batch.

use crate::{Error, Result};
use std::path::Path;

/// `error`, and if it is that a device has no room for `batch` samples, how many it has room for:
/// `compute` is asked to try with fewer. What it leaves is of no use to anyone.
pub(super) fn advised(
    error: Error,
    batch: usize,
    compute: impl FnMut(usize) -> Result<()>,
) -> Error {
    let mut error = error;
    if let Error::DeviceMemory { fits, .. } = &mut error {
        *fits = largest(batch, compute);
    }
    error
}

/// The most samples, fewer than `batch`, that were tried and fit: a half, a quarter and so on, and
/// what lies in the middle between the first that fits and the last that does not. 0 if not even
/// one fits.
fn largest(batch: usize, mut compute: impl FnMut(usize) -> Result<()>) -> Option<usize> {
    let mut too_many = batch;
    while too_many > 1 {
        let fewer = too_many / 2;
        match compute(fewer) {
            Ok(()) => {
                let middle = fewer.midpoint(too_many);
                let fits = middle > fewer && compute(middle).is_ok();
                return Some(if fits { middle } else { fewer });
            }
            Err(Error::DeviceMemory { .. }) => too_many = fewer,
            // Nothing is to be learnt of another error.
            Err(_) => return None,
        }
    }
    Some(0)
}

/// `error`, and if it is that a device has no room, where a run is saved that stopped of it.
pub(super) fn saved(error: Error, folder: &Path) -> Error {
    let mut error = error;
    if let Error::DeviceMemory { saved, .. } = &mut error {
        *saved = Some(folder.to_owned());
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Error {
        Error::DeviceMemory {
            device: "opencl:0".into(),
            asked: Some(3 << 20),
            free: 1 << 20,
            memory: 8 << 20,
            largest_buffer: 8 << 20,
            fits: None,
            saved: None,
        }
    }

    #[test]
    fn the_largest_batch_is_found_to_a_half() {
        let find =
            |batch, most| largest(batch, |count| if count <= most { Ok(()) } else { Err(full()) });
        assert_eq!((find(64, 63), find(64, 33), find(64, 5)), (Some(48), Some(32), Some(4)));
        assert_eq!((find(64, 7), find(64, 1), find(64, 0)), (Some(6), Some(1), Some(0)));
        assert_eq!((find(3, 2), find(1, 1)), (Some(2), Some(0)));
        assert_eq!(largest(8, |_| Err(Error::argument("a", "b"))), None);
    }

    #[test]
    fn an_error_of_room_says_what_fits_and_what_is_kept() {
        let error = advised(full(), 8, |count| if count < 4 { Ok(()) } else { Err(full()) });
        let text = saved(error, Path::new("run")).to_string();
        assert_eq!(
            text,
            "opencl:0: out of memory: asked for 3.0 MiB, free are 1.0 MiB of 8.0 MiB, and one \
             buffer holds 8.0 MiB at most; a batch of 3 was tried, and fits; nothing that was \
             written is lost: --resume run goes on from the last checkpoint where there is more \
             room, such as on the cpu"
        );
        assert!(full().to_string().ends_with("8.0 MiB at most"));
    }
}
