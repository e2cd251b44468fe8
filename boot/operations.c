/* SPDX-License-Identifier: MIT */
/* What the monitor can do: see struct monitor_ops. It runs in the service thread, as boot/vms.c does. */
#include "boot/operations.h"

#include "arch/cpu/percpu.h"
#include "arch/mem/memory.h"
#include "boot/placement.h"
#include "boot/screens.h"
#include "boot/vms.h"
#include "core/load/config.h"
#include "core/observe/statistics.h"
#include "core/observe/trace.h"
#include "core/sched.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "dev/net/switch.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"

static bool describe_vm(unsigned i, struct monitor_vm *info)
{
	const struct vm_config *config = vms_config(i);
	struct vm_result result;

	*info = (struct monitor_vm) {
		.state = vms_state(i), .vcpus = config->vcpus, .memory = config->memory, .uptime_s = vms_uptime_s(i),
	};
	str_copy(info->name, config->name, sizeof(info->name));
	vms_result(i, &result);
	info->has_result = result.given;
	info->result = result.status;
	str_copy(info->result_text, result.text, sizeof(info->result_text));
	return true;
}

static int pause_vm(unsigned i)
{
	return vms_get(i) && vm_pause(vms_get(i)) ? 0 : -EINVAL;
}

static int resume_vm(unsigned i)
{
	return vms_get(i) && vm_resume(vms_get(i)) ? 0 : -EINVAL;
}

/* The vCPUs go on meanwhile: their numbers may be some exits apart. */
static void stats(unsigned i)
{
	struct vm *vm = vms_get(i);

	for (u32 n = 0; vm && n < vm->vcpu_count; n++)
		statistics_print(vm->vcpus[n], true);
}

static void trace(unsigned i)
{
	if (vms_get(i))
		trace_print(vms_get(i), TRACE_ON_REQUEST);
}

static void dump(unsigned i)
{
	if (!vms_get(i))
		return;
	vm_dump(vms_get(i));
	trace_print(vms_get(i), TRACE_ON_ERROR);
}

/* A vCPU is destroyed in this thread only. */
static void describe_work(const struct percpu *cpu, char *words, size_t size)
{
	const struct vcpu *running = READ_ONCE(cpu->running);
	const char *why = placement_leaves_out(cpu);

	if (!cpu->sched)
		snprintf(words, size, "not used");
	else if (why)
		snprintf(words, size, "%s", why);
	else if (running)
		snprintf(words, size, "%s/%u", running->vm->name, running->id);
	else
		snprintf(words, size, "idle");
}

static bool cpu_info(unsigned i, struct monitor_cpu *info)
{
	const struct percpu *cpu = percpu_get(i);
	u64 busy, idle;

	sched_load(cpu, &busy, &idle);
	*info = (struct monitor_cpu) {
		.index = i, .apic_id = cpu->apic_id,
		.load = busy + idle ? (u32)(busy / ((busy + idle) / 100 + 1)) : 0,
	};
	describe_work(cpu, info->runs, sizeof(info->runs));
	return true;
}

static void mem(struct monitor_mem *info)
{
	struct memory_stats stats;

	memory_stats(&stats);
	*info = (struct monitor_mem) {
		.total = stats.total, .guests = stats.total - stats.pool - stats.guest_free,
		.pool = stats.pool, .pool_used = stats.pool_used,
	};
	for (u32 i = 0; i < vms_count(); i++)
		info->disks += disks_memory(vms_config(i));
}

static int screen(unsigned i, struct textscreen *screen)
{
	return vms_get(i) ? screen_read(vms_get(i), screen) : -EINVAL;
}

static bool disk_info(unsigned i, unsigned disk, struct disk_info *info)
{
	return disks_info(vms_config(i), disk, info);
}

static int disk_reset(unsigned i, unsigned disk)
{
	return disks_reset(vms_config(i), disk);
}

_Static_assert(NET_DROPS <= MONITOR_NET_DROPS, "a place for each reason");

static bool net_info(unsigned port, struct monitor_net *info)
{
	struct net_port_info from;

	if (!net_port_describe(port, &from))
		return false;
	*info = (struct monitor_net) {
		.network = from.network, .vm = from.vm, .index = from.index, .trunk = from.trunk, .up = from.open,
		.broken = from.broken, .queues = from.queues, .received_frames = from.received_frames, .received_bytes = from.received_bytes,
		.sent_frames = from.sent_frames, .sent_bytes = from.sent_bytes,
	};
	memcpy(info->mac, from.mac, sizeof(info->mac));
	for (unsigned i = 0; i < NET_DROPS; i++) {
		info->drops[i].reason = net_drop_names[i];
		info->drops[i].count = from.drops[i];
	}
	return true;
}

const struct monitor_ops operations = {
	.vm_count = vms_count, .vm_info = describe_vm,
	.start = vms_start, .stop = vms_stop, .pause = pause_vm, .resume = resume_vm, .reset = vms_reset,
	.cpu_count = percpu_count, .cpu_info = cpu_info,
	.stats = stats, .trace = trace, .dump = dump, .mem = mem, .screen = screen,
	.disk_info = disk_info, .disk_reset = disk_reset,
	.net_count = net_port_count, .net_info = net_info,
};
