//! How much of a plan a budget of time allows.

use super::{MethodKind, Plan};

/// The methods that tune networks, what one wants to know most first.
const IMPORTANCE: [MethodKind; Plan::TUNED.len()] = [
    MethodKind::Single,
    MethodKind::Routed,
    MethodKind::Lite,
    MethodKind::Zoo,
    MethodKind::Scratch,
    MethodKind::Average,
    MethodKind::Matched,
    MethodKind::Probed,
    MethodKind::Distilled,
    MethodKind::L2Sp,
    MethodKind::Delta,
    MethodKind::Soup,
];

/// The most important of a plan's methods.
pub(super) fn most_important(plan: &Plan) -> Option<MethodKind> {
    IMPORTANCE.into_iter().find(|kind| plan.methods.contains(kind))
}

/// About how long a run of a method takes, in times of tuning one source: zoo and lite as in the README's
/// table, the others by the forward and backward passes of a step.
fn unit(kind: MethodKind, sources: usize) -> f64 {
    match kind {
        MethodKind::Delta => 1.4,
        MethodKind::Distilled => 1.0 + 0.3 * sources as f64,
        MethodKind::Lite => 1.3,
        MethodKind::Zoo | MethodKind::Routed => 1.6,
        _ => 1.0,
    }
}

/// The same of a whole plan.
fn cost(plan: &Plan, sources: usize) -> f64 {
    let of = |&kind: &MethodKind| {
        let networks = if kind == MethodKind::Single { sources } else { 1 };
        unit(kind, sources) * (networks * plan.rates_of(kind).len()) as f64
    };
    plan.seeds as f64 * plan.methods.iter().map(of).sum::<f64>()
}

/// As much of `plan` as fits into the time of so many runs of its most important method: first fewer
/// seeds, down to three, then fewer methods, the least important ones first, then fewer seeds again.
/// One seed of one method is always left. What was left out is in its budget.
pub(super) fn within(plan: &Plan, sources: usize, runs: f64) -> Plan {
    const ENOUGH: u64 = 3;
    let units = most_important(plan).map_or(0.0, |kind| runs * unit(kind, sources));
    let mut left = plan.clone();
    let fits = |plan: &Plan| cost(plan, sources) <= units;
    while !fits(&left) && left.seeds > ENOUGH {
        left.seeds -= 1;
    }
    for kind in IMPORTANCE.iter().rev() {
        // What others learn from stays as long as they do.
        if !fits(&left) && left.methods.len() > 1 {
            left.methods.retain(|method| method != kind);
        }
    }
    while !fits(&left) && left.seeds > 1 {
        left.seeds -= 1;
    }
    let gone = plan.methods.iter().filter(|kind| !left.methods.contains(kind));
    let mut parts: Vec<String> = gone.map(|kind| kind.name().to_owned()).collect();
    if left.seeds < plan.seeds {
        parts.push(format!("{} of {} seeds", plan.seeds - left.seeds, plan.seeds));
    }
    if let Some(budget) = &mut left.budget {
        budget.left_out = Some(parts.join(", "));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::super::Budget;
    use super::*;

    #[test]
    fn a_budget_takes_seeds_then_methods_then_seeds() {
        let budget = Some(Budget { time: "1h".into(), left_out: None });
        let methods = Plan::TUNED.to_vec();
        let plan = Plan { seeds: 8, methods, budget, ..Plan::default() };
        let whole = cost(&plan, 4);
        let of = |units: f64| {
            let left = within(&plan, 4, units);
            let said = left.budget.clone().unwrap().left_out.unwrap();
            (left.seeds, left.methods.len(), said)
        };
        assert_eq!(of(whole), (8, Plan::TUNED.len(), String::new()));
        assert_eq!(of(whole / 2.0), (4, Plan::TUNED.len(), "4 of 8 seeds".into()));
        let (seeds, methods, said) = of(whole / 4.0);
        assert!(seeds == 3 && methods < Plan::TUNED.len() && said.contains("soup"), "{said}");
        assert!(!said.contains("lite"), "{said}");
        assert_eq!((of(9.0).0, of(9.0).1, of(0.0).0, of(0.0).1), (2, 1, 1, 1));
    }

    #[test]
    fn every_method_that_tunes_has_its_place() {
        assert!(Plan::TUNED.iter().all(|kind| IMPORTANCE.contains(kind)));
    }
}
