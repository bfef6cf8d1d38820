//! The same engine on a device: gradients, golden steps, errors, and what goes to and fro.
#![cfg(feature = "opencl")]

use zoo_tuning::gradcheck::{Draw, max_relative_error_on};
use zoo_tuning::kernel::check::{CHECKS, difference};
use zoo_tuning::ops;
use zoo_tuning::tensor::opencl::discover;
use zoo_tuning::tensor::{Device, Tensor};

/// Every device there is; the tests need one.
fn devices() -> Vec<Device> {
    let found = discover().unwrap();
    assert!(!found.is_empty(), "a driver is needed, such as pocl-opencl-icd");
    found.iter().map(|properties| Device::opencl(properties.index).unwrap()).collect()
}

#[test]
fn values_go_there_and_come_back() {
    for device in devices() {
        let x = Tensor::<f32>::from_fn(&[3, 5], {
            let mut n = 0.0;
            move || {
                n += 1.0;
                n
            }
        });
        let there = x.to(&device).unwrap();
        assert_eq!(there.device(), device);
        assert_eq!(there.as_slice(), x.as_slice());
        let mut changed = there.clone();
        changed.as_mut_slice()[0] = 7.0;
        assert_eq!((changed.device(), there.as_slice()[0]), (Device::Cpu, 1.0));
        assert_eq!(there.zeros_like().unwrap().as_slice(), [0.0; 15]);
        let empty = Tensor::<f32>::zeros(&[0, 3]).to(&device).unwrap();
        assert_eq!(empty.to(&Device::Cpu).unwrap().as_slice(), [0.0f32; 0]);
    }
}

#[test]
fn every_name_computes_what_the_processor_does() {
    for device in devices() {
        for &(name, compute) in CHECKS {
            let found = difference(&device, compute).unwrap();
            assert!(found < 1e-4, "{name}: {found} on {device}");
        }
    }
}

#[test]
fn every_gradient_is_that_of_finite_differences() {
    for device in devices() {
        for (name, case) in ops::GRADIENT_CASES {
            for seed in 0..12 {
                let case = case(&mut Draw::seeded(seed));
                let error = max_relative_error_on(&device, &case).unwrap();
                assert!(error < 1e-6, "{name}: {error} for {:?} on {device}", case.shapes());
            }
        }
    }
}
