//! Greedy soup: tuned networks of one start, averaged as far as that helps.

use super::rates::{Done, validation};
use crate::nn::Network;
use crate::tensor::{State, Tensor};
use crate::train::task::Part;
use crate::train::{self, Model};
use crate::{Error, Result};
use std::path::Path;

/// The greedy soup of runs (Wortsman et al., 2022, "Model soups", recipe 1), or nothing if there is no
/// run: beginning with the run that is best on the validation samples, and in that order, each network
/// is taken into the average unless that makes it worse there. All values are averaged, running
/// statistics too. In `folder` are the runs.
pub(super) fn greedy_soup(folder: &Path, done: &[&Done]) -> Result<Option<Model>> {
    let mut ingredients: Vec<_> = done
        .iter()
        .filter_map(|(job, summary)| {
            let score = validation(job, summary.as_ref()?)?;
            Some((score.deciding()?.1, job))
        })
        .collect();
    ingredients.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let Some((_, first)) = ingredients.first() else { return Ok(None) };
    let run = train::Run::resume(folder.join(&first.folder))?;
    let open = |(_, job): &(f64, &super::plan::Job)| {
        let run = train::Run::resume(folder.join(&job.folder))?;
        Model::open(run.model_file(), None)
    };
    let models = ingredients.iter().map(open).collect::<Result<Vec<_>>>()?;
    let average = |chosen: &[usize]| -> Result<Model> {
        let chosen: Vec<&Model> = chosen.iter().map(|&at| &models[at]).collect();
        let network = averaged(&chosen)?;
        Ok(Model::from_network(network, models[0].input.clone(), &models[0].classes))
    };
    let measure = |chosen: &[usize]| Ok(run.answers(&average(chosen)?, Part::Validation)?.accuracy);
    average(&greedy(models.len(), measure)?).map(Some)
}

/// Which of `count` ingredients, the best first, are taken.
fn greedy(count: usize, measure: impl Fn(&[usize]) -> Result<f64>) -> Result<Vec<usize>> {
    let mut taken = vec![0];
    let mut best = measure(&taken)?;
    for next in 1..count {
        let tried = [&taken[..], &[next]].concat();
        let found = measure(&tried)?;
        if found >= best {
            (taken, best) = (tried, found);
        }
    }
    Ok(taken)
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

    #[test]
    fn a_soup_takes_what_makes_it_no_worse() {
        // The second helps, the third harms, the fourth changes nothing.
        let measure = |chosen: &[usize]| {
            Ok(0.5
                + [0.0, 0.2, -0.1, 0.0].iter().enumerate().fold(0.0, |sum, (at, gain)| {
                    if chosen.contains(&at) { sum + gain } else { sum }
                }))
        };
        assert_eq!(greedy(4, measure).unwrap(), [0, 1, 3]);
        assert_eq!(greedy(1, measure).unwrap(), [0]);
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
