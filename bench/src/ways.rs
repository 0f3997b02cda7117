//! Ways that several measurements share: the tools, and the references of the line and the kernel's path alone.

use anyhow::{Context, Result};

use crate::case::{Ground, Way};
use crate::glancecast::{Glancecast, LINE_SHARE, Programs};
use crate::lab::kernel_path;
use crate::lab::network::Network;
use crate::record::Run;
use crate::run::Site;
use crate::tools::{self, Extra, Tool};

/// Returns the time that the line alone (if it has a rate) and the kernel's path alone need for the image.
pub fn references(network: &Network) -> Vec<Way> {
    let line = Way::new(LINE, |ground| {
        let seconds = ground.network.line_seconds(ground.image.bytes).context("the line has a rate")?;
        Ok(Run::new([("seconds", seconds)], format!("{seconds:>7.2} s")))
    });
    let path = Way::new(KERNEL_PATH, |ground| {
        let path = kernel_path::measure(ground.network, ground.image.bytes)?;
        let figures = [
            ("seconds", path.seconds),
            ("gbit_s", path.gbit_s),
            ("datagrams_per_second", path.datagrams_per_second),
            ("lost_share", path.lost_share),
        ];
        let (seconds, datagrams, gbit_s) = (path.seconds, path.datagrams_per_second, path.gbit_s);
        Ok(Run::new(
            figures,
            format!("{seconds:>7.2} s, {datagrams:.0} datagrams/s, {gbit_s:.2} Gbit/s to each receiver"),
        ))
    });
    let line = network.line_bits_per_second.map(|_| Way { once: true, ..line });
    let path = network.routed.is_none().then_some(path); // what it measures is multicast
    line.into_iter().chain(path).collect()
}

/// Returns a tool by name, with additional options.
///
/// # Panics
/// If there is no such tool.
pub fn tool(name: &str, extra: Extra) -> Way {
    if name == "glancecast" {
        let programs = Programs::ours();
        let about = Glancecast::new(&programs, "").about();
        let push = move |ground: &Ground<'_>| {
            let push = Glancecast::new(&programs, as_fast_as_it_goes(ground.network));
            compare(&push, &extra, &ground.site()?)
        };
        return Way::new(name, push).about(about);
    }
    let tool = tools::others().into_iter().find(|tool| tool.name() == name).expect("a tool of this name");
    let about = tool.about();
    Way::new(name, move |ground| compare(tool.as_ref(), &extra, &ground.site()?)).about(about)
}

/// Whether a tool of this name reaches all receivers of a network.
///
/// # Panics
/// If there is no such tool.
pub fn reaches(name: &str, network: &Network) -> bool {
    let others =
        || tools::others().into_iter().find(|tool| tool.name() == name).expect("a tool of this name");
    name == "glancecast" || others().reaches(network)
}

fn compare(tool: &dyn Tool, extra: &Extra, site: &Site) -> Result<Run> {
    Ok(tools::compare(tool, extra, site)?.figures())
}

/// Returns glancecast's `--rate`: that of the line, or what several receivers can handle that share the processors with
/// the sender. At a higher rate they drop datagrams and request them again.
fn as_fast_as_it_goes(network: &Network) -> String {
    let unshaped = if network.receivers == 1 { 20_000_000 } else { 18_000_000 / network.receivers as u64 };
    format!("{}kbit", network.paced(LINE_SHARE).map_or(unshaped, |rate| rate / 1000))
}

/// The name of the way of the line alone.
pub const LINE: &str = "the line alone";
/// The name of the way of the kernel's path alone.
pub const KERNEL_PATH: &str = "the kernel's path alone";
