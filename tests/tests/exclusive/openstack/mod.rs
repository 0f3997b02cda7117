//! Scenarios of a real Keystone, Glance and Nova, which take long to start; the first one installs them.

mod choosing;
mod credentials;
mod formats;
mod glance;
mod glance_breaks;
mod nova;
mod signed;
