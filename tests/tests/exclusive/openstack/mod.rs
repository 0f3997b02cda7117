//! Scenarios with a real Keystone, Glance and Nova, which start slowly; the first scenario installs them.

mod choosing;
mod credentials;
mod formats;
mod glance;
mod glance_breaks;
mod nova;
mod settings;
mod signed;
mod whole;
