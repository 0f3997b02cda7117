//! The cells of the grid: which paths must be borne, and how well.

use super::grid::Goal;

/// Cells that show one thing.
pub(super) struct Part {
    /// What they show, in lines of the file.
    pub(super) title: &'static str,
    pub(super) cells: Vec<Cell>,
}

/// One cell.
pub(super) struct Cell {
    /// Its path.
    pub(super) words: String,
    pub(super) goal: Goal,
    /// Whether `make test` makes it, too.
    pub(super) is_quick: bool,
}

/// Returns all parts.
pub(super) fn parts() -> Vec<Part> {
    vec![
        reordering(),
        round_trips(),
        stores(),
        losses(),
        crowds(),
        bottlenecks(),
        some_slow(),
        late_and_uneven(),
    ]
}

fn reordering() -> Part {
    let mut cells = Vec::new();
    for hosts in [1, 10] {
        for (jitter, time) in [(1, 1.2), (3, 1.2), (10, 1.5)] {
            let is_quick = (hosts, jitter) != (10, 1);
            cells.push(cell(format!("hosts={hosts} jitter={jitter}"), goal().time(time), is_quick));
        }
    }
    Part { title: "Datagrams that overtake each other without any loss: no host has lost anything.", cells }
}

fn round_trips() -> Part {
    let mut cells = Vec::new();
    for hosts in [1, 20, 1_000] {
        for line in [1_000, 7_000, 25_000] {
            for rtt in ["0.2", "12", "50", "100", "200"] {
                let mib = line * 6 / 5;
                let is_quick = hosts < 1_000 || (line, rtt) == (1_000, "50");
                let words = format!("hosts={hosts} line={line} rtt={rtt} mib={mib}");
                cells.push(cell(words, goal().time(1.08), is_quick));
            }
        }
    }
    Part { title: "Nothing in the way but its length, for images of ten seconds.", cells }
}

fn stores() -> Part {
    let mut cells = Vec::new();
    for hosts in [1, 4, 100] {
        for (line, mib) in [(1_000, 512), (10_000, 4_096), (25_000, 8_192)] {
            for percent in [5, 20, 40, 90] {
                for auto in [1, 0] {
                    let store = line * percent / 100;
                    let words = format!("hosts={hosts} auto={auto} line={line} store={store} mib={mib}");
                    let goal = goal().time(1.02).sent(if auto == 1 { 1.03 } else { 1.10 });
                    cells.push(cell(words, goal.nobody(), hosts == 4 || (hosts, line) == (100, 1_000)));
                }
            }
        }
    }
    Part { title: "All stores alike, and slower than the line.", cells }
}

fn losses() -> Part {
    let mut cells = Vec::new();
    for hosts in [10, 2_000] {
        for line in [10_000, 17_500, 25_000] {
            for loss in ["0.001", "0.01"] {
                let mib = line * 6 / 5;
                let words = format!("hosts={hosts} line={line} loss={loss} mib={mib}");
                cells.push(cell(words, goal().time(1.10).sent(1.03), hosts == 10));
            }
        }
    }
    Part { title: "Losses of each host's own on fast lines.", cells }
}

fn crowds() -> Part {
    let mut cells = Vec::new();
    let goal = || goal().feedback(4_000, 0.02);
    for mib in [16, 1_024] {
        for rtt in ["0.2", "50", "200"] {
            let is_quick = (mib, rtt) == (16, "200");
            cells.push(cell(format!("hosts=10000 rtt={rtt} mib={mib}"), goal(), is_quick));
        }
    }
    for hosts in [100, 2_000, 10_000] {
        for rtt in ["0.2", "200"] {
            let words = format!("hosts={hosts} line=10 rtt={rtt} mib=16");
            cells.push(cell(words, goal(), hosts < 10_000));
        }
    }
    Part {
        title: "What crowds say: no more in any second than the sender takes, and little on slow lines.",
        cells,
    }
}

fn bottlenecks() -> Part {
    let cells = vec![
        before("neck=400 queue=20 rtt=1", 1.036, 1.0339, true),
        before("neck=100 queue=50 rtt=1", 1.050, 1.0063, true),
        before("neck=400 queue=20 rtt=50", 1.150, 1.0063, true),
        before("neck=400 queue=100 rtt=200", 1.357, 1.1023, true),
        before("line=10000 neck=4000 queue=2 mib=2048", 1.082, 1.0033, true),
        before("line=10000 neck=4000 queue=10 mib=2048", 1.081, 1.0770, true),
        before("line=25000 neck=4000 queue=2 mib=2048", 1.066, 1.0061, true),
        before("hosts=2000 rtt=1 loss=0.001 neck=400 mib=1024", 1.257, 1.0327, false),
    ];
    Part { title: "A bottleneck that all share. The goals are what it took before flow control.", cells }
}

fn some_slow() -> Part {
    let mut cells = vec![
        before("hosts=100 auto=0 slow=1 slowstore=400 mib=2048", 1.0, 1.5559, true),
        before("hosts=100 auto=1 slow=1 slowstore=400 mib=2048", 1.062, 1.5496, true),
        before("hosts=100 auto=0 slow=30 slowstore=400 mib=2048", 1.0, 1.5559, true),
        before("hosts=100 auto=1 slow=30 slowstore=400 mib=2048", 1.022, 1.0085, true),
    ];
    for auto in [1, 0] {
        for percent in [5, 20, 40, 90] {
            let words = format!("hosts=4 auto={auto} slow=1 slowstore={}", 10 * percent);
            cells.push(cell(words, goal().time(1.02), true));
        }
    }
    let title = "Some stores slower than the others. What one host of many has no room for is sent to it in the end. \
                 \nThe goals of the first four are what it took before flow control.";
    Part { title, cells }
}

fn late_and_uneven() -> Part {
    let path = |more: &str| format!("hosts=100 auto=0 rtt=1 loss=0.01 {more} mib=1024");
    let cells = vec![
        before(&path("late=0.25"), 1.543, 1.5430, true),
        before(&path("late=0.25 late_at=0.9"), 1.938, 1.9389, false),
        before(&path("fbloss=0.1"), 1.032, 1.0227, false),
        before(&path("fbloss=0.5"), 1.058, 1.0226, true),
        before(&path("rack=20"), 1.020, 1.0177, true),
        before(&path("jobs=1 burst=50"), 1.125, 1.1219, true),
        before(&path("jobs=1 burst=400"), 1.486, 1.4850, false),
        before(&path("jobs=1 rack=20 burst=200"), 1.069, 1.0667, true),
        before("hosts=2000 auto=0 rtt=1 loss=0.01 rack=40 mib=1024", 1.079, 1.0239, false),
        before("hosts=2000 auto=0 rtt=1 loss=0.01 late=0.25 mib=1024", 1.562, 1.5482, false),
    ];
    let title = "A quarter of the hosts late, feedback lost, racks that lose together, bursts. \
                 \nThe goals are what it took before flow control.";
    Part { title, cells }
}

/// A cell that must be no worse than it was.
fn before(words: &str, time: f64, sent: f64, is_quick: bool) -> Cell {
    cell(words.to_owned(), goal().time(time).sent(sent), is_quick)
}

fn cell(words: String, goal: Goal, is_quick: bool) -> Cell {
    Cell { words, goal, is_quick }
}

fn goal() -> Goal {
    Goal::default()
}
