"""Runs the settings of clouds through the `openstack` command's own code and through glancecast, and prints what each
asks of Keystone and of Glance.

    settings.py GLANCECAST DIR < VARIANTS > RESULTS

VARIANTS has a JSON object a line: `files` (path below the home directory -> text), `environ`, and `arguments` for both
programs (`--os-cloud`, `--os-region-name`). In all of them @URL@ and @TLS@ stand for the cloud's address, and @DIR@ for
the directory with the certificates. RESULTS has a JSON object a line: `openstack` and `glancecast`, each an object with
`asked` (the log-in, the client certificate, the path of Glance) or `refused` (why).

The command's code is osc-lib's: its options with their variables, `OSC_Config`, and keystoneauth1's session, as
`osc_lib/shell.py` uses them. The cloud is a script that takes every log-in, and records it.
"""
import datetime
import http.server
import importlib
import ipaddress
import json
import os
import shutil
import ssl
import subprocess
import sys
import threading
import traceback

GLANCECAST_SECONDS = 30
REGIONS = ["R1", "R2", "7"]
INTERFACES = ["public", "internal", "admin"]


class Cloud(http.server.BaseHTTPRequestHandler):
    """Keystone below any path that ends in /v3, and a Glance for each region and interface."""

    protocol_version = "HTTP/1.1"
    asked = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Cloud.asked.append({"login": self.path, "certificate": self.certificate(), **body})
        base = self.base()
        endpoints = [{"id": f"{region}-{interface}", "interface": interface, "region": region, "region_id": region,
                      "url": f"{base}/glance/{region}/{interface}"}
                     for region in REGIONS for interface in INTERFACES]
        domain = {"id": "default", "name": "Default"}
        self.answer(201, {"token": {
            "methods": ["password"], "user": {"id": "u", "name": "u", "domain": domain},
            "project": {"id": "p", "name": "p", "domain": domain}, "roles": [{"id": "r", "name": "member"}],
            "issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": "2099-01-01T00:00:00.000000Z",
            "catalog": [{"id": "g", "type": "image", "name": "glance", "endpoints": endpoints}]}},
            {"X-Subject-Token": "token"})

    def do_GET(self):
        path = self.path.split("?")[0]
        if path.endswith("/images"):
            Cloud.asked.append({"glance": path, "token": self.headers["X-Auth-Token"]})
            self.answer(200, {"images": []})
        elif "/glance/" in path:
            self.answer(200, {"versions": [self.version("v2.9", path.rstrip("/").removesuffix("/v2") + "/v2/")]})
        elif path.rstrip("/").endswith("/v3"):
            self.answer(200, {"version": self.version("v3.14", path.rstrip("/") + "/")})
        else:
            self.answer(300, {"versions": {"values": [self.version("v3.14", path.rstrip("/") + "/v3/")]}})

    def version(self, name, path):
        return {"id": name, "status": "CURRENT" if "2" in name else "stable",
                "links": [{"rel": "self", "href": self.base() + path}]}

    def base(self):
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self.server.server_address[1]}"

    def certificate(self):
        peer = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        return dict(pair for part in peer["subject"] for pair in part)["commonName"] if peer else None

    def answer(self, status, body, headers={}):
        body = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    server.daemon_threads = True
    if context:
        # The handshake is the connection's, so that one that fails does not hold the others up.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"{'https' if context else 'http'}://127.0.0.1:{server.server_address[1]}"


def certificates(directory):
    """A CA (ca.pem, and the directory `cas` in OpenSSL's form), a server and a client certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)

    def make(name, issuer, issuer_key, is_ca):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=1))
                   .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
                   .add_extension(address, critical=False))
        certificate = builder.sign(issuer_key or key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                   serialization.NoEncryption())
        return subject, key, pem, secret

    def write(name, data):
        with open(os.path.join(directory, name), "wb") as file:
            file.write(data)

    authority, authority_key, ca, _ = make("lab CA", None, None, True)
    _, _, server, server_key = make("127.0.0.1", authority, authority_key, False)
    _, _, client, client_key = make("operator", authority, authority_key, False)
    write("ca.pem", ca)
    write("server.pem", server + server_key)
    write("client.pem", client)
    write("client.key", client_key)
    write("both.pem", client_key + client)
    os.makedirs(os.path.join(directory, "cas"), exist_ok=True)
    openssl = shutil.which("openssl")
    digest = subprocess.run([openssl, "x509", "-hash", "-noout", "-in", os.path.join(directory, "ca.pem")],
                            stdout=subprocess.PIPE, check=True, text=True).stdout.strip() if openssl else "ca"
    write(f"cas/{digest}.0", ca)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(directory, "server.pem"))
    context.load_verify_locations(os.path.join(directory, "ca.pem"))
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def openstack(arguments):
    """What `openstack image list` does until it asks Glance."""
    from openstack import connection
    from openstack.config import loader
    importlib.reload(loader)  # it fixes its search path when it is imported
    from osc_lib import shell
    from osc_lib.api import auth
    from osc_lib.cli import client_config

    def nobody(prompt=None):
        raise RuntimeError(f"it asks a person: {prompt}")

    client = shell.OpenStackShell(description="openstack", version="0")
    parser = auth.build_auth_plugins_option_parser(client.build_option_parser("openstack", "0"))
    # openstackclient's plugin for Keystone has this one.
    parser.add_argument("--os-identity-api-version", default=os.environ.get("OS_IDENTITY_API_VERSION") or None)
    client.options = parser.parse_args(arguments)
    client._final_defaults()
    auth_type = "admin_token" if client.options.endpoint and client.options.token else "password"
    config = client_config.OSC_Config(
        pw_func=nobody, override_defaults={"interface": "public", "auth_type": auth_type})
    region = config.get_one(cloud=client.options.cloud, argparse=client.options, validate=True)
    auth.check_valid_authentication_options(region, region.config["auth_type"])
    connection.Connection(config=region).image.get("/images")


def glancecast(program, environ, home, arguments):
    done = subprocess.run([program, "images", "--json", *arguments], env=environ, cwd=home, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=GLANCECAST_SECONDS, text=True)
    if done.returncode:
        raise RuntimeError(f"code {done.returncode}: {done.stderr.strip()}")


def result_of(run):
    Cloud.asked.clear()
    try:
        run()
    except (Exception, SystemExit) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return {"refused": f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})"}
    return {"asked": list(Cloud.asked)}


def main(program, directory):
    os.umask(0o022)  # glancecast reads no settings that others may write
    addresses = {"@DIR@": directory, "@URL@": serve(), "@TLS@": serve(certificates(directory))}

    def put(text):
        for name, value in addresses.items():
            text = text.replace(name, value)
        return text

    own = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    for number, line in enumerate(sys.stdin):
        variant = json.loads(line)
        home = os.path.join(directory, f"home-{number}")
        os.makedirs(home, mode=0o755)
        for name, text in variant["files"].items():
            path = os.path.join(home, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", newline="", encoding="utf-8") as file:
                file.write(put(text))
        environ = {**own, "HOME": home, **{name: put(value) for name, value in variant["environ"].items()}}
        os.environ.clear()
        os.environ.update(environ)
        os.chdir(home)
        print(json.dumps({
            "openstack": result_of(lambda: openstack(variant["arguments"])),
            "glancecast": result_of(lambda: glancecast(program, environ, home, variant["arguments"])),
        }), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
