#!/usr/bin/env python3
"""A real Keystone and a real Glance on loopback, if asked for also a real Nova API, from PyPI in a
virtualenv, with SQLite and a file store. Needs python3 >= 3.10 with venv and pip; no root, no
compiler; writes only below DIR and VENV.

  lab.py install VENV              make the virtualenv (75 s, 470 MB); up and run do it when missing
  lab.py run DIR --venv VENV       start, print one line of JSON, stop at the end of standard input,
                                   on SIGTERM, and when killed: for tests, which hold the input
  lab.py up DIR --venv VENV        start, print the JSON, leave it running (--guard-pid: as long as PID)
  lab.py down DIR                  stop what `up` started; the data stays
  lab.py upload DIR --name N FILE  make an image of FILE and print Glance's JSON of it
  lab.py create DIR --name N       make an image without data (status queued) and print its JSON;
                                   --count 30: thirty of them, N-0000 and so on, a line each
  lab.py deactivate DIR IMAGE_ID
  lab.py describe DIR IMAGE_ID --property K=V    add properties to an image
  lab.py token DIR                 print a token (--cloud: whose)
  lab.py corrupt DIR IMAGE_ID      change one byte of the image's file in the store (to lose or shorten
                                   it, remove or truncate DATADIR/IMAGE_ID)
  lab.py unhash DIR IMAGE_ID       take checksum and hash out of Glance's record of the image
  lab.py aggregate DIR NAME HOST.. make an aggregate of these hosts (--zone: its availability zone)
  lab.py compute DIR HOST          --disable [REASON], --enable, --down or --up a host's compute service

`run` and `up` take --nova-hosts A,B,C: Nova's API and Placement run too, with compute hosts of these
names, enabled and up. All clouds see them; only lab-admin may list aggregates and services.

The JSON has auth_url, glance_url, clouds_yaml, datadir (the store's directory, a file per image id)
and clouds: lab-admin; lab-demo and lab-other, members of two projects; lab-demo-app, lab-demo by an
application credential; with hosts, nova_url. Passwords are only in clouds.yaml. Ports are free ones, new with each start.
"""
import sys

sys.dont_write_bytecode = True  # writes no bytecode next to the sources

import argparse
import contextlib
import fcntl
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import novas
import processes
import services
from processes import Failed

START_SECONDS = 60
REQUEST_SECONDS = 600  # an upload is one request
START_ATTEMPTS = 3  # a port that was free can be taken before the service binds it


class Lab:
    def __init__(self, directory):
        self.dir = os.path.abspath(directory)
        self.run_dir = self.path("run")
        self.children = {}
        self.state = {}
        if os.path.exists(self.path("state.json")):
            with open(self.path("state.json")) as f:
                self.state = json.load(f)
        self.venv = self.state.get("venv")

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def bin(self, name):
        return os.path.join(self.venv, "bin", name)

    def save(self):
        with services.open_private(self.path("state.json.new")) as f:
            json.dump(self.state, f, indent=1)
        os.replace(self.path("state.json.new"), self.path("state.json"))

    def kinds(self):
        """The classes of the services that this lab has."""
        kinds = ALL_SERVICES if self.state.get("nova_hosts") else BASE_SERVICES
        return [*kinds, services.Tls] if self.state.get("tls") else kinds

    def ports(self):
        before = services.TLS_BEFORE if self.state.get("tls") else []
        return [*(kind.name for kind in self.kinds()), *("tls-" + name for name in before)]

    def services(self):
        return [service(self) for service in self.kinds()]

    def is_up(self):
        return all(processes.pid_of(self.run_dir, kind.name) for kind in self.kinds())

    def start(self, options, die_with_parent):
        """Brings the lab up from whatever state it is in, except half running."""
        os.makedirs(self.dir, mode=0o700, exist_ok=True)
        for part in ("etc", "run", "log", "db", "data"):
            os.makedirs(self.path(part), exist_ok=True)
        self.stop()
        self.venv = os.path.abspath(options.venv)
        install(self.venv)
        self.state.update(venv=self.venv, glance_server=options.glance_server,
                          token_expiration=options.token_expiration,
                          page_images=options.page_images, tls=options.tls, nova_hosts=options.nova_hosts)
        self.copy_databases()
        for attempt in range(START_ATTEMPTS):
            self.state["ports"] = free_ports(self.ports())
            self.save()
            try:
                return self.start_once(die_with_parent)
            except PortTaken:
                self.stop()
        raise Failed(f"no port stayed free in {START_ATTEMPTS} attempts")

    def start_once(self, die_with_parent):
        for service in self.services():
            service.configure()
        for service in self.services():
            environ = self.environ({service.config_environ: service.etc})
            self.children[service.name] = processes.spawn(
                self.run_dir, service.name, service.command(),
                self.path("log", service.name + ".out"), environ, self.dir, die_with_parent)
        for service in self.services():
            self.wait_until_it_answers(service)
            if service.name == "keystone":
                services.fill_keystone(self, self.endpoints())
        if self.state["nova_hosts"]:
            novas.seed_hosts(self, self.state["nova_hosts"])
        with services.open_private(self.path("clouds.yaml")) as f:
            f.write(services.clouds_yaml(self))

    def endpoints(self):
        return [(SERVICE_TYPES[service.name], service.name,
                 getattr(service, "public_url", service.url))
                for service in self.services() if service.name in SERVICE_TYPES]

    def make_databases(self, venv):
        """A lab that never runs: its databases and keys are what every new lab begins with."""
        self.venv = venv
        self.state = {"ports": {kind.name: 1 for kind in ALL_SERVICES}, "token_expiration": 1, "page_images": 1,
                      "passwords": services.new_passwords(), "nova_hosts": ["every"]}
        for part in ("etc", "log", "db", "data"):
            os.makedirs(self.path(part), exist_ok=True)
        jobs = []
        environ = {"OS_BOOTSTRAP_PASSWORD": self.state["passwords"]["admin"]}
        for service in self.services():
            service.configure()
            module, commands = service.manage_commands()
            command = [self.bin("python"), "-c", MANAGE, module, json.dumps(commands)]
            jobs.append((service.name, command, self.path("log", f"setup-{service.name}.log")))
            environ[service.config_environ] = service.etc
        processes.run_together(jobs, self.environ(environ), self.dir)
        services.use_write_ahead_log(self)
        self.save()

    def copy_databases(self):
        """Those of the installation, unless this lab has its own already."""
        if "passwords" in self.state:
            return
        made = Lab(template(self.venv))
        for part in [("db",), *(("etc", "keystone", keys) for keys in services.KEYSTONE_KEYS)]:
            shutil.copytree(made.path(*part), self.path(*part), dirs_exist_ok=True)
        novas.adopt_cells(self)
        self.state["passwords"] = made.state["passwords"]
        self.save()

    def environ(self, additions):
        """The caller's, without its own cloud and without its proxy for loopback."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
        loopback = "127.0.0.1,localhost"
        return dict(own, no_proxy=loopback, NO_PROXY=loopback, **additions)

    def wait_until_it_answers(self, service):
        log = self.path("log", service.name + ".out")
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                services.http("GET", service.health_url, timeout=3)
                return
            except (OSError, http.client.HTTPException) as error:
                reason = error
            with open(log, errors="replace") as f:
                said = f.read()
            if "Address already in use" in said:
                raise PortTaken
            # uWSGI restarts a worker that cannot load its module again and again.
            if not processes.pid_of(self.run_dir, service.name) or said.count("trying respawn") > 1:
                raise Failed(f"{service.name} died at its start; see {log}")
            if time.monotonic() > deadline:
                raise Failed(f"{service.name} does not answer at {service.health_url}: {reason}")
            time.sleep(0.05)

    def stop(self):
        processes.stop(self.run_dir, [kind.name for kind in [*ALL_SERVICES, services.Tls]])

    def summary(self):
        keystone, glance, *rest = [service for service in self.services() if service.name != "tls"]
        told = {"auth_url": keystone.auth_url, "glance_url": glance.url,
                "clouds_yaml": self.path("clouds.yaml"),
                "datadir": self.path("data", "glance", "images"),
                "clouds": [*services.CLOUDS, services.APPLICATION_CLOUD]}
        return json.dumps(dict(told, **{f"{service.name}_url": service.url for service in rest}))

    def glance(self, cloud, method, path, body=None, headers=None):
        return self.ask(services.Glance, cloud, method, path, body, headers)

    def nova(self, method, path, body=None):
        """Speaks as the administrator, in a version that knows services by their id."""
        if not self.state.get("nova_hosts"):
            raise Failed(f"{self.dir} has no Nova; start it with --nova-hosts")
        headers = {"OpenStack-API-Version": "compute 2.81"}
        return self.ask(novas.Nova, "lab-admin", method, path, body, headers)

    def ask(self, service, cloud, method, path, body, headers):
        """One request to a service as `cloud`; the parsed answer."""
        if not self.is_up():
            raise Failed(f"{self.dir} is not up")
        head = dict(headers or {}, **{"X-Auth-Token": services.token(self, cloud)})
        url = service(self).url + path
        status, _, answer = services.http(method, url, body, head, REQUEST_SECONDS)
        if status not in (200, 201, 202, 204):
            raise Failed(f"{service.name} answered {status} to {method} {path}")
        return json.loads(answer) if answer else None


class PortTaken(Exception):
    pass


class Stopped(Exception):
    """Raised in the main thread by the signals that end `run`."""


def run(options):
    lab = Lab(options.dir)
    if lab.is_up():
        raise Failed(f"{lab.dir} is already up; lab.py down it first")

    def on_signal(number, _frame):
        raise Stopped(number)

    def watch_input():
        while os.read(0, 65536):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    threading.Thread(target=watch_input, daemon=True).start()
    try:
        # The services die with this process even if it cannot run the `finally` below.
        lab.start(options, die_with_parent=True)
        print(lab.summary(), flush=True)
        while True:
            signal.pause()
    except Stopped:
        pass
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        lab.stop()


def up(options):
    with locked(options.dir):
        up_locked(options)


def up_locked(options):
    lab = Lab(options.dir)
    if not lab.is_up():
        if options.anew:
            lab.stop()
            shutil.rmtree(lab.dir, ignore_errors=True)
            lab = Lab(lab.dir)
        try:
            lab.start(options, die_with_parent=False)
        except BaseException:
            lab.stop()
            raise
    if options.guard_pid:
        processes.stop(lab.run_dir, ["guard"])
        command = [sys.executable, os.path.abspath(__file__), "guard", lab.dir,
                   str(options.guard_pid)]
        processes.spawn(lab.run_dir, "guard", command, lab.path("log", "guard.out"),
                        dict(os.environ), lab.dir, die_with_parent=False)
    print(lab.summary())


def guard(options):
    """Waits in vain when another `up` puts another guard in its place."""
    processes.wait_for_end(options.pid)
    with locked(options.dir):
        Lab(options.dir).stop()


@contextlib.contextmanager
def locked(directory):
    """Nobody else starts or stops this lab meanwhile."""
    with open(os.path.abspath(directory) + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def down(options):
    lab = Lab(options.dir)
    processes.stop(lab.run_dir, ["guard"])
    lab.stop()


def upload(options):
    lab = Lab(options.dir)
    with open(options.file, "rb") as f:
        image = new_image(lab, options)
        # Without a length urllib would send chunks, which is slower.
        store = {"X-Image-Meta-Store": options.store} if options.store else {}
        lab.glance(options.cloud, "PUT", f"/v2/images/{image['id']}/file", f, {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(os.path.getsize(options.file)), **store})
    print(json.dumps(lab.glance(options.cloud, "GET", f"/v2/images/{image['id']}")))


def create(options):
    lab = Lab(options.dir)
    if options.count is None:
        print(json.dumps(new_image(lab, options)))
        return
    name = options.name
    for i in range(options.count):
        options.name = f"{name}-{i:04}"
        print(json.dumps(new_image(lab, options)))


def new_image(lab, options):
    properties = dict(text.split("=", 1) for text in options.property)
    return lab.glance(options.cloud, "POST", "/v2/images", dict(
        properties, name=options.name, disk_format=options.disk_format, tags=options.tag,
        container_format=options.container_format, visibility=options.visibility))


def deactivate(options):
    path = f"/v2/images/{options.image}/actions/deactivate"
    Lab(options.dir).glance(options.cloud, "POST", path)


def describe(options):
    """Glance verifies the signature of what is uploaded, if it has one by then; not what is signed later."""
    changes = [{"op": "add", "path": "/" + key, "value": value}
               for key, value in (text.split("=", 1) for text in options.property)]
    content = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    Lab(options.dir).glance(options.cloud, "PATCH", f"/v2/images/{options.image}", changes, content)


def token(options):
    print(services.token(Lab(options.dir), options.cloud))


def corrupt(options):
    """Flips the lowest bit of the byte in the middle, which leaves headers and sizes alone."""
    with open(Lab(options.dir).path("data", "glance", "images", options.image), "r+b") as f:
        middle = os.fstat(f.fileno()).st_size // 2
        f.seek(middle)
        byte = f.read(1)
        f.seek(middle)
        f.write(bytes([byte[0] ^ 1]))


def unhash(options):
    connection = sqlite3.connect(Lab(options.dir).path("db", "glance.sqlite"))
    connection.execute("UPDATE images SET checksum = NULL, os_hash_algo = NULL, os_hash_value = NULL"
                       " WHERE id = ?", (options.image,))
    connection.commit()
    connection.close()


def aggregate(options):
    lab = Lab(options.dir)
    body = {"name": options.name, "availability_zone": options.zone}
    made = lab.nova("POST", "/os-aggregates", {"aggregate": body})["aggregate"]
    for host in options.hosts:
        path = f"/os-aggregates/{made['id']}/action"
        made = lab.nova("POST", path, {"add_host": {"host": host}})["aggregate"]
    print(json.dumps(made))


def compute(options):
    lab = Lab(options.dir)
    found = lab.nova("GET", f"/os-services?binary=nova-compute&host={options.host}")["services"]
    if not found:
        raise Failed(f"{lab.dir} has no compute host {options.host}")
    body = {key: value for key, value in (
        ("status", "disabled" if options.disable is not None else options.status),
        ("disabled_reason", options.disable or None),
        ("forced_down", options.forced_down)) if value is not None}
    print(json.dumps(lab.nova("PUT", f"/os-services/{found[0]['id']}", body)))


def install(venv):
    """Idempotent, and safe when several tests do it at once."""
    here = os.path.dirname(os.path.abspath(__file__))
    constraints = os.path.join(here, "constraints.txt")
    digest = hashlib.sha256()
    for name in sorted(os.listdir(here)):
        if name.endswith((".py", ".txt")):
            with open(os.path.join(here, name), "rb") as f:
                digest.update(f.read())
    wanted = digest.hexdigest()
    stamp = os.path.join(venv, "lab.stamp")
    os.makedirs(os.path.dirname(os.path.abspath(venv)), exist_ok=True)
    with open(venv.rstrip("/") + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(stamp):
            with open(stamp) as f:
                if f.read() == wanted:
                    return
        make_venv(venv)
        log = os.path.join(venv, "lab-pip.log")
        with open(log, "ab") as out:
            command = [os.path.join(venv, "bin", "python"), "-m", "pip", "install",
                       "--disable-pip-version-check", "--no-input", "-c", constraints]
            status = subprocess.run(command + services.PACKAGES, stdin=subprocess.DEVNULL,
                                    stdout=out, stderr=out).returncode
        if status:
            raise Failed(f"pip install failed with status {status}; see {log}")
        shutil.rmtree(template(venv), ignore_errors=True)
        os.makedirs(template(venv), mode=0o700)
        Lab(template(venv)).make_databases(venv)
        with open(stamp, "w") as f:
            f.write(wanted)


def template(venv):
    """Where an installation keeps the databases that a new lab begins with: making them takes 15 s."""
    return os.path.join(venv, "lab-template")


def make_venv(venv):
    if os.path.exists(os.path.join(venv, "bin", "pip")):
        return
    try:
        import ensurepip  # noqa: F401  Debian and Ubuntu leave it out of python3
        import venv as module  # noqa: F401
    except ImportError:
        raise Failed("this python3 cannot make virtualenvs; install the package python3-venv") from None
    if subprocess.run([sys.executable, "-m", "venv", venv]).returncode:
        raise Failed(f"python3 -m venv {venv} failed; install the package python3-venv")


def free_ports(names):
    """All are held while they are chosen, so that no two are the same."""
    held = {name: socket.socket() for name in names}
    for one in held.values():
        one.bind(("127.0.0.1", 0))
    ports = {name: one.getsockname()[1] for name, one in held.items()}
    for one in held.values():
        one.close()
    return ports


BASE_SERVICES = [services.Keystone, services.Glance]
ALL_SERVICES = [*BASE_SERVICES, novas.Placement, novas.Nova]
SERVICE_TYPES = {"glance": "image", "placement": "placement", "nova": "compute"}

# `X-manage` costs 2 to 3 s of imports: the real entry point is imported once, and each command is a
# forked child of it.
MANAGE = """
import importlib, json, os, sys
main = importlib.import_module(sys.argv[1])
for argv in json.loads(sys.argv[2]):
    print("$", *argv, flush=True)
    pid = os.fork()
    if not pid:
        sys.argv = argv
        sys.exit(main.main())
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        sys.exit(f"{argv[0]} exited with {status}")
"""


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(function, *positional):
        sub = commands.add_parser(function.__name__)
        sub.set_defaults(function=function)
        for name in positional:
            sub.add_argument(name, type=int if name == "pid" else str)
        return sub

    commands.add_parser("install").add_argument("venv")
    for starts in (command(run, "dir"), command(up, "dir")):
        starts.add_argument("--venv", required=True)
        starts.add_argument("--glance-server", choices=["uwsgi", "eventlet"], default="uwsgi",
                            help="eventlet keeps a connection open when a file is cut short")
        starts.add_argument("--token-expiration", type=int, default=14400, metavar="SECONDS")
        starts.add_argument("--page-images", type=int, default=1000, metavar="N",
                            help="Glance lists no more in one answer")
        starts.add_argument("--tls", action="store_true",
                            help="Keystone and Glance by https, for clients that know its CA")
        starts.add_argument("--nova-hosts", type=lambda text: text.split(","), default=[],
                            metavar="A,B,C", help="also Nova's API, with these compute hosts")
        if starts.get_default("function") is up:
            starts.add_argument("--guard-pid", type=int, help="stop when this process is gone")
            starts.add_argument("--anew", action="store_true",
                                help="if it is not up, begin with nothing in DIR")
    command(guard, "dir", "pid")
    command(down, "dir")
    for makes in (command(upload, "dir", "file"), command(create, "dir")):
        makes.add_argument("--cloud", choices=services.CLOUDS, default="lab-demo")
        makes.add_argument("--name", required=True)
        makes.add_argument("--disk-format", default="raw")
        makes.add_argument("--container-format", default="bare")
        makes.add_argument("--visibility", default="private")
        makes.add_argument("--tag", action="append", default=[])
        makes.add_argument("--property", action="append", default=[], metavar="KEY=VALUE")
        if makes.get_default("function") is create:
            makes.add_argument("--count", type=int)
        else:
            makes.add_argument("--store", choices=["file", "second"])
    describes = command(describe, "dir", "image")
    describes.add_argument("--cloud", choices=services.CLOUDS, default="lab-demo")
    describes.add_argument("--property", action="append", required=True, metavar="KEY=VALUE")
    for speaks in (command(deactivate, "dir", "image"), command(token, "dir")):
        speaks.add_argument("--cloud", choices=services.CLOUDS, default="lab-demo")
    command(corrupt, "dir", "image")
    command(unhash, "dir", "image")
    groups = command(aggregate, "dir", "name")
    groups.add_argument("hosts", nargs="*", metavar="HOST")
    groups.add_argument("--zone")
    states = command(compute, "dir", "host").add_mutually_exclusive_group(required=True)
    states.add_argument("--disable", nargs="?", const="", metavar="REASON")
    states.add_argument("--enable", dest="status", action="store_const", const="enabled")
    states.add_argument("--down", dest="forced_down", action="store_const", const=True)
    states.add_argument("--up", dest="forced_down", action="store_const", const=False)
    return parser.parse_args()


def main():
    if sys.version_info < (3, 10):
        sys.exit("lab.py: python3 >= 3.10 is needed")
    options = parse_arguments()
    try:
        if options.command == "install":
            install(os.path.abspath(options.venv))
        else:
            options.function(options)
    except (Failed, OSError, http.client.HTTPException) as error:
        sys.exit(f"lab.py: {error}")


if __name__ == "__main__":
    main()
