//! Plans that were made before: one for each K' of late, for all threads.

use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::Kernel;
use crate::plan::Plan;
use crate::tables::Params;

/// Plans kept at most.
const PLANS_MAX: usize = 64;

/// Bytes of all plans kept, at most; one plan is kept whatever its size.
const BYTES_MAX: usize = 128 << 20;

/// The most recently used last.
static PLANS: Mutex<Vec<Arc<Plan>>> = Mutex::new(Vec::new());

/// The encoder's plan for blocks of `k` source symbols. Threads that ask for a new one at the same
/// time each make it, and all go on with the first.
pub(crate) fn plan(kernel: Kernel, k: usize) -> Arc<Plan> {
    let params = Params::of(k);
    if let Some(plan) = recall(&params) {
        return plan;
    }
    keep(Arc::new(Plan::systematic(kernel, params)))
}

fn recall(params: &Params) -> Option<Arc<Plan>> {
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    let place = plans.iter().position(|plan| plan.params() == params)?;
    let plan = plans.remove(place);
    plans.push(Arc::clone(&plan));
    Some(plan)
}

fn keep(plan: Arc<Plan>) -> Arc<Plan> {
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = plans.iter().find(|kept| kept.params() == plan.params()) {
        return Arc::clone(kept);
    }
    plans.push(Arc::clone(&plan));
    let bytes = |plans: &[Arc<Plan>]| plans.iter().map(|plan| plan.footprint()).sum::<usize>();
    while plans.len() > PLANS_MAX || plans.len() > 1 && bytes(&plans) > BYTES_MAX {
        plans.remove(0);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let kernel = Kernel::detect();
        let first = plan(kernel, 10);
        for row in 0..80 {
            plan(kernel, crate::tables::TABLE_2[row].0 as usize);
            assert!(Arc::ptr_eq(&plan(kernel, 10), &first), "used all the time");
        }
        assert!(PLANS.lock().unwrap().len() <= PLANS_MAX);
    }
}
