/* SPDX-License-Identifier: MIT */
/* A disk's requests, one at a time, each ended by an interrupt; and the waiting, also for echo.c. Long mode only. */
#include "bench.h"

#ifdef __x86_64__
#include "requests.h"

#define MSR_APIC_BASE	0x1b
#define MSR_X2APIC_EOI	0x80b
#define APIC_EOI	0xb0

u64 inside_ticks, eoi_ticks;
static u64 begin, since;
static u32 handler_ticks;	/* of the handler, from the interrupt to the end of IRET, but without its EOI */
static bool x2apic, measuring;

static void on_interrupt(struct regs *regs)
{
	u64 before;

	if (measuring)
		return;
	before = rdtsc();
	if (x2apic)
		wrmsr(MSR_X2APIC_EOI, 0);
	else
		lapic_write(APIC_EOI, 0);
	eoi_ticks += rdtsc() - before;
	inside_ticks += handler_ticks;
}

static u32 software_interrupt(void)
{
	u64 before = rdtsc();

	asm volatile("int %0" : : "i"(MSI_VECTOR) : "memory");
	return rdtsc() - before;
}

void requests_init(void)
{
	lapic_write(0xf0, 0x100 | 0xff);
	trap_on(MSI_VECTOR, on_interrupt);
	measuring = true;
	software_interrupt();	/* the first one touches memory */
	handler_ticks = software_interrupt();
	measuring = false;
}

void interrupt_of(struct device *device, u16 queue)
{
	/* The address holds the APIC's ID, which the xAPIC's page has. */
	if (!x2apic)
		msix_set(device, 0, msi_address(), MSI_VECTOR, false);
	msix_enable(device, true);
	set_common(device, QUEUE_SELECT, queue);
	set_common(device, QUEUE_VECTOR, 0);
	if (cpuid(1, 0).c & BIT(21) && !x2apic) {
		wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10));
		x2apic = true;
	}
}

static void enter(void)
{
	since = rdtsc();
}

static void leave(void)
{
	inside_ticks += rdtsc() - since;
}

void requests_begin(void)
{
	inside_ticks = eoi_ticks = 0;
	begin = since = rdtsc();
}

u64 requests_end(void)
{
	leave();
	enter();
	return since - begin - inside_ticks;
}

/* VIRTIO 1.2, "Available Buffer Notification Suppression" */
void doorbell_if_wanted(struct queue *queue, u16 old)
{
	/* An I/O port's doorbell costs a hypervisor less than one in memory. */
	u32 which = queue->device->notifies > 1 && queue->device->notify[1].port;
	u32 offset = queue->notify_off * queue->device->notify_multiplier[which];

	if ((u16)(queue->made - avail_event(queue) - 1) >= (u16)(queue->made - old))
		return;
	leave();
	sti();
	place_write(&queue->device->notify[which], offset, 2, queue->number);
	cli();
	enter();
}

u32 sleep_until_used(struct queue *queue, u32 *written)
{
	u32 id;

	while (!queue_used(queue, &id, written)) {
		leave();
		wait_irq();
		enter();
	}
	return id;
}

/* --- the disk --- */

enum { READ, WRITE };
#define MOST	131072u
#define DISK	(1u << 20)	/* bytes of it that are used */

static volatile struct ring ring;
static struct queue queue;
static struct device *disk;
static u8 data[MOST] __attribute__((aligned(4096)));

/* VIRTIO 1.2, "Block Device", "Device Operation". In segments of at most so many bytes. */
static ulong prepare(u32 segment, u32 type, u32 sector, u32 size)
{
	static struct {
		u32 type, reserved;
		u64 sector;
	} header;
	static u8 status;
	struct buffer buffers[MOST / 4096 + 2] = { { &header, 16, false } };
	u32 count = 1;

	header.type = type;
	header.sector = sector;
	for (u32 at = 0; at < size; at += segment)
		buffers[count++] = (struct buffer){ data + at, segment < size - at ? segment : size - at, type == READ };
	buffers[count++] = (struct buffer){ &status, 1, true };
	*used_event(&queue) = queue.seen;
	queue_add(&queue, buffers, count);
	return 0;
}

/* The ticks outside of the guest. */
static u32 request(ulong arg)
{
	u32 written;

	requests_begin();
	doorbell_if_wanted(&queue, queue.made - 1);
	sleep_until_used(&queue, &written);
	return requests_end();
}

static u32 request_eoi(ulong arg)
{
	request(arg);
	return eoi_ticks;
}

static ulong read_4k(u32 i) { return prepare(MOST, READ, i * 37 % 256 * 8, 4096); }
static ulong write_4k(u32 i) { return prepare(MOST, WRITE, i * 37 % 256 * 8, 4096); }
static ulong read_128k(u32 i) { return prepare(MOST, READ, i % 8 * 256, MOST); }
static ulong read_128k_pages(u32 i) { return prepare(4096, READ, i % 8 * 256, MOST); }

/* Whoever gives out memory when it is touched first has done so then. */
static bool start_disk(void)
{
	disk = find_device(VIRTIO_BLOCK, 0);
	if (!disk || !device_reset(disk) || !device_negotiate(disk, F_VERSION_1 | F_EVENT_IDX))
		return false;
	interrupt_of(disk, 0);
	queue_init(disk, &queue, 0, 0, &ring);
	device_ok(disk);
	for (u32 i = 0; i < MOST; i++)
		data[i] = i * 7 + 1;
	for (u32 at = 0; at < DISK; at += MOST)
		request(prepare(MOST, WRITE, at / 512, MOST));
	return true;
}

void bench_requests(void)
{
	static const struct bench list[] = {
		{ .name = "wait-read-4k", .op = request, .arg = read_4k },
		{ .name = "wait-read-4k-eoi", .op = request_eoi, .arg = read_4k },
		{ .name = "wait-write-4k", .op = request, .arg = write_4k },
		{ .name = "wait-read-128k", .op = request, .arg = read_128k },
		{ .name = "wait-read-128k-pages", .op = request, .arg = read_128k_pages },
	};

	find_devices();
	requests_init();
	if (start_disk())
		RUN(list);
	bench_echo();
}
#endif
