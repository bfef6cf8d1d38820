//! What an agent remembers: frames in bytes, each stored once, and what was done after them.
//!
//! A *slot* is one frame and the move that was made when it was seen. Slots are numbered from the
//! first on, without end, and kept in a ring. A state is the last few frames of one episode.

use crate::zoo::MappingMut;
use crate::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// How an episode goes on after a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// With the next slot.
    On,
    /// It is over: nothing follows, and the next slot begins another.
    Over,
    /// It was cut short; what would have followed is seen in the next slot.
    Cut,
    /// No move was made: this is the frame after one that was cut short.
    Nothing,
}

/// What was done in a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Move {
    pub action: u16,
    /// As the environment gave it.
    pub reward: f32,
    /// Whether the frame is the first of an episode.
    pub begins: bool,
    pub then: Then,
}

impl Move {
    /// Bytes of a move in a file.
    const BYTES: usize = 8;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..2].copy_from_slice(&self.action.to_le_bytes());
        bytes[2] = u8::from(self.begins);
        bytes[3] = match self.then {
            Then::On => 0,
            Then::Over => 1,
            Then::Cut => 2,
            Then::Nothing => 3,
        };
        bytes[4..].copy_from_slice(&self.reward.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        let [a, b, begins, then, reward @ ..] = bytes;
        let then = [Then::On, Then::Over, Then::Cut, Then::Nothing].get(then as usize).copied()?;
        let (action, reward) = (u16::from_le_bytes([a, b]), f32::from_le_bytes(reward));
        Some(Self { action, reward, begins: begins == 1, then })
    }
}

/// What is learned from: a state, a move, and what came of it within the next few.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Transition {
    /// The slot of the state.
    pub slot: u64,
    /// What was done there.
    pub action: usize,
    /// The discounted sum of the rewards, of up to n moves.
    pub reward: f64,
    /// What the value of the next state counts: the discount to the power of the moves made; 0 where
    /// the episode was over.
    pub discount: f64,
    /// The slot of the next state, if it counts.
    pub next: Option<u64>,
}

/// How transitions are made of moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Horizon {
    /// Moves of a transition.
    pub moves: usize,
    /// What a reward one move later counts.
    pub discount: f64,
    /// Whether rewards count as -1, 0 or 1.
    pub clips: bool,
}

/// The slots of the last while.
pub(super) struct Replay {
    /// Bytes of a frame.
    frame: usize,
    /// Frames of a state.
    stack: u64,
    /// Slots that are remembered.
    capacity: u64,
    /// Slots that the ring has: those that were forgotten since the last checkpoint are still there,
    /// so that a run can go on from it.
    ring: u64,
    /// The file that it is kept in.
    path: PathBuf,
    /// Slot after slot, each a frame and its move, as in the file.
    held: Held,
    written: u64,
    /// How many were written when the file was brought up to date.
    saved: u64,
}

/// Where slots are.
enum Held {
    /// In memory, those that there are; the file is written now and then.
    Memory(Vec<u8>),
    /// In the file, if there is one yet.
    Mapped(Option<MappingMut>),
}

impl Replay {
    /// Bytes up to which a replay is held in memory.
    pub const IN_MEMORY: u64 = 1 << 30;

    /// Remembers `capacity` slots of frames of so many bytes; at most `spare` are added between two
    /// checkpoints. A ring of more than `in_memory` bytes is mapped from its file `path`.
    pub fn new(
        [frame, stack]: [usize; 2],
        [capacity, spare]: [u64; 2],
        path: PathBuf,
        in_memory: u64,
    ) -> Self {
        let ring = capacity.saturating_add(spare);
        let is_large = ring.saturating_mul((frame + Move::BYTES) as u64) > in_memory;
        let held = if is_large { Held::Mapped(None) } else { Held::Memory(vec![]) };
        Self { frame, stack: stack as u64, capacity, ring, path, held, written: 0, saved: 0 }
    }

    /// Adds a slot, and says its number.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn push(&mut self, frame: &[u8], of: Move) -> Result<u64> {
        debug_assert_eq!(frame.len(), self.frame);
        let (len, whole) = (self.slot_bytes(), self.whole());
        let first = self.place(self.written) * len;
        let room = match &mut self.held {
            Held::Memory(bytes) => {
                if bytes.len() <= first {
                    bytes.resize(first + len, 0);
                }
                &mut bytes[first..first + len]
            }
            Held::Mapped(file) => {
                let file = match file {
                    Some(file) => file,
                    None => file.insert(MappingMut::open(&self.path, whole, 0)?),
                };
                file.bytes_mut(first..first + len)?
            }
        };
        let (pixels, made) = room.split_at_mut(self.frame);
        pixels.copy_from_slice(frame);
        made.copy_from_slice(&of.to_bytes());
        self.written += 1;
        Ok(self.written - 1)
    }

    /// The bytes of a slot.
    fn slot(&self, slot: u64) -> &[u8] {
        let bytes = match &self.held {
            Held::Memory(bytes) => bytes,
            Held::Mapped(file) => file.as_ref().map_or(&[][..], MappingMut::bytes),
        };
        &bytes[self.place(slot) * self.slot_bytes()..][..self.slot_bytes()]
    }

    /// The slots that are remembered.
    pub fn slots(&self) -> std::ops::Range<u64> {
        self.written.saturating_sub(self.capacity)..self.written
    }

    /// Where a slot lies in the ring.
    fn place(&self, slot: u64) -> usize {
        (slot % self.ring) as usize
    }

    /// What was done in a slot. One that makes no sense, though it was looked at when it was read, holds
    /// nothing to learn from.
    fn move_of(&self, slot: u64) -> Move {
        const NONE: Move = Move { action: 0, reward: 0.0, begins: true, then: Then::Nothing };
        let bytes = self.slot(slot).last_chunk();
        bytes.and_then(|bytes| Move::from_bytes(*bytes)).unwrap_or(NONE)
    }

    /// The slot of the oldest frame of a state, of its own episode; `None` if that was forgotten.
    fn first_of_state(&self, slot: u64) -> Option<u64> {
        let oldest = self.slots().start;
        let mut first = slot;
        while !self.move_of(first).begins && slot - first + 1 < self.stack {
            first = first.checked_sub(1).filter(|&before| before >= oldest)?;
        }
        Some(first)
    }

    /// What came of the move of a slot; `None` if none was made, the frames of a state were forgotten,
    /// or what follows is not yet known.
    pub fn transition(&self, slot: u64, horizon: &Horizon) -> Option<Transition> {
        let slots = self.slots();
        if !slots.contains(&slot) || self.move_of(slot).then == Then::Nothing {
            return None;
        }
        // Whether the state is still there in whole.
        self.first_of_state(slot)?;
        let action = usize::from(self.move_of(slot).action);
        let (mut reward, mut discount, mut at) = (0.0, 1.0, slot);
        for _ in 0..horizon.moves {
            if at >= slots.end {
                return None;
            }
            let made = self.move_of(at);
            let raw = f64::from(made.reward);
            let counted = if horizon.clips && raw != 0.0 { raw.signum() } else { raw };
            reward += discount * counted;
            discount *= horizon.discount;
            at += 1;
            match made.then {
                Then::On => {}
                Then::Over => {
                    return Some(Transition { slot, action, reward, discount: 0.0, next: None });
                }
                Then::Cut | Then::Nothing => break,
            }
        }
        let is_known = at < slots.end;
        is_known.then_some(Transition { slot, action, reward, discount, next: Some(at) })
    }

    /// Writes the state of a slot, oldest frame first, as values of 0 to 1. The first frame of an
    /// episode stands for those before it, and the slot's own for those that were forgotten: of such a
    /// state there is no [`Replay::transition`].
    pub fn write_state(&self, slot: u64, into: &mut [f32]) {
        let first = self.first_of_state(slot).unwrap_or(slot);
        for (back, into) in (0..self.stack).rev().zip(into.chunks_mut(self.frame)) {
            let of = slot.saturating_sub(back).max(first);
            write_values(&self.slot(of)[..self.frame], into);
        }
    }

    /// Brings the file up to date: what was added since the last time is written at its place in the
    /// ring, and lies on the disk when this returns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&mut self) -> Result<()> {
        /// Bytes that are written at once.
        const PIECE: usize = 1 << 22;
        let (path, len) = (&self.path, self.slot_bytes());
        let bytes = match &self.held {
            Held::Memory(bytes) => bytes,
            Held::Mapped(None) => return Ok(()),
            Held::Mapped(Some(file)) => return file.flush(),
        };
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(path);
        let mut file = file.map_err(Error::io("open", path))?;
        let mut slot = self.saved.max(self.written.saturating_sub(self.ring));
        while slot < self.written {
            // In one go to where the ring begins anew, a few megabytes at most.
            let place = self.place(slot);
            let most = (PIECE / len).max(1) as u64;
            let count = (self.ring - place as u64).min(self.written - slot).min(most) as usize;
            let start = place as u64 * len as u64;
            file.seek(SeekFrom::Start(start)).map_err(Error::io("write", path))?;
            let piece = &bytes[place * len..(place + count) * len];
            file.write_all(piece).map_err(Error::io("write", path))?;
            slot += count as u64;
        }
        file.sync_data().map_err(Error::io("synchronise", path))?;
        self.saved = self.written;
        Ok(())
    }

    /// Takes up what [`Replay::save`] wrote when so many slots had been written, of moves with so many
    /// actions.
    ///
    /// # Errors
    /// If the file cannot be read, or is of another run.
    pub fn load(&mut self, written: u64, actions: usize) -> Result<()> {
        if written == 0 {
            // There may be no file yet.
            return Ok(());
        }
        let (path, len) = (&self.path, self.slot_bytes());
        let count = written.min(self.ring);
        let file = File::open(path).map_err(Error::io("open", path))?;
        let found = file.metadata().map_err(Error::io("read", path))?.len();
        let used = count.checked_mul(len as u64).filter(|used| *used <= found);
        let Some(used) = used else {
            let problem = format!(
                "has {found} bytes, but {count} memories of {len} bytes belong to the checkpoint"
            );
            return Err(Error::format(path, problem));
        };
        let held = match self.held {
            Held::Memory(_) => {
                let mut bytes = vec![0; used as usize];
                (&file).read_exact(&mut bytes).map_err(Error::io("read", path))?;
                Held::Memory(bytes)
            }
            Held::Mapped(_) => {
                Held::Mapped(Some(MappingMut::open(path, self.whole(), used as usize)?))
            }
        };
        self.held = held;
        self.written = written;
        self.saved = written;
        for number in written - count..written {
            let made = self.slot(number).last_chunk().and_then(|bytes| Move::from_bytes(*bytes));
            if made.is_none_or(|made| usize::from(made.action) >= actions) {
                let problem = format!("memory {} holds no move", self.place(number));
                return Err(Error::format(&self.path, problem));
            }
        }
        Ok(())
    }

    /// Bytes of the whole ring; more than there can be are an error of the system.
    fn whole(&self) -> usize {
        (self.ring as usize).saturating_mul(self.slot_bytes())
    }

    fn slot_bytes(&self) -> usize {
        self.frame + Move::BYTES
    }
}

/// Writes bytes as values of 0 to 1.
pub(super) fn write_values(frame: &[u8], into: &mut [f32]) {
    into.iter_mut().zip(frame).for_each(|(into, &byte)| *into = f32::from(byte) * (1.0 / 255.0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    const ONE: Horizon = Horizon { moves: 1, discount: 0.5, clips: false };
    const THREE: Horizon = Horizon { moves: 3, ..ONE };

    /// A replay that begins.
    fn empty(sizes: [usize; 2], counts: [u64; 2], path: &Path, is_mapped: bool) -> Replay {
        Replay::new(sizes, counts, path.to_owned(), if is_mapped { 0 } else { Replay::IN_MEMORY })
    }

    /// A frame of one byte for each move: its number, and reward 1, 2, 3, ...
    fn replay(capacity: u64, stack: usize, moves: &[(bool, Then)]) -> Replay {
        let mut replay = empty([1, stack], [capacity, 4], Path::new(""), false);
        for (number, &(begins, then)) in moves.iter().enumerate() {
            let reward = 1.0 + number as f32;
            let of = Move { action: number as u16, reward, begins, then };
            replay.push(&[number as u8], of).unwrap();
        }
        replay
    }

    fn frames(replay: &Replay, slot: u64) -> Vec<u8> {
        let mut values = vec![0.0; replay.stack as usize * replay.frame];
        replay.write_state(slot, &mut values);
        values.into_iter().map(|value| (value * 255.0).round() as u8).collect()
    }

    const ON: (bool, Then) = (false, Then::On);
    const FIRST: (bool, Then) = (true, Then::On);
    const OVER: (bool, Then) = (false, Then::Over);
    const CUT: (bool, Then) = (false, Then::Cut);
    const NOTHING: (bool, Then) = (false, Then::Nothing);

    /// ray #4626: n moves that go past an end, or a discount that is not of the moves made.
    #[test]
    fn several_moves_stop_at_the_end_of_an_episode() {
        let replay = replay(99, 1, &[FIRST, ON, OVER, FIRST, ON]);
        let of = |slot| replay.transition(slot, &THREE);
        let at = |slot, reward, discount, next| {
            Some(Transition { slot, action: slot as usize, reward, discount, next })
        };
        assert_eq!(of(0), at(0, 1.0 + 1.0 + 0.75, 0.0, None));
        assert_eq!(of(1), at(1, 2.0 + 1.5, 0.0, None));
        assert_eq!((of(3), of(4)), (None, None), "what follows is not known yet");
        assert_eq!(replay.transition(3, &ONE), at(3, 4.0, 0.5, Some(4)));
    }

    /// tensorflow/agents #939, flashbax #3: an episode that was cut short is not over, and counts what
    /// its last frame is worth, by the discount of the moves that were made.
    #[test]
    fn what_was_cut_short_goes_on_from_its_last_frame() {
        let replay = replay(99, 2, &[FIRST, CUT, NOTHING, FIRST, ON, ON, ON]);
        let found = replay.transition(0, &THREE).unwrap();
        assert_eq!((found.reward, found.discount, found.next), (1.0 + 1.0, 0.25, Some(2)));
        let found = replay.transition(1, &THREE).unwrap();
        assert_eq!((found.reward, found.discount, found.next), (2.0, 0.5, Some(2)));
        // dopamine #228: what has no move is nothing to learn from.
        assert_eq!(replay.transition(2, &THREE), None);
        assert_eq!(frames(&replay, 2), [1, 2]);
    }

    /// dopamine #213: frames of two episodes in one state.
    #[test]
    fn a_state_is_of_one_episode() {
        let replay = replay(99, 4, &[FIRST, ON, OVER, FIRST, ON, ON, ON, ON]);
        assert_eq!(frames(&replay, 2), [0, 0, 1, 2]);
        assert_eq!(frames(&replay, 3), [3, 3, 3, 3]);
        assert_eq!(frames(&replay, 5), [3, 3, 4, 5]);
        assert_eq!(frames(&replay, 7), [4, 5, 6, 7]);
    }

    /// FastTD3 #6: a state over the place where the ring is written.
    #[test]
    fn nothing_reaches_over_the_place_of_writing() {
        let moves: Vec<_> = (0..25).map(|n| if n == 0 { FIRST } else { ON }).collect();
        let replay = replay(10, 4, &moves);
        assert_eq!(replay.slots(), 15..25);
        let known = |slot| replay.transition(slot, &THREE).is_some();
        assert_eq!((0..25).filter(|&slot| known(slot)).collect::<Vec<_>>(), [18, 19, 20, 21]);
        assert_eq!(frames(&replay, 18), [15, 16, 17, 18]);
    }

    #[test]
    fn rewards_are_clipped_where_that_is_asked_for_and_only_there() {
        let replay = replay(9, 1, &[FIRST, ON, ON, ON]);
        let clipped = Horizon { clips: true, ..THREE };
        assert_eq!(replay.transition(0, &clipped).unwrap().reward, 1.75);
        assert_eq!(replay.transition(0, &THREE).unwrap().reward, 1.0 + 1.0 + 0.75);
    }

    proptest! {
        /// A killed run finds what it had at its checkpoint, though more was written since; in memory, and
        /// mapped.
        #[test]
        fn a_file_has_what_a_checkpoint_needs(
            before in 0u64..40, between in 0u64..6, after in 0u64..6, is_written in any::<bool>(),
            is_mapped in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("replay.bin");
            let mut replay = empty([2, 2], [9, 5], &path, is_mapped);
            let push = |replay: &mut Replay, count: u64| for _ in 0..count {
                let number = replay.slots().end;
                let then = if number % 7 == 6 { Then::Over } else { Then::On };
                let of = Move { action: 3, reward: number as f32, begins: number.is_multiple_of(7), then };
                replay.push(&[number as u8, 7], of).unwrap();
            };
            push(&mut replay, before);
            replay.save().unwrap();
            push(&mut replay, between.min(5));
            replay.save().unwrap();
            let written = replay.slots().end;
            let states = |replay: &Replay| -> Vec<_> {
                replay.slots().map(|slot| (replay.transition(slot, &THREE), frames(replay, slot))).collect()
            };
            let expected = states(&replay);
            push(&mut replay, after.min(5));
            if is_written {
                replay.save().unwrap();
            }
            let mut again = empty([2, 2], [9, 5], &path, is_mapped);
            again.load(written, 4).unwrap();
            prop_assert_eq!(states(&again), expected);
            // What follows overwrites what the other wrote.
            push(&mut again, after.min(5));
            prop_assert_eq!(states(&again), states(&replay));
        }
    }

    #[test]
    fn a_file_of_another_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replay.bin");
        for is_mapped in [false, true] {
            let mut short = empty([1, 1], [9, 4], &path, is_mapped);
            std::fs::write(&path, [0; 18]).unwrap();
            let problem = short.load(3, 2).unwrap_err().to_string();
            assert!(problem.contains("3 memories of 9 bytes"), "{problem}");
            std::fs::write(&path, [9; 27]).unwrap();
            let problem = short.load(3, 2).unwrap_err().to_string();
            assert!(problem.contains("memory 0 holds no move"), "{problem}");
        }
    }
}
