//! Every operation against PyTorch.
//!
//! The numbers come from `tests/golden/make.py`, which was run once; nothing here needs
//! PyTorch. Outputs and gradients are compared in `f32` and in `f64`, relative to the
//! largest value of the tensor in question.

use serde_json::Value;
use zoo_tuning::kernel::{Divisor, Epilogue, Window};
use zoo_tuning::ops::{self, GateFunction, GateWeights, Moments, Noise, NoisyWeights};
use zoo_tuning::tape::{Tape, Var};
use zoo_tuning::tensor::{Device, Element, Tensor};
use zoo_tuning::{Error, Result};

/// One element of a fixture file.
struct Case {
    value: Value,
}

impl Case {
    /// The cases of `tests/golden/{operation}.json`.
    fn of(operation: &str) -> Vec<Self> {
        let path = format!("{}/tests/golden/{operation}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert!(!cases.is_empty(), "{path} holds no case");
        cases.into_iter().map(|value| Self { value }).collect()
    }

    fn tensors(&self, key: &str) -> Vec<Tensor<f64>> {
        self.value[key].as_array().unwrap().iter().map(tensor).collect()
    }

    fn sizes(&self, key: &str) -> Vec<usize> {
        let sizes = self.value["attributes"][key].as_array().unwrap();
        sizes.iter().map(|v| v.as_u64().unwrap() as usize).collect()
    }

    fn numbers(&self, key: &str) -> Vec<f64> {
        let numbers = self.value["attributes"][key].as_array().unwrap();
        numbers.iter().map(|v| v.as_f64().unwrap()).collect()
    }

    fn pair(&self, key: &str) -> [usize; 2] {
        self.sizes(key).try_into().unwrap()
    }

    fn size(&self, key: &str) -> usize {
        self.value["attributes"][key].as_u64().unwrap() as usize
    }

    fn flag(&self, key: &str) -> bool {
        self.value["attributes"][key].as_bool().unwrap()
    }

    fn number(&self, key: &str) -> f64 {
        self.value["attributes"][key].as_f64().unwrap()
    }

    /// The window of a convolution, or of a pooling, which has no groups.
    fn window(&self) -> Window {
        Window {
            stride: self.pair("stride"),
            padding: self.pair("padding"),
            dilation: self.pair("dilation"),
            groups: self.value["attributes"]["groups"].as_u64().unwrap_or(1) as usize,
        }
    }
}

fn tensor(value: &Value) -> Tensor<f64> {
    let shape = value["shape"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize);
    let values = value["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
    Tensor::new(&shape.collect::<Vec<_>>(), values.collect()).unwrap()
}

/// What the fixtures' nine digits permit, and single precision's rounding.
fn tolerance<T: Element>() -> f64 {
    if size_of::<T>() == 4 { 1e-5 } else { 1e-8 }
}

fn assert_close<T: Element>(found: &Tensor<T>, expected: &Tensor<f64>, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let largest = expected.as_slice().iter().fold(0.0f64, |a, b| a.max(b.abs()));
    for (at, (found, expected)) in found.as_slice().iter().zip(expected.as_slice()).enumerate() {
        let error = (found.widen() - expected).abs();
        // A comparison that a NaN fails.
        let close = error <= tolerance::<T>() * largest;
        assert!(close, "{what}[{at}] is {found:?}, PyTorch has {expected}");
    }
}

/// The processor, and every OpenCL device there is.
fn devices() -> Vec<Device> {
    #[cfg_attr(not(feature = "opencl"), allow(unused_mut))]
    let mut devices = vec![Device::Cpu];
    #[cfg(feature = "opencl")]
    for index in 0..zoo_tuning::tensor::opencl::discover().unwrap().len() {
        devices.push(Device::opencl(index).unwrap());
    }
    devices
}

/// Runs `operation` on the inputs of one case and compares everything that comes out.
fn check<T: Element>(
    name: &str,
    case: &Case,
    device: &Device,
    operation: impl Fn(&mut Tape<T>, &[Var]) -> Result<Var>,
) {
    let mut tape = Tape::new();
    let inputs: Vec<Var> =
        case.tensors("inputs").iter().map(|x| tape.parameter(there(x, device))).collect();
    let y = operation(&mut tape, &inputs).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_close(tape.value(y).unwrap(), &tensor(&case.value["output"]), name);
    assert_eq!(tape.value(y).unwrap().device(), *device, "{name}");
    let dy = there(&tensor(&case.value["dy"]), device);
    let mut gradients = tape.backward_from(y, dy).unwrap();
    for (i, (input, expected)) in inputs.into_iter().zip(case.tensors("gradients")).enumerate() {
        let gradient = gradients.take(input).unwrap();
        assert_close(&gradient, &expected, &format!("{name}, gradient of input {i}, "));
    }
}

fn there<T: Element>(tensor: &Tensor<f64>, device: &Device) -> Tensor<T> {
    tensor.cast::<T>().to(device).unwrap()
}

/// A test that checks every case of a file, in both precisions, in every place. The operation is written
/// once, as if it were a closure of `(tape, inputs, case)`.
macro_rules! golden {
    ($name:ident, |$tape:ident, $v:ident, $case:ident| $operation:expr) => {
        #[test]
        fn $name() {
            fn check_all<T: Element>(device: &Device) {
                for (number, case) in Case::of(stringify!($name)).iter().enumerate() {
                    let name = format!("{} {number} on {device}", stringify!($name));
                    let $case = case;
                    check::<T>(&name, case, device, |$tape, $v| $operation);
                }
            }
            for device in devices() {
                check_all::<f32>(&device);
                // Not every device computes in f64.
                if Tensor::<f64>::scalar(0.0).to(&device).is_ok() {
                    check_all::<f64>(&device);
                }
            }
        }
    };
}

golden!(add, |tape, v, _case| ops::add(tape, v[0], v[1]));
golden!(aggregate, |tape, v, _case| ops::aggregate(tape, v[0], v[1]));
golden!(aggregated_conv2d, |tape, v, case| {
    let (weight, gate, bias) = (v[1], v[2], v.get(3).copied());
    let kernels = ops::ZooKernels { weight, alignment: None, bias, gate };
    ops::aggregated_conv2d(tape, v[0], kernels, case.window())
});
golden!(align, |tape, v, _case| ops::align(tape, v[0], v[1]));
golden!(avg_pool2d, |tape, v, case| {
    let counts_padding = case.flag("count_include_pad");
    let divisor = if counts_padding { Divisor::Taps } else { Divisor::Pixels };
    ops::avg_pool2d(tape, v[0], case.pair("size"), case.window(), divisor)
});
golden!(batch_mean, |tape, v, _case| ops::batch_mean(tape, v[0]));
golden!(batch_norm, |tape, v, case| {
    let epsilon = case.number("epsilon");
    let (y, moments) = ops::batch_norm(tape, v[0], v[1], v[2], epsilon, Epilogue::Nothing)?;
    check_running_statistics(&moments, &case.value["running"]);
    Ok(y)
});
golden!(batch_norm_frozen, |tape, v, case| {
    let [mean, variance] = ["mean", "variance"].map(|key| tensor(&case.value["running"][key]));
    let device = tape.value(v[0])?.device();
    let (mean, variance) = (there(&mean, &device), there(&variance, &device));
    let epsilon = case.number("epsilon");
    ops::batch_norm_frozen(tape, v[0], [v[1], v[2]], &mean, &variance, epsilon, Epilogue::Nothing)
});
golden!(batch_norm_relu6, |tape, v, case| {
    let epsilon = case.number("epsilon");
    if case.flag("training") {
        return ops::batch_norm(tape, v[0], v[1], v[2], epsilon, Epilogue::Relu6).map(|(y, _)| y);
    }
    let [mean, variance] = ["mean", "variance"].map(|key| tensor(&case.value["running"][key]));
    let device = tape.value(v[0])?.device();
    let (mean, variance) = (there(&mean, &device), there(&variance, &device));
    ops::batch_norm_frozen(tape, v[0], [v[1], v[2]], &mean, &variance, epsilon, Epilogue::Relu6)
});
golden!(concat, |tape, v, case| ops::concat(tape, v, case.size("axis")));
golden!(conv2d, |tape, v, case| {
    ops::conv2d(tape, v[0], v[1], v.get(2).copied(), case.window())
});
golden!(cross_entropy, |tape, v, case| {
    ops::cross_entropy(tape, v[0], &case.sizes("labels"), case.number("smoothing"))
});
golden!(exp, |tape, v, _case| ops::exp(tape, v[0]));
golden!(flatten, |tape, v, _case| ops::flatten(tape, v[0]));
golden!(gate, |tape, v, case| {
    let function = match case.value["attributes"]["function"].as_str() {
        Some("softmax") => GateFunction::Softmax,
        Some("sigmoid") => GateFunction::Sigmoid,
        other => return Err(Error::argument("gate", format!("no such function: {other:?}"))),
    };
    ops::gate(tape, v[0], GateWeights { reduce: v[1], expand: v[2], bias: v[3] }, function)
});
golden!(global_mean_pool, |tape, v, _case| ops::global_mean_pool(tape, v[0]));
golden!(dueling, |tape, v, case| ops::dueling(tape, v[0], case.size("atoms")));
golden!(noisy_linear, |tape, v, case| {
    let [inputs, outputs] = ["inputs", "outputs"].map(|key| {
        let numbers = case.numbers(key);
        Tensor::new(&[numbers.len()], numbers).unwrap().cast()
    });
    let weights = NoisyWeights { weight: v[1], bias: v[2], weight_sigma: v[3], bias_sigma: v[4] };
    ops::noisy_linear(tape, v[0], weights, &Noise { inputs, outputs })
});
golden!(soft_cross_entropy_per_sample, |tape, v, _case| {
    ops::soft_cross_entropy_per_sample(tape, v[0], v[1])
});
golden!(adaptive_wing, |tape, v, case| {
    let prediction = tape.value(v[0]).unwrap();
    let target = Tensor::new(prediction.shape(), case.numbers("target")).unwrap();
    let target = target.cast().to(&prediction.device()).unwrap();
    ops::adaptive_wing(tape, v[0], &target, ops::AdaptiveWing::PUBLISHED)
});
golden!(huber, |tape, v, case| {
    ops::huber(tape, v[0], v[1], case.number("delta"), v.get(2).copied())
});
golden!(huber_per_sample, |tape, v, case| {
    ops::huber_per_sample(tape, v[0], v[1], case.number("delta"))
});
golden!(linear, |tape, v, _case| ops::linear(tape, v[0], v[1], v.get(2).copied()));
golden!(log, |tape, v, _case| ops::log(tape, v[0]));
golden!(log_softmax, |tape, v, _case| ops::log_softmax(tape, v[0]));
golden!(matmul, |tape, v, _case| ops::matmul(tape, v[0], v[1]));
golden!(max_pool2d, |tape, v, case| {
    ops::max_pool2d(tape, v[0], case.pair("size"), case.window())
});
golden!(mean_all, |tape, v, _case| ops::mean_all(tape, v[0]));
golden!(mean_axes, |tape, v, case| ops::mean_axes(tape, v[0], &case.sizes("axes")));
golden!(mse, |tape, v, _case| ops::mse(tape, v[0], v[1]));
golden!(mul, |tape, v, _case| ops::mul(tape, v[0], v[1]));
golden!(relu, |tape, v, _case| ops::relu(tape, v[0]));
golden!(relu6, |tape, v, _case| ops::relu6(tape, v[0]));
golden!(reshape, |tape, v, case| ops::reshape(tape, v[0], &case.sizes("shape")));
golden!(scale, |tape, v, case| ops::scale(tape, v[0], case.number("factor")));
golden!(reorder, |tape, v, case| ops::reorder(tape, v[0], &case.sizes("order")));
golden!(routed_conv2d, |tape, v, case| {
    let every = |first| v[1..].iter().skip(first).step_by(2).copied().collect::<Vec<_>>();
    let (weights, biases, counts) = (every(0), every(1), case.sizes("counts"));
    let kernels = ops::RoutedKernels { weights: &weights, biases: &biases, counts: &counts };
    ops::routed_conv2d(tape, v[0], kernels, case.window())
});
golden!(select, |tape, v, case| ops::select(tape, v[0], &case.sizes("indices")));
golden!(sigmoid, |tape, v, _case| ops::sigmoid(tape, v[0]));
golden!(slice, |tape, v, case| {
    let [start, end] = case.pair("range");
    ops::slice(tape, v[0], case.size("axis"), start..end)
});
golden!(softmax, |tape, v, _case| ops::softmax(tape, v[0]));
golden!(sub, |tape, v, _case| ops::sub(tape, v[0], v[1]));
golden!(sum_all, |tape, v, _case| ops::sum_all(tape, v[0]));
golden!(sum_axes, |tape, v, case| ops::sum_axes(tape, v[0], &case.sizes("axes")));
golden!(sum, |tape, v, _case| ops::sum(tape, v));
golden!(upsample_bilinear, |tape, v, case| {
    ops::upsample_bilinear(tape, v[0], case.pair("size"))
});
golden!(upsample_nearest, |tape, v, case| { ops::upsample_nearest(tape, v[0], case.pair("size")) });

/// The moments of a batch, mixed into running statistics as PyTorch does it: the running
/// variance takes the unbiased variance.
fn check_running_statistics<T: Element>(moments: &Moments<T>, running: &Value) {
    let momentum = running["momentum"].as_f64().unwrap();
    let count = moments.count as f64;
    for (key, batch, factor) in
        [("mean", &moments.mean, 1.0), ("variance", &moments.variance, count / (count - 1.0))]
    {
        let before = tensor(&running[format!("{key}_before").as_str()]);
        let mixed = before.as_slice().iter().zip(batch.as_slice()).map(|(before, batch)| {
            T::from_f64((1.0 - momentum) * before + momentum * factor * batch.widen())
        });
        let after = Tensor::new(before.shape(), mixed.collect()).unwrap();
        assert_close(&after, &tensor(&running[format!("{key}_after").as_str()]), key);
    }
}

#[test]
fn every_operation_has_golden_values() {
    for (name, _) in ops::GRADIENT_CASES {
        assert!(!Case::of(name).is_empty(), "{name}");
    }
}
