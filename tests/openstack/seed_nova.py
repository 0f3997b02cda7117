"""Run by the lab in its virtualenv: seed_nova.py NOVA.CONF HOST.. records each host as a compute
host whose service has just reported, with Nova's own objects; prints {host: uuid of its node}."""
import json
import sys
import uuid

from nova import config, context, exception, objects


def service_of(cell, host):
    service = objects.Service.get_by_host_and_binary(cell, host, "nova-compute")
    if service is None:
        service = objects.Service(cell, host=host, binary="nova-compute", topic="compute",
                                  report_count=1, disabled=False)
        service.create()
    service.report_count += 1  # a heartbeat: sets last_seen_up
    service.save()
    return service


def node_of(cell, host, service):
    try:
        return objects.ComputeNodeList.get_all_by_host(cell, host)[0]
    except exception.ComputeHostNotFound:
        pass
    node = objects.ComputeNode(
        cell, uuid=str(uuid.uuid4()), service_id=service.id, host=host, hypervisor_hostname=host,
        host_ip="127.0.0.1", hypervisor_type="QEMU", hypervisor_version=8002000, cpu_info="{}",
        vcpus=8, vcpus_used=0, memory_mb=16384, memory_mb_used=512, free_ram_mb=15872,
        local_gb=100, local_gb_used=0, free_disk_gb=100, disk_available_least=100,
        current_workload=0, running_vms=0, cpu_allocation_ratio=4.0, ram_allocation_ratio=1.0,
        disk_allocation_ratio=1.0, mapped=1)
    node.create()
    return node


def map_host(admin, cell_mapping, host):
    try:
        objects.HostMapping.get_by_host(admin, host)
    except exception.HostMappingNotFound:
        objects.HostMapping(admin, host=host, cell_mapping=cell_mapping).create()


def main():
    config_file, hosts = sys.argv[1], sys.argv[2:]
    config.parse_args(["seed", "--config-file", config_file], default_config_files=[config_file])
    objects.register_all()
    admin = context.get_admin_context()
    cell1 = next(cell for cell in objects.CellMappingList.get_all(admin) if cell.name == "cell1")
    uuids = {}
    with context.target_cell(admin, cell1) as cell:
        for host in hosts:
            uuids[host] = node_of(cell, host, service_of(cell, host)).uuid
            map_host(admin, cell1, host)
    print(json.dumps(uuids))


main()
