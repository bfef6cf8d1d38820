//! The counts that PyTorch keeps beside the running statistics of a batch norm.

use super::Data;
use crate::zoo::BATCH_COUNT;
use std::collections::HashSet;

/// The same tensors, and a count of 0 behind each `running_var` beside which there is none.
///
/// A network of ours has no counts, as nothing reads them: with a momentum, as ever here, the
/// running statistics do not depend on them. Yet `load_state_dict(strict=True)` may miss them.
/// Only for tensors that are known to be a network of ours: the frozen batch norms of other
/// networks have running statistics and no count, and a count would be one tensor too many.
pub(crate) fn with_batch_counts(tensors: Vec<(String, Data<'_>)>) -> Vec<(String, Data<'_>)> {
    let counted: HashSet<String> = tensors
        .iter()
        .filter_map(|(name, _)| Some(name.strip_suffix(BATCH_COUNT)?.to_owned()))
        .collect();
    let mut result = Vec::with_capacity(tensors.len());
    for (name, data) in tensors {
        let norm = name.strip_suffix("running_var").map(str::to_owned);
        result.push((name, data));
        if let Some(norm) = norm.filter(|norm| !counted.contains(norm)) {
            result.push((norm + BATCH_COUNT, Data::no_batches()));
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;
    use crate::zoo::Dtype;

    #[test]
    fn a_count_follows_every_variance_that_has_none() {
        let t = Tensor::<f32>::zeros(&[2]);
        let names = ["bn1.running_var", "bn1.weight", "bn2.num_batches_tracked", "bn2.running_var"];
        let tensors = names.map(|name| (name.to_owned(), Data::from(&t))).to_vec();
        let counted = with_batch_counts(tensors);
        let names: Vec<_> = counted.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "bn1.running_var",
            "bn1.num_batches_tracked",
            "bn1.weight",
            "bn2.num_batches_tracked",
            "bn2.running_var",
        ];
        assert_eq!(names, expected);
        let (_, count) = &counted[1];
        assert_eq!((count.dtype(), count.shape()), (Dtype::I64, &[][..]));
        let mut bytes = Vec::new();
        count.write_to(&mut bytes).unwrap();
        assert_eq!(bytes, [0; 8]);
    }
}
