//! HTTP/1.1 for whoever is on this machine: one request, one answer, and the connection closes.
//!
//! The server expects the worst of its clients. A request's head and body are as long as [`Limits`]
//! allow, and all of it arrives before a deadline, or the connection ends; more connections than are
//! served at once are turned away. No library of the size of this file offers that: `tiny_http` waits
//! for slow clients forever, and reads heads of any length. The head is parsed by `httparse`.
//!
//! A page elsewhere may have the browser send requests here. They name another host or origin, and are
//! refused.

use serde::Serialize;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a client may ask of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a body.
    pub body: usize,
    /// From the beginning of a connection to the last byte of its request; as long again for an
    /// answer to be taken.
    pub time: Duration,
    /// Connections that are served at once; as many again are told to come later.
    pub connections: usize,
}

/// Bytes of a request's head, at most.
const HEAD: usize = 1 << 14;

/// What was asked.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
}

/// What is answered.
pub(super) struct Answer {
    pub status: u16,
    pub kind: &'static str,
    pub body: Vec<u8>,
}

impl Answer {
    /// An object of JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => Self { status, kind: "application/json", body },
            Err(error) => Self::refusal(500, &error.to_string()),
        }
    }

    /// Why there is none.
    pub fn refusal(status: u16, problem: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": problem }))
    }

    fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            411 => "Length Required",
            413 => "Content Too Large",
            422 => "Unprocessable Content",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        let head = format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; style-src \
             'unsafe-inline'; img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action \
             'none'; frame-ancestors 'none'\r\n\r\n",
            self.status,
            self.kind,
            self.body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(&self.body)
    }
}

/// Answers every request that comes to `listener`, each on a thread of its own, for as long as the
/// process lives.
pub(super) fn serve(
    listener: &TcpListener,
    limits: Limits,
    answer: &(dyn Fn(Request) -> Answer + Sync),
) -> io::Result<()> {
    let port = listener.local_addr()?.port();
    let open = &AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            // A client that has gone already, or too many open files: neither is the others' fault.
            let Ok(mut stream) = stream else {
                std::thread::sleep(Duration::from_millis(10));
                continue;
            };
            let count = open.fetch_add(1, Ordering::AcqRel) + 1;
            let serve = move || {
                let answered = if count <= limits.connections {
                    connection(&mut stream, port, limits, answer)
                } else {
                    let time = limits.time.min(Duration::from_secs(1));
                    let busy = |_| Answer::refusal(503, "too many requests at once; try again");
                    connection(&mut stream, port, Limits { time, ..limits }, &busy)
                };
                // Nobody is left to be told.
                drop(answered);
                open.fetch_sub(1, Ordering::AcqRel);
            };
            // As many again are told that they are too many; those beyond are not even heard.
            let is_heard = count <= 2 * limits.connections;
            if !is_heard || std::thread::Builder::new().spawn_scoped(scope, serve).is_err() {
                open.fetch_sub(1, Ordering::AcqRel);
            }
        }
        Ok(())
    })
}

/// Reads a request and answers it.
fn connection(
    stream: &mut TcpStream,
    port: u16,
    limits: Limits,
    answer: &dyn Fn(Request) -> Answer,
) -> io::Result<()> {
    let deadline = Instant::now() + limits.time;
    stream.set_write_timeout(Some(limits.time))?;
    let answer = match receive(stream, port, limits.body, deadline) {
        Ok(request) => answer(request),
        Err(Fault::Gone) => return Ok(()),
        Err(Fault::Refused(status, problem)) => Answer::refusal(status, &problem),
    };
    answer.write(stream)?;
    stream.shutdown(Shutdown::Write)?;
    // A client that is still sending would not read the answer if the connection broke off.
    let mut rest = [0; 1 << 14];
    let deadline = Instant::now() + limits.time.min(Duration::from_secs(2));
    while matches!(read(stream, &mut rest, deadline), Ok(1..)) {}
    Ok(())
}

/// Why there is no request.
#[derive(Debug, PartialEq)]
enum Fault {
    /// The client has gone.
    Gone,
    Refused(u16, String),
}

fn refused<T>(status: u16, problem: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Refused(status, problem.into()))
}

/// Some bytes, before the deadline; 0 if there will be no more.
fn read(stream: &mut TcpStream, into: &mut [u8], deadline: Instant) -> Result<usize, Fault> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return refused(408, "the request did not arrive in time");
    }
    stream.set_read_timeout(Some(left)).map_err(|_| Fault::Gone)?;
    stream.read(into).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            Fault::Refused(408, "the request did not arrive in time".to_owned())
        }
        _ => Fault::Gone,
    })
}

/// The whole request.
fn receive(
    stream: &mut TcpStream,
    port: u16,
    most: usize,
    deadline: Instant,
) -> Result<Request, Fault> {
    let (mut bytes, mut part) = (Vec::new(), [0; 1 << 12]);
    let (head, end) = loop {
        let count = read(stream, &mut part, deadline)?;
        if count == 0 {
            return Err(Fault::Gone);
        }
        bytes.extend_from_slice(&part[..count]);
        if let Some(found) = Head::parse(&bytes, port)? {
            break found;
        }
        if bytes.len() > HEAD {
            return refused(431, format!("the head of a request has at most {HEAD} bytes"));
        }
    };
    if head.length > most {
        return refused(
            413,
            format!("a picture has at most {most} bytes here, not {}", head.length),
        );
    }
    let mut body = bytes.split_off(end);
    if head.expects && body.len() < head.length {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(|_| Fault::Gone)?;
    }
    while body.len() < head.length {
        let count = read(stream, &mut part, deadline)?;
        if count == 0 {
            return Err(Fault::Gone);
        }
        body.extend_from_slice(&part[..count]);
    }
    body.truncate(head.length);
    Ok(Request { method: head.method, path: head.path, body })
}

/// What a request's head says.
#[derive(Debug, PartialEq)]
struct Head {
    method: String,
    path: String,
    /// Bytes of the body.
    length: usize,
    /// Whether the client waits to be told that it may send the body.
    expects: bool,
}

impl Head {
    /// The head at the beginning of `bytes` and how long it is, if all of it is there.
    fn parse(bytes: &[u8], port: u16) -> Result<Option<(Self, usize)>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let end = match request.parse(bytes) {
            Ok(httparse::Status::Complete(end)) => end,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return refused(431, "too many headers"),
            Err(error) => return refused(400, format!("no request of HTTP/1.1: {error}")),
        };
        let all = |name: &'static str| {
            let of_name = request.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name));
            of_name.map(|header| String::from_utf8_lossy(header.value).trim().to_owned())
        };
        let hosts = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{port}"));
        // Port 80 is not named.
        let is_here =
            |host: &str| hosts.iter().any(|h| h == host || h.strip_suffix(":80") == Some(host));
        if !all("host").all(|host| is_here(&host)) || all("host").count() != 1 {
            return refused(403, format!("expected a request to {}", hosts[0]));
        }
        if !all("origin").all(|origin| origin.strip_prefix("http://").is_some_and(is_here)) {
            return refused(403, "a page from elsewhere cannot ask here");
        }
        if all("transfer-encoding").next().is_some() {
            return refused(411, "expected a body whose length the request says");
        }
        let lengths: Vec<String> = all("content-length").collect();
        let length = match &lengths[..] {
            [] => 0,
            [length] if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                // What no number holds is too long in any case.
                length.parse().unwrap_or(if length.is_empty() { 0 } else { usize::MAX })
            }
            _ => return refused(400, "expected one Content-Length, a number"),
        };
        let expects = all("expect").any(|value| value.eq_ignore_ascii_case("100-continue"));
        let [method, path] =
            [request.method, request.path].map(|text| text.unwrap_or("").to_owned());
        Ok(Some((Self { method, path, length, expects }, end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<(Head, usize)>, Fault> {
        Head::parse(text.as_bytes(), 8080)
    }

    fn status(text: &str) -> u16 {
        match head(text).unwrap_err() {
            Fault::Refused(status, _) => status,
            Fault::Gone => 0,
        }
    }

    #[test]
    fn a_head_says_how_long_the_body_is() {
        let text = "POST /predict HTTP/1.1\r\nhost: localhost:8080\r\nContent-Length: 12\r\n\
                    Expect: 100-continue\r\n\r\nbody";
        let (found, end) = head(text).unwrap().unwrap();
        assert_eq!(&text[end..], "body");
        assert_eq!((&*found.method, &*found.path), ("POST", "/predict"));
        assert_eq!((found.length, found.expects), (12, true));
        assert_eq!(head(&text[..30]).unwrap(), None);
    }

    #[test]
    fn what_comes_from_elsewhere_or_has_two_meanings_is_refused() {
        let with = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n");
        assert_eq!(status(&with("Host: evil.example:8080")), 403);
        assert_eq!(status(&with("Host: 127.0.0.1:8081")), 403);
        assert_eq!(status(&with("X: no host")), 403);
        assert_eq!(status(&with("Host: localhost:8080\r\nOrigin: http://evil.example")), 403);
        assert_eq!(status(&with("Host: localhost:8080\r\nOrigin: null")), 403);
        let here = |line: &str| with(&format!("Host: localhost:8080\r\n{line}"));
        assert!(head(&here("Origin: http://127.0.0.1:8080")).unwrap().is_some());
        assert_eq!(status(&here("Transfer-Encoding: chunked")), 411);
        assert_eq!(status(&here("Content-Length: 1\r\nContent-Length: 2")), 400);
        assert_eq!(status(&here("Content-Length: -1")), 400);
        assert_eq!(status(&here("Content-Length: 1, 1")), 400);
        assert_eq!(status("\u{1}\u{2} nonsense\r\n\r\n"), 400);
        assert_eq!(status(&here(&"X: y\r\n".repeat(100))), 431);
        let (found, _) =
            head(&here(&format!("Content-Length: {}", "9".repeat(40)))).unwrap().unwrap();
        assert_eq!(found.length, usize::MAX);
    }
}
