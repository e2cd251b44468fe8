/* SPDX-License-Identifier: MIT */
/* virtio-net: VIRTIO 1.2, "Network Device", "Control Virtqueue". */
#include "dev/virtio/net_control.h"

#include "lib/errno.h"
#include "lib/string.h"

#define COMMANDS_AT_ONCE 16u	/* in one portion */

enum { ACK_OK, ACK_ERR };

enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_MQ = 4, CLASS_GUEST_OFFLOADS };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST };
enum { MAC_TABLE_SET, MAC_ADDR_SET };
enum { VLAN_ADD, VLAN_DEL };
enum { MQ_VQ_PAIRS_SET };
enum { GUEST_OFFLOADS_SET };

#define COMMAND_HEADER 2u	/* class and command */

u32 virtio_net_control_queue(const struct virtio_net *net)
{
	return 2 * (virtio_has(&net->device, VIRTIO_NET_F_MQ) ? net->most_pairs : 1);
}

void virtio_net_control_start(struct virtio_net *net)
{
	net->filter = (struct virtio_net_filter) {
		.promiscuous = true, .by_vlan = virtio_has(&net->device, VIRTIO_NET_F_CTRL_VLAN),
	};
}

/* --- commands --- */

/* Read the command's data, which must have this size. */
static bool read_data(const struct virtio_net *net, const struct virtqueue *queue, void *to, u32 size)
{
	return net->chain.readable_bytes == COMMAND_HEADER + size &&
	       virtqueue_read(queue, &net->chain, COMMAND_HEADER, to, size) == size;
}

static bool set_rx_mode(struct virtio_net *net, const struct virtqueue *queue, u8 command)
{
	struct virtio_net_filter *filter = &net->filter;
	bool *const modes[] = {
		[RX_PROMISC] = &filter->promiscuous, [RX_ALLMULTI] = &filter->all_multicast,
		[RX_ALLUNI] = &filter->all_unicast, [RX_NOMULTI] = &filter->no_multicast,
		[RX_NOUNI] = &filter->no_unicast, [RX_NOBCAST] = &filter->no_broadcast,
	};
	u64 feature = command <= RX_ALLMULTI ? VIRTIO_NET_F_CTRL_RX : VIRTIO_NET_F_CTRL_RX_EXTRA;
	u8 on;

	if (command >= ARRAY_SIZE(modes) || !virtio_has(&net->device, feature) || !read_data(net, queue, &on, 1))
		return false;
	*modes[command] = on;
	return true;
}

/* One of the two tables: a number of entries, and so many addresses. *at: its offset, then that of what follows. */
static bool read_table(const struct virtio_net *net, const struct virtqueue *queue, u32 *at, u8 (*macs)[6], u32 room,
		       u8 *count, bool *overflow)
{
	u32 size = net->chain.readable_bytes, entries;

	if (size < *at + 4 || virtqueue_read(queue, &net->chain, *at, &entries, 4) != 4)
		return false;
	*at += 4;
	if (entries > (size - *at) / 6)
		return false;
	*overflow = entries > room;
	*count = *overflow ? 0 : (u8)entries;
	if (*count && virtqueue_read(queue, &net->chain, *at, macs, *count * 6u) != *count * 6u)
		return false;
	*at += entries * 6;
	return true;
}

static bool set_mac_table(struct virtio_net *net, const struct virtqueue *queue)
{
	struct virtio_net_filter new = net->filter;
	u32 at = COMMAND_HEADER;

	if (!virtio_has(&net->device, VIRTIO_NET_F_CTRL_RX) ||
	    !read_table(net, queue, &at, new.macs, VIRTIO_NET_MACS, &new.unicasts, &new.unicast_overflow) ||
	    !read_table(net, queue, &at, new.macs + new.unicasts, VIRTIO_NET_MACS - new.unicasts,
			&new.multicasts, &new.multicast_overflow) ||
	    at != net->chain.readable_bytes)
		return false;
	net->filter = new;
	return true;
}

static bool set_mac(struct virtio_net *net, const struct virtqueue *queue)
{
	u8 mac[6];

	if (!virtio_has(&net->device, VIRTIO_NET_F_CTRL_MAC_ADDR) || !read_data(net, queue, mac, sizeof(mac)) || (mac[0] & 1))
		return false;
	memcpy(net->mac, mac, sizeof(mac));
	return true;
}

static bool set_vlan(struct virtio_net *net, const struct virtqueue *queue, bool on)
{
	u16 vlan;

	if (!net->filter.by_vlan || !read_data(net, queue, &vlan, sizeof(vlan)) || vlan >= VIRTIO_NET_VLANS)
		return false;
	if (on)
		net->filter.vlans[vlan / 32] |= BIT(vlan % 32);
	else
		net->filter.vlans[vlan / 32] &= ~BIT(vlan % 32);
	return true;
}

static bool set_pairs(struct virtio_net *net, const struct virtqueue *queue)
{
	u16 pairs;

	if (!virtio_has(&net->device, VIRTIO_NET_F_MQ) || !read_data(net, queue, &pairs, sizeof(pairs)) ||
	    !pairs || pairs > net->most_pairs)
		return false;
	net->pairs = pairs;
	net_port_set_queues(net->port, pairs);
	return true;
}

static bool set_offloads(struct virtio_net *net, const struct virtqueue *queue)
{
	u64 offloads;

	if (!virtio_has(&net->device, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || !read_data(net, queue, &offloads, sizeof(offloads)) ||
	    (offloads & ~(net->device.features & VIRTIO_NET_GUEST_OFFLOADS)))
		return false;
	net->offloads = offloads;
	return true;
}

static bool execute(struct virtio_net *net, const struct virtqueue *queue)
{
	u8 header[COMMAND_HEADER];

	if (virtqueue_read(queue, &net->chain, 0, header, COMMAND_HEADER) != COMMAND_HEADER)
		return false;
	switch (header[0]) {
	case CLASS_RX:
		return set_rx_mode(net, queue, header[1]);
	case CLASS_MAC:
		if (header[1] == MAC_TABLE_SET)
			return set_mac_table(net, queue);
		return header[1] == MAC_ADDR_SET && set_mac(net, queue);
	case CLASS_VLAN:
		return header[1] <= VLAN_DEL && set_vlan(net, queue, header[1] == VLAN_ADD);
	case CLASS_MQ:
		return header[1] == MQ_VQ_PAIRS_SET && set_pairs(net, queue);
	case CLASS_GUEST_OFFLOADS:
		return header[1] == GUEST_OFFLOADS_SET && set_offloads(net, queue);
	default:
		return false;
	}
}

/* One command. 0; -ENOENT: there is none; -EINVAL: the device is broken. */
static int next_command(struct virtio_net *net, struct virtqueue *queue)
{
	const char *why;
	int error = virtqueue_peek(queue, &net->chain, &why);
	u8 ack;

	if (!error && !net->chain.writable_bytes) {
		error = -EINVAL;
		why = "a command without room for its result";
	}
	if (error == -EINVAL)
		virtio_device_break(&net->device, why);
	if (error)
		return error;
	ack = execute(net, queue) ? ACK_OK : ACK_ERR;
	virtqueue_write(queue, &net->chain, 0, &ack, 1);
	virtqueue_take(queue);
	virtqueue_done(queue, net->chain.head, 1);
	return 0;
}

bool virtio_net_control(struct virtio_net *net)
{
	u32 index = virtio_net_control_queue(net), count = 0;
	struct virtqueue *queue = &net->device.queues[index];
	int error = 0;

	while (count < COMMANDS_AT_ONCE && !(error = next_command(net, queue)))
		count++;
	if (count)
		virtio_queue_notify(&net->device, index);
	return error != -EINVAL && (!error || virtqueue_want_doorbell(queue));
}

/* --- filters --- */

static bool is_listed(const u8 (*macs)[6], u32 count, const u8 *mac)
{
	for (u32 i = 0; i < count; i++) {
		if (!memcmp(macs[i], mac, 6))
			return true;
	}
	return false;
}

static bool wants_vlan(const struct virtio_net_filter *filter, const u8 *frame, u32 length)
{
	u32 vlan;

	if (!filter->by_vlan || length < NET_HEADER + NET_VLAN_TAG || frame[12] != 0x81 || frame[13] != 0x00)
		return true;
	vlan = (u32)(frame[14] << 8 | frame[15]) % VIRTIO_NET_VLANS;
	return filter->vlans[vlan / 32] & BIT(vlan % 32);
}

bool virtio_net_wants(const struct virtio_net *net, const u8 *frame, u32 length)
{
	static const u8 broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const struct virtio_net_filter *filter = &net->filter;

	if (filter->promiscuous)
		return true;
	if (!wants_vlan(filter, frame, length))
		return false;
	if (!memcmp(frame, broadcast, 6))
		return !filter->no_broadcast;
	if (frame[0] & 1)
		return !filter->no_multicast &&
		       (filter->all_multicast || filter->multicast_overflow ||
			is_listed(filter->macs + filter->unicasts, filter->multicasts, frame));
	return !filter->no_unicast &&
	       (filter->all_unicast || filter->unicast_overflow || !memcmp(frame, net->mac, 6) ||
		is_listed(filter->macs, filter->unicasts, frame));
}
