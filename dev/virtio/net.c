/* SPDX-License-Identifier: MIT */
/* virtio-net: set-up, configuration, sending. */
#include "dev/virtio/net.h"

#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vm_devices.h"
#include "core/vm_log.h"
#include "dev/virtio/net_control.h"
#include "dev/virtio/net_receive.h"
#include "lib/errno.h"
#include "lib/string.h"

#define CLASS_ETHERNET	   0x020000u
#define DATA_QUEUE_SIZE	   256u
#define CONTROL_QUEUE_SIZE 64u

#define NET_CONFIG_SIZE 12u	/* "Device configuration layout", up to mtu */
#define STATUS_LINK_UP 1u

#define FEATURES											\
	(VIRTIO_NET_F_CSUM | VIRTIO_NET_F_CTRL_GUEST_OFFLOADS | VIRTIO_NET_F_MTU | VIRTIO_NET_F_MAC |	\
	 VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_ECN | VIRTIO_NET_F_HOST_USO | \
	 VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX |	\
	 VIRTIO_NET_F_CTRL_VLAN | VIRTIO_NET_F_CTRL_RX_EXTRA | VIRTIO_NET_GUEST_OFFLOADS)

static struct virtio_net *net_of(struct virtio_device *device)
{
	return (struct virtio_net *)device;
}

/* --- sending --- */

static u16 le16(const u8 *p)
{
	return (u16)(p[0] | p[1] << 8);
}

/* From struct virtio_net_hdr. Flags that drivers must not set are ignored, and so are members that have no meaning. */
static struct net_offload read_header(const u8 *header)
{
	struct net_offload offload = { .flags = header[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = header[1] };

	if (offload.flags) {
		offload.csum_start = le16(header + 6);
		offload.csum_offset = le16(header + 8);
	}
	if (offload.gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		offload.hdr_len = le16(header + 2);
		offload.gso_size = le16(header + 4);
	}
	return offload;
}

static u64 feature_of(u8 gso_type)
{
	switch (gso_type) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return 0;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return VIRTIO_NET_F_HOST_TSO4;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return VIRTIO_NET_F_HOST_TSO6;
	case VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN:
		return VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_ECN;
	case VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN:
		return VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_ECN;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return VIRTIO_NET_F_HOST_USO;
	default:
		return ~0ull;
	}
}

/* NULL, or what is wrong with the frame. */
static const char *check(const struct virtio_net *net, const struct net_offload *offload, u32 length)
{
	u64 needed = feature_of(offload->gso_type) | (offload->flags ? VIRTIO_NET_F_CSUM : 0);

	if (length < NET_HEADER || length > NET_FRAME_MOST)
		return "it has too few bytes, or too many";
	if (needed & ~net->device.features)
		return "its header asks for what the driver has not negotiated";
	return net_offload_check(offload, length);
}

static u32 read_frame(void *source, u32 offset, void *to, u32 size)
{
	struct virtio_net *net = source;

	return virtqueue_read(net->sending, &net->chain, NET_PREFIX + offset, to, size);
}

/* Returns what it has cost. */
static u32 send_chain(struct virtio_net *net, u32 pair)
{
	struct net_frame frame = { .read = read_frame, .source = net };
	u32 size = net->chain.readable_bytes, got;
	const char *why = "it has no room for its header";

	if (size >= NET_PREFIX) {
		got = virtqueue_read(net->sending, &net->chain, 0, frame.prefix, NET_PREFIX + NET_HEAD_MOST);
		frame.length = size - NET_PREFIX;
		frame.head_length = got - MIN(got, NET_PREFIX);
		frame.offload = read_header(frame.prefix);
		why = check(net, &frame.offload, frame.length);
	}
	if (why) {
		net_port_drop(net->port, NET_DROP_INVALID);
		if (vm_once(net->device.pci.vm, ONCE_OTHER, (u64)(uintptr_t)why))
			vm_warn(net->device.pci.vm, "%s: frames are dropped: %s", net->device.name, why);
		return NET_FRAME_COST;
	}
	if (net->pairs > 1)
		net->flows[net_flow(frame.head, frame.head_length) / (~0u / VIRTIO_NET_FLOWS + 1)] = (u8)pair;
	return NET_FRAME_COST + frame.length * MAX(net_port_send(net->port, &frame), 1u);
}

/* Serve one transmit queue. Returns whether there is more to do now. */
static bool transmit(struct virtio_net *net, u32 pair, u32 *budget)
{
	u32 index = 2 * pair + 1, count = 0, cost;
	struct virtqueue *queue = &net->device.queues[index];
	const char *why;
	int error = 0;

	net->sending = queue;
	virtqueue_refuse_doorbell(queue);
	while (*budget) {
		error = virtqueue_peek(queue, &net->chain, &why);
		if (error)
			break;
		cost = send_chain(net, pair);
		*budget -= MIN(cost, *budget);
		virtqueue_take(queue);
		virtqueue_fill(queue, count++, net->chain.head, 0);
	}
	if (count) {
		virtqueue_flush(queue, count);
		virtio_queue_notify(&net->device, index);
	}
	if (error == -EINVAL) {
		virtio_device_break(&net->device, why);
		return false;
	}
	return !error || virtqueue_want_doorbell(queue);
}

static u32 serve(struct virtio_device *device, u32 queues)
{
	struct virtio_net *net = net_of(device);
	u32 control = virtio_net_control_queue(net), left = 0, budget = NET_PORTION, first = net->next_sender;
	u32 receives = (BIT(control) - 1) & 0x55555555u;	/* even ones */

	if ((queues & BIT(control)) && device->queues[control].enabled)
		left |= virtio_net_control(net) ? BIT(control) : 0;
	/* A wake by the switch comes as the doorbell of the first one. After a command a frame may go to another queue. */
	if (!net->stopped && (queues & (receives | BIT(control))))
		left |= virtio_net_receive(net);
	for (u32 i = 0; i < control / 2; i++) {
		u32 pair = (first + i) % (control / 2), bit = BIT(2 * pair + 1);

		if (net->stopped)
			return 0;
		if (!(queues & bit) || !device->queues[2 * pair + 1].enabled)
			continue;
		if (!budget) {		/* the next portion begins with the first of these */
			left |= bit;
			continue;
		}
		net->next_sender = pair + 1;
		left |= transmit(net, pair, &budget) ? bit : 0;
	}
	return net->stopped ? 0 : left;
}

/* --- set-up --- */

static void start(struct virtio_device *device)
{
	struct virtio_net *net = net_of(device);

	net->stopped = false;
	net->pairs = 1;
	net->offloads = device->features & VIRTIO_NET_GUEST_OFFLOADS;
	net->position = net->doorbells_wanted = net->next_sender = 0;
	memset(net->flows, VIRTIO_NET_NO_PAIR, sizeof(net->flows));
	virtio_net_control_start(net);
	for (u32 i = 0; i < virtio_net_control_queue(net); i += 2) {
		if (device->queues[i].enabled)
			virtqueue_refuse_doorbell(&device->queues[i]);
	}
	net_port_open(net->port);
	net_port_set_queues(net->port, net->pairs);
}

static void stop(struct virtio_device *device)
{
	struct virtio_net *net = net_of(device);

	net->stopped = true;
	net_port_break(net->port);
}

static void reset(struct virtio_device *device)
{
	struct virtio_net *net = net_of(device);

	net_port_close(net->port);
	net_port_mac(net->port, net->mac);
}

static u32 config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
	const struct virtio_net *net = net_of(device);
	u8 config[NET_CONFIG_SIZE] = {
		[6] = STATUS_LINK_UP, [8] = (u8)net->most_pairs, [10] = (u8)NET_MTU, [11] = NET_MTU >> 8,
	};
	u32 value = 0;

	memcpy(config, net->mac, sizeof(net->mac));
	memcpy(&value, config + offset, size);
	return value;
}

static const struct virtio_ops ops = {
	.serve = serve, .start = start, .stop = stop, .reset = reset, .config_read = config_read,
};

static void wake(void *device)
{
	virtio_device_post(device, BIT(0));
}

int virtio_net_create(struct vm *vm, u32 i)
{
	static const char *const names[VM_MAX_NETS] = {
		"net 0", "net 1", "net 2", "net 3", "net 4", "net 5", "net 6", "net 7",
	};
	const struct vm_net_config *config = vm_net(vm, i);
	u32 pairs = MIN(vm_vcpu_count(vm), VIRTIO_NET_PAIRS);
	struct virtio_kind kind = {
		.name = names[i], .id = VIRTIO_ID_NET, .class = CLASS_ETHERNET, .config_size = NET_CONFIG_SIZE, .ops = &ops,
		.features = FEATURES | (pairs > 1 ? VIRTIO_NET_F_MQ : 0) |
			    (config->trunk ? VIRTIO_NET_F_CTRL_MAC_ADDR : 0),
	};
	struct virtio_net *net = vm_alloc(vm, sizeof(*net));
	u16 sizes[2 * VIRTIO_NET_PAIRS + 1];

	if (!net) {
		vm_error(vm, "%s: the hypervisor's own memory is used up", kind.name);
		return -ENOMEM;
	}
	for (u32 queue = 0; queue <= 2 * pairs; queue++)
		sizes[queue] = queue < 2 * pairs ? DATA_QUEUE_SIZE : CONTROL_QUEUE_SIZE;
	net->most_pairs = pairs;
	memcpy(net->mac, config->mac, sizeof(net->mac));
	net->port = net_port_create(vm, i, config, wake, net);
	if (!net->port)
		return -EINVAL;
	return virtio_device_create(vm, &net->device, &kind, 2 * pairs + 1, sizes);
}
