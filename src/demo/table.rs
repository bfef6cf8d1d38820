//! From networks that were tuned to the rows of the table.

use super::CONDITIONS;
use super::job::{Collapsed, Finished, Job, Setting};
use crate::Result;
use crate::compare::{Method, MethodKind, Run, ensemble_accuracy};
use crate::train::probabilities;
use std::collections::BTreeMap;

/// The table: one method for each part, and those that follow from several.
pub(super) fn methods(
    settings: &[Setting],
    of: &BTreeMap<(Job, usize), Finished>,
) -> Result<Vec<Method>> {
    let singles = CONDITIONS.len();
    let method = |part: Job, kind, name: &str, description: &str| {
        let runs = settings.iter().enumerate().map(|(at, setting)| {
            let finished = &of[&(part, at)];
            Run {
                seed: setting.seed,
                accuracy: finished.accuracy,
                seconds: finished.tuned.time.as_secs_f64(),
                learning_rate: None,
                curve: finished.tuned.curve.clone(),
            }
        });
        let Finished { parameters, multiply_adds, bytes, .. } = of[&(part, 0)];
        Method::new(kind, name, description, runs.collect(), [parameters, multiply_adds, bytes])
    };
    let mut methods = vec![method(
        Job::Scratch,
        MethodKind::Scratch,
        "from scratch",
        "the architecture with random weights, without any source",
    )];
    for (i, condition) in CONDITIONS.into_iter().enumerate() {
        let (name, text) =
            (format!("single: {condition}"), format!("the source `{condition}` alone, fine-tuned"));
        methods.push(method(Job::Single(i), MethodKind::Single, &name, &text));
    }
    let tuned: Vec<Method> =
        methods.iter().filter(|m| m.kind == MethodKind::Single).cloned().collect();
    let best = tuned.iter().max_by(|a, b| a.mean.total_cmp(&b.mean)).cloned();
    if let Some(best) = best {
        methods.push(Method {
            kind: MethodKind::Hindsight,
            description: format!(
                "`{}`, which was best on the test samples: known only after tuning all {singles}",
                best.name
            ),
            name: "best single (hindsight)".to_owned(),
            seconds: tuned.iter().map(|m| m.seconds).sum(),
            ..best
        });
    }
    methods.push(method(
        Job::Average,
        MethodKind::Average,
        "plain average",
        "the mean of the sources' kernels as one network, fine-tuned",
    ));
    methods.push(method(
        Job::Zoo,
        MethodKind::Zoo,
        "Zoo-Tuning",
        "all sources in one network: a kernel of its own for each image",
    ));
    methods.push(method(
        Job::Lite,
        MethodKind::Lite,
        "lite Zoo-Tuning",
        "all sources in one network: one kernel for all images",
    ));
    let lite = methods[methods.len() - 1].clone();
    let collapsed: Vec<&Collapsed> =
        (0..settings.len()).filter_map(|at| of[&(Job::Lite, at)].collapsed.as_ref()).collect();
    let runs = settings.iter().zip(&collapsed).zip(&lite.runs).map(|((setting, c), lite)| Run {
        seed: setting.seed,
        accuracy: c.accuracy,
        seconds: lite.seconds,
        learning_rate: None,
        curve: vec![],
    });
    if let Some(one) = collapsed.first() {
        methods.push(Method::new(
            MethodKind::Collapsed,
            "lite, collapsed",
            "the lite network as one plain network, read back from its file",
            runs.collect(),
            [one.parameters, one.multiply_adds, one.bytes],
        ));
    }
    let mut runs = Vec::new();
    for (at, setting) in settings.iter().enumerate() {
        let members = (0..singles).map(|i| &of[&(Job::Single(i), at)]);
        let answers: Vec<Vec<f64>> = members
            .clone()
            .map(|member| Ok(probabilities(&member.logits)?.concat()))
            .collect::<Result<_>>()?;
        runs.push(Run {
            seed: setting.seed,
            accuracy: ensemble_accuracy(answers.into_iter(), &setting.split.test.labels)?,
            seconds: members.map(|m| m.tuned.time.as_secs_f64()).sum(),
            learning_rate: None,
            curve: vec![],
        });
    }
    let sum = |f: fn(&Finished) -> u64| (0..singles).map(|i| f(&of[&(Job::Single(i), 0)])).sum();
    methods.push(Method::new(
        MethodKind::Ensemble,
        "ensemble of all singles",
        &format!("{singles} networks, their probabilities averaged"),
        runs,
        [sum(|f| f.parameters), sum(|f| f.multiply_adds), sum(|f| f.bytes)],
    ));
    Ok(methods)
}
