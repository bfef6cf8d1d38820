//! The fit of a router against PyTorch, and the routed network against its sources.

use super::*;
use crate::kernel::{Epilogue, Window};
use crate::nn::{Architecture, Builder, Layers, Pass, Values};
use serde_json::Value;

/// Sources of `resnet_small` with drawn kernels and norms.
fn sources(design: &Design, count: u64) -> Vec<State<f64>> {
    let source = |seed| {
        let mut network = Network::<f64>::new(&design.plain(), Values::drawn(seed)).unwrap();
        let mut rng = fastrand::Rng::with_seed(seed + 100);
        let ids: Vec<_> = network.parameters().ids().collect();
        for id in ids {
            let name = network.parameters().name(id).to_owned();
            if name.contains("bn") || name.contains("downsample.1") {
                let value = network.parameters_mut().value_mut(id);
                value.as_mut_slice().iter_mut().for_each(|v| *v += 0.3 * rng.f64());
            }
        }
        network.parameters().state(format!("source {seed}"))
    };
    (0..count).map(source).collect()
}

#[test]
fn the_routed_network_computes_what_the_sources_compute() {
    let design = Design::named("resnet_small", 1, 3).unwrap();
    let sources = sources(&design, 3);
    let images = Tensor::<f64>::normal(&[14, 1, 8, 8], 1.0, &mut fastrand::Rng::with_seed(1));
    // None for the last source.
    let routes: Vec<usize> = (0..14).map(|sample| sample * 7 % 2).collect();
    let map = Map { weight: vec![0.0; 3 * 16], bias: vec![0.0; 3] };
    let (settings, routes_of) = (RouterSettings::default(), routes.clone());
    let fitted =
        Fitted { map, settings, reference: 1, routes: routes_of, best_alone: 0.5, routed: 0.9 };
    assert!(fitted.is_worth_it() && (fitted.error_ratio() - 0.2).abs() < 1e-12);
    assert_eq!(fitted.shares(3), [0.5, 0.5, 0.0]);
    let network = fitted.network(&design, &sources, &images, 4).unwrap();
    let mut frozen = Frozen::new(&design, &sources, &images, Look::Features).unwrap();
    let of_sources = frozen.routed_by(&routes, 8).unwrap();
    let expected = frozen::routed(&of_sources, &routes).unwrap();
    let features = |network: &Network<f64>| {
        let mut pass = Pass::evaluate(network.parameters()).give_routes(&routes);
        let x = pass.input(images.clone());
        let features = network.features(&mut pass, x).unwrap();
        pass.value(features).unwrap().clone()
    };
    assert!(features(&network).relative_difference(&expected).unwrap() < 1e-12);
}

/// Of two sources, each makes noise of half of the images; what half an image is of shows in its
/// mean.
#[test]
fn samples_go_through_the_source_that_knows_them() {
    let mut rng = fastrand::Rng::with_seed(2);
    let (n, d, classes) = (80, 6, 2);
    let labels: Vec<usize> = (0..n).map(|i| i / 2 % classes).collect();
    let goals = Goals::of(Targets::Classes(&labels), n).unwrap();
    let condition = |i: usize| i % 2;
    let mut features = Vec::new();
    for source in 0..2 {
        let values = (0..n * d).map(|at| {
            let (i, noise) = (at / d, rng.f64() - 0.5);
            let is_known = condition(i) == source && at % d < classes;
            noise + if is_known && at % d == labels[i] { 3.0 } else { 0.0 }
        });
        features.push(Tensor::new(&[n, d], values.collect()).unwrap());
    }
    let phi =
        (0..n * 3).map(|at| rng.f64() + if at % 3 == 0 { condition(at / 3) as f64 } else { 0.0 });
    let phi = Tensor::<f64>::new(&[n, 3], phi.collect()).unwrap();
    let phi = Standardised::of(&phi, n).unwrap();
    let standardised: Vec<_> = features.iter().map(|f| Standardised::of(f, n).unwrap()).collect();
    let settings = RouterSettings::default();
    let right = |map: &Map| {
        let routes = map.routes(&phi);
        routes.iter().enumerate().filter(|(i, route)| **route == condition(*i)).count()
    };
    let map = expectation::expected(&standardised, &goals, &phi, 0.3, false, &settings);
    let map = map.scaled(settings.scale);
    assert!(right(&map) > 70, "{}", right(&map));
    let refined = refinement::refined(&map, &features, &goals, &phi, &settings).unwrap();
    assert!(right(&refined) >= 74, "{}", right(&refined));
    let judged = |routes: &[usize]| {
        let features = frozen::routed(&features, routes).unwrap();
        goals.judged(&Standardised::of(&features, n).unwrap()).loss
    };
    assert!(judged(&refined.routes(&phi)) < judged(&vec![0; n]));
}

/// The same of values, some of which are not known: two numbers of each sample lie in the features of the
/// source that knows its condition.
#[test]
fn samples_with_values_go_through_the_source_that_knows_them() {
    let mut rng = fastrand::Rng::with_seed(3);
    let (n, d) = (80, 6);
    let told: Vec<[f64; 2]> = (0..n).map(|_| [rng.f64(), 3.0 * rng.f64()]).collect();
    let is_known = |i: usize| !i.is_multiple_of(7);
    let values: Vec<Vec<Option<f64>>> = told
        .iter()
        .enumerate()
        .map(|(i, v)| vec![Some(v[0]), is_known(i).then_some(v[1])])
        .collect();
    let goals = Goals::of(Targets::Values(&values), n).unwrap();
    let mut features = Vec::new();
    for source in 0..2 {
        let value = |at: usize, noise: f64| match at % d {
            column @ 0..2 if at / d % 2 == source => 4.0 * told[at / d][column] + 0.1 * noise,
            _ => noise,
        };
        let of_source = (0..n * d).map(|at| value(at, rng.f64() - 0.5)).collect();
        features.push(Tensor::new(&[n, d], of_source).unwrap());
    }
    let condition = |at: usize| if at.is_multiple_of(3) { (at / 3 % 2) as f64 } else { 0.0 };
    let phi = (0..n * 3).map(|at| rng.f64() + condition(at)).collect();
    let phi = Standardised::of(&Tensor::<f64>::new(&[n, 3], phi).unwrap(), n).unwrap();
    let standardised: Vec<_> = features.iter().map(|f| Standardised::of(f, n).unwrap()).collect();
    let settings = RouterSettings::default();
    let map = expectation::expected(&standardised, &goals, &phi, 0.3, false, &settings);
    let map = map.scaled(settings.scale);
    let refined = refinement::refined(&map, &features, &goals, &phi, &settings).unwrap();
    let right = |map: &Map| {
        let routes = map.routes(&phi);
        routes.iter().enumerate().filter(|(i, route)| **route == i % 2).count()
    };
    assert!(right(&map) > 60 && right(&refined) >= 74, "{} {}", right(&map), right(&refined));
    let judged = |routes: &[usize]| {
        let features = frozen::routed(&features, routes).unwrap();
        goals.judged(&Standardised::of(&features, n).unwrap())
    };
    let (alone, routed) = (judged(&vec![0; n]), judged(&refined.routes(&phi)));
    assert!(routed.score > alone.score + 0.3 && routed.loss < alone.loss, "{alone:?} {routed:?}");
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/routing.json")).unwrap()
}

/// Nested lists, one after the other.
fn values(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(self::values).collect(),
        value => vec![value.as_f64().unwrap()],
    }
}

fn tensor(value: &Value) -> Tensor<f64> {
    let (mut shape, mut inner) = (vec![], value);
    while let Value::Array(values) = inner {
        shape.push(values.len());
        inner = &values[0];
    }
    Tensor::new(&shape, values(value)).unwrap()
}

fn indices(value: &Value) -> Vec<usize> {
    serde_json::from_value(value.clone()).unwrap()
}

fn assert_close(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    let error = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(error <= 1e-6 * largest, "{what}: {error} of {largest}");
}

#[test]
fn the_router_is_that_of_the_restatement() {
    let settings = RouterSettings::default();
    for case in golden()["cases"].as_array().unwrap() {
        let labels = indices(&case["labels"]);
        let n = labels.len();
        let goals = Goals::of(Targets::Classes(&labels), n).unwrap();
        let phi = Standardised::of(&tensor(&case["descriptors"]), n).unwrap();
        let features: Vec<_> = case["features"].as_array().unwrap().iter().map(tensor).collect();
        let standardised: Vec<_> =
            features.iter().map(|f| Standardised::of(f, n).unwrap()).collect();
        let map = expectation::expected(&standardised, &goals, &phi, 0.3, false, &settings);
        let check = |map: &Map, key: &str| {
            let raw = map.of_raw(&phi);
            assert_close(&raw.weight, &values(&case[key]["weight"]), key);
            assert_close(&raw.bias, &values(&case[key]["bias"]), key);
        };
        check(&map, "expected");
        let map = map.scaled(settings.scale);
        let map = refinement::refined(&map, &features, &goals, &phi, &settings).unwrap();
        check(&map, "refined");
        let routes = map.routes(&phi);
        assert_eq!(routes, indices(&case["routes"]));
        let routed = frozen::routed(&features, &routes).unwrap();
        let loss = goals.judged(&Standardised::of(&routed, n).unwrap()).loss;
        assert_close(&[loss], &[case["loss"].as_f64().unwrap()], "loss");
    }
}

/// The networks of the script: the second convolution has a bias.
struct Two;

impl Architecture for Two {
    fn name(&self) -> &str {
        "two"
    }

    fn layers(&self, b: &mut Builder) -> Result<Layers> {
        let first = b.conv("conv1", [3, b.channels(), 3, 3], Window::square(1, 1))?;
        let bn1 = b.batch_norm("bn1", 3)?;
        let second = b.conv_with_bias("conv2", [4, 3, 3, 3], Window::square(2, 1))?;
        let bn2 = b.batch_norm("bn2", 4)?;
        let head = b.linear("fc", 4, b.outputs())?;
        Ok(Box::new(move |o, x| {
            let y = o.conv(&first, x)?;
            let y = o.batch_norm(&bn1, y, Epilogue::Relu)?;
            let y = o.conv(&second, y)?;
            let y = o.batch_norm(&bn2, y, Epilogue::Relu)?;
            let y = o.global_mean_pool(y)?;
            o.linear(&head, y)
        }))
    }
}

#[test]
fn the_folded_network_is_that_of_the_restatement() {
    let golden = golden();
    let fold = &golden["fold"];
    let source = |value: &Value| {
        let mut state = State::new("a source");
        for (name, value) in value.as_object().unwrap() {
            if value.is_array() {
                state.insert(name, tensor(value));
            }
        }
        state
    };
    let sources: Vec<_> = fold["sources"].as_array().unwrap().iter().map(source).collect();
    let (images, routes) = (tensor(&fold["images"]), indices(&fold["routes"]));
    let map = Map { weight: vec![0.0; 6], bias: vec![0.0; 2] };
    let settings = RouterSettings::default();
    let fitted = Fitted {
        map,
        settings,
        reference: 0,
        routes: routes.clone(),
        best_alone: 0.0,
        routed: 0.0,
    };
    let design = Design::new(Two, 1, 2);
    let network = fitted.network(&design, &sources, &images, 0).unwrap();
    let mut pass = Pass::evaluate(network.parameters()).give_routes(&routes);
    let x = pass.input(images);
    let features = network.features(&mut pass, x).unwrap();
    let found = pass.value(features).unwrap();
    assert_close(found.as_slice(), &values(&fold["features"]), "features");
}
