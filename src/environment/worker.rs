//! A process that runs an environment of Python, and what is said over its pipes.
//!
//! `worker.py`, which is in the program, has the protocol. A worker that is missing, dies or does not
//! answer is an error within about [`Settings::patience`] seconds: a second thread counts them and
//! kills it, so that waiting for an answer is a plain read, without a detour over a channel.

use super::Settings;
use crate::{Error, Result};
use serde::Deserialize;
use std::io::{BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

const SCRIPT: &str = include_str!("worker.py");

/// The longest answer; more is a misunderstanding.
const LONGEST_ANSWER: usize = 1 << 28;

/// What a worker says of its environment.
#[derive(Deserialize)]
pub(super) struct About {
    /// The shape of what it sends as a frame.
    pub(super) frame: [usize; 3],
    pub(super) stack: usize,
    pub(super) actions: Vec<String>,
}

/// What a worker says of a step.
pub(super) struct Stepped {
    pub(super) reward: f32,
    pub(super) lives: u32,
    pub(super) terminated: bool,
    pub(super) truncated: bool,
}

/// A running process, and the environment in it.
pub(super) struct Worker {
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// The last answer.
    answer: Vec<u8>,
    watch: Arc<Watch>,
    last_words: Option<thread::JoinHandle<Vec<u8>>>,
    /// What cannot be done if it fails, and what to do then.
    at_work: (&'static str, &'static str),
}

/// How many times as long as any other answer the first may take: some packages that are imported then load
/// half of a distribution.
const STARTS_IN: u32 = 3;

const STARTING: (&str, &str) =
    ("start an environment of Python", "docs/environments.md says what it needs");
const PLAYING: (&str, &str) =
    ("go on with an environment of Python", "nothing that was saved is lost");

impl Worker {
    /// Starts an environment by the arguments of `worker.py`.
    ///
    /// # Errors
    /// If there is no such interpreter, if a package or the environment is missing, or if it is not
    /// there in time.
    pub(super) fn start(arguments: &[&str], settings: &Settings) -> Result<(Self, About)> {
        let python = settings.interpreter();
        let mut command = Command::new(&python);
        command.arg("-c").arg(SCRIPT).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: it is ended with all that it has started.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| Error::Impossible {
            request: STARTING.0,
            reason: format!("{} does not run: {error}", python.display()),
            hint: "install Python 3, or name another interpreter by `python` or ZOO_PYTHON",
        })?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(requests), Some(answers), Some(errors)) = pipes else {
            unreachable!("all three were asked for")
        };
        let patience = Duration::from_secs_f64(settings.patience);
        let name = format!("the worker ({} for {})", python.display(), arguments.join(" "));
        let watch = Watch::over(child, name, patience);
        let last_words = Some(thread::spawn(|| the_end_of(errors)));
        let answers = BufReader::with_capacity(1 << 16, answers);
        let (answer, at_work) = (vec![], STARTING);
        let mut worker = Self { requests, answers, answer, watch, last_words, at_work };
        worker.watch.expect_an_answer(STARTS_IN);
        let about = serde_json::from_slice(worker.hear()?).map_err(|error| {
            Error::argument("worker", format!("it says of itself what has no meaning: {error}"))
        })?;
        worker.at_work = PLAYING;
        Ok((worker, about))
    }

    /// Begins an episode, whose frame is written to `frame`: the lives.
    pub(super) fn reset(&mut self, seed: u64, frame: &mut [u8]) -> Result<u32> {
        let mut answer = Answer(self.ask(b'r', &seed.to_le_bytes())?);
        let lives = u32::from_le_bytes(answer.take()?);
        answer.fill(frame)?;
        Ok(lives)
    }

    /// Takes actions; the frame after them is written to `frame`.
    pub(super) fn step(&mut self, actions: &[u16], frame: &mut [u8]) -> Result<Stepped> {
        let bytes: Vec<u8> = actions.iter().flat_map(|action| action.to_le_bytes()).collect();
        let mut answer = Answer(self.ask(b's', &bytes)?);
        let reward = f64::from_le_bytes(answer.take()?) as f32;
        let lives = u32::from_le_bytes(answer.take()?);
        let [ended] = answer.take()?;
        answer.fill(frame)?;
        Ok(Stepped { reward, lives, terminated: ended & 1 > 0, truncated: ended & 2 > 0 })
    }

    /// A picture for people: its height and width, and red, green and blue of each pixel.
    pub(super) fn picture(&mut self) -> Result<([usize; 2], &[u8])> {
        let mut answer = Answer(self.ask(b'p', &[])?);
        let mut side = || answer.take().map(|bytes| u32::from_le_bytes(bytes) as usize);
        Ok(([side()?, side()?], answer.0))
    }

    /// The whole state of an emulator.
    pub(super) fn clone_state(&mut self) -> Result<&[u8]> {
        self.ask(b'c', &[])
    }

    /// Goes back to the state of an emulator, whose frame is written to `frame`.
    pub(super) fn load(&mut self, state: &[u8], frame: &mut [u8]) -> Result<()> {
        Answer(self.ask(b'l', state)?).fill(frame)
    }

    /// Sends a request, and waits for the answer.
    fn ask(&mut self, kind: u8, body: &[u8]) -> Result<&[u8]> {
        let length = u32::try_from(body.len())
            .map_err(|_| Error::argument("worker", "a request is shorter than 4 GiB"))?;
        let mut request = vec![kind];
        request.extend(length.to_le_bytes());
        request.extend(body);
        self.watch.expect_an_answer(1);
        match self.requests.write_all(&request) {
            Ok(()) => self.hear(),
            Err(_) => Err(self.lost()),
        }
    }

    fn hear(&mut self) -> Result<&[u8]> {
        let mut head = [0; 5];
        if self.answers.read_exact(&mut head).is_err() {
            return Err(self.lost());
        }
        let [status, length @ ..] = head;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_ANSWER || !b"+-".contains(&status) {
            return Err(self.failed("answers what has no meaning".to_owned()));
        }
        self.answer.resize(length, 0);
        if self.answers.read_exact(&mut self.answer).is_err() {
            return Err(self.lost());
        }
        self.watch.has_answered();
        if status == b'-' {
            let problem = String::from_utf8_lossy(&self.answer).into_owned();
            return Err(self.failed(format!("says: {problem}")));
        }
        Ok(&self.answer)
    }

    fn failed(&self, reason: String) -> Error {
        let (request, hint) = self.at_work;
        Error::Impossible { request, reason: format!("{} {reason}", self.watch.name), hint }
    }

    /// The pipe has ended: why.
    fn lost(&mut self) -> Error {
        let reason = self.watch.ended();
        // The thread ends with the pipe, which somebody else may hold open.
        let until = Instant::now() + Duration::from_millis(500);
        let heard = |thread: &mut thread::JoinHandle<_>| thread.is_finished();
        let mut said = self.last_words.take_if(heard);
        while said.is_none() && self.last_words.is_some() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
            said = self.last_words.take_if(heard);
        }
        let words = said.and_then(|said| said.join().ok()).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        match words.trim() {
            "" => self.failed(reason),
            words => self.failed(format!("{reason}; its last words: {words}")),
        }
    }
}

/// An answer that is taken apart from its beginning.
struct Answer<'a>(&'a [u8]);

impl Answer<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(|| {
            Error::argument("worker", format!("{} bytes of an answer are missing", N))
        })?;
        self.0 = rest;
        Ok(*taken)
    }

    /// What is left is a frame.
    fn fill(self, frame: &mut [u8]) -> Result<()> {
        if self.0.len() != frame.len() {
            let (found, expected) = (self.0.len(), frame.len());
            let problem = format!("a frame has {expected} bytes, and {found} came");
            return Err(Error::argument("worker", problem));
        }
        frame.copy_from_slice(self.0);
        Ok(())
    }
}

/// The last two thousand bytes of what a process complains about.
fn the_end_of(mut errors: ChildStderr) -> Vec<u8> {
    const LENGTH: usize = 2000;
    let (mut end, mut chunk) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = errors.read(&mut chunk) {
        end.extend_from_slice(&chunk[..count]);
        end.drain(..end.len().saturating_sub(LENGTH));
    }
    end
}

/// Counts how long an answer is waited for.
struct Watch {
    name: String,
    patience: Duration,
    watched: Mutex<Watched>,
}

struct Watched {
    child: Child,
    /// How long an answer has been waited for, if one is.
    waited: Option<Duration>,
    /// How long it may take.
    patience: Duration,
    late: bool,
}

impl Watch {
    fn over(child: Child, name: String, patience: Duration) -> Arc<Self> {
        let watched = Mutex::new(Watched { child, waited: None, patience, late: false });
        let watch = Arc::new(Self { name, patience, watched });
        let weak = Arc::downgrade(&watch);
        let pause = (patience / 10).clamp(Duration::from_millis(1), Duration::from_millis(500));
        thread::spawn(move || {
            while weak.upgrade().is_some_and(|watch| watch.look(pause)) {
                thread::sleep(pause);
            }
        });
        watch
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on an answer is due, within so many times the usual.
    fn expect_an_answer(&self, times: u32) {
        let mut watched = self.watched();
        (watched.waited, watched.patience) = (Some(Duration::ZERO), self.patience * times);
    }

    fn has_answered(&self) {
        self.watched().waited = None;
    }

    /// Ends a process that is late; whether to look again. The pauses between looks are what counts, and not
    /// the clock: of a program that was stopped for a while, or a computer that slept, no worker is to blame.
    fn look(&self, pause: Duration) -> bool {
        let mut watched = self.watched();
        if let Some(waited) = &mut watched.waited {
            *waited += pause;
        }
        watched.late = watched.waited.is_some_and(|waited| waited > watched.patience);
        if watched.late {
            watched.end();
        }
        !watched.late
    }

    /// Why the process is no more.
    fn ended(&self) -> String {
        let mut watched = self.watched();
        watched.end();
        if watched.late {
            return format!(
                "has not answered for {:.1} s, and was ended",
                watched.patience.as_secs_f64()
            );
        }
        match watched.child.wait() {
            Ok(status) => format!("has ended ({status})"),
            Err(error) => format!("has ended ({error})"),
        }
    }
}

impl Watched {
    /// Ends the process, and on Unix all that it has started.
    fn end(&mut self) {
        // One that has ended by itself keeps its status.
        let until = Instant::now() + Duration::from_millis(if self.late { 0 } else { 200 });
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(2));
        }
        #[cfg(unix)]
        if matches!(self.child.try_wait(), Ok(None)) {
            let group = format!("-{}", self.child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        }
        let _ = self.child.kill();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut watched = self.watch.watched();
        watched.waited = None;
        // It would end by itself at the end of its requests; whoever waits is not kept waiting.
        let _ = watched.child.kill();
        let _ = watched.child.wait();
    }
}
