//! A controller in a directory of its own, and a client.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Response};
use serde_json::Value;
use tempfile::TempDir;

/// The sender that the test makes up. The name of the file that it pushes says what it does. It notes when it begins and
/// ends, and if another one of the same kind runs.
const SENDER: &str = r#"#!/bin/sh
dir=__DIR__
command=$1
for word in "$@"; do case "$word" in --file=*) image=${word##*/};; --hosts-file=*) list=${word#*=};; --dry-run) plan=1;; *-*-*-*-*) image=$word;; esac; done
root=ababababababababababababababababababababababababababababababab12
say() { printf '{"schema":1,"time":"t","push":"5e","event":"%s",%s}\n' "$1" "$2"; }
finish() { # OUTCOME CODE STATE
    say finished "\"outcome\":\"$1\",\"exit_code\":$2,\"reason\":null,\"root\":\"ab\",\"seconds\":1,\"wire_bytes\":9,\"expected\":1,\"holding\":1,\"hosts\":[{\"name\":\"c1\",\"state\":\"$3\",\"reason\":null,\"seconds\":1}],\"events_lost\":0"
    echo "end $image $$" >>"$dir/calls"
    rm -f "$dir/lock"
    exit "$2"
}
case $command in
hosts) if [ -d "$dir/held" ]; then
        for host in c1 c2 c3; do
            held=; for id in $(cat "$dir/held/$host" 2>/dev/null); do held="$held${held:+,}{\"name\":\"golden\",\"image_id\":\"$id\",\"bytes\":7,\"root\":\"$root\",\"pinned\":\"forever\",\"pinned_until\":null}"; done
            rows="$rows${rows:+,}{\"name\":\"$host\",\"state\":\"answered\",\"reason\":null,\"software\":\"g\",\"free_bytes\":99999,\"digest\":\"d$(tr '\\n' . <"$dir/held/$host" 2>/dev/null)\",\"objects\":[$held]}"
        done
        echo "{\"schema\":1,\"hosts\":[$rows]}"; exit 0
    fi
    echo '{"schema":1,"hosts":[{"name":"c1","state":"answered","reason":null,"software":"glancecastd","free_bytes":7,"digest":"d","objects":[{"name":"old","image_id":null,"bytes":5,"root":"cd","pinned":"no","pinned_until":null}]}]}'; exit 0;;
verify|doctor) echo '{"schema":1,"outcome":"complete","exit_code":0,"reason":null,"hosts":[]}'; exit 0;;
send) ;;
*) exit 2;;
esac
if [ -n "$plan" ]; then echo '{"schema":1,"outcome":"planned","exit_code":0,"plan":{"copies":1}}'; exit 0; fi
if other=$(cat "$dir/lock" 2>/dev/null) && kill -0 "$other" 2>/dev/null; then echo "overlap $image $$" >>"$dir/calls"; fi
echo $$ >"$dir/lock"
echo "begin $image $$" >>"$dir/calls"
trap 'finish failed 143 incomplete' TERM
say started '"glancecast":"0","image":"'"$image"'","image_id":null,"bytes":7,"blocks":1,"hosts":["c1"],"expected":1'
say host '"host":"c1","state":"joined","cause":null,"reason":null,"seconds":0.1'
case $image in
*-*-*-*-*)
    for host in $(cat "$list"); do
        echo "push $image $host" >>"$dir/calls"; echo "$image" >>"$dir/held/$host"
        rows="$rows${rows:+,}{\"name\":\"$host\",\"state\":\"done\",\"reason\":null,\"seconds\":1}"
    done
    say finished "\"outcome\":\"complete\",\"exit_code\":0,\"reason\":null,\"root\":\"$root\",\"seconds\":1,\"wire_bytes\":9,\"expected\":1,\"holding\":1,\"hosts\":[$rows],\"events_lost\":0"
    rm -f "$dir/lock"; exit 0;;
quick*) finish complete 0 done;;
partial*) finish incomplete 3 never_answered;;
some*) i=0; while [ $i -lt 4 ]; do i=$((i + 1)); say progress "\"percent\":$((i * 20))"; sleep 0.05; done; finish complete 0 done;;
dies-once*) if [ ! -e "$dir/died" ]; then touch "$dir/died"; kill -9 $$; fi; finish complete 0 done;;
dies*) kill -9 $$;;
broken*) echo 'glancecast: no key' >&2; exit 2;;
waits*) while [ ! -e "$dir/go" ]; do sleep 0.02; done; finish complete 0 done;;
esac
"#;

/// The images that there are: files whose names say what the sender does.
const IMAGES: [&str; 7] = ["quick", "partial", "some", "dies-once", "dies", "broken", "waits"];

/// A controller that can be killed and started again.
pub(crate) struct Service {
    pub(crate) dir: TempDir,
    child: Option<Child>,
    port: u16,
    pub(crate) metrics: u16,
    options: Vec<String>,
    /// The address of its cloud, if it has one.
    pub(crate) cloud: Option<String>,
    /// The token of requests; by default the one of the first start.
    pub(crate) token: Option<String>,
    client: Client,
}

impl Service {
    /// Prepares a controller with these further options, and starts it.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let mut service = Self::prepare(options);
        service.again().await;
        service
    }

    /// Prepares a controller that does not run yet.
    pub(crate) fn prepare(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let sender = dir.path().join("glancecast");
        fs::write(&sender, SENDER.replace("__DIR__", dir.path().to_str().expect("text"))).expect("written");
        fs::set_permissions(&sender, fs::Permissions::from_mode(0o755)).expect("set");
        for directory in ["state", "images"] {
            fs::create_dir(dir.path().join(directory)).expect("made");
        }
        for image in IMAGES {
            fs::write(dir.path().join("images").join(image), "an image").expect("written");
        }
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let client = Client::builder().no_proxy().build().expect("a client");
        Self {
            dir,
            child: None,
            port: free_port(),
            metrics: free_port(),
            options,
            cloud: None,
            token: None,
            client,
        }
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn again(&mut self) {
        let path = |name: &str| self.dir.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_glancecast-controller"));
        command
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .args(["--metrics", &format!("127.0.0.1:{}", self.metrics)])
            .args(["--inventory-interval", "1s", "--interval", "1s", "--name", "test"])
            .arg("--state")
            .arg(path("state"))
            .arg("--images")
            .arg(path("images"))
            .arg("--glancecast")
            .arg(path("glancecast"))
            .args(&self.options)
            .env_remove("OS_CLOUD")
            .env_remove("OS_AUTH_URL")
            .stdin(Stdio::null())
            .stderr(fs::File::options().create(true).append(true).open(path("log")).expect("a log"));
        match &self.cloud {
            None => command.args(["--openstack", "false"]),
            Some(url) => command
                .args(["--openstack", "true", "--auth", "keystone"])
                .envs([("OS_AUTH_URL", format!("{url}/v3").as_str()), ("OS_USERNAME", "glancecast")])
                .envs([("OS_PASSWORD", "secret"), ("OS_PROJECT_NAME", "service")]),
        };
        let child = command.spawn().expect("the controller starts");
        self.child = Some(child);
        let url = self.url("/healthcheck");
        until("the controller answers", || async {
            self.client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Ends it as a power failure would, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    }

    /// Ends it in order.
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        assert!(child.wait().expect("it ends").success());
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Sends a request with the token of the first start.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        self.send_with(method, path, body, &[]).await
    }

    /// Sends a request with the token and further headers.
    pub(crate) async fn send_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Response {
        let token = match &self.token {
            Some(token) => token.clone(),
            None => fs::read_to_string(self.path("state/admin.token")).expect("it was made"),
        };
        let mut request = self.client.request(method, self.url(path)).header("X-Auth-Token", token.trim());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        request.send().await.expect("an answer")
    }

    /// Sends a request without a token.
    pub(crate) async fn anonymous(&self, method: Method, url: &str) -> Response {
        self.client.request(method, url).send().await.expect("an answer")
    }

    /// Returns the JSON at a path.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.send(Method::GET, path, None).await;
        assert_eq!(answer.status(), 200, "{path}");
        json(answer).await
    }

    /// Asks for a push of a file to `c1`, and returns its id.
    pub(crate) async fn push(&self, image: &str) -> String {
        let body = serde_json::json!({"images": [format!("file:{image}")], "hosts": {"names": "c1"}});
        let answer = self.send(Method::POST, "/v1/pushes", Some(body)).await;
        assert_eq!(answer.status(), 202);
        json(answer).await["push"]["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until a push has this status, and returns it.
    pub(crate) async fn wait_for(&self, id: &str, status: &str) -> Value {
        until(&format!("push {id} is {status}"), || async {
            let push = self.get(&format!("/v1/pushes/{id}")).await["push"].take();
            (push["status"] == status).then_some(push)
        })
        .await
    }

    /// Returns what the made-up sender noted.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // What a killed controller left ends, too: the made-up sender is told so.
        let _ = fs::write(self.path("go"), "");
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.path("log")).unwrap_or_default());
        }
    }
}

pub(crate) async fn json(answer: Response) -> Value {
    let bytes = answer.bytes().await.expect("a body");
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?}"))
}

/// Waits until `look` returns something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a file exists.
pub(crate) async fn until_file(path: &Path) {
    until(&path.display().to_string(), || async { path.exists().then_some(()) }).await;
}

pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Far more than anything takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(90);
