#!/usr/bin/env python3
"""Runs Nova's own code over the image cache of a node that has no Nova running: neither libvirt nor a
database is needed. Run by the python of the lab's virtualenv, with the node's nova.conf.

  nova_cache.py use NOVA_CONF IMAGE_ID       cache_image, Qcow2.cache and Flat.cache of the image
  nova_cache.py make NOVA_CONF IMAGE_ID FILE --disk-format F
                                             what Nova would have made of FILE, the bytes in Glance, in
                                             the cache of a node that does not have it
  nova_cache.py age NOVA_CONF [--used ID]    one pass of the image cache manager
  nova_cache.py hold NOVA_CONF IMAGE_ID      holds Nova's lock of the image until it is killed
  nova_cache.py serve                        reads such commands, each a line with a JSON array, and runs
                                             each in a process of its own: the imports take seconds.
                                             ["release"] ends the one that holds a lock

Prints one JSON object for each command. Whatever asks Glance for bytes fails, and says so.
"""
import argparse
import hashlib
import json
import logging
import os
import shutil
import signal
import sys

sys.dont_write_bytecode = True

import nova.conf
from nova import context as nova_context
from nova import objects, utils
import nova.privsep
from nova.virt import images
from nova.virt.libvirt import driver, imagebackend, imagecache

CONF = nova.conf.CONF


class AskedGlance(Exception):
    """Nova did not find the image in its cache."""


class NoGlance:
    """In place of Nova's client: has bytes only where the test says what they are."""

    def __init__(self, file=None, disk_format=None):
        self.file = file
        self.disk_format = disk_format

    def get(self, _context, image_id, **_options):
        return {"id": image_id, "disk_format": self.disk_format}

    def download(self, _context, image_id, dest_path=None, **_options):
        if self.file is None:
            raise AskedGlance(image_id)
        shutil.copyfile(self.file, dest_path)


def base_file(image_id):
    return os.path.join(CONF.instances_path, CONF.image_cache.subdirectory_name,
                        imagecache.get_cache_fname(image_id))


def libvirt_driver():
    # Its __init__ needs a hypervisor; cache_image does not.
    return driver.LibvirtDriver.__new__(driver.LibvirtDriver)


def use(options):
    """As a boot does it, with each backend, and as `openstack aggregate cache image` does it."""
    images.IMAGE_API = NoGlance()
    context = nova_context.get_admin_context()
    base = base_file(options.image)
    result = {"base": base}
    instance = os.path.join(CONF.instances_path, "instance-of-the-test")
    for backend in (imagebackend.Qcow2, imagebackend.Flat):
        os.makedirs(instance)
        disk = os.path.join(instance, "disk")
        try:
            image = backend(path=disk)
            image.cache(fetch_func=fail_to_fetch, filename=os.path.basename(base), size=None,
                        context=context, image_id=options.image)
            info = images.qemu_img_info(disk)
            result[backend.__name__.lower()] = {
                "format": info.file_format, "backing_file": info.backing_file,
                "virtual_size": info.virtual_size}
        except AskedGlance:
            result[backend.__name__.lower()] = "asked Glance"
        finally:
            shutil.rmtree(instance)
    try:
        cached = libvirt_driver().cache_image(context, options.image)
        result["cache_image"] = "cached" if cached else "existing"
    except AskedGlance:
        result["cache_image"] = "asked Glance"
    return result


def fail_to_fetch(target, **_options):
    raise AskedGlance(target)


def make(options):
    images.IMAGE_API = NoGlance(options.file, options.disk_format)
    libvirt_driver().cache_image(nova_context.get_admin_context(), options.image)
    return {"base": base_file(options.image)}


def age(options):
    objects.BlockDeviceMappingList.bdms_by_instance_uuid = lambda _context, _uuids: {}
    instances = [objects.Instance(uuid="00000000-0000-4000-8000-000000000001", id=1, host=CONF.host,
                                  image_ref=image, kernel_id=None, ramdisk_id=None, task_state=None,
                                  vm_state="active") for image in options.used]
    imagecache.ImageCacheManager().update(nova_context.get_admin_context(), instances)
    return {"left": sorted(os.listdir(os.path.join(
        CONF.instances_path, CONF.image_cache.subdirectory_name)))}


def hold(options):
    name = imagecache.get_cache_fname(options.image)

    @utils.synchronized(name, external=True, lock_path=os.path.join(CONF.instances_path, "locks"))
    def held():
        print(json.dumps({"held": name}), flush=True)
        while True:
            signal.pause()

    held()


def serve(_options):
    holder = None
    for line in sys.stdin:
        arguments = json.loads(line)
        if arguments == ["release"]:
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)
            print("{}", flush=True)
            continue
        pid = os.fork()
        if not pid:
            run(parse_arguments(arguments))
            os._exit(0)
        if arguments[0] == "hold":
            holder = pid
        elif os.waitpid(pid, 0)[1]:
            print(json.dumps({"failed": line}), flush=True)


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(function, *positional):
        sub = commands.add_parser(function.__name__)
        sub.set_defaults(function=function)
        for name in positional:
            sub.add_argument(name)
        return sub

    command(use, "nova_conf", "image")
    command(make, "nova_conf", "image", "file").add_argument("--disk-format", required=True)
    command(age, "nova_conf").add_argument("--used", action="append", default=[])
    command(hold, "nova_conf", "image")
    command(serve)
    return parser.parse_args(arguments)


def run(options):
    CONF([], project="nova", default_config_files=[options.nova_conf], default_config_dirs=[])
    objects.register_all()
    # Privileged calls run in this process: there is no daemon, and nothing here needs more rights.
    nova.privsep.sys_admin_pctxt.set_client_mode(False)
    print(json.dumps(options.function(options)), flush=True)


def main():
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    options = parse_arguments()
    if options.function is serve:
        serve(options)
    else:
        run(options)


if __name__ == "__main__":
    main()
