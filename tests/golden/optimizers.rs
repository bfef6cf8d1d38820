//! Ten steps of every rule of the optimizers against PyTorch, with weight decay and clipping.
//!
//! The numbers come from `tests/golden/optimizers.py`, which was run once; nothing here needs
//! PyTorch. The parameters are compared after every step, relative to the largest of a tensor, on
//! the processor and on every OpenCL device there is.

use serde_json::Value;
use zoo_tuning::nn::{Parameters, Pass, Role, Step};
use zoo_tuning::optim::{Group, Groups, Optimizer, Rule, WeightAverage};
use zoo_tuning::tensor::{Device, Element, Tensor};
use zoo_tuning::{Result, ops};

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/optimizers.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The two tensors of the script, the weight and the bias.
fn tensors<T: Element>(golden: &Value, values: &Value) -> [Tensor<T>; 2] {
    [0, 1].map(|index| {
        let shape = numbers(&golden["shapes"][index]).into_iter().map(|size| size as usize);
        let values = numbers(&values[index]).into_iter().map(T::from_f64);
        Tensor::new(&shape.collect::<Vec<_>>(), values.collect()).unwrap()
    })
}

/// The rule and the options of a case.
fn rule(case: &Value) -> Rule {
    let options = &case["options"];
    let number = |key: &str| options[key].as_f64().unwrap();
    let flag = |key: &str| options[key].as_bool().unwrap();
    let betas = || numbers(&options["betas"]).try_into().unwrap();
    match case["rule"].as_str().unwrap() {
        "sgd" => Rule::Sgd { momentum: number("momentum"), nesterov: flag("nesterov") },
        "adam" => Rule::Adam { betas: betas(), epsilon: number("eps") },
        "adamw" => Rule::AdamW { betas: betas(), epsilon: number("eps") },
        "rmsprop" => Rule::RmsProp {
            alpha: number("alpha"),
            epsilon: number("eps"),
            momentum: number("momentum"),
            centred: flag("centered"),
        },
        other => panic!("{other}"),
    }
}

/// What the fixture's twelve digits permit, and single precision's rounding.
fn tolerance<T: Element>() -> f64 {
    if size_of::<T>() == 4 { 2e-5 } else { 1e-10 }
}

fn assert_close<T: Element>(found: &Tensor<T>, expected: &Tensor<T>, what: &str) {
    let error = expected.relative_difference(&found.to(&Device::Cpu).unwrap()).unwrap();
    // A comparison that a NaN fails.
    assert!(error <= tolerance::<T>(), "{what}: {error}, {found:?} and not {expected:?}");
}

/// The processor, and every OpenCL device there is.
fn devices() -> Vec<Device> {
    #[cfg_attr(not(feature = "opencl"), allow(unused_mut))]
    let mut devices = vec![Device::Cpu];
    #[cfg(feature = "opencl")]
    devices.extend(
        (0..zoo_tuning::tensor::opencl::discover().unwrap().len())
            .map(|index| Device::opencl(index).unwrap()),
    );
    devices
}

/// The script's parameters on a device, and an optimizer of their two groups.
fn started<T: Element>(
    golden: &Value,
    rule: Rule,
    device: &Device,
) -> Result<(Parameters<T>, Optimizer<T>)> {
    let mut parameters = Parameters::default();
    let [weight, bias] = tensors(golden, &golden["start"]);
    parameters.add("weight", Role::Backbone, weight)?;
    parameters.add("bias", Role::Head, bias)?;
    parameters.to(device)?;
    let decays = numbers(&golden["decays"]);
    let head = Group { lr_scale: golden["ratio"].as_f64().unwrap(), decay: decays[1] };
    let groups = Groups { head, ..Groups::uniform(decays[0]) };
    Ok((parameters, Optimizer::new(rule, groups)))
}

/// The gradients of one of the script's steps.
fn backward<T: Element>(
    golden: &Value,
    number: usize,
    parameters: &Parameters<T>,
) -> Result<Step<T>> {
    let mut pass = Pass::train(parameters);
    let targets = tensors::<T>(golden, &golden["targets"][number]);
    let mut losses = Vec::new();
    for (id, target) in parameters.ids().zip(targets) {
        let (value, target) = (pass.var(id), target.to(&parameters.device())?);
        let target = pass.input(target);
        losses.push(ops::mse(pass.tape(), value, target)?);
    }
    let loss = ops::add(pass.tape(), losses[0], losses[1])?;
    pass.backward(loss)
}

fn check<T: Element>(golden: &Value, case: &Value, device: &Device) -> Result<()> {
    let rule = rule(case);
    let what = format!("{rule:?} clipped at {} on {device}", case["largest"]);
    let (mut parameters, mut optimizer) = started::<T>(golden, rule, device)?;
    for (number, rate) in numbers(&golden["rates"]).into_iter().enumerate() {
        let mut step = backward(golden, number, &parameters)?;
        let norm = step.clip_norm(case["largest"].as_f64().unwrap_or(f64::INFINITY))?;
        let expected = case["norms"][number].as_f64().unwrap();
        assert!((norm - expected).abs() <= tolerance::<T>() * expected, "{what}: {norm}");
        optimizer.step(&mut parameters, step, rate)?;
        for (id, expected) in parameters.ids().zip(tensors(golden, &case["after"][number])) {
            let what = format!("{what}: {} after step {number}", parameters.name(id));
            assert_close(parameters.value(id), &expected, &what);
        }
        // What is saved of the moments is all that there is to go on from.
        if number == 4 {
            let (state, steps) = (optimizer.state(&parameters), optimizer.steps());
            optimizer = started(golden, rule, device)?.1;
            optimizer.load(&parameters, &state, steps)?;
        }
    }
    Ok(())
}

#[test]
fn every_rule_steps_as_in_pytorch() -> Result<()> {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 18);
    for device in devices() {
        for case in cases {
            check::<f32>(&golden, case, &device)?;
            // Not every device computes in double precision.
            if Tensor::<f64>::scalar(0.0).to(&device).is_ok() {
                check::<f64>(&golden, case, &device)?;
            }
        }
    }
    Ok(())
}

#[test]
fn gradients_of_two_passes_add_up_to_those_of_their_sum() -> Result<()> {
    let golden = golden();
    for device in devices() {
        let (parameters, _) = started::<f32>(&golden, Rule::SGD, &device)?;
        let [first, second] = [0, 1].map(|number| backward(&golden, number, &parameters));
        let (mut sum, second) = (first?, second?);
        let expected: Vec<Vec<f32>> = sum
            .gradients()
            .map(|(id, first)| {
                let second = second.gradient(id).unwrap().as_slice();
                first.as_slice().iter().zip(second).map(|(a, b)| a + b).collect()
            })
            .collect();
        sum.add(second)?;
        assert!(sum.gradients().map(|(_, sum)| sum.as_slice()).eq(&expected), "{device}");
        sum.scale(0.5)?;
        let halves = expected.iter().map(|all| all.iter().map(|v| 0.5 * v).collect::<Vec<_>>());
        assert!(sum.gradients().map(|(_, mean)| mean.as_slice().to_vec()).eq(halves), "{device}");
    }
    Ok(())
}

#[test]
fn an_average_follows_the_parameters_wherever_they_are() -> Result<()> {
    let (golden, decay) = (golden(), 0.8f64);
    for device in devices() {
        let (mut parameters, mut optimizer) = started::<f32>(&golden, Rule::ADAM_W, &device)?;
        let mut average = WeightAverage::new(&parameters, decay)?;
        let values = |parameters: &Parameters<f32>| -> Vec<f64> {
            let tensors = parameters.ids().map(|id| parameters.value(id).as_slice().to_vec());
            tensors.flatten().map(f64::from).collect()
        };
        let mut expected = values(&parameters);
        for number in 0..10 {
            let step = backward(&golden, number, &parameters)?;
            optimizer.step(&mut parameters, step, 0.05)?;
            average.update(&parameters)?;
            for (expected, value) in expected.iter_mut().zip(values(&parameters)) {
                *expected = decay * *expected + (1.0 - decay) * value;
            }
        }
        assert_eq!(average.parameters().device(), device);
        for (found, expected) in values(average.parameters()).iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected} on {device}");
        }
        let state = average.state();
        let mut other = WeightAverage::new(&started::<f32>(&golden, Rule::SGD, &device)?.0, decay)?;
        other.load(&state)?;
        other.to(&device)?;
        average.update(&parameters)?;
        other.update(&parameters)?;
        assert_eq!(values(average.parameters()), values(other.parameters()));
    }
    Ok(())
}
