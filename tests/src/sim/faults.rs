//! Counts of the faults, where they happen: only a count shows that a fault in the code also occurs.

use std::fmt;

macro_rules! faults {
    ($($name:ident: $words:literal,)*) => {
        /// Something that the simulated world did to a push, or a way it ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $(#[doc = $words] $name,)* }

        const WORDS: &[&str] = &[$($words,)*];
    };
}

faults! {
    Lost: "datagrams lost on their own",
    LostInBurst: "datagrams lost in a burst",
    FeedbackLost: "reports and last words lost",
    Doubled: "datagrams doubled",
    Overtaken: "datagrams held back so that others overtook them",
    Damaged: "datagrams with a flipped bit",
    TooLong: "datagrams too long for the path",
    CutOff: "datagrams lost to a partition",
    SocketFull: "datagrams dropped by a slow host's socket",
    NoBuffer: "symbols that found no buffer",
    LostInRack: "datagrams that a rack of hosts lost together",
    Far: "hosts a long way off",
    Uneven: "hosts behind delays that reorder all datagrams",
    SlowStore: "hosts with a store slower than the line",
    SenderOutage: "outages of the sender's own network",
    LateStart: "hosts that started late",
    Crashed: "hosts that crashed",
    CrashedAtPublish: "hosts that crashed while they published",
    GoneForGood: "hosts that never came back",
    Restarted: "hosts that came back",
    RestartedWithout: "hosts that came back without what they had written",
    PowerLost: "hosts that lost power",
    Stopped: "hosts that were told to stop",
    PutAway: "unfinished files that were put away",
    Resumed: "unfinished files that were gone on with",
    Kept: "blocks in them",
    Torn: "blocks torn by a crash",
    NotKept: "kept blocks that were others, or torn",
    Skipped: "blocks that all hosts had kept and that were not sent",
    WithBase: "pushes with a base",
    Reused: "blocks made of what a host had elsewhere",
    Misled: "blocks that were not where a host looked for them",
    Cut: "blocks that all hosts had kept while they were being sent",
    BadMemory: "blocks damaged in a host's memory",
    Undecodable: "sets of symbols that did not determine their block",
    Corrupt: "blocks refused by their hash",
    Sifted: "refused blocks whose symbols were told apart",
    Forged: "symbols that were not the sender's",
    DiskFull: "writes refused by a full disk",
    WriteFailed: "writes that failed",
    PublishFailed: "publishing that failed",
    SameFile: "hosts that had the object before",
    OtherFile: "hosts that had something else under its name",
    SenderCrashed: "senders that crashed and came back",
    SourceWrong: "sources that turned out wrong",
    Interrupted: "pushes that were interrupted",
    ShortTimeout: "pushes with too little time",
    OneWay: "pushes that nobody could answer",
    Signed: "pushes that were signed",
    Refused: "hosts that did not accept the sender",
    KeyChanged: "hosts with another key than the known one",
    MadeAnew: "hosts that came back with another key",
    Cloned: "copies of a host with its name and key",
    Namesake: "hosts with another one's name and a key of their own",
    Renamed: "hosts with another name than the push was for",
    NotMeant: "hosts that the push was not for",
    OtherGroup: "hosts with another group's key",
    Unenrolled: "hosts that were not known where only known ones counted",
    Enrolled: "hosts that were known before",
    KnownLost: "senders that came back without their known hosts",
    TwoCopies: "copies that both held the object in the end",
    FailedStays: "hosts that had failed and came back",
    Insider: "hostile machines among the hosts",
    ForgedUp: "datagrams that they sent to the sender",
    ForgedDown: "datagrams that they sent to hosts",
    Claimed: "names that were claimed with another key",
    Sidelined: "hosts served after the others",
    Silent: "hosts called silent",
    LastOne: "symbols sent to the last host alone",
    Again: "symbols sent beyond the first pass",
    Complete: "verdicts: complete",
    Incomplete: "verdicts: incomplete",
    Aborted: "verdicts: aborted",
    GivenUp: "verdicts: given up",
    Unknown: "verdicts: unknown",
}

/// The counts of one or more runs.
#[derive(Clone, Debug)]
pub struct Counts {
    times: [u64; WORDS.len()],
    runs: [u64; WORDS.len()],
}

impl Default for Counts {
    fn default() -> Self {
        Self { times: [0; WORDS.len()], runs: [0; WORDS.len()] }
    }
}

impl Counts {
    pub(crate) fn note(&mut self, fault: Fault) {
        self.note_times(fault, 1);
    }

    pub(crate) fn note_times(&mut self, fault: Fault, times: u64) {
        self.times[fault as usize] += times;
        self.runs[fault as usize] |= u64::from(times > 0);
    }

    pub(crate) fn add(&mut self, run: &Self) {
        for at in 0..WORDS.len() {
            self.times[at] += run.times[at];
            self.runs[at] += run.runs[at];
        }
    }

    /// Returns how often the fault occurred, and in how many runs.
    pub fn of(&self, fault: Fault) -> (u64, u64) {
        (self.times[fault as usize], self.runs[fault as usize])
    }

    /// Returns the descriptions of the faults that never occurred.
    pub fn missing(&self) -> Vec<&'static str> {
        WORDS.iter().zip(self.times).filter(|&(_, times)| times == 0).map(|(&words, _)| words).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>14} {:>9}", "times", "in runs")?;
        for ((words, times), runs) in WORDS.iter().zip(self.times).zip(self.runs) {
            writeln!(f, "{times:>14} {runs:>9}  {words}")?;
        }
        Ok(())
    }
}
