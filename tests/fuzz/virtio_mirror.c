/* SPDX-License-Identifier: MIT */
/* A virtio device that does with its queues all that a device can do. */
#include "tests/fuzz/virtio_machine.h"

#include "core/vm_alloc.h"

static u32 mirror_serve(struct virtio_device *device, u32 queues)
{
	u32 more = 0;

	for (unsigned i = 0; i < device->queue_count; i++) {
		struct virtqueue *queue = &device->queues[i];
		struct virtqueue_chain chain;
		const char *why;
		unsigned count = 0;
		int error = -ENOENT;

		if (!(queues & BIT(i)))
			continue;
		virtqueue_refuse_doorbell(queue);
		for (; count < 8; count++) {
			u8 bytes[300];
			u32 read = 0, got, size;
			u8 *piece;

			error = virtqueue_peek(queue, &chain, &why);
			if (error)
				break;
			fuzz_assert(chain.readable + chain.writable <= VIRTQUEUE_SEGMENTS && chain.head < queue->size);
			virtqueue_take(queue);
			while (read < 4096 && (got = virtqueue_read(queue, &chain, read, bytes, sizeof(bytes)))) {
				virtqueue_write(queue, &chain, read, bytes, got);
				read += got;
			}
			fuzz_assert(read <= chain.readable_bytes);
			piece = virtqueue_writable_at(queue, &chain, read, &size);
			if (piece)
				memset(piece, 1, MIN(size, 64u));
			virtqueue_fill(queue, count, chain.head, MIN(read, chain.writable_bytes));
		}
		virtqueue_flush(queue, count);
		if (error == -EINVAL) {
			virtio_device_break(device, why);
			return 0;
		}
		virtio_queue_notify(device, i);
		if (virtqueue_want_doorbell(queue))
			more |= BIT(i);
		if (device->features & BIT_ULL(3))
			virtio_config_changed(device);
	}
	return more;
}

static u8 mirror_config[13];

static u32 mirror_config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
	u32 value = 0;

	fuzz_assert(size && size <= 4 && offset + size <= sizeof(mirror_config));
	memcpy(&value, mirror_config + offset, size);
	return value;
}

static void mirror_config_write(struct virtio_device *device, unsigned offset, unsigned size, u32 value)
{
	fuzz_assert(size && size <= 4 && offset + size <= sizeof(mirror_config));
	memcpy(mirror_config + offset, &value, size);
	virtio_device_post(device, 1);
}

int mirror_create(struct vm *vm)
{
	static const struct virtio_ops ops = {
		.serve = mirror_serve, .config_read = mirror_config_read, .config_write = mirror_config_write,
	};
	static const struct virtio_kind kind = { "mirror", 42, 0, 0xff, sizeof(mirror_config), &ops };
	static const u16 sizes[] = { 256, 8, 1, 64 };
	struct virtio_device *device = vm_alloc(vm, sizeof(*device));

	return virtio_device_create(vm, device, &kind, ARRAY_SIZE(sizes), sizes);
}
