//! Tests with a cloud whose services redirect to another server. That server must get no password, no token, and not
//! even a request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::config::Settings;
use super::error::{CloudError, CloudErrorKind};
use super::{Cloud, DownloadOptions, ImageFilter, Namesakes, Nova};

#[test]
fn no_password_and_no_token_follows_a_redirect_to_another_server() {
    let elsewhere = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::LOCALHOST].map(Server::silent);
    for (method, path) in STEPS {
        for status in [301, 302, 303, 307, 308] {
            for other in &elsewhere {
                let to = format!("http://{}{path}", other.address);
                let cloud = Server::cloud(Some(Redirect { method, path, status, to }));
                let error = use_all(&cloud).expect_err(path);
                let text = error.to_string();
                assert!(matches!(error, CloudError::Redirected { .. }), "{method} {path} {status}: {text}");
                assert!(text.contains(&other.address.to_string()), "{text}");
                assert_eq!(error.kind(), CloudErrorKind::Usage);
                assert!(cloud.heard().iter().any(|request| request.starts_with(&format!("{method} {path}"))));
                assert_eq!(other.heard(), [""; 0], "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn a_redirect_within_a_server_is_followed_and_one_in_a_circle_is_not() {
    for (method, path) in STEPS {
        let to = format!("/moved{path}");
        let cloud = Server::cloud(Some(Redirect { method, path, status: 307, to }));
        use_all(&cloud).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let to = path.to_owned();
        let cloud = Server::cloud(Some(Redirect { method, path, status: 307, to }));
        let error = use_all(&cloud).expect_err("a circle");
        assert!(matches!(error, CloudError::Redirected { .. }), "{error}");
    }
}

#[test]
fn no_password_and_no_token_goes_where_a_version_document_leads() {
    for other in [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::LOCALHOST].map(Server::silent) {
        let there = other.address;
        let cloud = Server::new(Ipv4Addr::LOCALHOST, move |server, request| {
            let here = format!("http://{}/v", server.address);
            match request.path.as_str() {
                "/v3/" | "/" => serve(server, request).replace(&here, &format!("http://{there}/v")),
                _ => serve(server, request),
            }
        });
        use_all(&cloud).expect("the paths are right, and the server is the one that was asked");
        assert_eq!(other.heard(), [""; 0]);
    }
}

#[test]
fn a_token_that_has_expired_is_renewed_once_and_the_request_made_again() {
    let cloud = Server::cloud(None);
    use_all(&cloud).expect("nothing is wrong");
    let logins = |cloud: &Server| {
        let heard = cloud.heard();
        heard.iter().filter(|request| request.starts_with("POST /v3/auth/tokens")).count()
    };
    assert_eq!(logins(&cloud), 1);
    let expired = Server::new(Ipv4Addr::LOCALHOST, |server, request| {
        let first = server.heard().iter().filter(|text| text.starts_with("GET /v2/images")).count() == 1;
        match request.path.starts_with("/v2/images") && first {
            true => answer(401, &[], ""),
            false => serve(server, request),
        }
    });
    use_all(&expired).expect("with a new token");
    assert_eq!(logins(&expired), 2);
}

#[test]
fn an_answer_without_an_end_is_not_taken_in() {
    let endless = Server::new(Ipv4Addr::LOCALHOST, |server, request| {
        if !request.path.starts_with("/v2/images") {
            return serve(server, request);
        }
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", " ".repeat(80 << 20))
    });
    let error = use_all(&endless).expect_err("80 MiB of nothing");
    assert!(matches!(error, CloudError::AnswerTooLong { .. }), "{error}");
}

/// Logs in and sends every request that a push sends.
fn use_all(server: &Server) -> Result<(), CloudError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let cloud = Cloud::open(settings(&server.url("/v3"))).await?;
        let image = cloud.find_image(IMAGE, Namesakes::Refused).await?;
        cloud.images(&ImageFilter::default()).await?;
        let nova = Nova::of(&cloud)?;
        nova.compute_services().await?;
        nova.cache_image(1, IMAGE).await?;
        let options =
            DownloadOptions { stall_timeout: Duration::from_secs(10), resumes_max: 0, ranges: false };
        let mut download = cloud.download(&image, options).await?;
        while download.next_chunk().await?.is_some() {}
        Ok(())
    })
}

/// Method and path of every request with a secret, and of those before it.
const STEPS: [(&str, &str); 8] = [
    ("GET", "/v3/"),
    ("POST", "/v3/auth/tokens"),
    ("GET", "/"),
    ("GET", "/v2/images/4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44"),
    ("GET", "/v2/images?"),
    ("GET", "/v2.1/os-services?binary=nova-compute"),
    ("POST", "/v2.1/os-aggregates/1/images"),
    ("GET", "/v2/images/4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44/file"),
];
const IMAGE: &str = "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44";
const PASSWORD: &str = "not for everybody";

fn settings(auth_url: &str) -> Settings {
    Settings::of_variables(&[
        ("OS_AUTH_URL", auth_url),
        ("OS_USERNAME", "operator"),
        ("OS_PASSWORD", PASSWORD),
        ("OS_PROJECT_NAME", "admin"),
    ])
}

/// A server that answers each connection once and records what it received.
struct Server {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

struct Request {
    method: String,
    path: String,
}

/// A redirect in place of an answer.
struct Redirect {
    method: &'static str,
    path: &'static str,
    status: u16,
    to: String,
}

impl Server {
    fn new(ip: Ipv4Addr, answer: impl Fn(&Self, &Request) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind((ip, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = Self { address, heard: Arc::default() };
        let shared = Self { address, heard: server.heard.clone() };
        // The thread ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = shared.talk(stream.expect("a connection"), &answer);
            }
        });
        server
    }

    /// Returns the other server, which only listens.
    fn silent(ip: Ipv4Addr) -> Self {
        Self::new(ip, |_, _| answer(404, &[], ""))
    }

    /// Returns Keystone, Glance and Nova in one server.
    fn cloud(redirect: Option<Redirect>) -> Self {
        Self::new(Ipv4Addr::LOCALHOST, move |server, request| match &redirect {
            Some(redirect) if redirect.is_of(request) => {
                answer(redirect.status, &[("Location", &redirect.to)], "")
            }
            _ => serve(server, request),
        })
    }

    fn talk(&self, stream: TcpStream, answer: &impl Fn(&Self, &Request) -> String) -> std::io::Result<()> {
        let mut reader = BufReader::new(&stream);
        let (mut text, mut length) = (String::new(), 0);
        loop {
            let start = text.len();
            reader.read_line(&mut text)?;
            let line = text[start..].trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        text.push_str(&String::from_utf8_lossy(&body));
        let mut words = text.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        self.heard.lock().expect("nobody panics").push(text);
        (&stream).write_all(answer(self, &Request { method, path }).as_bytes())
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("nobody panics").clone()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Redirect {
    fn is_of(&self, request: &Request) -> bool {
        let path = match self.path.strip_suffix('?') {
            Some(_) => request.path.starts_with(self.path),
            None => request.path == self.path,
        };
        path && request.method == self.method
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    format!("HTTP/1.1 {status} It\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
}

/// Returns the answer of Keystone, Glance or Nova, also for paths under /moved.
fn serve(server: &Server, request: &Request) -> String {
    let path = request.path.strip_prefix("/moved").unwrap_or(&request.path);
    let json = |value: Value| answer(200, &[], &value.to_string());
    match path.split('?').next().unwrap_or_default() {
        "/v3/" => json(json!({"version": version("v3.14", &server.url("/v3/"))})),
        "/v3/auth/tokens" => answer(201, &[("X-Subject-Token", "a-token")], &token(server).to_string()),
        "/" => json(json!({"versions": [version("v2.9", &server.url("/v2/"))]})),
        "/v2/images" => json(json!({"images": []})),
        "/v2.1/os-services" => json(json!({"services": []})),
        "/v2.1/os-aggregates/1/images" => answer(202, &[], ""),
        path if path.ends_with("/file") => answer(200, &[], "disk"),
        path if path.starts_with("/v2/images/") => json(json!({"id": IMAGE, "name": "debian",
            "status": "active", "size": 4, "disk_format": "raw", "container_format": "bare"})),
        _ => answer(404, &[], ""),
    }
}

fn version(id: &str, url: &str) -> Value {
    json!({"id": id, "status": "CURRENT", "links": [{"rel": "self", "href": url}]})
}

fn token(server: &Server) -> Value {
    let endpoint = |path: &str| json!([{"id": "e", "interface": "public", "region": "R", "region_id": "R", "url": server.url(path)}]);
    let domain = json!({"id": "default", "name": "Default"});
    json!({"token": {
        "methods": ["password"],
        "user": {"id": "u", "name": "operator", "domain": domain},
        "project": {"id": "p", "name": "admin", "domain": domain},
        "roles": [{"id": "r", "name": "admin"}],
        "issued_at": "2026-11-28T12:00:00.000000Z",
        "expires_at": "2099-11-28T12:00:00.000000Z",
        "catalog": [
            {"id": "i", "name": "glance", "type": "image", "endpoints": endpoint("")},
            {"id": "n", "name": "nova", "type": "compute", "endpoints": endpoint("/v2.1")}]}})
}
