/* SPDX-License-Identifier: MIT */
/*
 * A hostile driver of virtio devices: chains with loops, lengths that overflow, addresses where no RAM is, indices that
 * jump, memory that another CPU changes meanwhile, features, resets and base address registers at the wrong time and
 * at the wrong place. A device may stop until its reset, and after the reset it must work; nothing else may happen.
 * VIRTIO 1.2. Only for a hypervisor: a bare machine's memory is not protected from its devices.
 */
#include "bad.h"

struct queue queue;
volatile struct ring rings[8];
volatile u8 memory[4096];
u64 ram_end = 16 << 20;		/* mem=16M */
static u32 state = 1;

u32 random32(void)		/* xorshift */
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

u64 random64(void)
{
	return (u64)random32() << 32 | random32();
}

void complain(const char *what, const char *name)
{
	print(what);
	print(name);
	print("\n");
}

bool restart(const struct target *target, u64 features)
{
	struct device *device = target->device;

	if (!device_reset(device))
		return false;
	if (!device_negotiate(device, (features | F_VERSION_1) & device_features(device)))
		return false;
	for (u16 i = 0; i <= target->number; i++)
		queue_init(device, &queue, i, 0, &rings[i]);
	device_ok(device);
	return true;
}

bool broken(const struct target *target)
{
	u64 end = rdtsc() + tsc_per_ms() * EVENT_MS;

	while (!(common(target->device, DEVICE_STATUS) & NEEDS_RESET) && rdtsc() < end)
		pause();
	return common(target->device, DEVICE_STATUS) & NEEDS_RESET;
}

void describe(u32 i, u64 address, u32 size, u16 flags, u16 next)
{
	volatile struct descriptor *descriptor = &queue.ring->desc[i];

	descriptor->address = address;
	descriptor->size = size;
	descriptor->flags = flags;
	descriptor->next = next;
}

void offer(u16 head)
{
	queue_offer(&queue, head);
	queue_kick(&queue);
}

/* Of each kind, what it does in any state: some random bytes, a sector, a frame, a character. */
bool works(const struct target *target, const char *after)
{
	static const struct buffer rng[] = { { memory, 8, true } };
	static const struct buffer block[] = {
		{ memory, 16, false }, { memory + 512, 512, true }, { memory + 2048, 1, true },
	};
	static const struct buffer net[] = { { memory, 12, false }, { memory + 512, 60, false } };
	static const struct buffer console[] = { { memory, 1, false } };
	u32 id, written, kind = target->device->id;
	bool ok = restart(target, 0);

	for (u32 i = 0; i < sizeof(memory); i++)
		memory[i] = 0;
	memory[2048] = 0xff;
	memory[0] = kind == VIRTIO_CONSOLE ? '\n' : 0;
	queue_add(&queue, kind == VIRTIO_RNG ? rng : kind == VIRTIO_BLOCK ? block : kind == VIRTIO_NET ? net : console,
		  kind == VIRTIO_BLOCK ? 3 : kind == VIRTIO_NET ? 2 : 1);
	queue_kick(&queue);
	ok = ok && queue_wait(&queue, &id, &written, EVENT_MS) && (kind != VIRTIO_BLOCK || memory[2048] == 0);
	if (!ok)
		complain("dead after: ", after);
	return ok;
}

int main(void)
{
	static const struct {
		u32 id;
		u16 queue;
		const char *name;
	} kinds[] = {
		{ VIRTIO_RNG, 0, "random numbers" }, { VIRTIO_BLOCK, 0, "disk" }, { VIRTIO_NET, 1, "network" },
		{ VIRTIO_CONSOLE, 1, "console" },
	};
	u32 targets = 0;

	if (!hypervisor_present()) {
		skip("all", "a bare machine's memory is not protected from its devices");
		check(true, "nothing was done");
		return 0;
	}
	smp_init();
	interrupts_init();
	cmdline_number("seed", &state);
	find_devices();
	find_ecam();
	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct target target = { find_device(kinds[i].id, 0), kinds[i].queue, kinds[i].name };

		if (!target.device) {
			skip(target.name, "there is no such device");
			continue;
		}
		complain("-- ", target.name);
		targets++;
		if (!check(works(&target, "nothing"), "the device works"))
			continue;
		bad_chains(&target);
		bad_rings(&target);
		bad_order(&target);
		bad_registers(&target);
		bad_messages(&target);
		bad_races(&target);
		bad_places(target.device);
		check(works(&target, "all"), "the device works in the end");
	}
	check(targets, "there are virtio devices");
	bad_configuration();
	return 0;
}
