//! Generations of processes that take the listeners over from each other, while clients connect without a pause.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use std::{env, thread};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::{Offered, Successor, TakeoverSocket, take};
use crate::address::Endpoint;
use crate::listen::{Listener, Listening, Pool, Wanted, open};

#[test]
fn no_connection_is_lost_while_processes_take_over_from_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut running = start(folder.path());
    let tcp = running.tcp;
    let unix = folder.path().join("listener");
    let stop = AtomicBool::new(false);
    let (answers, answered) = mpsc::channel();
    thread::scope(|scope| {
        // Whatever fails below, the clients come to an end.
        let _stop = StopWhenDropped(&stop);
        for client in 0..CLIENTS {
            let (unix, stop, answers) = (&unix, &stop, answers.clone());
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let answer = if client == 0 { ask_unix(unix) } else { ask_tcp(tcp) };
                    assert_eq!(answer.expect("every connection is answered"), b"x");
                    if answers.send(()).is_err() {
                        break;
                    }
                }
            });
        }
        drop(answers);
        let some_more = || (0..BETWEEN).for_each(|_| answered.recv().expect("a client that has not failed"));
        for _ in 0..TAKEOVERS {
            some_more();
            let next = start(folder.path());
            assert_eq!(next.tcp, tcp, "the same port, although the settings say 0");
            let before = std::mem::replace(&mut running, next);
            let successor = before.ended();
            assert_eq!(successor, running.child.id().to_string(), "it knows who took over");
            // Those from before, so that what is counted next comes from the successor.
            while answered.try_recv().is_ok() {}
        }
        some_more();
    });
    assert!(unix.exists(), "no generation removes what the next one serves");
}

/// Not a test of its own: a process of the test above.
#[test]
fn child_serves_until_another_takes_over() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(serve(&PathBuf::from(folder)));
}

/// What a proxy does, in short.
async fn serve(folder: &Path) {
    let path = folder.join("takeover");
    let mut pool = Pool::default();
    let handover = match take(&path, None).expect("a predecessor that hands over, or none") {
        Some(taken) => {
            pool.add_taken(taken.sockets).expect("addresses");
            Some(taken.handover)
        }
        None => None,
    };
    let workers = NonZeroUsize::new(2).expect("2 is not 0");
    let want = |endpoint: Endpoint| Wanted { listener: Some("it".into()), endpoint };
    let wanted = [want("127.0.0.1:0".parse().expect("an address")), want(Endpoint::Unix(folder.join("listener")))];
    let mut listening = open(&wanted, workers, &mut pool).await.expect("sockets");
    drop(pool.into_rest().expect("none is the service manager's"));

    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut tasks = JoinSet::new();
    for one in &listening {
        for share in one.for_workers(workers).expect("descriptors") {
            for listener in share {
                tasks.spawn(accept(listener, stopped.clone()));
            }
        }
    }
    if let Some(handover) = handover {
        handover.serving().expect("the predecessor waits for the word");
        listening.iter_mut().for_each(Listening::own_file);
    }
    let offered = TakeoverSocket::bind(&path).expect("the path is free");
    println!("{LISTENS}{}", listening[0].local());

    let sockets = || Offered::all(&listening);
    let Successor { pid } = offered.offer(sockets, |error| panic!("{error}")).await;
    listening.iter_mut().for_each(Listening::leave_file);
    drop(listening);
    stop.send_replace(true);
    while tasks.join_next().await.is_some() {}
    println!("{SUCCEEDED}{}", pid.expect("a process of this machine"));
}

/// Answers until told to stop; then what had connected before.
async fn accept(listener: Listener, mut stopped: tokio::sync::watch::Receiver<bool>) {
    let mut sessions = JoinSet::new();
    match listener {
        Listener::Tcp(tcp) => {
            let tcp = tokio::net::TcpListener::from_std(tcp).expect("a runtime");
            loop {
                tokio::select! {
                    accepted = tcp.accept() => { sessions.spawn(answer(accepted.expect("a connection").0)); }
                    _ = stopped.wait_for(|&stopped| stopped) => break,
                }
            }
            let queued = |cx: &mut std::task::Context<'_>| std::task::Poll::Ready(tcp.poll_accept(cx));
            while let std::task::Poll::Ready(Ok((stream, _))) = std::future::poll_fn(queued).await {
                sessions.spawn(answer(stream));
            }
        }
        Listener::Unix(unix) => {
            let unix = tokio::net::UnixListener::from_std(unix).expect("a runtime");
            loop {
                tokio::select! {
                    accepted = unix.accept() => { sessions.spawn(answer(accepted.expect("a connection").0)); }
                    _ = stopped.wait_for(|&stopped| stopped) => break,
                }
            }
        }
    }
    while let Some(answered) = sessions.join_next().await {
        answered.expect("an answer");
    }
}

async fn answer(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    let mut question = [0];
    stream.read_exact(&mut question).await.expect("a question");
    stream.write_all(&question).await.expect("an answer is taken");
    stream.shutdown().await.expect("an end");
}

fn ask_tcp(address: SocketAddr) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(HANGS))?;
    ask(stream)
}

fn ask_unix(path: &Path) -> io::Result<Vec<u8>> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(HANGS))?;
    ask(stream)
}

/// One question, and the answer up to its end.
fn ask(mut stream: impl Read + Write) -> io::Result<Vec<u8>> {
    stream.write_all(b"x")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// A process that listens.
struct Generation {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    tcp: SocketAddr,
}

/// Starts a process, and returns when it serves.
fn start(folder: &Path) -> Generation {
    let mut child = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "--nocapture", "takeover::under_load::child_serves_until_another_takes_over"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test starts again");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let listens = after(&mut output, LISTENS);
    Generation { child, output, tcp: listens.parse().expect("an address") }
}

impl Generation {
    /// The process ID of its successor, when it has answered everything and ended.
    fn ended(mut self) -> String {
        let successor = after(&mut self.output, SUCCEEDED);
        assert!(self.child.wait().expect("a child").success());
        successor
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        // Fails on one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What follows a word in the first line that has it.
fn after(output: &mut impl BufRead, word: &str) -> String {
    let mut lines = output.lines().map(|line| line.expect("text"));
    let found = lines.find_map(|line| line.split_once(word).map(|(_, rest)| rest.to_owned()));
    found.expect("the process prints it before it ends")
}

struct StopWhenDropped<'a>(&'a AtomicBool);

impl Drop for StopWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

const FOLDER: &str = "CLOSENOTIFY_TEST_TAKEOVER";
const LISTENS: &str = "listens on ";
const SUCCEEDED: &str = "succeeded by ";
const CLIENTS: usize = 4;
const TAKEOVERS: usize = 4;
const BETWEEN: usize = 300;
/// Bounds a test that hangs; decides nothing else.
const HANGS: Duration = Duration::from_secs(60);
