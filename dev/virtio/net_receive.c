/* SPDX-License-Identifier: MIT */
/*
 * virtio-net: receiving. VIRTIO 1.2, "Network Device": "Setting Up Receive Buffers", "Processing of Incoming Packets".
 *
 * A frame that its sender has left unfinished goes to the driver as it is, if the driver takes that. Otherwise its checksum
 * is completed, or it is segmented, here, in Lamina's own memory: so each port can offer all that a sender may
 * leave to it, whatever the other drivers of the switch take, and iPXE can talk to a Linux that sends 64 KiB frames.
 */
#include "dev/virtio/net_receive.h"

#include "dev/net/ring.h"
#include "dev/virtio/net_control.h"
#include "lib/errno.h"
#include "lib/string.h"

static void put_le16(u8 *p, u32 value)
{
	p[0] = (u8)value;
	p[1] = (u8)(value >> 8);
}

static void write_header(struct virtio_net *net, struct virtqueue *queue, const struct net_offload *offload, u32 buffers)
{
	u8 header[NET_PREFIX] = { offload->flags, offload->gso_type };

	put_le16(header + 2, offload->hdr_len);
	put_le16(header + 4, offload->gso_size);
	put_le16(header + 6, offload->csum_start);
	put_le16(header + 8, offload->csum_offset);
	put_le16(header + 10, buffers);
	virtqueue_write(queue, &net->first, 0, header, NET_PREFIX);
}

/* --- buffers --- */

static int break_device(struct virtio_net *net, const char *why)
{
	virtio_device_break(&net->device, why);
	return -EINVAL;
}

/* The next buffer, not taken. Of a frame's first one `header` bytes are the header's. */
static int next_buffer(struct virtio_net *net, struct virtqueue *queue, struct virtqueue_chain *chain, u32 header)
{
	const char *why;
	int error = virtqueue_peek(queue, chain, &why);

	if (error)
		return error == -EINVAL ? break_device(net, why) : -EAGAIN;
	if (chain->readable)
		return break_device(net, "a receive buffer that the device may not write");
	if (chain->writable_bytes < MAX(header, 1u))
		return break_device(net, "a receive buffer without room for the header");
	return 0;
}

/*
 * Put a frame into buffers. 0; -EAGAIN: there are not enough, and none is used up; -E2BIG: the buffer is too short, which is not
 * used up either; -EINVAL: the device is broken.
 */
static int put_frame(struct virtio_net *net, struct virtqueue *queue, const struct net_offload *offload, const u8 *frame, u32 length)
{
	bool mergeable = virtio_has(&net->device, VIRTIO_NET_F_MRG_RXBUF);
	u16 start = queue->next_available;
	u32 count = 0, done = 0;

	do {
		struct virtqueue_chain *chain = count ? &net->chain : &net->first;
		u32 header = count ? 0 : NET_PREFIX, part;
		int error = next_buffer(net, queue, chain, header);

		if (!error && !mergeable && chain->writable_bytes < header + length)
			error = -E2BIG;
		if (error) {
			/* What is asked for is a doorbell for buffers behind those that there are, however many these are. */
			net->buffers_came = error == -EAGAIN && virtqueue_want_doorbell(queue);
			queue->next_available = start;
			/* With all the buffers that the queue can have it will never fit. */
			return error == -EAGAIN && count == queue->size ? -E2BIG : error;
		}
		part = MIN(chain->writable_bytes - header, length - done);
		virtqueue_write(queue, chain, header, frame + done, part);
		virtqueue_take(queue);
		virtqueue_fill(queue, count++, chain->head, header + part);
		done += part;
	} while (done < length);
	write_header(net, queue, offload, count);
	virtqueue_flush(queue, count);
	return 0;
}

/* --- frames --- */

static u64 feature_of(u8 gso_type)
{
	u64 ecn = gso_type & VIRTIO_NET_HDR_GSO_ECN ? VIRTIO_NET_F_GUEST_ECN : 0;

	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | ecn;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO6 | ecn;
	default:
		return VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6;
	}
}

/* Deliver the frame, or its next segment. As put_frame(); *over: that was all of it. */
static int deliver(struct virtio_net *net, struct virtqueue *queue, struct net_record *record, bool *over)
{
	static const struct net_offload nothing_left;
	struct net_offload *offload = &record->offload;
	u32 length;
	int error;

	*over = true;
	if (!net->position && (offload->gso_type == VIRTIO_NET_HDR_GSO_NONE ||
			       !(feature_of(offload->gso_type) & ~net->offloads))) {
		if (offload->flags && !(net->offloads & VIRTIO_NET_F_GUEST_CSUM)) {
			net_checksum_complete(offload, record->frame, record->length);
			*offload = nothing_left;
		}
		return put_frame(net, queue, offload, record->frame, record->length);
	}
	if (!net->position)
		net->position = record->payload;
	length = net_segment(offload, record->frame, record->length, record->payload, net->position, net->segment);
	error = put_frame(net, queue, &nothing_left, net->segment, length);
	if (error)
		return error;
	net->position += length - record->payload;
	*over = net->position >= record->length;
	return 0;
}

/* The pair that the driver sends the flow by: "Automatic receive steering in multiqueue mode". */
static u32 choose_queue(const struct virtio_net *net, const struct net_record *record)
{
	u32 flow, pair;

	if (net->pairs == 1)
		return 0;
	flow = net_flow(record->frame, MIN(record->length, NET_HEAD_MOST));
	pair = net->flows[flow / (~0u / VIRTIO_NET_FLOWS + 1)];
	if (pair >= net->pairs)
		pair = flow % net->pairs;
	return net->device.queues[2 * pair].enabled ? 2 * pair : 0;
}

static void has_buffers(struct virtio_net *net, u32 index)
{
	if (!(net->doorbells_wanted & BIT(index)))
		return;
	net->doorbells_wanted &= ~BIT(index);
	virtqueue_refuse_doorbell(&net->device.queues[index]);
}

static void release(struct virtio_net *net, const struct net_record *record)
{
	net->position = 0;
	net_port_release(net->port, record);
}

u32 virtio_net_receive(struct virtio_net *net)
{
	u32 left = 0, touched = 0, budget = NET_PORTION, index, cost;
	struct net_record *record;
	bool over;
	int error;

	while ((record = net_port_first(net->port))) {
		if (!budget) {
			left |= BIT(0);
			break;
		}
		cost = NET_FRAME_COST;
		if (!net->position && !virtio_net_wants(net, record->frame, record->length)) {
			net_port_drop(net->port, NET_DROP_FILTERED);
			release(net, record);
			budget -= MIN(cost, budget);
			continue;
		}
		index = choose_queue(net, record);
		if (!net->device.queues[index].enabled)
			break;
		error = deliver(net, &net->device.queues[index], record, &over);
		if (error == -EINVAL)
			break;
		if (error == -EAGAIN) {
			net->doorbells_wanted |= BIT(index);
			left |= net->buffers_came ? BIT(index) : 0;
			break;
		}
		if (!error) {
			has_buffers(net, index);
			touched |= BIT(index);
		} else if (error == -E2BIG) {
			net_port_drop(net->port, NET_DROP_SHORT);
		}
		cost += net->position ? record->offload.gso_size : record->length;
		if (!error && over)
			net_port_count_received(net->port, record->length);
		if (error || over)
			release(net, record);
		budget -= MIN(cost, budget);
	}
	for (u32 i = 0; touched; i++, touched >>= 1) {
		if (touched & 1)
			virtio_queue_notify(&net->device, i);
	}
	return left;
}
