//! The send loop: the thread that owns the machine, the socket and the pacer. All its input arrives in bounded queues
//! (blocks from the reader, symbols from the encoder, feedback from the socket), and it waits for nothing else.

mod outage;
mod telling;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use glancecast_platform::batch::Batch;
use glancecast_platform::wake::{Sleeper, Waker, sleep_precisely};
use glancecast_proto::geometry::Geometry;
use glancecast_proto::ids::{BlockIndex, Sequence};
use glancecast_proto::limits::END_OUTAGE_MAX;
use glancecast_proto::sender::{FinishedJob, Interleaver, Job, JobRoom, Sender, Transmit, Watch};
use glancecast_proto::time::Moment;

use super::changes::{Change, Changes, HostChange};
use super::content::{ContentCounts, Spared};
use super::encode::{EncoderThread, Made, Prepared};
use super::gso_batch::GsoBatch;
use super::line::{Line, Offered};
use super::load::{Load, MadeBy, Symbol};
use super::pace::{Pacer, SLEEP_MIN};
use super::pack::{Packed, Symbols};
use super::policy::Purpose;
use super::push::{Outcome, Progress, Reached, RunningPush, Setup};
use super::read::{Read, Reader, Reading};
use super::relays::Relays;
use super::running::{Control, Running};
use super::stages::{Clocks, Stage, clocks};
use super::wire_counts::WireCounts;
use outage::{Batched, Unsent, Waiting};
use telling::Telling;

/// Starts the threads of a push.
///
/// # Errors
/// When a thread cannot be started.
pub fn start(setup: Setup) -> io::Result<RunningPush> {
    let control = Control::default();
    let (send_loop, waker) = SendLoop::new(setup, control.clone())?;
    Running::start("send", control, waker, move || {
        sleep_precisely();
        send_loop.run()
    })
}

/// The state of the send loop.
pub(crate) struct SendLoop {
    machine: Sender,
    line: Line,
    /// What the network refused. Nothing else is sent before it is taken.
    refused: Option<Unsent>,
    reader: Reader,
    /// `Some` as soon as there is a spool.
    encoder: Option<EncoderThread>,
    batch: GsoBatch,
    pacer: Pacer,
    /// Blocks that are read and not yet sent, in order.
    fresh: VecDeque<(BlockIndex, Symbols)>,
    interleaver: Interleaver<Load>,
    counts: WireCounts,
    relays: Relays,
    content: ContentCounts,
    feedback: Batch,
    out: Vec<u8>,
    sleeper: Sleeper,
    waker: Waker,
    control: Control<Progress>,
    told_at: Option<Moment>,
    /// The hosts that hold the push back, and when they were looked for.
    watched: Option<(Moment, Arc<Watch>)>,
    changes: Changes,
    telling: Telling,
    geometry: Geometry,
    clocks: Clocks,
}

impl SendLoop {
    pub(crate) fn new(setup: Setup, control: Control<Progress>) -> io::Result<(Self, Waker)> {
        let (geometry, pace) = (setup.sender.geometry, setup.sender.pace);
        let (sleeper, waker) = Sleeper::new()?;
        let clocks = clocks();
        let mut line = Line::new(setup.downlink, setup.interface_named, Some(setup.sender.timeout));
        let machine = Sender::new(line.now(), setup.sender);
        line.set_paths(machine.paths());
        let reading = Reading {
            source: setup.source,
            spool: setup.spool,
            compression: setup.compression,
            rate: machine.rate(),
            ahead: machine.repair_ahead(),
            purpose: if machine.config().base.is_some() { Purpose::Offer } else { Purpose::Send },
        };
        let reader = Reader::start(reading, geometry, &waker, &clocks)?;
        let send_loop = Self {
            machine,
            line,
            refused: None,
            reader,
            encoder: None,
            batch: GsoBatch::new(geometry),
            pacer: Pacer::new(pace.cap().bits()),
            fresh: VecDeque::new(),
            interleaver: Interleaver::default(),
            counts: WireCounts::default(),
            relays: Relays::default(),
            content: ContentCounts::default(),
            feedback: Batch::default(),
            out: Vec::new(),
            sleeper,
            waker: waker.clone(),
            control,
            told_at: None,
            watched: None,
            changes: Changes::default(),
            telling: Telling::default(),
            geometry,
            clocks,
        };
        Ok((send_loop, waker))
    }

    /// Runs the push until it is over.
    pub(crate) fn run(mut self) -> Outcome {
        while !self.machine.is_finished() {
            if self.control.is_stopped() {
                self.machine.handle_abort(self.line.now(), "the push was interrupted");
                self.line.wait_at_most(STOPPED_OUTAGE_MAX);
            } else if self.machine.verdict().is_some() {
                self.line.wait_at_most(END_OUTAGE_MAX);
            }
            if !self.line.is_away() {
                self.turn();
            } else if self.wait_for_network() == Waiting::Over {
                break; // the end could not be sent; the hosts have a timer for that
            }
        }
        self.line.tell();
        self.tell_progress();
        let outages = self.line.report();
        Outcome {
            verdict: self.machine.verdict().expect("the loop ends with one").clone(),
            root: self.machine.root(),
            rows: self.machine.rows(),
            reached: Reached { plan: self.machine.plan(), lost: self.relays.lost },
            first_uses: self.machine.first_uses(),
            counts: self.counts,
            content: self.content,
            spared: Spared::of(&self.machine),
            discards: self.machine.discards().clone(),
            time: self.machine.time().expect("the loop ends with a verdict") + outages.time,
            outages,
            stages: self.clocks.times(),
        }
    }

    /// Runs one iteration: handles feedback and blocks, sends control datagrams and one GSO batch, or sleeps if nothing
    /// is due.
    fn turn(&mut self) {
        self.hear();
        self.take_read();
        self.machine.handle_timeout(self.line.now());
        while let Some(event) = self.machine.poll_event() {
            let at = self.line.true_now();
            self.relays.note(at, &event);
            if let Some((name, what)) = Change::of(&event) {
                self.changes.note(HostChange { at: at.since(Moment::default()), name, what });
            }
            self.telling.tell(event, self.machine.config().reply_to);
        }
        self.line.set_paths(self.machine.paths());
        self.tell_progress_sometimes();
        self.line.check_carrier();
        self.say();
        if self.line.is_away() {
            return;
        }
        self.drop_skipped();
        self.begin_jobs();
        if self.interleaver.is_empty() || self.machine.holds_symbols_back() {
            self.pacer.idle(self.line.nanos());
            return self.sleep(IDLE_SLEEP);
        }
        self.pacer.set_rate(self.machine.rate());
        match self.pacer.wait(self.line.nanos()) {
            Duration::ZERO => self.send_train(),
            wait if wait <= SLEEP_MIN => std::thread::yield_now(),
            wait => self.sleep(wait),
        }
    }

    fn hear(&mut self) {
        for _ in 0..FEEDBACK_BATCHES_IN_A_ROW {
            match self.feedback.receive(self.line.as_fd()) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    // An error of an earlier datagram that ICMP reports, such as ECONNREFUSED. It is reported once.
                    tracing::debug!(%error, "cannot receive");
                    std::thread::sleep(RECEIVE_ERROR_SLEEP);
                    break;
                }
            }
            let now = self.line.now();
            for (from, datagram) in self.feedback.datagrams() {
                // Why a datagram is discarded is counted by the machine.
                let _ = self.machine.handle_datagram(now, from, datagram);
            }
        }
        while let Some(addr) = self.line.poll_refusal() {
            tracing::debug!(%addr, "refuses what is sent to it");
            self.machine.handle_refusal(self.line.now(), addr);
        }
    }

    /// Takes in blocks only as fast as they are sent, which holds the reader back; zero blocks are not queued.
    fn take_read(&mut self) {
        for _ in 0..READS_IN_A_ROW {
            if self.fresh.len() >= FRESH_BLOCKS || self.machine.verdict().is_some() {
                return;
            }
            let now = self.line.now();
            self.reader.make_ahead(self.machine.repair_ahead());
            self.reader.set_rate(self.machine.rate());
            match self.reader.next() {
                None => return,
                Some(Read::Spool(spool)) => {
                    let clocks = Arc::clone(&self.clocks);
                    match EncoderThread::start(self.geometry, spool, self.waker.clone(), clocks) {
                        Ok(encoder) => self.encoder = Some(encoder),
                        Err(error) => {
                            self.machine.handle_abort(now, &format!("cannot start a thread: {error}"));
                        }
                    }
                }
                Some(Read::Block(packed)) => self.take_block(packed),
                Some(Read::Proven) => {
                    self.machine.handle_source_proven(now);
                }
                Some(Read::Failed(reason)) => self.machine.handle_abort(now, &reason),
            }
        }
    }

    fn take_block(&mut self, Packed { entry, fingerprint, symbols }: Packed) {
        let block = match self.machine.config().base {
            None => {
                let ahead = symbols.as_ref().map_or(0, |symbols| symbols.ahead);
                let block = self.machine.handle_block(entry, ahead);
                self.fresh.extend(symbols.map(|symbols| (block, symbols)));
                block
            }
            Some(_) => {
                symbols.into_iter().for_each(|symbols| self.reader.recycle(symbols.bytes));
                self.machine.handle_fingerprinted(entry, fingerprint)
            }
        };
        self.content.add(self.geometry, block, &entry);
    }

    /// Sends control datagrams. They are few and small, so they do not wait for the pacer, but it counts them.
    fn say(&mut self) {
        while !self.line.is_away()
            && let Some(transmit) = self.machine.poll_transmit(self.line.now(), &mut self.out)
        {
            self.send_control(transmit);
        }
    }

    /// Sends the control datagram in `out`.
    fn send_control(&mut self, transmit: Transmit) {
        if self.line.send(&self.out, transmit.to) != Offered::Taken {
            self.refused = Some(Unsent::Control(transmit));
            return;
        }
        let copies = self.line.downlink().copies(transmit.to);
        self.counts.of(transmit.kind).add(copies, copies * self.out.len() as u64);
        let frame_bytes = self.line.downlink().frame_bytes(self.out.len());
        self.pacer.sent(self.line.nanos(), frame_bytes);
    }

    /// Takes the next jobs: first those that were encoded, then blocks that were just read.
    fn begin_jobs(&mut self) {
        self.begin_hashes();
        while self.interleaver.has_room() {
            match self.encoder.as_mut().and_then(EncoderThread::next) {
                Some(Ok(Prepared::Symbols(job, symbols))) => {
                    self.put(job, symbols, MadeBy::Encoder);
                    continue;
                }
                Some(Ok(Prepared::Hashes(job, hashes))) => {
                    self.machine.handle_hashes(job, hashes.as_deref());
                    continue;
                }
                Some(Err(error)) => self.machine.handle_abort(self.line.now(), &error.to_string()),
                None => {}
            }
            let repair = self.encoder.as_ref().is_some_and(EncoderThread::has_room);
            let room = JobRoom { repair, source: !self.fresh.is_empty() };
            let Some(job) = self.machine.poll_job(room) else { return };
            self.begin(job);
        }
    }

    /// Has symbols hashed of which hosts suspect some to be forged.
    fn begin_hashes(&mut self) {
        while let Some(encoder) = self.encoder.as_mut().filter(|encoder| encoder.has_room())
            && let Some(job) = self.machine.poll_proofs(self.line.now())
        {
            let entry = *self.machine.entry(job.block()).expect("only blocks that were read are suspected");
            encoder.give(job, entry, Made::ToHash);
        }
    }

    /// Drops blocks that every host holds already: they are read and hashed, but not sent.
    fn drop_skipped(&mut self) {
        if self.machine.is_resuming() {
            self.interleaver.cut(|block| self.machine.needs_pass(block));
            self.finish_jobs();
        }
        while let Some(block) = self.machine.poll_skip(self.line.now()) {
            let (fresh, symbols) = self.fresh.pop_front().expect("it was read, and waits for its turn");
            assert_eq!(block, fresh);
            self.reader.recycle(symbols.bytes);
        }
    }

    fn begin(&mut self, job: Job) {
        match (job, self.fresh.front()) {
            (Job::Source { block, .. }, Some(&(fresh, _))) if block == fresh => {
                let (_, symbols) = self.fresh.pop_front().expect("just seen");
                self.put(job, symbols.bytes, MadeBy::Reader);
            }
            _ => {
                let entry = *self.machine.entry(job.block()).expect("jobs are of blocks that were read");
                self.encoder.as_mut().expect("blocks come after the spool").give(job, entry, Made::ToSend);
            }
        }
    }

    fn put(&mut self, job: Job, symbols: Vec<u8>, from: MadeBy) {
        let block = job.block();
        let entry = self.machine.entry(block).expect("jobs are of blocks that were read");
        let encoded_len = entry.encoded_len(self.geometry, block);
        let source_symbols = self.geometry.shape(encoded_len).source_symbols();
        let symbol_size = usize::from(self.geometry.symbol_size());
        assert_eq!(symbols.len(), job.symbols(source_symbols) as usize * symbol_size);
        self.interleaver.put(job, self.machine.aim(job), source_symbols, Load { symbols, encoded_len, from });
    }

    fn send_train(&mut self) {
        let to = self.machine.destination(self.interleaver.aim());
        let frame_bytes = self.line.downlink().frame_bytes(self.geometry.datagram_bytes());
        let count = self.interleaver.symbols().min(self.batch.capacity()).min(self.pacer.batch(frame_bytes));
        let number = self.machine.take_sequences(to, count as u32);
        let start = Instant::now();
        let repair = self.seal(count, number);
        self.clocks.add(Stage::Seal as usize, start, self.batch.bytes().len());
        self.send_symbols(Batched { to, from: 0, repair, source: count as u64 - repair });
    }

    /// Sends the rest of the batch. Its symbols count once all of them are sent.
    fn send_symbols(&mut self, batched: Batched) {
        let Batched { to, from, repair, source } = batched;
        let rest = &self.batch.bytes()[from..];
        let offered = self.clocks.time(Stage::Send as usize, rest.len(), || self.line.send_batch(rest, to));
        if let Offered::Refused(taken) = offered {
            self.refused = Some(Unsent::Symbols(Batched { from: from + taken, ..batched }));
            return;
        }
        // The rate is that of one copy: what goes to some paths alone is no faster on each of them.
        let frame_bytes = self.line.downlink().frame_bytes(self.geometry.datagram_bytes());
        self.pacer.sent(self.line.nanos(), (repair + source) * frame_bytes);
        let copies = self.line.downlink().copies(to);
        let bytes = |count: u64| count * self.geometry.datagram_bytes() as u64;
        self.counts.source.add(copies * source, copies * bytes(source));
        self.counts.repair.add(copies * repair, copies * bytes(repair));
        self.finish_jobs();
    }

    fn finish_jobs(&mut self) {
        while let Some(FinishedJob { job, load, last }) = self.interleaver.next_finished() {
            self.machine.handle_sent(self.line.now(), job, last);
            match (load.from, &self.encoder) {
                (MadeBy::Encoder, Some(encoder)) => encoder.recycle(load.symbols),
                (MadeBy::Encoder, None) | (MadeBy::Reader, _) => self.reader.recycle(load.symbols),
            }
        }
    }

    /// Fills the GSO batch with the next symbols. Returns the number of repair symbols among them.
    fn seal(&mut self, count: usize, number: Sequence) -> u64 {
        let (cipher, tag) = (self.machine.cipher(), self.machine.config().session.tag());
        let mut repair = 0;
        self.batch.clear();
        let symbol_size = usize::from(self.geometry.symbol_size());
        self.interleaver.take(count, number, |next| {
            repair += u64::from(next.is_repair);
            self.batch.push(cipher, tag, next.sequence, Symbol::of(&next, symbol_size));
        });
        repair
    }

    fn sleep(&self, at_most: Duration) {
        let due = self.machine.poll_timeout().map_or(at_most, |(at, _)| at.since(self.line.now()));
        if self.sleeper.sleep([self.line.as_fd()], due.min(at_most)).is_err() {
            std::thread::sleep(RECEIVE_ERROR_SLEEP); // the kernel is out of memory
        }
    }

    fn tell_progress_sometimes(&mut self) {
        let now = self.line.true_now();
        if self.told_at.is_none_or(|at| now.since(at) >= PROGRESS_GAP) {
            self.told_at = Some(now);
            self.tell_progress();
            tracing::debug!(
                at = now.micros() / 1000,
                mbit = self.machine.rate() / 1_000_000,
                blocks = self.machine.blocks_sent(),
                repair = self.counts.repair.datagrams,
                loss = self.machine.usual_loss(),
                "rate"
            );
        }
    }

    fn tell_progress(&mut self) {
        let (now, true_now) = (self.line.now(), self.line.true_now());
        let watch = self.watch(true_now);
        let total = self.counts.total();
        self.control.update(|progress| {
            progress.blocks_sent = self.machine.blocks_sent();
            progress.content = self.content;
            progress.wire_bytes = total.bytes;
            progress.frame_bytes = total.bytes + total.datagrams * self.machine.config().header_bytes;
            progress.repairs = self.counts.repair.datagrams;
            progress.rate = self.machine.rate();
            progress.copies = self.machine.copies();
            progress.proven = self.machine.root().is_some();
            progress.hosts = self.machine.tally();
            progress.watch = watch;
            progress.is_away = self.line.is_away();
            progress.is_waiting = self.machine.holds_symbols_back();
            progress.is_ending = self.machine.verdict().is_some();
            progress.time = true_now.since(Moment::default());
            progress.left = self.machine.deadline().since(now);
            progress.changes.clone_from(&self.changes);
        });
    }

    /// Returns the hosts that hold the push back, which are looked for at most once in [`WATCH_GAP`].
    fn watch(&mut self, now: Moment) -> Arc<Watch> {
        let is_due = self.watched.as_ref().is_none_or(|&(at, _)| now.since(at) >= WATCH_GAP);
        if is_due {
            self.watched = Some((now, Arc::new(self.machine.watch())));
        }
        self.watched.as_ref().map(|(_, watch)| Arc::clone(watch)).unwrap_or_default()
    }
}

/// The maximum number of read blocks that wait in the send loop, in addition to those in the interleaver.
const FRESH_BLOCKS: usize = 2;

/// The maximum number of items taken from the reader in one iteration; only zero blocks and the like come so fast.
const READS_IN_A_ROW: u32 = 64;

const FEEDBACK_BATCHES_IN_A_ROW: u32 = 4;

/// The sleep when there is nothing to send; a block, a repair, a datagram or a timer ends it earlier.
const IDLE_SLEEP: Duration = Duration::from_millis(200);

/// The longest outage that a push waits for which a person has stopped: the end is worth no more of that person's time.
const STOPPED_OUTAGE_MAX: Duration = Duration::from_millis(500);

/// Pause after an error of receiving, so that one that lasts costs little.
const RECEIVE_ERROR_SLEEP: Duration = Duration::from_millis(1);

const PROGRESS_GAP: Duration = Duration::from_millis(100);
/// The time between two looks at all hosts, which take a millisecond with ten thousand of them.
const WATCH_GAP: Duration = Duration::from_millis(500);
