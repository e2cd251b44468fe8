/* SPDX-License-Identifier: MIT */
/* Switches and their ports. */
#include "dev/net/switch.h"

#include "core/vm_alloc.h"
#include "core/vm_log.h"
#include "dev/net/ring.h"
#include "lib/string.h"

#define VM_NAME_MOST 24u

/*
 * What a port is found by, as one number: the address in the low 48 bits, its first byte highest, the switch above it,
 * and the highest bit of a trunk. 0: a free slot. Atomic; the service thread writes it.
 */
#define KEY_SWITCH_SHIFT 48
#define KEY_TRUNK	 BIT_ULL(63)
#define KEY_ADDRESS	 (BIT_ULL(KEY_SWITCH_SHIFT) - 1)
#define KEY_SWITCH	 (~KEY_ADDRESS & ~KEY_TRUNK)
static u64 keys[NET_PORTS];
static u32 slots_used;		/* atomic: those that were ever taken are below */

struct net_port {
	/* Constant while the slot is taken; the service thread writes them. */
	char vm[VM_NAME_MOST];
	u32 index;		/* of the VM's ports */
	u64 key;
	struct vm *owner;	/* for the log: used by the owner only */
	void (*wake)(void *device);
	void *device;
	struct vm_end_hook end;
	/* ring.h says who may access what. `wake` and `device` are used between reserve and leave. */
	struct net_ring ring;
	/* Lock of the owner's device. */
	bool broken;
	u32 last;		/* the slot that the last unicast frame went to */
	u32 queues;
	u64 received_frames, received_bytes, sent_frames, sent_bytes;
	/* Atomic: a full ring is counted by the senders. */
	u64 drops[NET_DROPS];
} __aligned(64);
static struct net_port ports[NET_PORTS];

/* Names of the switches, by number from 1. The service thread. They stay: there are no more than ports in the configuration. */
static char switches[NET_PORTS + 1][NET_NAME_SIZE];

const char *const net_drop_names[NET_DROPS] = {
	[NET_DROP_FULL] = "full", [NET_DROP_SHORT] = "short", [NET_DROP_FILTERED] = "filtered",
	[NET_DROP_DOWN] = "down", [NET_DROP_UNKNOWN] = "unknown", [NET_DROP_SOURCE] = "source",
	[NET_DROP_INVALID] = "invalid",
};

/* --- slots, in the service thread --- */

static u64 address(const u8 *mac)
{
	u64 value = 0;

	for (u32 i = 0; i < 6; i++)
		value = value << 8 | mac[i];
	return value;
}

/* 0: no number is left. */
static u32 switch_number(const char *name)
{
	for (u32 i = 1; i <= NET_PORTS; i++) {
		if (!switches[i][0])
			str_copy(switches[i], name, NET_NAME_SIZE);
		if (!strcmp(switches[i], name))
			return i;
	}
	return 0;
}

static const char *network_name(const struct net_port *port)
{
	return switches[(port->key & KEY_SWITCH) >> KEY_SWITCH_SHIFT];
}

static void give_up(struct vm_end_hook *hook)
{
	struct net_port *port = container_of(hook, struct net_port, end);

	__atomic_store_n(&keys[port - ports], 0, __ATOMIC_RELEASE);
	net_ring_close(&port->ring);
	port->key = 0;
	port->owner = NULL;
	port->device = NULL;
}

/* NULL: no slot is left, or another port has the address. Both are logged. */
static struct net_port *find_slot(struct vm *vm, u64 key, const struct vm_net_config *config)
{
	struct net_port *port = NULL;

	for (u32 i = NET_PORTS; i-- > 0; ) {
		if (!ports[i].key) {
			port = &ports[i];
		} else if (!((ports[i].key ^ key) & ~KEY_TRUNK)) {
			vm_error(vm, "net=%s: the port of VM %s has the same address", config->name, ports[i].vm);
			return NULL;
		}
	}
	if (!port)
		vm_error(vm, "net=%s: all %u ports are taken", config->name, NET_PORTS);
	return port;
}

static void reset_counters(struct net_port *port)
{
	port->last = port->queues = 0;
	port->received_frames = port->received_bytes = port->sent_frames = port->sent_bytes = 0;
	for (u32 i = 0; i < NET_DROPS; i++)
		__atomic_store_n(&port->drops[i], 0, __ATOMIC_RELAXED);
}

struct net_port *net_port_create(struct vm *vm, u32 index, const struct vm_net_config *config,
				 void (*wake)(void *device), void *device)
{
	u32 network = switch_number(config->name);
	u64 key = address(config->mac) | (u64)network << KEY_SWITCH_SHIFT | (config->trunk ? KEY_TRUNK : 0);
	struct net_port *port = network ? find_slot(vm, key, config) : NULL;
	void *data = port ? vm_alloc(vm, NET_RING_SIZE) : NULL;
	u32 i = (u32)(port - ports);

	if (!data) {
		if (!network)
			vm_error(vm, "net=%s: there are %u other switches, and room for no more", config->name, NET_PORTS);
		else if (port)
			vm_error(vm, "net=%s: the hypervisor's own memory is used up", config->name);
		return NULL;
	}
	net_ring_init(&port->ring, data, NET_RING_SIZE);
	str_copy(port->vm, vm_name(vm), sizeof(port->vm));
	reset_counters(port);
	port->broken = false;
	port->index = index;
	port->key = key;
	port->owner = vm;
	port->wake = wake;
	port->device = device;
	port->end.run = give_up;
	vm_at_end(vm, &port->end);
	if (slots_used <= i)
		__atomic_store_n(&slots_used, i + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&keys[i], key, __ATOMIC_RELEASE);
	return port;
}

void net_port_open(struct net_port *port)
{
	port->broken = false;
	net_ring_open(&port->ring);
}

void net_port_close(struct net_port *port)
{
	net_ring_close(&port->ring);
	port->queues = 0;
	port->broken = false;
}

void net_port_break(struct net_port *port)
{
	net_port_close(port);
	port->broken = true;
}

void net_port_mac(const struct net_port *port, u8 *mac)
{
	for (u32 i = 0; i < 6; i++)
		mac[i] = (u8)(port->key >> (40 - 8 * i));
}

void net_port_set_queues(struct net_port *port, u32 queues)
{
	port->queues = queues;
}

/* --- sending --- */

static void count_drop(struct net_port *port, enum net_drop reason)
{
	__atomic_add_fetch(&port->drops[reason], 1, __ATOMIC_RELAXED);
}

void net_port_drop(struct net_port *port, enum net_drop reason)
{
	count_drop(port, reason);
}

/* Fill in the record. False: the frame is not what it was when its sender looked at it, or what its header says. */
static bool copy_frame(struct net_record *record, const struct net_frame *frame)
{
	u32 rest = frame->length - frame->head_length;
	u32 payload = 0;

	memcpy(record->frame, frame->head, frame->head_length);
	if (rest && frame->read(frame->source, frame->head_length, record->frame + frame->head_length, rest) != rest)
		return false;
	record->offload = frame->offload;
	if (frame->offload.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		payload = net_segment_check(&frame->offload, record->frame, frame->length);
		if (!payload)
			return false;
		/* No driver has to get it right, but a device should: "Processing of Incoming Packets". */
		record->offload.hdr_len = (u16)payload;
	}
	record->payload = (u16)payload;
	return true;
}

/* To the port that had this key when the caller looked. */
static void deliver(struct net_port *from, u32 slot, u64 key, const struct net_frame *frame)
{
	struct net_port *to = &ports[slot];
	struct net_record *record;
	bool good;

	switch (net_ring_reserve(&to->ring, frame->length, &record)) {
	case NET_RING_CLOSED:
		count_drop(from, NET_DROP_DOWN);
		return;
	case NET_RING_FULL:
		count_drop(to, NET_DROP_FULL);
		return;
	case NET_RING_OK:
		break;
	}
	/* An open ring's port keeps its slot; another one may have taken it since the caller looked. */
	good = to->key == key && copy_frame(record, frame);
	if (!good)
		count_drop(from, to->key == key ? NET_DROP_INVALID : NET_DROP_DOWN);
	net_ring_commit(record, good);
	/* Also where it is skipped: it takes room until the receiver looks, and has held up those behind it. */
	to->wake(to->device);
	net_ring_leave(&to->ring);
}

static u64 key_of(u32 slot)
{
	return __atomic_load_n(&keys[slot], __ATOMIC_ACQUIRE);
}

/* To the ports whose keys have these values of these bits. Returns their number. */
static u32 deliver_to_all(struct net_port *from, u64 value, u64 mask, const struct net_frame *frame)
{
	u32 count = 0, end = __atomic_load_n(&slots_used, __ATOMIC_ACQUIRE);

	for (u32 i = 0; i < end; i++) {
		u64 key = key_of(i);

		if ((key & mask) != value || &ports[i] == from)
			continue;
		deliver(from, i, key, frame);
		count++;
	}
	return count;
}

/* The slot with this address in this switch, NET_PORTS: none. */
static u32 find_address(struct net_port *from, u64 wanted)
{
	u32 end = __atomic_load_n(&slots_used, __ATOMIC_ACQUIRE);

	if ((key_of(from->last) & ~KEY_TRUNK) == wanted)
		return from->last;
	for (u32 i = 0; i < end; i++) {
		if ((key_of(i) & ~KEY_TRUNK) == wanted) {
			from->last = i;
			return i;
		}
	}
	return NET_PORTS;
}

static u32 send_unicast(struct net_port *port, u64 to, const struct net_frame *frame)
{
	u64 network = port->key & KEY_SWITCH;
	u32 slot = find_address(port, network | to), count = 0;

	if (slot == NET_PORTS) {
		count = deliver_to_all(port, network | KEY_TRUNK, KEY_SWITCH | KEY_TRUNK, frame);
	} else if (&ports[slot] != port) {
		deliver(port, slot, key_of(slot), frame);
		count = 1;
	}
	if (!count)
		count_drop(port, NET_DROP_UNKNOWN);
	return count;
}

/* False, and counted: the port may not send from that address. */
static bool may_send_from(struct net_port *port, const u8 *mac)
{
	if ((port->key & KEY_TRUNK) || address(mac) == (port->key & KEY_ADDRESS))
		return true;
	count_drop(port, NET_DROP_SOURCE);
	if (vm_once(port->owner, ONCE_OTHER, (u64)(uintptr_t)port))
		vm_warn(port->owner, "net=%s: frames from addresses that are not the port's are dropped, such as %02x:%02x:%02x:%02x:%02x:%02x; "
			"trunk permits them", network_name(port), mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return false;
}

u32 net_port_send(struct net_port *port, const struct net_frame *frame)
{
	if (frame->length < NET_HEADER || frame->head_length < NET_HEADER) {
		count_drop(port, NET_DROP_INVALID);
		return 0;
	}
	if (!may_send_from(port, frame->head + 6))
		return 0;
	port->sent_frames++;
	port->sent_bytes += frame->length;
	/* The group bit: the lowest of the first byte. */
	if (frame->head[0] & 1)
		return deliver_to_all(port, port->key & KEY_SWITCH, KEY_SWITCH, frame);
	return send_unicast(port, address(frame->head), frame);
}

/* --- receiving --- */

struct net_record *net_port_first(struct net_port *port)
{
	return net_ring_first(&port->ring);
}

void net_port_release(struct net_port *port, const struct net_record *record)
{
	net_ring_release(&port->ring, record);
}

void net_port_count_received(struct net_port *port, u32 length)
{
	port->received_frames++;
	port->received_bytes += length;
}

/* --- reports --- */

u32 net_port_count(void)
{
	return slots_used;
}

bool net_port_describe(u32 i, struct net_port_info *info)
{
	const struct net_port *port = &ports[i];

	if (!port->key)
		return false;
	*info = (struct net_port_info) {
		.network = network_name(port), .vm = port->vm, .index = port->index,
		.trunk = port->key & KEY_TRUNK, .open = READ_ONCE(port->ring.open), .broken = READ_ONCE(port->broken),
		.queues = READ_ONCE(port->queues),
		.received_frames = READ_ONCE(port->received_frames), .received_bytes = READ_ONCE(port->received_bytes),
		.sent_frames = READ_ONCE(port->sent_frames), .sent_bytes = READ_ONCE(port->sent_bytes),
	};
	net_port_mac(port, info->mac);
	for (u32 n = 0; n < NET_DROPS; n++)
		info->drops[n] = READ_ONCE(port->drops[n]);
	return true;
}
