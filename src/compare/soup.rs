//! Greedy soup: tuned networks of one start, averaged as far as that helps.

use super::Comparison;
use super::plan::Job;
use super::rates::{Done, validation};
use crate::nn::Network;
use crate::tensor::{State, Tensor};
use crate::train::Model;
use crate::train::task::Part;
use crate::{Error, Result};

/// The greedy soup of runs (Wortsman et al., 2022, "Model soups", recipe 1), or nothing if there is no
/// run: beginning with the run that is best on the validation samples, and in that order, each network
/// is taken into the average unless that makes it worse there. All values are averaged, running
/// statistics too.
pub(super) fn greedy_soup(comparison: &Comparison, done: &[&Done]) -> Result<Option<Model>> {
    let mut ingredients: Vec<_> = done
        .iter()
        .filter_map(|(job, summary)| {
            let score = validation(job, summary.as_ref()?)?;
            Some((score.deciding()?.1, job))
        })
        .collect();
    ingredients.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let Some((_, first)) = ingredients.first() else { return Ok(None) };
    let run = comparison.run_of(first)?;
    let open = |(_, job): &(f64, &Job)| Model::open(comparison.run_of(job)?.model_file(), None);
    let models = ingredients.iter().map(open).collect::<Result<Vec<_>>>()?;
    let average = |chosen: &[usize]| -> Result<(Model, f64)> {
        let chosen: Vec<&Model> = chosen.iter().map(|&at| &models[at]).collect();
        let network = averaged(&chosen)?;
        let soup = Model::from_network(network, models[0].input.clone(), &models[0].classes);
        let accuracy = run.answers(&[&soup], Part::Validation)?[0].accuracy;
        Ok((soup, accuracy))
    };
    greedy(models.len(), average).map(Some)
}

/// What is made of those of `count` ingredients, the best first, that make it no worse: `make` makes it
/// and says how good it is.
fn greedy<M>(count: usize, make: impl Fn(&[usize]) -> Result<(M, f64)>) -> Result<M> {
    let mut taken = vec![0];
    let (mut made, mut best) = make(&taken)?;
    for next in 1..count {
        let tried = [&taken[..], &[next]].concat();
        let (other, found) = make(&tried)?;
        if found >= best {
            (taken, made, best) = (tried, other, found);
        }
    }
    Ok(made)
}

/// The mean of networks that are of one design.
fn averaged(models: &[&Model]) -> Result<Network<f32>> {
    let first = models.first().ok_or_else(|| Error::argument("soup", "there is no network"))?;
    let blueprint = first.network.blueprint();
    let states: Vec<State<f32>> =
        models.iter().map(|model| model.network.parameters().state(&model.origin)).collect();
    let mut mean = State::new("the soup");
    for name in states[0].tensors.keys() {
        let each = states.iter().map(|state| state.get(name)).collect::<Result<Vec<_>>>()?;
        let shares = vec![1.0 / each.len() as f64; each.len()];
        mean.insert(name, Tensor::weighted_sum(&each, &shares)?);
    }
    blueprint.build(&mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Design;
    use crate::train::Input;
    use std::cell::Cell;

    #[test]
    fn a_soup_takes_what_makes_it_no_worse() {
        // The second helps, the third harms, the fourth changes nothing.
        let tries = Cell::new(0);
        let make = |chosen: &[usize]| {
            tries.set(tries.get() + 1);
            let gains = [0.0, 0.2, -0.1, 0.0];
            let found = chosen.iter().fold(0.5, |sum, &at| sum + gains[at]);
            Ok((chosen.to_vec(), found))
        };
        assert_eq!(greedy(4, make).unwrap(), [0, 1, 3]);
        assert_eq!(tries.get(), 4, "what is taken at last is not made again");
        assert_eq!(greedy(1, make).unwrap(), [0]);
    }

    #[test]
    fn a_soup_is_the_mean_of_all_values() {
        let design = Design::named("resnet_small", 1, 2).unwrap();
        let model = |seed| {
            let network = Network::<f32>::drawn(&design, seed).unwrap();
            Model::from_network(network, Input::usual(&design), &[])
        };
        let models = [model(1), model(2)];
        let soup = averaged(&models.each_ref()).unwrap();
        for id in soup.parameters().ids() {
            let [a, b] =
                models.each_ref().map(|model| model.network.parameters().value(id).as_slice());
            let mean = soup.parameters().value(id).as_slice();
            assert!((0..mean.len()).all(|i| (mean[i] - f32::midpoint(a[i], b[i])).abs() < 1e-6));
        }
    }
}
