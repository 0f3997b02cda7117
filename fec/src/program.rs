//! What a kernel runs: sums of rows by their indices, and the HDPC recursion. Both are checked on creation, so that a
//! kernel need not check any index.

use crate::octet::times_alpha;
use crate::rand::rand;
use crate::tables::Params;

/// One sum: a source row and a number of rows of the strip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The row that the sum becomes.
    pub(crate) into: u32,
    /// The source row in it.
    pub(crate) source: u16,
    /// How many of the program's dependencies, after those of the steps before, are in it.
    pub(crate) deps: u16,
}

/// Sums in their order; later ones may depend on what earlier ones made.
#[derive(Debug, Default)]
pub(crate) struct Program {
    steps: Vec<Step>,
    deps: Vec<u16>,
    result_bound: usize,
    dep_bound: usize,
    source_bound: usize,
}

impl Program {
    /// Adds a step.
    pub(crate) fn push(&mut self, into: usize, source: usize, deps: impl Iterator<Item = usize>) {
        let before = self.deps.len();
        for dep in deps {
            self.dep_bound = self.dep_bound.max(dep + 1);
            self.deps.push(u16::try_from(dep).expect("rows of a strip fit 16 bits"));
        }
        self.result_bound = self.result_bound.max(into + 1);
        self.source_bound = self.source_bound.max(source + 1);
        self.steps.push(Step {
            into: u32::try_from(into).expect("rows fit 32 bits"),
            source: u16::try_from(source).expect("sources fit 16 bits"),
            deps: u16::try_from(self.deps.len() - before).expect("no more dependencies than rows"),
        });
    }

    /// Removes the steps and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.steps.clear();
        self.deps.clear();
        (self.result_bound, self.dep_bound, self.source_bound) = (0, 0, 0);
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The dependencies of all steps, one step's after the other's; [`Step::deps`] counts each step's.
    pub(crate) fn deps(&self) -> &[u16] {
        &self.deps
    }

    /// Above every [`Step::into`].
    pub(crate) fn result_bound(&self) -> usize {
        self.result_bound
    }

    /// Above every dependency.
    pub(crate) fn dep_bound(&self) -> usize {
        self.dep_bound
    }

    /// Above every [`Step::source`].
    pub(crate) fn source_bound(&self) -> usize {
        self.source_bound
    }
}

/// The product MT * GAMMA of RFC 6330 §5.3.3.3 as a recursion over the K' + S columns: `g = alpha * g + column`, added
/// to the two rows that MT names; the last column goes to row `h` times `alpha^h`.
///
/// Columns are first summed by their pair of rows, which halves what is stored.
#[derive(Debug)]
pub(crate) struct Hdpc {
    pairs: Vec<(u8, u8)>,
    of_columns: Vec<u8>,
    rows: usize,
    /// For each part of the columns but the first: of each pair, the factor of what came before the part.
    carries: [Vec<u8>; HDPC_PARTS - 1],
    carry: u8,
}

/// Parts of the columns whose recursions run side by side, so that none waits for the one before. What the first
/// columns are to the later ones is added afterwards, once for each pair.
pub(crate) const HDPC_PARTS: usize = 4;

impl Hdpc {
    pub(crate) fn new(params: &Params) -> Self {
        let h = params.h as u32;
        let mut pairs = Vec::new();
        let mut places = vec![None; params.h * params.h];
        let of_columns = (1..(params.k_prime + params.s) as u32)
            .map(|column| {
                let first = rand(column, 6, h);
                let second = (first + rand(column, 7, h - 1) + 1) % h;
                let pair = (first.min(second) as u8, first.max(second) as u8);
                *places[usize::from(pair.0) * params.h + usize::from(pair.1)].get_or_insert_with(|| {
                    pairs.push(pair);
                    u8::try_from(pairs.len() - 1).expect("H is 16 at most: 120 pairs")
                })
            })
            .collect();
        let mut hdpc = Self { carries: Default::default(), carry: 1, pairs, of_columns, rows: params.h };
        let part = hdpc.part();
        for (index, carries) in (1..).zip(&mut hdpc.carries) {
            carries.resize(hdpc.pairs.len(), 0);
            let mut power = 1;
            for &pair in &hdpc.of_columns[index * part..][..part] {
                power = times_alpha(power);
                carries[usize::from(pair)] ^= power;
            }
            hdpc.carry = power;
        }
        hdpc
    }

    /// Columns in each part; those that are left over come after the last one.
    pub(crate) fn part(&self) -> usize {
        self.of_columns.len() / HDPC_PARTS
    }

    /// What the sums over the parts from the second on lack, for each pair the factor of the recursion's value before.
    pub(crate) fn carries(&self) -> &[Vec<u8>] {
        &self.carries
    }

    /// The factor from the value before a part to that after it: alpha to the power of the part's length.
    pub(crate) fn carry(&self) -> u8 {
        self.carry
    }

    /// The pairs of rows, different ones below H, that columns are added to.
    pub(crate) fn pairs(&self) -> &[(u8, u8)] {
        &self.pairs
    }

    /// Of each column but the last, the index of its pair.
    pub(crate) fn of_columns(&self) -> &[u8] {
        &self.of_columns
    }

    /// H.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}
