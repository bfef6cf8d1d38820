//! `serve`: what it answers, and that no client can do it harm.

use crate::program::{digits, good, json, program, source};
use image::{ImageFormat, Rgb, RgbImage};
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The program as it serves.
struct Served {
    child: Child,
    port: u16,
}

impl Served {
    fn start(model: &Path, options: &[&str]) -> Self {
        let mut command = program();
        command.args(["serve", "--port", "0", "--json", "--threads", "2"]).args(options).arg(model);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = json(&line)["address"].as_str().unwrap().to_owned();
        let port = address.strip_prefix("http://127.0.0.1:").unwrap().trim_end_matches('/');
        Self { port: port.parse().unwrap(), child }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends these bytes, and gives the status and the body of the answer.
    fn send(&self, bytes: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        // What is refused early need not be taken to the end.
        let _ = stream.write_all(bytes);
        answer(&mut stream)
    }

    fn ask(&self, method: &str, path: &str, more: &str, body: &[u8]) -> (u16, String) {
        let (port, length) = (self.port, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n{more}\r\n"
        );
        self.send(&[head.as_bytes(), body].concat())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let text = text.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn picture() -> Vec<u8> {
    let image = RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 6, y as u8 * 8, 99]));
    let mut bytes = Cursor::new(vec![]);
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn a_picture_is_answered_by_classes_gates_sources_and_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut train = program();
    train.args(["train", "--form", "zoo", "--steps", "2", "--shots", "2", "--test", "0", "--zoo"]);
    train.args(["as_is", "edges"].map(source)).arg("--data").arg(digits()).arg("--out").arg(&run);
    good(train.args(["--start", "plain", "--threads", "2"]));
    let served = Served::start(&run.join("model.safetensors"), &["--top", "3"]);
    let (status, page) = served.ask("GET", "/", "", b"");
    assert!(status == 200 && page.contains("<!DOCTYPE html>"));
    // Nothing is loaded from anywhere.
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("//cdn"));
    let (_, about) = served.ask("GET", "/model", "", b"");
    let about = json(&about);
    assert_eq!(about["sources"], serde_json::json!(["as_is", "edges"]));
    assert_eq!((&about["form"], &about["neighbours"]), (&"zoo".into(), &20.into()));
    let (status, seen) = served.ask("POST", "/predict", "", &picture());
    assert_eq!(status, 200, "{seen}");
    let seen = json(&seen);
    let count = |key: &str| seen[key].as_array().unwrap().len();
    assert_eq!((count("classes"), count("gates"), count("sources")), (3, 9, 2));
    assert_eq!(count("neighbours"), 6);
    let gates = seen["gates"][0]["gates"].as_array().unwrap().iter().map(|g| g.as_f64().unwrap());
    assert!((gates.sum::<f64>() - 1.0).abs() < 1e-5);
    let similarity: Vec<f64> = seen["neighbours"]
        .as_array()
        .unwrap()
        .iter()
        .map(|near| near["similarity"].as_f64().unwrap())
        .collect();
    assert!(similarity.is_sorted_by(|a, b| a >= b) && similarity[0] <= 1.001, "{similarity:?}");
    assert!(seen["picture"].as_str().unwrap().starts_with("data:image/png;base64,"));
    // As `predict` has it.
    let file = folder.path().join("picture.png");
    std::fs::write(&file, picture()).unwrap();
    let mut predict = program();
    predict.args(["predict", "--json", "--top", "3"]).arg(run.join("model.safetensors")).arg(file);
    assert_eq!(json(&good(&mut predict))["classes"], seen["classes"]);
}

#[test]
fn what_is_no_picture_or_no_request_is_refused_and_the_next_one_is_served() {
    let served = Served::start(&source("as_is"), &["--most-megabytes", "1"]);
    let whole = picture();
    let mut bomb = whole.clone();
    bomb[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    for (name, body) in [
        ("nothing", &[][..]),
        ("a text", b"<script>alert(1)</script>"),
        ("cut off", &whole[..whole.len() / 2]),
        ("a bomb", &bomb),
        ("zeros", &[0; 10_000]),
    ] {
        let (status, text) = served.ask("POST", "/predict", "", body);
        let problem = json(&text)["error"].as_str().unwrap().to_owned();
        assert!(
            status == 422 && problem.starts_with("the picture: "),
            "{name}: {status} {problem}"
        );
    }
    let (status, text) = served.ask("POST", "/predict", "", &vec![0; 1_000_001]);
    assert!(status == 413 && text.contains("at most 1000000 bytes"), "{status} {text}");
    for path in ["/predict/", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//", "/page.html"]
    {
        assert_eq!(served.ask("GET", path, "", b"").0, 404, "{path}");
    }
    for (method, path) in
        [("GET", "/predict"), ("POST", "/"), ("DELETE", "/model"), ("PUT", "/predict")]
    {
        assert_eq!(served.ask(method, path, "", b"").0, 405, "{method} {path}");
    }
    let own = format!("Host: 127.0.0.1:{}\r\n", served.port);
    let chunked =
        format!("POST /predict HTTP/1.1\r\n{own}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_eq!(served.send(chunked.as_bytes()).0, 411);
    let elsewhere = "Origin: http://evil.example\r\n";
    assert_eq!(served.ask("POST", "/predict", elsewhere, &whole).0, 403);
    assert_eq!(served.send(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").0, 403);
    assert_eq!(served.send(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n").0, 400);
    let endless = format!("GET / HTTP/1.1\r\n{own}X: {}", "y".repeat(1 << 17));
    assert_eq!(served.send(endless.as_bytes()).0, 431);
    // A client that goes away in the middle.
    let mut gone = served.connect();
    gone.write_all(
        format!("POST /predict HTTP/1.1\r\n{own}Content-Length: 9\r\n\r\nabc").as_bytes(),
    )
    .unwrap();
    gone.shutdown(Shutdown::Both).unwrap();
    let (status, text) = served.ask("POST", "/predict", "Expect: 100-continue\r\n", &whole);
    assert_eq!(status, 200, "{text}");
}

#[test]
fn slow_clients_and_many_at_once_do_not_stop_the_others() {
    let served = Served::start(&source("as_is"), &["--patience", "6", "--connections", "4"]);
    let begun = Instant::now();
    // One that never sends its head, one that never sends its body, and they are no hindrance.
    let mut slow = [served.connect(), served.connect()];
    let half = format!("POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", served.port);
    slow[0].write_all(half.as_bytes()).unwrap();
    slow[1].write_all(format!("{half}Content-Length: 99\r\n\r\nabc").as_bytes()).unwrap();
    assert_eq!(served.ask("POST", "/predict", "", &picture()).0, 200);
    // Now there is room for two more, and no third.
    let more = [served.connect(), served.connect()];
    std::thread::sleep(Duration::from_millis(200));
    let (status, text) = served.ask("GET", "/model", "", b"");
    assert!(status == 503 && text.contains("too many requests"), "{status} {text}");
    for slow in &mut slow {
        let (status, text) = answer(slow);
        assert!(status == 408 && text.contains("in time"), "{status} {text}");
    }
    assert!(begun.elapsed() >= Duration::from_secs(6));
    drop((slow, more));
    std::thread::sleep(Duration::from_millis(500));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = || served.ask("POST", "/predict", "", &picture()).0;
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| [200, 408, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&200));
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(served.ask("POST", "/predict", "", &picture()).0, 200);
}
