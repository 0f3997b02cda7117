//! Chromium by WebDriver (W3C), which is JSON over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::{free_port, json as body_of, until};

/// A browser of its own, which ends with this value.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    client: Client,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser; `None` if this machine has none.
    pub(crate) async fn start() -> Option<Self> {
        let (port, profile) = (free_port(), tempfile::tempdir().expect("a directory"));
        let mut command = Command::new("chromedriver");
        command
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let driver = command.spawn().ok()?;
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("a client");
        let base = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { driver, session: String::new(), client, _profile: profile };
        let directory = format!("--user-data-dir={}", browser._profile.path().display());
        let options =
            ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"];
        let mut options: Vec<String> = options.map(str::to_owned).to_vec();
        options.extend([directory, "--window-size=1200,800".to_owned()]);
        let body = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": options},
            "goog:loggingPrefs": {"browser": "ALL"}}}});
        let status = format!("http://127.0.0.1:{port}/status");
        until("chromedriver answers", || async { browser.client.get(&status).send().await.ok().map(drop) })
            .await;
        let made = browser.post(&base, body).await;
        browser.session = format!("{base}/{}", made["sessionId"].as_str().expect("an id"));
        Some(browser)
    }

    pub(crate) async fn open(&self, url: &str) {
        self.post(&format!("{}/url", self.session), json!({ "url": url })).await;
    }

    /// Runs a script with an argument, and returns what it returns.
    pub(crate) async fn run(&self, script: &str, argument: Value) -> Value {
        let body = json!({"script": script, "args": [argument]});
        self.post(&format!("{}/execute/sync", self.session), body).await
    }

    /// Waits until an expression is true. While a page is loaded anew, it is not.
    pub(crate) async fn until(&self, expression: &str) {
        let script = format!("try {{ return {expression} }} catch {{ return false }}");
        until(expression, || async { (self.run(&script, Value::Null).await == true).then_some(()) }).await;
    }

    /// Returns what the console has of warnings and errors, violations of the content's policy among them.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.post(&format!("{}/se/log", self.session), json!({"type": "browser"})).await;
        let rows = log.as_array().expect("a log").iter();
        rows.filter(|row| row["level"] != "INFO" && row["level"] != "DEBUG").map(Value::to_string).collect()
    }

    /// Keeps a screenshot beside what was built: `target/tmp/screenshots`.
    pub(crate) async fn screenshot(&self, name: &str) {
        let url = format!("{}/screenshot", self.session);
        let answer = self.client.get(url).send().await.expect("an answer");
        let text = body_of(answer).await["value"].as_str().expect("base64").to_owned();
        let image = STANDARD.decode(text).expect("base64");
        let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&directory).expect("made");
        std::fs::write(directory.join(format!("{name}.png")), image).expect("written");
    }

    async fn post(&self, url: &str, body: Value) -> Value {
        let request = self.client.post(url).header("Content-Type", "application/json").body(body.to_string());
        let mut answer = body_of(request.send().await.expect("an answer")).await;
        answer["value"].take()
    }
}

impl Browser {
    /// Ends the browser, and waits until it has ended. A destructor cannot await.
    fn end(&self) -> std::io::Result<()> {
        let Some((host, path)) = self.session.trim_start_matches("http://").split_once('/') else {
            return Ok(());
        };
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "DELETE /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        stream.read(&mut [0; 1_024]).map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A driver that is killed leaves its browser: the end of the session comes first.
        let _ = self.end();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
