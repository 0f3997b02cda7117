//! Goals and the figures that were measured for them.

use serde::{Deserialize, Serialize};

use crate::render;

/// One goal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Goal {
    /// Its name.
    pub name: String,
    /// A description of the figure for people.
    pub what: String,
    /// The figure's unit; empty for a ratio.
    pub unit: String,
    /// The figure's bound.
    pub limit: Limit,
    /// The figure; `None` if an input of it was not measured, or failed.
    pub measured: Option<f64>,
    /// Whether the figure is within the bound.
    pub is_reached: bool,
}

/// The bound of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// An upper bound.
    AtMost(f64),
    /// A lower bound.
    AtLeast(f64),
}

impl Goal {
    /// Creates a goal with its measured figure.
    pub fn new(name: &str, what: &str, limit: Limit, unit: &str, measured: Option<f64>) -> Self {
        let is_reached = measured.is_some_and(|value| limit.is_kept_by(value));
        Self { name: name.into(), what: what.into(), unit: unit.into(), limit, measured, is_reached }
    }

    fn cells(&self) -> Vec<String> {
        let decimals = if self.unit.is_empty() { 4 } else { 3 };
        let measured = self.measured.map(|value| format!("{value:.decimals$} {}", self.unit));
        let measured = measured.unwrap_or_else(|| "-".to_owned());
        let reached = if self.is_reached { "yes" } else { "NO" };
        let limit = self.limit.text(&self.unit);
        vec![self.name.clone(), self.what.clone(), measured.trim_end().into(), limit, reached.into()]
    }
}

impl Limit {
    /// Whether a value is within the bound.
    pub fn is_kept_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }

    /// Returns the bound as text.
    pub fn text(self, unit: &str) -> String {
        match self {
            Self::AtMost(bound) => format!("<= {bound} {unit}").trim_end().to_owned(),
            Self::AtLeast(bound) => format!(">= {bound} {unit}").trim_end().to_owned(),
        }
    }
}

/// Returns a table of the goals, with one row for each.
pub fn table(goals: &[Goal]) -> String {
    let rows: Vec<_> = goals.iter().map(Goal::cells).collect();
    render::table(&["goal", "figure", ">measured", ">to be", "reached"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_kept_from_its_side() {
        assert!(Limit::AtMost(1.05).is_kept_by(1.05) && !Limit::AtMost(1.05).is_kept_by(1.06));
        assert!(Limit::AtLeast(2.5).is_kept_by(2.5) && !Limit::AtLeast(2.5).is_kept_by(2.4));
    }

    #[test]
    fn what_was_not_measured_is_not_reached() {
        let goals = [
            Goal::new("a", "time", Limit::AtMost(1.05), "x line time", Some(1.03)),
            Goal::new("b", "bytes", Limit::AtMost(1.0), "", None),
        ];
        let text = table(&goals);
        assert!(text.contains("1.030 x line time | <= 1.05 x line time | yes"), "{text}");
        assert!(text.contains("- |                <= 1 | NO"), "{text}");
    }
}
