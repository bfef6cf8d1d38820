//! The table `[optimizer]`: how the network is trained, and for how long.

use super::{DataConfig, MOST_STEPS, one_or_more, within};
use crate::optim::{Decay, Group, Groups, Rule, Schedule};
use crate::train::choice::{RuleName, ScheduleName};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How the network of a run is trained, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "docs/configuration.md describes each key")]
pub struct OptimizerConfig {
    pub rule: RuleName,
    pub learning_rate: f64,
    /// Without it, 0.9 of sgd and 0 of rmsprop.
    pub momentum: Option<f64>,
    pub nesterov: bool,
    pub betas: [f64; 2],
    pub epsilon: f64,
    pub alpha: f64,
    pub centred: bool,
    pub weight_decay: f64,
    pub backbone_rate: f64,
    pub alignment_rate: f64,
    pub gate_rate: f64,
    pub head_rate: f64,
    pub backbone_decay: Option<f64>,
    pub alignment_decay: Option<f64>,
    pub gate_decay: Option<f64>,
    pub head_decay: Option<f64>,
    /// Layers that stay as they are, by the beginnings of their names.
    pub freeze: Vec<String>,
    /// What the rate is multiplied with from each block to the one below it.
    pub layer_decay: f64,
    pub schedule: ScheduleName,
    pub warmup: usize,
    pub milestones: Vec<usize>,
    pub factor: f64,
    /// One of `epochs` and `steps` is given.
    pub epochs: Option<u64>,
    pub steps: Option<u64>,
    /// Measurements of validation that may pass without a better one.
    pub patience: Option<u64>,
    /// Such as `1h 30m`.
    pub time_limit: Option<String>,
    pub batch: usize,
    /// Batches of a step.
    pub accumulate: u64,
    pub clip_norm: Option<f64>,
    pub average: Option<f64>,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            rule: RuleName::Sgd,
            learning_rate: 0.01,
            momentum: None,
            nesterov: true,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            alpha: 0.99,
            centred: false,
            weight_decay: 5e-4,
            backbone_rate: 1.0,
            alignment_rate: 1.0,
            gate_rate: 1.0,
            head_rate: 1.0,
            backbone_decay: None,
            alignment_decay: None,
            gate_decay: None,
            head_decay: None,
            freeze: vec![],
            layer_decay: 1.0,
            schedule: ScheduleName::Cosine,
            warmup: 0,
            milestones: vec![],
            factor: 0.1,
            epochs: Some(20),
            steps: None,
            patience: None,
            time_limit: None,
            batch: 32,
            accumulate: 1,
            clip_norm: None,
            average: None,
        }
    }
}

impl OptimizerConfig {
    /// An error unless every value has a meaning.
    pub(super) fn check(&self, data: &DataConfig) -> Result<()> {
        const LARGEST: f64 = 1e6;
        for (key, value) in [
            ("learning_rate", Some(self.learning_rate)),
            ("epsilon", Some(self.epsilon)),
            ("weight_decay", Some(self.weight_decay)),
            ("backbone_rate", Some(self.backbone_rate)),
            ("alignment_rate", Some(self.alignment_rate)),
            ("gate_rate", Some(self.gate_rate)),
            ("head_rate", Some(self.head_rate)),
            ("backbone_decay", self.backbone_decay),
            ("alignment_decay", self.alignment_decay),
            ("gate_decay", self.gate_decay),
            ("head_decay", self.head_decay),
            ("factor", Some(self.factor)),
        ] {
            within(&format!("optimizer.{key}"), value.unwrap_or(0.0), 0.0, LARGEST)?;
        }
        within("optimizer.momentum", self.momentum.unwrap_or(0.0), 0.0, 1.0)?;
        within("optimizer.layer_decay", self.layer_decay, 0.0, 1.0)?;
        within("optimizer.average", self.average.unwrap_or(0.0), 0.0, 1.0)?;
        // A share of 1 would never take anything in, and a moment be divided by zero.
        let [first, second] = self.betas;
        for (key, share) in [("betas", first), ("betas", second), ("alpha", self.alpha)] {
            if !(0.0..1.0).contains(&share) {
                let problem = format!("{share} should be a number from 0 to below 1");
                return Err(Error::config(format!("optimizer.{key}"), problem));
            }
        }
        if let Some(norm) = self.clip_norm.filter(|norm| norm.is_nan() || *norm <= 0.0) {
            let problem = format!("{norm} should be above 0; inf only writes the norm down");
            return Err(Error::config("optimizer.clip_norm", problem));
        }
        within("optimizer.batch", self.batch, 1, 1 << 16)?;
        within("optimizer.accumulate", self.accumulate, 1, 1 << 16)?;
        within("optimizer.epochs", self.epochs.unwrap_or(1), 1, MOST_STEPS)?;
        within("optimizer.steps", self.steps.unwrap_or(1), 1, MOST_STEPS)?;
        one_or_more("optimizer.patience", self.patience.unwrap_or(1))?;
        if self.patience.is_some() && !data.has_validation() {
            let problem = "needs validation samples, by which it tells whether to go on";
            return Err(Error::config("optimizer.patience", problem));
        }
        self.time_limit()?;
        self.milestones
            .iter()
            .try_for_each(|&step| one_or_more("optimizer.milestones", step as u64))
    }

    /// An error if a key has no effect beside the others, such as `betas` with the rule `sgd`.
    pub(super) fn check_effect(&self, key: &str) -> Result<()> {
        use RuleName::{Adam, AdamW, RmsProp, Sgd};
        let rules: &[RuleName] = match key {
            "momentum" => &[Sgd, RmsProp],
            "nesterov" => &[Sgd],
            "betas" => &[Adam, AdamW],
            "epsilon" => &[Adam, AdamW, RmsProp],
            "alpha" | "centred" => &[RmsProp],
            "milestones" | "factor" if self.schedule != ScheduleName::Step => {
                let problem = format!(
                    "has no effect with --schedule {}; it belongs to step",
                    self.schedule.name()
                );
                return Err(Error::config(super::Config::flag(key), problem));
            }
            _ => return Ok(()),
        };
        if rules.contains(&self.rule) {
            return Ok(());
        }
        let rules: Vec<_> = rules.iter().map(|rule| rule.name()).collect();
        let problem = format!(
            "has no effect with --optimizer {}; it belongs to {}",
            self.rule.name(),
            rules.join(", ")
        );
        Err(Error::config(super::Config::flag(key), problem))
    }

    /// How long training may take.
    ///
    /// # Errors
    /// If it is no time.
    pub fn time_limit(&self) -> Result<Option<Duration>> {
        let parsed = self.time_limit.as_deref().map(humantime::parse_duration).transpose();
        parsed.map_err(|error| {
            let problem = format!("{error}; expected a time such as 30m or 1h 30m");
            Error::config("optimizer.time_limit", problem)
        })
    }

    /// The rule by which gradients change parameters.
    pub fn rule(&self) -> Rule {
        let Self { betas, epsilon, alpha, centred, nesterov, .. } = *self;
        match self.rule {
            RuleName::Sgd => Rule::Sgd { momentum: self.momentum.unwrap_or(0.9), nesterov },
            RuleName::Adam => Rule::Adam { betas, epsilon },
            RuleName::AdamW => Rule::AdamW { betas, epsilon },
            RuleName::RmsProp => {
                Rule::RmsProp { alpha, epsilon, momentum: self.momentum.unwrap_or(0.0), centred }
            }
        }
    }

    /// The settings of each parameter group.
    pub(super) fn groups(&self) -> Groups {
        let group = |lr_scale, decay: Option<f64>| Group {
            lr_scale,
            decay: decay.unwrap_or(self.weight_decay),
        };
        Groups {
            backbone: group(self.backbone_rate, self.backbone_decay),
            alignment: group(self.alignment_rate, self.alignment_decay),
            gate: group(self.gate_rate, self.gate_decay),
            head: group(self.head_rate, self.head_decay),
        }
    }

    /// How the learning rate changes.
    pub fn schedule(&self) -> Schedule {
        let decay = match self.schedule {
            ScheduleName::Constant => Decay::Constant,
            ScheduleName::Cosine => Decay::Cosine,
            ScheduleName::Step => {
                Decay::Step { milestones: self.milestones.clone(), factor: self.factor }
            }
        };
        Schedule { warmup: self.warmup, decay }
    }
}
