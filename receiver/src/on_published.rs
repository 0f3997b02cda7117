//! The command that a node runs after it has published an image (`on_published`): its own words, no shell.
//!
//! ```text
//!   publish thread --try_send--> 16 images --> "hook" thread: one command at a time, 30 s each --> the log
//!          <------------------- what came of it, if that takes 3 s at most <-----+
//! ```
//!
//! The command runs as this service's user, in its sandbox, without its environment; it learns of the image by
//! variables. It is a process group of its own, which is killed as a whole when its time is over. Its output is read to
//! the end, so that it never waits, and the first part of it is logged. An image for which the queue has no room is
//! published without it, and the log says so. The sender's table has what came of it, unless the command takes longer
//! than this host waits for it: then the log alone has it.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use glancecast_proto::wire::{CommandOutcome, printable};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// A published image, as the command learns of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublishedImage {
    /// The name of its push.
    pub(crate) name: String,
    /// Its file.
    pub(crate) path: PathBuf,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub(crate) root: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// Glance's id, if the push gave one.
    pub(crate) image_id: Option<String>,
}

/// The queue to the thread that runs the command. The thread ends after the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Hook(SyncSender<Task>);

/// An image for which the command is to be run, and where what comes of it goes.
#[derive(Debug)]
struct Task {
    image: PublishedImage,
    outcome: SyncSender<CommandOutcome>,
}

impl Hook {
    /// Starts the thread; `command` is the program and its arguments.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(command: Vec<String>) -> io::Result<Self> {
        let (queue, images) = sync_channel(WAITING_MAX);
        let run = move || run_all(&command, &images, TIME_MAX);
        thread::Builder::new().name("hook".into()).spawn(run)?;
        Ok(Self(queue))
    }

    /// Has the command run for an image, and waits for a short while for what comes of it. The command goes on after
    /// that.
    pub(crate) fn run_for(&self, image: PublishedImage) -> CommandOutcome {
        let (outcome, came) = sync_channel(1);
        match self.0.try_send(Task { image, outcome }) {
            Ok(()) => came.recv_timeout(OUTCOME_WAIT).unwrap_or(CommandOutcome::Running),
            Err(TrySendError::Full(task) | TrySendError::Disconnected(task)) => {
                let reason = format!("not run: {WAITING_MAX} images wait for it already");
                tracing::warn!(name = task.image.name, "on_published is {reason}");
                CommandOutcome::Failed(reason)
            }
        }
    }
}

fn run_all(command: &[String], tasks: &Receiver<Task>, time_max: Duration) {
    for Task { image, outcome } in tasks {
        let came = run_one(command, &image, time_max);
        // Nobody may wait for it any more.
        let _ = outcome.try_send(came);
    }
}

/// Runs the command for one image, logs what comes of it, and returns it in a few words.
fn run_one(command: &[String], image: &PublishedImage, time_max: Duration) -> CommandOutcome {
    let name = &image.name;
    let (how, output) = match run(command, image, time_max) {
        Ok(Ran { end: End::Exited(status), output, .. }) if status.success() => {
            tracing::info!(name, output, "on_published is done");
            return CommandOutcome::Succeeded;
        }
        Ok(Ran { end: End::Exited(status), output }) => (status.to_string(), output),
        Ok(Ran { end: End::Killed, output }) => (format!("killed after {} s", time_max.as_secs()), output),
        Err(error) => (format!("cannot be run: {}: {error}", command[0]), String::new()),
    };
    tracing::warn!(name, output, "on_published has failed: {how}");
    let separator = if output.is_empty() { "" } else { ": " };
    CommandOutcome::Failed(format!("{how}{separator}{output}"))
}

/// What came of one run.
#[derive(Debug)]
struct Ran {
    end: End,
    /// The beginning of what it printed, on one printable line.
    output: String,
}

#[derive(Debug)]
enum End {
    Exited(ExitStatus),
    /// Its time was over.
    Killed,
}

/// Runs the command for one image.
fn run(command: &[String], image: &PublishedImage, time_max: Duration) -> io::Result<Ran> {
    let (output, to_output) = io::pipe()?;
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("GLANCECAST_NAME", &image.name)
        .env("GLANCECAST_PATH", &image.path)
        .env("GLANCECAST_ROOT", &image.root)
        .env("GLANCECAST_BYTES", image.bytes.to_string())
        .env("GLANCECAST_IMAGE_ID", image.image_id.as_deref().unwrap_or_default())
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(to_output.try_clone()?)
        .stdout(to_output)
        .process_group(0)
        .spawn()?;
    // Whoever of the group keeps the pipe open delays only this thread, which is not waited for then.
    let (say, said) = channel();
    let read = move || drop(say.send(beginning(output)));
    let reader = thread::Builder::new().name("hook-output".into()).spawn(read);
    let end = wait(&mut child, time_max);
    // What the command has left behind in its group does not outlive it.
    let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
    let end = end?;
    let output = match reader.map(|_| said.recv_timeout(OUTPUT_WAIT)) {
        Ok(Ok(output)) => output,
        Ok(Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) | Err(_) => String::new(),
    };
    Ok(Ran { end, output })
}

fn wait(child: &mut Child, time_max: Duration) -> io::Result<End> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(End::Exited(status));
        }
        if start.elapsed() >= time_max {
            let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
            child.wait()?;
            return Ok(End::Killed);
        }
        thread::sleep(LOOK_GAP);
    }
}

/// Reads to the end; returns the beginning as one printable line.
fn beginning(mut output: impl Read) -> String {
    let (mut kept, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = output.read(&mut piece) {
        kept.extend_from_slice(&piece[..read.min(OUTPUT_MAX - kept.len())]);
    }
    printable(&String::from_utf8_lossy(&kept).trim_end().replace('\n', LINE_END))
}

/// The longest time of one command.
const TIME_MAX: Duration = Duration::from_secs(30);
/// How long a publication waits for what comes of its command, which is much longer than most commands take. The sender
/// waits for this host meanwhile.
const OUTCOME_WAIT: Duration = Duration::from_secs(3);
/// Images that wait for the command: more pushes than a node takes part in while it runs once.
const WAITING_MAX: usize = 16;
/// Bytes of output that are logged.
const OUTPUT_MAX: usize = 2048;
/// Stands between the lines of the output in the log.
const LINE_END: &str = " | ";
/// How long the end of the output is waited for after the group was killed.
const OUTPUT_WAIT: Duration = Duration::from_secs(1);
/// Time between two looks at whether the command has ended.
const LOOK_GAP: Duration = Duration::from_millis(20);
/// Where a program is looked for that is named without a directory.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_learns_of_the_image_and_of_nothing_else() {
        let ran = run(&words(&["/usr/bin/env"]), &image(), TIME_MAX).expect("it is there");
        assert!(matches!(ran.end, End::Exited(status) if status.success()));
        let mut variables: Vec<&str> = ran.output.split(LINE_END).collect();
        variables.sort_unstable();
        assert_eq!(
            variables,
            [
                "GLANCECAST_BYTES=7",
                "GLANCECAST_IMAGE_ID=",
                "GLANCECAST_NAME=a; rm -rf $HOME",
                "GLANCECAST_PATH=/srv/a",
                "GLANCECAST_ROOT=ab",
                &format!("PATH={SEARCH_PATH}"),
            ]
        );
    }

    #[test]
    fn words_are_words_and_no_shell_reads_them() {
        let ran = run(&words(&["/bin/echo", "$GLANCECAST_NAME; ls"]), &image(), TIME_MAX).expect("there");
        assert_eq!(ran.output, "$GLANCECAST_NAME; ls");
    }

    #[test]
    fn a_command_that_takes_too_long_is_killed_with_what_it_has_started() {
        let script = "sleep 60 & echo started; sleep 60";
        let start = Instant::now();
        let ran =
            run(&words(&["/bin/sh", "-c", script]), &image(), Duration::from_millis(300)).expect("a shell");
        assert!(matches!(ran.end, End::Killed), "{ran:?}");
        assert_eq!(ran.output, "started", "and the pipe is closed: nobody of the group is left");
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn much_output_is_read_and_its_beginning_kept() {
        let script = "head -c 1000000 /dev/zero | tr '\\\\0' x; exit 3";
        let ran = run(&words(&["/bin/sh", "-c", script]), &image(), TIME_MAX).expect("a shell");
        assert!(matches!(ran.end, End::Exited(status) if status.code() == Some(3)), "{:?}", ran.end);
        assert_eq!(ran.output.len(), OUTPUT_MAX);
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_a_full_queue_blocks_nobody() {
        assert!(run(&words(&["/nonexistent"]), &image(), TIME_MAX).is_err());
        let (queue, _nobody_runs_it) = sync_channel(1);
        let (outcome, _) = sync_channel(1);
        queue.send(Task { image: image(), outcome }).expect("room for one");
        let came = Hook(queue).run_for(image());
        assert!(matches!(&came, CommandOutcome::Failed(how) if how.starts_with("not run")), "{came:?}");
    }

    #[test]
    fn what_comes_of_the_command_is_said_in_a_few_words() {
        let hook = |script: &str| Hook::start(words(&["/bin/sh", "-c", script])).expect("a thread");
        assert_eq!(hook("exit 0").run_for(image()), CommandOutcome::Succeeded);
        let failed = CommandOutcome::Failed("exit status: 3: no room".into());
        assert_eq!(hook("echo no room; exit 3").run_for(image()), failed);
    }

    #[test]
    fn a_command_that_takes_long_is_not_waited_for() {
        let hook = Hook::start(words(&["/bin/sleep", "5"])).expect("a thread");
        assert_eq!(hook.run_for(image()), CommandOutcome::Running);
    }

    fn image() -> PublishedImage {
        PublishedImage {
            name: "a; rm -rf $HOME".into(),
            path: "/srv/a".into(),
            root: "ab".into(),
            bytes: 7,
            image_id: None,
        }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }
}
