"""What the lab is made of: configuration, first set-up and start command of Keystone and Glance,
and what is put into Keystone (users, projects, catalog). Nova and Placement are in novas.py.

A further service is one more class, its endpoint in `fill_keystone`, and its packages in `PACKAGES`
and constraints.txt.
"""
import configparser
import json
import os
import secrets
import sqlite3
import ssl
import subprocess
import urllib.error
import urllib.request

from processes import Failed

# Nova's code is useful without its services, too: to run its image cache.
PACKAGES = ["glance==32.0.0", "keystone==29.1.0", "nova==33.0.2", "openstack-placement==15.0.0",
            "pyuwsgi==2.0.30.post1"]
REGION = "RegionOne"
# Directories of Keystone's keys -> the section of its configuration that names them.
KEYSTONE_KEYS = {"fernet-keys": "fernet_tokens", "receipt-keys": "fernet_receipts",
                 "credential-keys": "credential"}
# cloud name in clouds.yaml -> (user, project, roles); admin comes with Keystone's bootstrap.
CLOUDS = {
    "lab-admin": ("admin", "admin", []),
    "lab-demo": ("demo", "demo", ["member"]),
    "lab-other": ("other", "other", ["member"]),
}
# The user and project of lab-demo, with an application credential instead of a password.
APPLICATION_CLOUD = "lab-demo-app"


class Service:
    """Where a service has its configuration, and where it listens. Its class says the rest: `name`;
    `config_environ`, the variable that names its directory to it; `config`, the file there; `health`,
    what is asked for to see whether it is up; `configure`, `manage_commands` and `command`."""

    health = "/"

    def __init__(self, lab):
        self.lab = lab
        self.etc = lab.path("etc", self.name)
        self.config_file = os.path.join(self.etc, self.config)
        self.url = f"http://127.0.0.1:{lab.state['ports'][self.name]}"
        self.health_url = self.url + self.health


class Keystone(Service):
    name = "keystone"
    config_environ = "OS_KEYSTONE_CONFIG_DIR"
    config = "keystone.conf"
    health = "/v3"

    def __init__(self, lab):
        super().__init__(lab)
        self.auth_url = self.url + "/v3"
        self.public_url = public_url(lab, self)

    def configure(self):
        lab = self.lab
        write_ini(self.config_file, {
            "DEFAULT": {"log_file": lab.path("log", "keystone.log"), "use_stderr": "false",
                        "public_endpoint": self.public_url},
            "database": database(lab, self.name),
            "token": {"provider": "fernet", "expiration": lab.state["token_expiration"]},
            # fernet_setup fills the receipts' repository, too; the server dies without it.
            **{section: {"key_repository": os.path.join(self.etc, keys)}
               for keys, section in KEYSTONE_KEYS.items()},
            # The minimum of bcrypt: a login takes 1 ms instead of 250 ms.
            "identity": {"password_hash_rounds": 4},
            # A token takes 17 ms; without a cache 270 ms.
            "cache": {"enabled": "true", "backend": "dogpile.cache.memory"},
            "oslo_messaging_notifications": {"driver": "noop"},
        })

    def manage_commands(self):
        manage = ["keystone-manage", "--config-file", self.config_file]
        owner = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
        urls = [word for kind in ("public", "internal", "admin")
                for word in (f"--bootstrap-{kind}-url", self.auth_url)]
        return "keystone.cmd.manage", [
            [*manage, "db_sync"],
            [*manage, "fernet_setup", *owner],
            [*manage, "credential_setup", *owner],
            [*manage, "bootstrap", "--bootstrap-username", "admin", "--bootstrap-project-name",
             "admin", "--bootstrap-region-id", REGION, *urls],
        ]

    def command(self):
        return uwsgi(self.lab, "keystone.wsgi.api", self.name)


class Glance(Service):
    name = "glance"
    config_environ = "OS_GLANCE_CONFIG_DIR"
    config = "glance-api.conf"
    health = "/healthcheck"

    def __init__(self, lab):
        super().__init__(lab)
        self.public_url = public_url(lab, self)

    def configure(self):
        lab = self.lab
        for part in ("images", "second", "staging", "tasks", "cache", "locks"):
            os.makedirs(lab.path("data", "glance", part), exist_ok=True)
        store = lambda part: {"filesystem_store_datadir": lab.path("data", "glance", part)}
        write_ini(self.config_file, {
            "DEFAULT": {"bind_host": "127.0.0.1", "bind_port": lab.state["ports"][self.name],
                        "workers": 1, "log_file": lab.path("log", "glance.log"),
                        "use_stderr": "false", "enabled_backends": "file:file,second:file",
                        "api_limit_max": lab.state["page_images"],
                        "worker_self_reference_url": self.url,
                        "public_endpoint": self.public_url,
                        "image_cache_dir": lab.path("data", "glance", "cache")},
            "database": database(lab, self.name),
            "glance_store": {"default_backend": "file"},
            "file": store("images"),
            "second": store("second"),
            "os_glance_staging_store": store("staging"),
            "os_glance_tasks_store": store("tasks"),
            "keystone_authtoken": authtoken(lab, "glance"),
            "paste_deploy": {"flavor": "keystone", "config_file":
                             os.path.join(lab.venv, "etc", "glance", "glance-api-paste.ini")},
            "oslo_concurrency": {"lock_path": lab.path("data", "glance", "locks")},
            "oslo_messaging_notifications": {"driver": "noop"},
        })

    def manage_commands(self):
        manage = ["glance-manage", "--config-file", self.config_file]
        return "glance.cmd.manage", [[*manage, "db_sync"]]

    def command(self):
        if self.lab.state["glance_server"] == "eventlet":
            return [self.lab.bin("python"), self.lab.bin("glance-api"), "--config-file",
                    self.config_file]
        return uwsgi(self.lab, "glance.wsgi.api", self.name)


class Tls:
    """Before Keystone and Glance, which speak plain HTTP behind it, as mostly in clouds."""

    name = "tls"
    config_environ = "LAB_TLS_DIR"

    def __init__(self, lab):
        self.lab = lab
        self.etc = lab.path("etc", "tls")
        self.program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tls.py")
        self.health_url = Keystone(lab).public_url

    def configure(self):
        command = [self.lab.bin("python"), self.program, "authority", self.etc]
        subprocess.run(command, stdin=subprocess.DEVNULL, check=True)

    def command(self):
        ports = self.lab.state["ports"]
        pairs = [f"{ports['tls-' + name]}:{ports[name]}" for name in TLS_BEFORE]
        return [self.lab.bin("python"), self.program, "relay", self.etc, *pairs]


TLS_BEFORE = ["keystone", "glance"]


def public_url(lab, service):
    """What clients are told; the services themselves speak to each other without TLS."""
    if not lab.state.get("tls"):
        return service.url
    return f"https://127.0.0.1:{lab.state['ports']['tls-' + service.name]}"


def uwsgi(lab, module, name):
    """One worker with native threads under a master."""
    return [
        lab.bin("uwsgi"), "--http-socket", f"127.0.0.1:{lab.state['ports'][name]}",
        "--module", f"{module}:application", "--virtualenv", lab.venv,
        "--master", "--die-on-term", "--lazy-apps", "--need-app", "--processes", "1",
        "--threads", "4", "--enable-threads", "--buffer-size", "65535", "--so-keepalive",
        "--socket-timeout", "600", "--disable-logging",
        # It closes each connection unannounced: without the header pooling clients fail at random.
        "--add-header", "Connection: close",
    ]


def database(lab, name):
    return {"connection": f"sqlite:///{lab.path('db', name + '.sqlite')}",
            "sqlite_synchronous": "false"}


def use_write_ahead_log(lab):
    """The mode stays in the file. Without it a lingering reader in another thread makes Keystone's
    commits fail: "database is locked" after 5 s, HTTP 500."""
    for entry in os.scandir(lab.path("db")):
        if entry.name.endswith(".sqlite"):
            connection = sqlite3.connect(entry.path)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.close()


def authtoken(lab, user):
    auth_url = Keystone(lab).auth_url
    # Asked for its versions, Keystone answers with its public address.
    trust = {"cafile": os.path.join(Tls(lab).etc, "ca.pem")} if lab.state.get("tls") else {}
    return {**trust, "www_authenticate_uri": auth_url, "auth_url": auth_url, "auth_type": "password",
            "project_domain_name": "Default", "user_domain_name": "Default",
            "project_name": "service", "username": user,
            "password": lab.state["passwords"]["service"], "region_name": REGION,
            "service_token_roles_required": "true", "service_token_roles": "service"}


def new_passwords():
    users = {user for user, _, _ in CLOUDS.values()} | {"service"}
    return {user: secrets.token_hex(12) for user in sorted(users)}


def fill_keystone(lab, endpoints):
    """Makes users, projects and endpoints, or brings them up to date; can be repeated.
    `endpoints`: (type, service, URL) of everything beside Keystone."""
    auth_url = Keystone(lab).auth_url
    head = {"X-Auth-Token": token(lab, "lab-admin")}

    def api(method, path, body=None):
        status, _, answer = http(method, auth_url + path, body, head)
        if status not in (200, 201, 204):
            raise Failed(f"Keystone answered {status} to {method} {path}")
        return json.loads(answer) if answer else {}

    def ensure(kind, name, **members):
        found = api("GET", f"/{kind}s?name={name}")[kind + "s"]
        if not found:
            return api("POST", f"/{kind}s", {kind: dict(members, name=name)})[kind]["id"]
        return found[0]["id"]

    def ensure_user(name, password, project, wanted_roles):
        user_id = ensure("user", name, domain_id="default", password=password)
        project_id = ensure("project", project, domain_id="default")
        for role in wanted_roles:
            api("PUT", f"/projects/{project_id}/users/{user_id}/roles/{roles[role]}")

    def ensure_endpoint(service_type, name, url):
        service_id = ensure("service", name, type=service_type)
        found = api("GET", f"/endpoints?service_id={service_id}")["endpoints"]
        have = {endpoint["interface"]: endpoint for endpoint in found}
        for interface in ("public", "internal", "admin"):
            if interface not in have:
                api("POST", "/endpoints", {"endpoint": {
                    "service_id": service_id, "interface": interface, "url": url,
                    "region_id": REGION}})
            elif have[interface]["url"] != url:
                path = "/endpoints/" + have[interface]["id"]
                api("PATCH", path, {"endpoint": {"url": url}})

    roles = {role["name"]: role["id"] for role in api("GET", "/roles")["roles"]}
    passwords = lab.state["passwords"]
    for user, project, wanted in CLOUDS.values():
        if user != "admin":
            ensure_user(user, passwords[user], project, wanted)
    ensure_endpoint("identity", "keystone", Keystone(lab).public_url + "/v3")
    for service_type, name, url in endpoints:
        ensure_user(name, passwords["service"], "service", ["admin", "service"])
        ensure_endpoint(service_type, name, url)
    if "application_credential" not in lab.state:
        lab.state["application_credential"] = new_application_credential(lab, "lab-demo")
        lab.save()


def new_application_credential(lab, cloud):
    """Only the user itself can make one, and its secret is told only now."""
    auth_url = Keystone(lab).auth_url
    own = token(lab, cloud)
    head = {"X-Auth-Token": own, "X-Subject-Token": own}
    _, _, answer = http("GET", auth_url + "/auth/tokens", None, head)
    user_id = json.loads(answer)["token"]["user"]["id"]
    status, _, answer = http("POST", f"{auth_url}/users/{user_id}/application_credentials",
                             {"application_credential": {"name": APPLICATION_CLOUD}}, head)
    if status != 201:
        raise Failed(f"Keystone answered {status} to making an application credential")
    made = json.loads(answer)["application_credential"]
    return {"id": made["id"], "secret": made["secret"]}


def token(lab, cloud):
    user, project, _ = CLOUDS[cloud]
    domain = {"id": "default"}
    body = {"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": user, "domain": domain, "password": lab.state["passwords"][user]}}},
        "scope": {"project": {"name": project, "domain": domain}}}}
    status, headers, _ = http("POST", Keystone(lab).auth_url + "/auth/tokens", body)
    if status != 201:
        raise Failed(f"Keystone answered {status} to the log-in of {user}")
    return headers["X-Subject-Token"]


def clouds_yaml(lab):
    text = "clouds:\n"
    auth_url = Keystone(lab).public_url + "/v3"
    cacert = f"    cacert: {Tls(lab).etc}/ca.pem\n" if lab.state.get("tls") else ""
    for cloud, (user, project, _) in CLOUDS.items():
        text += (f"  {cloud}:\n{cacert}    auth:\n      auth_url: {auth_url}\n"
                 f"      username: {user}\n      password: {lab.state['passwords'][user]}\n"
                 f"      project_name: {project}\n      user_domain_name: Default\n"
                 f"      project_domain_name: Default\n    region_name: {REGION}\n"
                 f"    identity_api_version: 3\n")
    made = lab.state["application_credential"]
    return text + (f"  {APPLICATION_CLOUD}:\n{cacert}    auth_type: v3applicationcredential\n"
                   f"    auth:\n      auth_url: {auth_url}\n"
                   f"      application_credential_id: {made['id']}\n"
                   f"      application_credential_secret: {made['secret']}\n"
                   f"    region_name: {REGION}\n    identity_api_version: 3\n")


def write_ini(path, sections):
    parser = configparser.RawConfigParser(default_section="\0")
    parser.optionxform = str
    for section, members in sections.items():
        parser[section] = {key: str(value) for key, value in members.items()}
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open_private(path) as f:
        parser.write(f)


def open_private(path):
    """For writing; readable by the owner only, from the first byte on."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")


def http(method, url, body=None, headers=None, timeout=30):
    """(status, headers, bytes). `body`: a JSON value, or an open file sent as it is."""
    headers = dict(headers or {})
    if body is not None and not hasattr(body, "read"):
        body = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    request = urllib.request.Request(url, body, headers, method=method)
    trusting = ssl._create_unverified_context()
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusting))
    try:
        with direct.open(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
