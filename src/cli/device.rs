//! What computes: the option `--device`.

use super::output::message;
use crate::kernel::Window;
use crate::tape::Tape;
use crate::tensor::{Device, Tensor};
use crate::{Error, Result, ops};
use clap::Args;
use std::time::{Duration, Instant};

/// The option `--device`.
#[derive(Args, Clone)]
pub struct DeviceOption {
    /// What computes: cpu, opencl:N (a number that zoo-tuning devices shows; opencl is
    /// opencl:0), or auto, which measures a small layer on each and says what it took
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = parse)]
    pub device: Choice,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The processor.
    Cpu,
    /// The OpenCL device of that number.
    OpenCl(usize),
    /// The fastest.
    Auto,
}

fn parse(text: &str) -> std::result::Result<Choice, String> {
    match text {
        "cpu" => Ok(Choice::Cpu),
        "opencl" => Ok(Choice::OpenCl(0)),
        "auto" => Ok(Choice::Auto),
        _ => text
            .strip_prefix("opencl:")
            .and_then(|number| number.parse().ok())
            .map(Choice::OpenCl)
            .ok_or_else(|| "should be cpu, opencl:N, or auto".to_owned()),
    }
}

impl DeviceOption {
    /// Opens it.
    ///
    /// # Errors
    /// If there is no such device.
    pub fn open(&self) -> Result<Device> {
        match self.device {
            Choice::Cpu => Ok(Device::Cpu),
            Choice::OpenCl(index) => Device::opencl(index),
            Choice::Auto => fastest(),
        }
    }
}

/// The device that is through with a layer first.
fn fastest() -> Result<Device> {
    let (mut best, mut best_time) = (Device::Cpu, time(&Device::Cpu)?);
    let mut times = vec![format!("cpu {:.1} ms", milliseconds(best_time))];
    for device in all() {
        // One that cannot do it is none to be taken.
        match device.and_then(|device| Ok((time(&device)?, device))) {
            Ok((time, device)) => {
                times.push(format!("{device} {:.1} ms", milliseconds(time)));
                if time < best_time {
                    (best, best_time) = (device, time);
                }
            }
            Err(error) => times.push(error.to_string()),
        }
    }
    message(format!("{best}: the fastest of {}", times.join(", ")));
    Ok(best)
}

fn milliseconds(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}

/// Every OpenCL device; none where there is no driver, or no feature.
fn all() -> Vec<Result<Device>> {
    #[cfg(feature = "opencl")]
    return match crate::tensor::opencl::discover() {
        Ok(found) => (0..found.len()).map(Device::opencl).collect(),
        Err(error) => vec![Err(error)],
    };
    #[cfg(not(feature = "opencl"))]
    return Vec::new();
}

/// How long forward and backward pass of a convolution take, the best of three; before them one
/// that is not counted, in which kernels are compiled.
fn time(device: &Device) -> Result<Duration> {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut drawn = |shape: &[usize]| Tensor::<f32>::normal(shape, 1.0, &mut rng).to(device);
    let (x, weight, dy) =
        (drawn(&[16, 64, 28, 28])?, drawn(&[64, 64, 3, 3])?, drawn(&[16, 64, 28, 28])?);
    let once = || -> Result<Duration> {
        let begun = Instant::now();
        let mut tape = Tape::new();
        let [x, w] = [&x, &weight].map(|tensor| tape.parameter(tensor.clone()));
        let y = ops::conv2d(&mut tape, x, w, None, Window::square(1, 1))?;
        let mut gradients = tape.backward_from(y, dy.clone())?;
        // What was enqueued is done when a value of it is here.
        for var in [x, w] {
            let gradient =
                gradients.take(var).ok_or_else(|| Error::argument("auto", "no gradient"))?;
            gradient.to(&Device::Cpu)?;
        }
        Ok(begun.elapsed())
    };
    once()?;
    (0..3).try_fold(Duration::MAX, |best, _| Ok(best.min(once()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names() {
        assert_eq!(parse("cpu"), Ok(Choice::Cpu));
        assert_eq!(parse("opencl:2"), Ok(Choice::OpenCl(2)));
        assert!(parse("opencl:").is_err() && parse("gpu").is_err());
    }
}
