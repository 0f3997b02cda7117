//! A cache of plans that all threads share: those of the most recently used K'.

use std::sync::{Arc, Mutex, PoisonError};

use crate::kernel::Kernel;
use crate::plan::Plan;
use crate::tables::Params;

/// Maximum number of cached plans.
const PLANS_MAX: usize = 64;

/// Maximum size in bytes of all cached plans. A single plan is kept even if it is larger.
const BYTES_MAX: usize = 32 << 20;

static PLANS: Mutex<Plans> = Mutex::new(Plans(Vec::new()));

/// Returns the encoder's plan for blocks of `k` source symbols. Threads that request a new plan at the same time each
/// make it, and all continue with the first.
pub(crate) fn plan(kernel: Kernel, k: usize) -> Arc<Plan> {
    let params = Params::of(k);
    let kept = PLANS.lock().unwrap_or_else(PoisonError::into_inner).recall(&params);
    kept.unwrap_or_else(|| {
        let plan = Arc::new(Plan::systematic(kernel, params));
        PLANS.lock().unwrap_or_else(PoisonError::into_inner).keep(plan)
    })
}

/// The cached plans, the most recently used last.
struct Plans(Vec<Arc<Plan>>);

impl Plans {
    fn recall(&mut self, params: &Params) -> Option<Arc<Plan>> {
        let place = self.0.iter().position(|plan| plan.params() == params)?;
        let plan = self.0.remove(place);
        self.0.push(Arc::clone(&plan));
        Some(plan)
    }

    /// Caches a plan, unless another thread cached its equal first. Returns the cached plan.
    fn keep(&mut self, plan: Arc<Plan>) -> Arc<Plan> {
        if let Some(first) = self.recall(plan.params()) {
            return first;
        }
        self.0.push(Arc::clone(&plan));
        while self.0.len() > PLANS_MAX || self.0.len() > 1 && self.bytes() > BYTES_MAX {
            self.0.remove(0);
        }
        plan
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|plan| plan.footprint()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let kernel = Kernel::detect();
        let make = |k| Arc::new(Plan::systematic(kernel, Params::of(k)));
        let mut plans = Plans(Vec::new());
        let first = make(10);
        plans.keep(Arc::clone(&first));
        for row in 1..80 {
            plans.keep(make(crate::tables::TABLE_2[row].0 as usize));
            let again = plans.recall(first.params()).expect("used all the time");
            assert!(Arc::ptr_eq(&again, &first));
        }
        assert!(plans.0.len() <= PLANS_MAX && plans.bytes() <= BYTES_MAX);
    }
}
