//! A cable between a process and PostgreSQL that can be cut at a point of the protocol.
//!
//! It reads just enough of the messages to know an append: a `Parse` of the text that calls `append_events` names the
//! statement, and a `Bind` of that statement begins an append. What always holds: an armed cut happens to one append, and
//! how many writes were in flight is counted at the cut itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Before the append is forwarded.
    BeforeAppend,
    /// Right after it was forwarded, without waiting for anything.
    DuringAppend,
    /// When its answer comes back: the server has committed.
    Answer,
}

/// The next append's fate, and who is told how many writes were in flight.
type Armed = Arc<Mutex<Option<(Cut, oneshot::Sender<u64>)>>>;

/// A cable.
pub struct Cable {
    /// Where to connect to.
    pub port: u16,
    armed: Armed,
}

impl Cable {
    /// A cable to the server at `host` and `port`; `in_flight` counts the writes of the process at its other end.
    pub async fn new(host: String, port: u16, in_flight: Arc<AtomicU64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cable = Self { port: listener.local_addr().unwrap().port(), armed: Armed::default() };
        let armed = cable.armed.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A server that is away: the client sees its connection end.
                let Ok(server) = TcpStream::connect((host.as_str(), port)).await else { continue };
                let connection = Connection { armed: armed.clone(), in_flight: in_flight.clone(), appends: Vec::new() };
                tokio::spawn(connection.carry(client, server));
            }
        });
        cable
    }

    /// Cuts at the next append; how many writes were in flight then. An error if it was disarmed.
    pub fn arm(&self, cut: Cut) -> oneshot::Receiver<u64> {
        let (cut_at, told) = oneshot::channel();
        *self.armed.lock() = Some((cut, cut_at));
        told
    }

    /// Cuts no more.
    pub fn disarm(&self) {
        *self.armed.lock() = None;
    }
}

struct Connection {
    armed: Armed,
    in_flight: Arc<AtomicU64>,
    /// Names of prepared statements that append.
    appends: Vec<Vec<u8>>,
}

impl Connection {
    /// Carries both ways until one side ends or the cable is cut; then both connections end.
    async fn carry(mut self, mut client: TcpStream, mut server: TcpStream) {
        let mut unsent = Vec::new();
        let mut started = false;
        let mut cut_answer: Option<oneshot::Sender<u64>> = None;
        let (mut asked, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let Some(count) = read.ok().filter(|&count| count > 0) else { return };
                    unsent.extend_from_slice(&asked[..count]);
                    let whole = whole_messages(&unsent, &mut started);
                    let messages: Vec<u8> = unsent.drain(..whole.end).collect();
                    let cut = self.cut_for(&messages, whole.first);
                    if let Some((Cut::BeforeAppend, told)) = cut {
                        return self.tell(told);
                    }
                    if server.write_all(&messages).await.is_err() {
                        return;
                    }
                    match cut {
                        Some((Cut::DuringAppend, told)) => {
                            if server.flush().await.is_ok() {
                                self.tell(told);
                            }
                            return;
                        }
                        Some((Cut::Answer, told)) => cut_answer = Some(told),
                        Some((Cut::BeforeAppend, _)) | None => {}
                    }
                }
                read = server.read(&mut answer) => {
                    let Some(count) = read.ok().filter(|&count| count > 0) else { return };
                    if let Some(told) = cut_answer.take() {
                        return self.tell(told);
                    }
                    if client.write_all(&answer[..count]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn tell(&self, told: oneshot::Sender<u64>) {
        // Whoever armed the cut may have given up a moment ago.
        told.send(self.in_flight.load(Ordering::SeqCst)).ok();
    }

    /// The cut to make, if these messages begin an append and a cut is armed.
    fn cut_for(&mut self, messages: &[u8], first: usize) -> Option<(Cut, oneshot::Sender<u64>)> {
        let mut rest = &messages[first.min(messages.len())..];
        let mut begins = false;
        while let Some((kind, body, after)) = split(rest) {
            match kind {
                b'P' => {
                    let (name, text) = c_string(body);
                    if c_string(text).0.windows(14).any(|window| window == b"append_events(") {
                        self.appends.push(name.to_vec());
                    }
                }
                b'B' => {
                    let (_portal, after_portal) = c_string(body);
                    let (statement, _) = c_string(after_portal);
                    begins |= self.appends.iter().any(|known| known == statement);
                }
                _ => {}
            }
            rest = after;
        }
        if begins { self.armed.lock().take() } else { None }
    }
}

/// Which part of what was read is whole messages.
struct Whole {
    /// Where the first message with a kind begins.
    first: usize,
    /// Where the last whole message ends.
    end: usize,
}

/// The first message of a connection has a length and no kind.
fn whole_messages(bytes: &[u8], started: &mut bool) -> Whole {
    let mut end = 0;
    if !*started {
        let Some(length) = length_at(bytes, 0).filter(|&length| length <= bytes.len()) else {
            return Whole { first: 0, end: 0 };
        };
        *started = true;
        end = length;
    }
    let first = end;
    while let Some((_, _, rest)) = split(&bytes[end..]) {
        end = bytes.len() - rest.len();
    }
    Whole { first, end }
}

/// The first whole message: its kind, its body, and what comes after it.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let length = length_at(bytes, 1)?;
    let body = bytes.get(5..1 + length)?;
    Some((bytes[0], body, &bytes[1 + length..]))
}

fn length_at(bytes: &[u8], place: usize) -> Option<usize> {
    let length: [u8; 4] = bytes.get(place..place + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

/// A text that ends with a zero, and what comes after it.
fn c_string(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}
