/* SPDX-License-Identifier: MIT */
/* The entropy device: fills the driver's buffers with random bytes. VIRTIO 1.2, "Entropy Device". */
#include "dev/virtio/rng.h"

#include "core/random.h"
#include "core/vm_alloc.h"
#include "dev/virtio/virtio.h"
#include "lib/errno.h"

#define RNG_QUEUE_SIZE    64
#define REQUEST_MOST  65536u	/* bytes: a device may give fewer than the driver has room for */
#define PORTION_MOST  4096u	/* bytes, some 20 microseconds */
#define PORTION_CHAINS 16u
#define RANDOM_PIECE	      256u	/* bytes that are made at a time */

struct rng {
	struct virtio_device device;	/* must be first */
	/* The device's lock. */
	u32 done;			/* bytes of the request at the queue's head that are filled */
};

/* Fill the request, as far as `*budget` goes. True: it is done. */
static bool fill(struct rng *rng, const struct virtqueue_chain *chain, u32 *budget)
{
	const struct virtqueue *queue = &rng->device.queues[0];
	u32 size = MIN(chain->writable_bytes, REQUEST_MOST);
	u8 bytes[RANDOM_PIECE];

	/* The driver has changed the request since the last portion. */
	if (rng->done > size)
		return true;
	while (rng->done < size && *budget) {
		u32 piece = MIN(MIN(size - rng->done, RANDOM_PIECE), *budget);

		random_fill(bytes, piece);
		if (virtqueue_write(queue, chain, rng->done, bytes, piece) != piece)
			return true;
		rng->done += piece;
		*budget -= piece;
	}
	return rng->done == size;
}

static u32 rng_serve(struct virtio_device *device, u32 queues __maybe_unused)
{
	struct rng *rng = container_of(device, struct rng, device);
	struct virtqueue *queue = &device->queues[0];
	u32 budget = PORTION_MOST, more = 1;
	struct virtqueue_chain chain;
	const char *why;

	for (unsigned i = 0; i < PORTION_CHAINS && more; i++) {
		int error = virtqueue_peek(queue, &chain, &why);

		if (error == -ENOENT) {
			more = virtqueue_want_doorbell(queue);
			continue;
		}
		if (!error && (chain.readable || !chain.writable)) {
			error = -EINVAL;
			why = "a request for random bytes has something to read, or no room for them";
		}
		if (error) {
			virtio_device_break(device, why);
			return 0;
		}
		if (!fill(rng, &chain, &budget))
			break;
		virtqueue_take(queue);
		virtqueue_done(queue, chain.head, MIN(rng->done, chain.writable_bytes));
		rng->done = 0;
	}
	virtio_queue_notify(device, 0);
	return more;
}

static void rng_reset(struct virtio_device *device)
{
	container_of(device, struct rng, device)->done = 0;
}

static const struct virtio_ops rng_ops = { .serve = rng_serve, .reset = rng_reset };

int virtio_rng_create(struct vm *vm)
{
	static const struct virtio_kind kind = {
		.name = "random numbers",
		.id = VIRTIO_ID_ENTROPY,
		.class = 0x00ff00,
		.ops = &rng_ops,
	};
	static const u16 size = RNG_QUEUE_SIZE;
	struct rng *rng = vm_alloc(vm, sizeof(*rng));

	if (!rng)
		return -ENOMEM;
	random_start();
	return virtio_device_create(vm, &rng->device, &kind, 1, &size);
}
