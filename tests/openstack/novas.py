"""Nova's API and Placement for the lab: no scheduler, no conductor and no compute service, but records
of compute hosts that are up for good. Aggregates, services, availability zones and the call that asks
Nova to cache images answer as in a real cloud; nothing can boot, and nothing is cached.
"""
import json
import os
import shutil
import sqlite3
import subprocess

import services
from processes import Failed


class Placement(services.Service):
    """Nova's API will not add a host to an aggregate without it."""

    name = "placement"
    config_environ = "OS_PLACEMENT_CONFIG_DIR"
    config = "placement.conf"

    def configure(self):
        lab = self.lab
        services.write_ini(self.config_file, {
            "DEFAULT": {"log_file": lab.path("log", "placement.log"), "use_stderr": "false"},
            "api": {"auth_strategy": "keystone"},
            "placement_database": services.database(lab, self.name),
            "keystone_authtoken": services.authtoken(lab, self.name),
        })

    def manage_commands(self):
        manage = ["placement-manage", "--config-file", self.config_file]
        return "placement.cmd.manage", [[*manage, "db", "sync"]]

    def command(self):
        return services.uwsgi(self.lab, "placement.wsgi.api", self.name)


class Nova(services.Service):
    name = "nova"
    config_environ = "OS_NOVA_CONFIG_DIR"
    config = "nova.conf"

    def __init__(self, lab):
        super().__init__(lab)
        self.url += "/v2.1"

    def configure(self):
        lab = self.lab
        os.makedirs(lab.path("data", "nova", "locks"), exist_ok=True)
        os.makedirs(self.etc, exist_ok=True)
        # The API looks for its paste file next to its configuration and ignores api_paste_config.
        shutil.copyfile(os.path.join(lab.venv, "etc", "nova", "api-paste.ini"),
                        os.path.join(self.etc, "api-paste.ini"))
        login = services.authtoken(lab, self.name)
        client = {key: login[key] for key in login
                  if not key.startswith("service_token") and key != "www_authenticate_uri"}
        services.write_ini(self.config_file, {
            "DEFAULT": {"log_file": lab.path("log", "nova.log"), "use_stderr": "false",
                        "host": "lab-controller", "my_ip": "127.0.0.1",
                        "state_path": lab.path("data", "nova"), "compute_driver": "fake.FakeDriver",
                        # There are no heartbeats, so hosts seeded as up stay up (ten years). Remote
                        # calls get no answer, so they time out after a second.
                        "service_down_time": 315360000, "transport_url": "fake:///",
                        "rpc_response_timeout": 1, "long_rpc_timeout": 1},
            "database": services.database(lab, CELL1),
            "api_database": services.database(lab, "nova_api"),
            "api": {"auth_strategy": "keystone"},
            "keystone_authtoken": login,
            "glance": {"api_servers": services.Glance(lab).url},
            "placement": client,
            "oslo_concurrency": {"lock_path": lab.path("data", "nova", "locks")},
            "oslo_messaging_notifications": {"driver": "noop"},
        })

    def manage_commands(self):
        manage = ["nova-manage", "--config-file", self.config_file]
        cell = lambda name: services.database(self.lab, name)["connection"]
        return "nova.cmd.manage", [
            [*manage, "api_db", "sync"],
            [*manage, "cell_v2", "map_cell0", "--database_connection", cell(CELL0)],
            [*manage, "db", "sync"],
            [*manage, "cell_v2", "create_cell", "--name", "cell1", "--database_connection",
             cell(CELL1), "--transport-url", "fake:///"],
        ]

    def command(self):
        return services.uwsgi(self.lab, "nova.wsgi.osapi_compute", self.name)


def adopt_cells(lab):
    """Points the record that Nova keeps of its cells' databases at this lab's copies."""
    connection = sqlite3.connect(lab.path("db", "nova_api.sqlite"))
    for name, database in (("cell0", CELL0), ("cell1", CELL1)):
        connection.execute("UPDATE cell_mappings SET database_connection = ? WHERE name = ?",
                           (services.database(lab, database)["connection"], name))
    connection.commit()
    connection.close()


def seed_hosts(lab, hosts):
    """Makes the hosts known to Nova, and to Placement as resource providers; can be repeated."""
    here = os.path.dirname(os.path.abspath(__file__))
    log = lab.path("log", "seed-nova.log")
    command = [lab.bin("python"), "-B", os.path.join(here, "seed_nova.py"), Nova(lab).config_file, *hosts]
    with open(log, "ab") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=out,
                              env=lab.environ({}), cwd=lab.dir)
    if done.returncode:
        raise Failed(f"seeding Nova's hosts failed with status {done.returncode}; see {log}")
    head = {"X-Auth-Token": services.token(lab, "lab-admin"),
            "OpenStack-API-Version": "placement 1.20"}
    for host, uuid in json.loads(done.stdout).items():
        status, _, _ = services.http("POST", Placement(lab).url + "/resource_providers",
                                     {"name": host, "uuid": uuid}, head)
        if status not in (200, 409):
            raise Failed(f"Placement answered {status} to making a provider of {host}")


CELL0 = "nova_cell0"
CELL1 = "nova_cell1"
