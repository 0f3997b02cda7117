//! A disk that forgets: what was not synced is lost, torn or kept at the next power cut, name by name and sector by
//! sector, as the dice decide. Any operation may be the last one, or the one that fails. The store runs on it as on a
//! real disk, thousands of times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use glancecast_testkit::Rng;

use crate::store::dir::{Access, Room};
use crate::store::disk::{Disk, DiskFile, Entry};
use crate::store::file_id::{FileId, Nanos, Since};
use crate::store::name::Name;

/// A disk; clones are the same disk.
#[derive(Clone, Debug)]
pub(in crate::store) struct Model(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: Vec<Inode>,
    names: BTreeMap<Name, usize>,
    durable_names: BTreeMap<Name, usize>,
    /// Renamings since the names were durable: a file system does both halves of one, or none (rename(2)).
    renamed: Vec<(Name, Name)>,
    /// Number of operations so far that change or sync something.
    operations: u64,
    power_until: u64,
    fault: Option<Fault>,
    handles: u64,
    room: Room,
    lacking: Lacking,
    dice: Dice,
}

/// What a file system cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Lacking {
    Nothing,
    /// As FAT.
    Links,
    /// As FUSE file systems that know no flags of a renaming.
    LinksAndRename,
    /// As FAT: parts that are not written take room.
    Holes,
    /// As NFS without its lock service.
    Locks,
    Modes,
    /// As SMB.
    DirectorySync,
}

/// A fault of the disk.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Fault {
    /// The first operation that may fail.
    pub(in crate::store) from: u64,
    /// Whether only one operation fails.
    pub(in crate::store) once: bool,
    pub(in crate::store) error: io::ErrorKind,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    bytes: Vec<u8>,
    /// The pages that are not holes.
    pages: BTreeSet<u64>,
    durable: Vec<u8>,
    durable_pages: BTreeSet<u64>,
    /// Changes since the last sync, in order.
    pending: Vec<Change>,
    locked_by: Option<u64>,
}

#[derive(Clone, Debug)]
enum Change {
    Len(u64),
    Write(u64, Vec<u8>),
    Clear(Range<u64>),
}

#[derive(Debug)]
struct Handle {
    disk: Model,
    inode: usize,
    id: u64,
}

/// Dice with the draws for which the tests' number of cuts and their bounds were chosen.
#[derive(Clone, Debug)]
pub(in crate::store) struct Dice(Rng);

impl Dice {
    pub(in crate::store) fn new(seed: u64) -> Self {
        Self(Rng::from_product(seed))
    }

    pub(in crate::store) fn below(&mut self, bound: u64) -> u64 {
        (self.0.number() >> 16) % bound
    }
}

impl Model {
    pub(in crate::store) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renamed: Vec::new(),
            operations: 0,
            power_until: u64::MAX,
            fault: None,
            handles: 0,
            room: Room { free: 1 << 40, total: 1 << 41 },
            lacking: Lacking::Nothing,
            dice: Dice::new(seed),
        })))
    }

    /// Returns a disk whose file system cannot do something.
    pub(in crate::store) fn lacking(lacking: Lacking) -> Self {
        Self::seeded(0, lacking)
    }

    pub(in crate::store) fn seeded(seed: u64, lacking: Lacking) -> Self {
        let model = Self::new(seed);
        model.state().lacking = lacking;
        model
    }

    /// Returns the number of operations so far.
    pub(in crate::store) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Makes every operation from this one on fail, as without power.
    pub(in crate::store) fn cut_power_at(&self, operation: u64) {
        self.state().power_until = operation;
    }

    pub(in crate::store) fn break_with(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Sets the room, as if others took or freed it.
    pub(in crate::store) fn set_room(&self, room: Room) {
        self.state().room = room;
    }

    /// Returns the disk after a power cut: how much of the unsynced data is there depends on the dice.
    pub(in crate::store) fn after_power_cut(&self) -> Self {
        let mut state = self.state();
        let State { files, names, durable_names, renamed, dice, lacking, .. } = &mut *state;
        let lacking = *lacking;
        let files = files.iter().map(|file| file.after_power_cut(dice)).collect();
        let all: BTreeSet<&Name> = names.keys().chain(durable_names.keys()).collect();
        let mut is_old: BTreeMap<&Name, bool> = all.iter().map(|name| (*name, dice.below(2) == 0)).collect();
        for (from, to) in &*renamed {
            if let Some(&both) = is_old.get(to) {
                is_old.insert(from, both);
            }
        }
        let survives = |name: &&Name| {
            let from = if is_old[name] { &*durable_names } else { &*names };
            Some(((*name).clone(), *from.get(*name)?))
        };
        let names: BTreeMap<Name, usize> = all.iter().filter_map(survives).collect();
        Self::restarted(files, names, dice.clone(), lacking)
    }

    /// Returns the disk after the process was killed: all that it has done is there.
    pub(in crate::store) fn after_kill(&self) -> Self {
        let state = self.state();
        let files = state.files.iter().map(|file| Inode { locked_by: None, ..file.clone() }).collect();
        Self::restarted(files, state.names.clone(), state.dice.clone(), state.lacking)
    }

    /// Returns the contents of a file, if it exists.
    pub(in crate::store) fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(&Name::new(name).ok()?).map(|&inode| state.files[inode].bytes.clone())
    }

    pub(in crate::store) fn all_names(&self) -> Vec<String> {
        self.state().names.keys().map(Name::to_string).collect()
    }

    fn restarted(files: Vec<Inode>, names: BTreeMap<Name, usize>, dice: Dice, lacking: Lacking) -> Self {
        let model = Self::lacking(lacking);
        let mut state = model.state();
        (state.files, state.names, state.durable_names, state.dice) = (files, names.clone(), names, dice);
        drop(state);
        model
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Performs one operation, unless the power is off or it fails.
    fn operate<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        if state.operations >= state.power_until {
            return Err(io::Error::other("the power is off"));
        }
        state.operations += 1;
        act(&mut state)
    }

    fn handle(&self, state: &mut State, inode: usize) -> Box<dyn DiskFile> {
        state.handles += 1;
        Box::new(Handle { disk: self.clone(), inode, id: state.handles })
    }
}

impl State {
    fn entry(&self, inode: usize) -> Entry {
        Entry {
            is_file: true,
            id: FileId { device: 1, inode: inode as u64, since: Since::Birth(Nanos(0)) },
            bytes: self.files[inode].bytes.len() as u64,
            allocated: match self.lacking {
                Lacking::Holes => self.files[inode].bytes.len() as u64,
                _ => self.files[inode].pages.len() as u64 * PAGE,
            },
            names: self.names.values().filter(|&&of| of == inode).count() as u64,
            changed: SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40),
        }
    }

    /// Fails if the file system cannot do this.
    fn can(&self, lacking: &[Lacking]) -> io::Result<()> {
        if lacking.contains(&self.lacking) { Err(io::ErrorKind::Unsupported.into()) } else { Ok(()) }
    }

    /// Whether the current operation is to fail.
    fn check(&mut self) -> io::Result<()> {
        match self.fault {
            Some(fault) if self.operations > fault.from => {
                if fault.once {
                    self.fault = None;
                }
                Err(fault.error.into())
            }
            _ => Ok(()),
        }
    }
}

impl Disk for Model {
    fn create(&self, name: &Name) -> io::Result<Box<dyn DiskFile>> {
        self.operate(|state| {
            state.check()?;
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = state.files.len();
            state.files.push(Inode::default());
            state.names.insert(name.clone(), inode);
            Ok(self.handle(state, inode))
        })
    }

    fn open(&self, name: &Name, _: Access) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let inode = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&mut state, inode))
    }

    fn look(&self, name: &Name) -> io::Result<Entry> {
        let state = self.state();
        Ok(state.entry(*state.names.get(name).ok_or(io::ErrorKind::NotFound)?))
    }

    fn rename_new(&self, from: &Name, to: &Name) -> io::Result<()> {
        self.operate(|state| {
            state.check()?;
            state.can(&[Lacking::LinksAndRename])?;
            if state.names.contains_key(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.renamed.push((from.clone(), to.clone()));
            state.names.insert(to.clone(), inode);
            Ok(())
        })
    }

    /// Fails only without power: a full disk removes names.
    fn remove(&self, name: &Name) -> io::Result<()> {
        self.operate(|state| match state.names.remove(name) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.operate(|state| {
            state.check()?;
            state.can(&[Lacking::DirectorySync])?;
            state.durable_names = state.names.clone();
            state.renamed.clear();
            Ok(())
        })
    }

    fn list(&self) -> io::Result<Vec<Name>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn room(&self) -> io::Result<Room> {
        Ok(self.state().room)
    }
}

impl Handle {
    fn with<T>(&self, act: impl FnOnce(&mut Inode) -> T) -> T {
        act(&mut self.disk.state().files[self.inode])
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.disk.operate(|state| {
            state.check()?;
            let inode = &mut state.files[self.inode];
            change.apply(&mut inode.bytes, &mut inode.pages);
            inode.pending.push(change);
            Ok(())
        })
    }
}

impl DiskFile for Handle {
    fn entry(&self) -> io::Result<Entry> {
        Ok(self.disk.state().entry(self.inode))
    }

    fn link(&self, name: &Name) -> io::Result<()> {
        self.disk.operate(|state| {
            state.check()?;
            state.can(&[Lacking::Links, Lacking::LinksAndRename])?;
            if state.names.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if state.entry(self.inode).names == 0 {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.names.insert(name.clone(), self.inode);
            Ok(())
        })
    }

    fn touch(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.disk.state().can(&[Lacking::Locks])?;
        Ok(self.with(|inode| *inode.locked_by.get_or_insert(self.id) == self.id))
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.change(Change::Len(bytes))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(Change::Write(offset, bytes.to_vec()))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|inode| {
            let rest = inode.bytes.get(offset as usize..).unwrap_or_default();
            let len = rest.len().min(bytes.len());
            bytes[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        })
    }

    fn clear(&self, range: Range<u64>) -> io::Result<()> {
        self.change(Change::Clear(range))
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<Range<u64>>> {
        self.with(|inode| {
            let Some(&first) = inode.pages.range(offset / PAGE..).next() else { return Ok(None) };
            let hole = (first..).find(|page| !inode.pages.contains(page)).expect("pages end");
            let end = (hole * PAGE).min(inode.bytes.len() as u64);
            Ok((end > offset).then_some((first * PAGE).max(offset)..end))
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync_all()
    }

    /// A failing sync reports it only once, and its data are lost all the same (fsync(2)).
    fn sync_all(&self) -> io::Result<()> {
        self.disk.operate(|state| {
            let result = state.check();
            let inode = &mut state.files[self.inode];
            inode.pending.drain(..).filter(|_| result.is_ok()).for_each(|change| {
                change.apply(&mut inode.durable, &mut inode.durable_pages);
            });
            result
        })
    }

    fn set_mode(&self, _: u32) -> io::Result<()> {
        self.disk.state().can(&[Lacking::Modes])
    }

    fn with_file(&self, _: &mut dyn FnMut(&File) -> io::Result<()>) -> io::Result<()> {
        Ok(())
    }

    fn forget_pages(&self, _: Range<u64>) {}
}

impl Drop for Handle {
    fn drop(&mut self) {
        let id = self.id;
        self.with(|inode| inode.locked_by = inode.locked_by.filter(|&by| by != id));
    }
}

impl Inode {
    fn after_power_cut(&self, dice: &mut Dice) -> Self {
        let (mut bytes, mut pages) = (self.durable.clone(), self.durable_pages.clone());
        for change in &self.pending {
            match (dice.below(3), change) {
                (0, _) => {}
                (1, Change::Write(offset, written)) => {
                    for (sector, part) in (0..).zip(written.chunks(SECTOR)) {
                        if dice.below(2) == 0 {
                            let at = offset + sector * SECTOR as u64;
                            Change::Write(at, part.to_vec()).apply(&mut bytes, &mut pages);
                        }
                    }
                }
                (_, change) => change.apply(&mut bytes, &mut pages),
            }
        }
        let (durable, durable_pages) = (bytes.clone(), pages.clone());
        Self { bytes, pages, durable, durable_pages, pending: Vec::new(), locked_by: None }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, pages: &mut BTreeSet<u64>) {
        match self {
            Self::Len(len) => {
                bytes.resize(*len as usize, 0);
                pages.retain(|page| page * PAGE < *len);
            }
            Self::Write(offset, written) => {
                let (start, end) = (*offset as usize, *offset as usize + written.len());
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[start..end].copy_from_slice(written);
                pages.extend(offset / PAGE..(end as u64).div_ceil(PAGE));
            }
            Self::Clear(range) => {
                let end = (range.end as usize).min(bytes.len());
                bytes[(range.start as usize).min(end)..end].fill(0);
                pages.retain(|page| !range.contains(&(page * PAGE)));
            }
        }
    }
}

const PAGE: u64 = 4096;
const SECTOR: usize = 512;
