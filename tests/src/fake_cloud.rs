//! A cloud that a scenario shapes: Keystone, Glance and Nova in one small server on loopback, with the faults of real
//! ones. Its threads end with the test's process. For what real services do, there is [`crate::openstack`].

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// What a cloud is like. `HERE` in texts stands for its address, as in `http://127.0.0.1:5000`.
#[derive(Clone, Debug)]
pub struct Knobs {
    /// The catalog of a token. [`catalog`] makes one.
    pub catalog: Value,
    /// The members of a token besides the usual ones, such as its scope.
    pub token: Value,
    /// The link in the version document of Glance.
    pub glance_link: String,
    /// The link in the version document of Keystone.
    pub keystone_link: String,
    /// The records of images. [`image`] makes one.
    pub images: Vec<Value>,
    /// The images of a page of a list.
    pub page: usize,
    /// The data of every image.
    pub data: Vec<u8>,
    /// The bytes of a download after which the connection is closed.
    pub cut: Option<usize>,
    /// Whether a download can begin in the middle.
    pub ranges: bool,
    /// The hosts with an enabled nova-compute that is up, in zone `nova`.
    pub hosts: Vec<String>,
    /// The `host_ip` of hypervisors, by the names of their hosts.
    pub addresses: Vec<(String, String)>,
    /// Answers in place of the usual ones.
    pub faults: Vec<Fault>,
}

/// Answers in place of the usual ones to some requests.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The beginning of the request, which ends in a space: `GET /v2/images`, `GET / `.
    pub to: &'static str,
    /// The number of requests that are answered so.
    pub times: usize,
    /// The answer.
    pub with: Reply,
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// With a status, headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// None: the connection is closed.
    Closed,
    /// A status and the length of a body that never comes whole.
    Truncated,
}

/// A request that a cloud got.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Method and path with query: `GET /v2/images?limit=1`.
    pub line: String,
    /// The headers as they came, one a line.
    pub headers: String,
    /// The body.
    pub body: String,
}

/// A running cloud.
#[derive(Clone, Debug)]
pub struct FakeCloud {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    here: String,
    knobs: Mutex<Knobs>,
    heard: Mutex<Vec<Request>>,
    tls: Option<Arc<ServerConfig>>,
}

impl Default for Knobs {
    fn default() -> Self {
        let data: Vec<u8> = (0..1_usize << 20).map(|i| (i / 7) as u8).collect();
        Self {
            catalog: catalog("HERE"),
            token: project(),
            glance_link: "HERE/v2/".to_owned(),
            keystone_link: "HERE/v3/".to_owned(),
            images: vec![image(&data)],
            page: usize::MAX,
            data,
            cut: None,
            ranges: true,
            hosts: Vec::new(),
            addresses: Vec::new(),
            faults: Vec::new(),
        }
    }
}

/// The id of [`image`].
pub const IMAGE_ID: &str = "4b2c93ee-4f24-4cfd-8fca-e1cf11ac1a44";

/// Returns the record of an active raw image `debian` with this data.
pub fn image(data: &[u8]) -> Value {
    json!({"id": IMAGE_ID, "name": "debian", "status": "active", "size": data.len(), "disk_format": "raw",
           "container_format": "bare", "visibility": "public", "created_at": "2026-01-01T00:00:00Z",
           "os_hash_algo": "sha512", "os_hash_value": sha512(data)})
}

/// Returns a catalog with Glance at `glance` and Nova, at all interfaces of region `R`.
pub fn catalog(glance: &str) -> Value {
    json!([
        service("identity", "keystone", "HERE/v3"),
        service("image", "glance", glance),
        service("compute", "nova", "HERE/v2.1")
    ])
}

/// Returns an entry of a catalog.
pub fn service(kind: &str, name: &str, url: &str) -> Value {
    let endpoints: Vec<Value> =
        ["public", "internal", "admin"].iter().map(|interface| endpoint(interface, "R", url)).collect();
    json!({"id": kind, "type": kind, "name": name, "endpoints": endpoints})
}

/// Returns an endpoint of such an entry.
pub fn endpoint(interface: &str, region: &str, url: &str) -> Value {
    json!({"id": "e", "interface": interface, "region": region, "region_id": region, "url": url})
}

/// Returns the scope of a project, for a token.
pub fn project() -> Value {
    json!({"project": {"id": "p", "name": "admin", "domain": {"id": "default", "name": "Default"}}})
}

impl Fault {
    /// Returns a fault with a status and nothing else.
    pub fn status(to: &'static str, times: usize, status: u16) -> Self {
        Self { to, times, with: Reply::Status(status, Vec::new(), String::new()) }
    }
}

impl FakeCloud {
    /// Starts a cloud.
    pub fn start(knobs: Knobs) -> Self {
        Self::serve("http", knobs, None)
    }

    /// Starts a cloud that speaks TLS, with the certificate chain and the key of a PEM file.
    pub fn start_with_tls(knobs: Knobs, pem: &Path) -> Self {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(pem).expect("a PEM file").collect();
        let key = PrivateKeyDer::from_pem_file(pem).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain.expect("PEM"), key);
        Self::serve("https", knobs, Some(Arc::new(config.expect("they belong together"))))
    }

    fn serve(scheme: &str, knobs: Knobs, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
        let address = listener.local_addr().expect("it is bound");
        let here = format!("{scheme}://{address}");
        let state = Arc::new(State { here, knobs: Mutex::new(knobs), heard: Mutex::default(), tls });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // Broken connections are one of its purposes.
                thread::spawn(move || drop(state.talk(client)));
            }
        });
        Self { state }
    }

    /// Returns an address of the cloud: `path` below its own.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.state.here)
    }

    /// Makes a command use the cloud by variables of an openrc file, and hides the caller's own from it.
    pub fn configure(&self, command: &mut Command) {
        openrc(command, &self.url("/v3"));
    }

    /// Returns the requests so far.
    pub fn heard(&self) -> Vec<Request> {
        self.state.heard.lock().expect("no panic holds it").clone()
    }

    /// Returns the number of requests so far that begin so.
    pub fn count(&self, line: &str) -> usize {
        self.heard().iter().filter(|request| request.line.starts_with(line)).count()
    }
}

/// Sets the variables of an openrc file, and removes those of the caller, with all proxies and certificates.
pub fn openrc(command: &mut Command, auth_url: &str) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_ascii_lowercase();
        if text.starts_with("os_") || text.ends_with("_proxy") || text.ends_with("_ca_bundle") {
            command.env_remove(name);
        }
    }
    command.env("OS_AUTH_URL", auth_url).env("OS_USERNAME", "operator").env("OS_USER_DOMAIN_NAME", "Default");
    command
        .env("OS_PASSWORD", "secret")
        .env("OS_PROJECT_NAME", "admin")
        .env("OS_PROJECT_DOMAIN_NAME", "Default");
}

/// Starts a server that closes every connection at once. Returns its address.
pub fn closing_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || listener.incoming().for_each(drop));
    address
}

/// Returns an address of loopback on which nothing listens.
pub fn dead_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    listener.local_addr().expect("it is bound")
}

impl State {
    fn talk(&self, client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(SILENCE_MAX))?;
        match &self.tls {
            None => self.answer(client),
            Some(config) => {
                let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                let mut stream = StreamOwned::new(connection, client);
                let answered = self.answer(&mut stream);
                stream.conn.send_close_notify();
                answered.and(stream.flush())
            }
        }
    }

    /// Answers one request; the connection ends with it.
    fn answer(&self, mut stream: impl Read + Write) -> io::Result<()> {
        let request = match Request::read(&mut stream) {
            Ok(request) => request,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return stream
                    .write_all(b"HTTP/1.1 400 It\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            }
            Err(error) => return Err(error),
        };
        self.heard.lock().expect("no panic holds it").push(request.clone());
        let reply = self.knobs.lock().expect("no panic holds it").fault(&request.line);
        let (status, headers, body) = match reply {
            Some(Reply::Closed) => return Ok(()),
            Some(Reply::Truncated) => {
                return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"");
            }
            Some(Reply::Status(status, headers, body)) => (status, headers, body.into_bytes()),
            None => self.usual(&request),
        };
        let knobs = self.knobs.lock().expect("no panic holds it").clone();
        let here = |text: &str| text.replace("HERE", &self.here);
        let mut head =
            format!("HTTP/1.1 {status} It\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {}\r\n", here(value))));
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        let is_download = request.line.contains("/file");
        let end = knobs.cut.filter(|_| is_download && status < 300).unwrap_or(body.len()).min(body.len());
        stream.write_all(&body[..end])?;
        stream.flush()
    }

    fn usual(&self, request: &Request) -> (u16, Vec<(&'static str, String)>, Vec<u8>) {
        let knobs = self.knobs.lock().expect("no panic holds it").clone();
        let (verb, target) = request.line.split_once(' ').unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let json = |status: u16, value: Value| {
            (status, Vec::new(), value.to_string().replace("HERE", &self.here).into_bytes())
        };
        let version = |id: &str, link: &str| json!({"id": id, "status": "CURRENT", "links": [{"rel": "self", "href": link}]});
        // Glance may be below a prefix.
        let below = path.strip_prefix("/image").unwrap_or(path);
        match (verb, below) {
            ("GET", "/v3/") => json(200, json!({"version": version("v3.14", &knobs.keystone_link)})),
            ("POST", "/v3/auth/tokens") => {
                let mut reply = json(201, json!({"token": knobs.whole_token()}));
                reply.1.push(("X-Subject-Token", "t0k3n".to_owned()));
                reply
            }
            ("GET", "/") => json(300, json!({"versions": [version("v2.9", &knobs.glance_link)]})),
            ("GET", "/v2/images") => json(200, knobs.list(query)),
            ("GET", "/v2.1/os-services") => json(200, json!({"services": knobs.services()})),
            ("GET", "/v2.1/os-hypervisors/detail") => json(200, json!({"hypervisors": knobs.hypervisors()})),
            ("GET", "/v2.1/os-aggregates") => json(200, json!({"aggregates": []})),
            ("GET", path) if path.ends_with("/file") => knobs.download(request),
            ("GET", path) => {
                let found = knobs
                    .images
                    .iter()
                    .find(|image| path.strip_prefix("/v2/images/").is_some_and(|id| image["id"] == id));
                found.map_or_else(|| json(404, json!({})), |image| json(200, image.clone()))
            }
            _ => json(404, json!({})),
        }
    }
}

impl Knobs {
    /// Takes the next fault that a request meets.
    fn fault(&mut self, line: &str) -> Option<Reply> {
        let line = format!("{line} ");
        let fault = self.faults.iter_mut().find(|fault| fault.times > 0 && line.starts_with(fault.to))?;
        fault.times -= 1;
        Some(fault.with.clone())
    }

    fn whole_token(&self) -> Value {
        let domain = json!({"id": "default", "name": "Default"});
        let mut token = json!({"methods": ["password"], "user": {"id": "u", "name": "operator", "domain": domain},
            "roles": [{"id": "r", "name": "admin"}], "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2099-01-01T00:00:00.000000Z", "catalog": self.catalog});
        for (key, value) in self.token.as_object().into_iter().flatten() {
            token[key] = value.clone();
        }
        token
    }

    /// Returns a page of the images, filtered by name and tags as Glance filters.
    fn list(&self, query: &str) -> Value {
        let value = |key: &str| {
            let found = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
            found.map(unescaped)
        };
        let name = value("name");
        let is_named = |image: &Value| match name.as_deref() {
            None => true,
            Some(list) if list.starts_with("in:\"") => image["name"] == list[4..].trim_end_matches('"'),
            Some(list) if list.starts_with("in:") => list[3..].split(',').any(|name| image["name"] == name),
            Some(name) => image["name"] == name,
        };
        let tags: Vec<String> =
            query.split('&').filter_map(|pair| pair.strip_prefix("tag=")).map(unescaped).collect();
        let has_tags = |image: &&Value| {
            let own = image["tags"].as_array().map_or(&[][..], Vec::as_slice);
            tags.iter().all(|tag| own.iter().any(|own| own == tag.as_str()))
        };
        let named = self.images.iter().filter(|image| is_named(image));
        let all: Vec<&Value> = named.filter(has_tags).collect();
        let start = value("marker").map_or(0, |marker| {
            all.iter().position(|image| image["id"] == marker.as_str()).map_or(0, |at| at + 1)
        });
        let page: Vec<&&Value> = all[start..].iter().take(self.page).collect();
        match start + page.len() < all.len() {
            true => json!({"images": page, "next": "/v2/images?marker=x"}),
            false => json!({"images": page}),
        }
    }

    fn services(&self) -> Vec<Value> {
        let service = |host: &String| json!({"host": host, "zone": "nova", "status": "enabled", "state": "up", "disabled_reason": null});
        self.hosts.iter().map(service).collect()
    }

    fn hypervisors(&self) -> Vec<Value> {
        let node = |(host, ip): &(String, String)| json!({"hypervisor_type": "QEMU", "host_ip": ip, "service": {"host": host, "id": 1}});
        self.addresses.iter().map(node).collect()
    }

    fn download(&self, request: &Request) -> (u16, Vec<(&'static str, String)>, Vec<u8>) {
        let lines = request.headers.lines().map(str::to_ascii_lowercase);
        let mut start = lines.filter_map(|line| {
            let range =
                line.strip_prefix("range:")?.trim().strip_prefix("bytes=")?.strip_suffix('-')?.to_owned();
            range.parse::<usize>().ok()
        });
        match start.next_back().filter(|_| self.ranges) {
            Some(start) if start < self.data.len() => {
                let (last, all) = (self.data.len() - 1, self.data.len());
                let range = format!("bytes {start}-{last}/{all}");
                (206, vec![("Content-Range", range)], self.data[start..].to_vec())
            }
            _ => (200, Vec::new(), self.data.clone()),
        }
    }
}

impl Request {
    fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut lines = VecDeque::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end() {
                "" => break,
                line => lines.push_back(line.to_owned()),
            }
        }
        let first = lines.pop_front().unwrap_or_default();
        let line = first.rsplit_once(' ').map_or(first.as_str(), |(line, _)| line).to_owned();
        let length = lines.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let headers = Vec::from(lines).join("\n");
        Ok(Self { line, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// Decodes the escapes of a query.
fn unescaped(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at(piece.len().min(2));
        bytes.extend(u8::from_str_radix(digits, 16));
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn sha512(data: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, data);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A client that sends nothing more is given up.
const SILENCE_MAX: Duration = Duration::from_secs(20);
