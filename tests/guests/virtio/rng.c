/* SPDX-License-Identifier: MIT */
/* The random number source, and with it queues and interrupts: its requests have no other rules than theirs. */
#include "tests.h"

static volatile struct ring ring;
static volatile u8 data[4096];
static volatile struct descriptor table[16] __attribute__((aligned(16)));
static struct queue queue;

static void start(struct device *device, u64 features, u16 size)
{
	device_reset(device);
	check(device_negotiate(device, features), "the features are accepted");
	queue_init(device, &queue, 0, size, &ring);
	device_ok(device);
}

/* One request of `size` bytes; returns how many were written, 0 after the time limit. */
static u32 ask(u32 size)
{
	struct buffer buffer = { data, size, true };
	u32 id, written, head;

	for (u32 i = 0; i < size; i++)
		data[i] = 0;
	head = queue_add(&queue, &buffer, 1);
	queue_kick(&queue);
	return queue_wait(&queue, &id, &written, LIMIT_MS) && id == head ? written : 0;
}

static bool all_zero(u32 from, u32 to)
{
	u8 any = 0;

	while (from < to)
		any |= data[from++];
	return !any;
}

static void polling(struct device *device)
{
	struct buffer four[] = {
		{ data, 3, true }, { data + 100, 64, true }, { data + 300, 1, true }, { data + 400, 60, true },
	};
	u32 id, written;

	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = 0;
	start(device, F_VERSION_1, 0);
	written = ask(64);
	check_range(written, 1, 64, "a request is returned with bytes written");
	check(!all_zero(0, 64), "they are not all zero");
	check(all_zero(written, sizeof(data)), "nothing is written behind them");
	check(!(common(device, DEVICE_STATUS) & NEEDS_RESET), "the device is well");

	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = 0;
	queue_add(&queue, four, 4);
	queue_kick(&queue);
	check(queue_wait(&queue, &id, &written, LIMIT_MS), "a chain of four is returned");
	check_range(written, 1, 128, "bytes written in a chain of four");
	check(all_zero(3, 100) && all_zero(164, 300) && all_zero(301, 400) && all_zero(460, sizeof(data)),
	      "nothing is written between the buffers");
}

static void several(struct device *device)
{
	struct buffer buffer = { data, 16, true };
	u32 id, written, returned = 0, ids = 0;

	start(device, F_VERSION_1, 8);
	check_eq(common(device, QUEUE_SIZE), 8, "a smaller queue is accepted");
	for (u32 i = 0; i < 8; i++)
		queue_add(&queue, &buffer, 1);
	queue_kick(&queue);
	while (returned < 8 && queue_wait(&queue, &id, &written, LIMIT_MS)) {
		ids |= 1u << id;
		returned++;
	}
	check_eq(ids, 0xff, "one doorbell for a full queue: all eight are returned");
}

/* Over 65536 requests: the indices wrap. */
static void wrapping(struct device *device)
{
	struct buffer buffer = { data, 1, true };
	u32 id, written, requests = 0;

	start(device, F_VERSION_1, 64);
	while (requests < 65536 + 640) {
		for (u32 i = 0; i < 64; i++)
			queue_add(&queue, &buffer, 1);
		queue_kick(&queue);
		for (u32 i = 0; i < 64; i++)
			if (!queue_wait(&queue, &id, &written, LIMIT_MS) || written != 1)
				goto end;
		requests += 64;
	}
end:
	check_eq(requests, 65536 + 640, "requests until after the indices have wrapped");
}

static void indirect(struct device *device)
{
	struct buffer buffers[16];
	u32 id, written;
	u16 head;

	start(device, F_VERSION_1 | F_INDIRECT, 0);
	for (u32 i = 0; i < 16; i++)
		buffers[i] = (struct buffer){ data + 4 * i, 4, true };
	head = queue_add_indirect(&queue, table, buffers, 16);
	queue_kick(&queue);
	check(queue_wait(&queue, &id, &written, LIMIT_MS), "an indirect table is taken");
	check_eq(id, head, "the indirect request's id is its head");
	check_range(written, 1, 64, "bytes written by way of an indirect table");
}

static void doorbells(struct device *device)
{
	struct buffer buffer = { data, 8, true };
	u32 id, written;

	start(device, F_VERSION_1, 0);
	for (u32 i = 0; i < device->notifies; i++) {
		queue_add(&queue, &buffer, 1);
		place_write(&device->notify[i], queue.notify_off * device->notify_multiplier[i], 2, 0);
		check(queue_wait(&queue, &id, &written, LIMIT_MS), device->notify[i].port ? "a doorbell by port" :
		      "a doorbell in memory");
	}
}

static u16 messages_on(struct device *device, u32 entry, bool masked)
{
	pci_put(device->bdf, PCI_COMMAND, 2, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER);
	msix_enable(device, true);
	for (u32 i = 0; i < device->vectors && i < MSI_VECTORS; i++)
		msix_set(device, i, msi_address(), MSI_VECTOR + i, i == entry && masked);
	set_common(device, QUEUE_SELECT, 0);
	set_common(device, QUEUE_VECTOR, entry);
	return common(device, QUEUE_VECTOR);
}

static bool pending(struct device *device, u32 entry)
{
	return mmio_read(device->msix_pending + entry / 32 * 4) >> entry % 32 & 1;
}

static void messages(struct device *device)
{
	u32 before = msi_count[1];

	start(device, F_VERSION_1, 0);
	check_eq(messages_on(device, 1, false), 1, "MSI-X: the queue's vector is taken");
	check(ask(8), "MSI-X: a request");
	check(wait_count(&msi_count[1], before + 1, EVENT_MS), "MSI-X: its message arrives");
	check(ask(8), "MSI-X: another request");
	check(wait_count(&msi_count[1], before + 2, EVENT_MS), "MSI-X: another message");

	messages_on(device, 1, true);
	ask(8);
	wait_count(&msi_count[1], before + 3, 20);
	check_eq(msi_count[1], before + 2, "MSI-X: a masked vector sends nothing");
	check(pending(device, 1), "MSI-X: it is pending");
	mmio_write(device->msix_table + 16 + 12, 0);
	check(wait_count(&msi_count[1], before + 3, EVENT_MS), "MSI-X: after unmasking the message arrives");
	check(!pending(device, 1), "MSI-X: it is no longer pending");

	pci_put(device->bdf, device->msix + 2, 2, MSIX_ENABLE | MSIX_MASK_ALL);
	ask(8);
	wait_count(&msi_count[1], before + 4, 20);
	check_eq(msi_count[1], before + 3, "MSI-X: nothing is sent while the function is masked");
	pci_put(device->bdf, device->msix + 2, 2, MSIX_ENABLE);
	check(wait_count(&msi_count[1], before + 4, EVENT_MS), "MSI-X: after unmasking the function the message arrives");

	set_common(device, QUEUE_VECTOR, NO_VECTOR);
	ask(8);
	wait_count(&msi_count[1], before + 5, 20);
	check_eq(msi_count[1], before + 4, "MSI-X: a queue without a vector sends nothing");

	/* "Interrupts" in the available ring: the driver wants none. */
	set_common(device, QUEUE_VECTOR, 1);
	ring.avail.flags = AVAIL_NO_INTERRUPT;
	check(ask(8), "a request without a message");
	wait_count(&msi_count[1], before + 5, 20);
	check_eq(msi_count[1], before + 4, "NO_INTERRUPT: nothing is sent");
	msix_enable(device, false);
}

static void pin(struct device *device)
{
	u32 total = 0;

	start(device, F_VERSION_1, 0);
	msix_enable(device, false);
	intx_device = device;
	intx_isr = 0;
	last_pin = 0;
	place_read(&device->cfg[CFG_ISR], 0, 1);
	interrupts_init();		/* requests of before have raised it, too */
	check(ask(8), "INTx: a request");
	check(pci_get(device->bdf, PCI_STATUS, 2) & STATUS_INTX, "INTx: the interrupt status is set");
	check(wait_count(&last_pin, 1, EVENT_MS), "INTx: it arrives");
	check_eq(intx_isr, 1, "INTx: the ISR status says a queue");
	check(!(pci_get(device->bdf, PCI_STATUS, 2) & STATUS_INTX), "INTx: reading the ISR status has deasserted it");
	for (u32 i = 0; i < 24; i++)
		total += pin_count[i];
	check(ask(8), "INTx: another request");
	check(wait_count(&pin_count[last_pin], pin_count[last_pin] + 1, EVENT_MS),
	      "INTx: another arrives, at the same pin");

	pci_put(device->bdf, PCI_COMMAND, 2, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_NO_INTX);
	total = pin_count[last_pin];
	ask(8);
	wait_count(&pin_count[last_pin], total + 1, 20);
	check_eq(pin_count[last_pin], total, "INTx: nothing arrives while it is disabled");
	pci_put(device->bdf, PCI_COMMAND, 2, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER);
	check(wait_count(&pin_count[last_pin], total + 1, EVENT_MS), "INTx: it arrives when it is enabled");
	intx_device = NULL;
}

/* For guests that use only the 8259s. "Edge/Level Control Register"; OCW3 chooses the request register. */
static void input_of_the_8259s(struct device *device)
{
	u32 line = pci_get(device->bdf, PCI_LINE, 1), bit = BIT(line % 8);
	u16 port = line < 8 ? 0x20 : 0xa0;

	start(device, F_VERSION_1, 0);
	msix_enable(device, false);
	place_read(&device->cfg[CFG_ISR], 0, 1);
	check_range(line, 3, 15, "the interrupt line register names an input of the 8259s");
	check(inb(0x4d0 + line / 8) & bit, "that input is level-triggered");
	outb(port, 0x0a);
	check(!(inb(port) & bit), "INTx: no request at the 8259s");
	check(ask(8), "INTx: a request for them");
	check(inb(port) & bit, "INTx: it arrives at the 8259s");
	place_read(&device->cfg[CFG_ISR], 0, 1);
	check(!(inb(port) & bit), "INTx: it ends with the ISR status");
}

/* "Used Buffer Notification Suppression", "Available Buffer Notification Suppression" */
static void event_index(struct device *device)
{
	struct buffer buffer = { data, 8, true };
	u32 before, id, written;

	start(device, F_VERSION_1 | F_EVENT_IDX, 0);
	messages_on(device, 1, false);
	/* Of the first one some devices always notify the driver. */
	ask(8);
	wait_count(&msi_count[1], ~0u, 20);
	before = msi_count[1];
	*used_event(&queue) = 3;	/* the fourth request */
	ask(8);
	ask(8);
	wait_count(&msi_count[1], before + 1, 20);
	check_eq(msi_count[1], before, "event index: no message before the index");
	ask(8);
	check(wait_count(&msi_count[1], before + 1, EVENT_MS), "event index: a message at the index");
	ask(8);
	wait_count(&msi_count[1], before + 2, 20);
	check_eq(msi_count[1], before + 1, "event index: none behind it");
	ring.avail.flags = AVAIL_NO_INTERRUPT;	/* is ignored now */
	*used_event(&queue) = 5;
	ask(8);
	check(wait_count(&msi_count[1], before + 2, EVENT_MS), "event index: the flag is ignored");
	/* The device has seen all: it wants a doorbell for the next one. */
	for (u32 i = 0; i < EVENT_MS && avail_event(&queue) != queue.made; i++)
		delay_us(1000);
	check_eq(avail_event(&queue), queue.made, "event index: the device wants a doorbell for the next request");
	queue_add(&queue, &buffer, 1);
	queue_kick(&queue);
	check(queue_wait(&queue, &id, &written, LIMIT_MS), "event index: it is served");
	msix_enable(device, false);
}

/* A device that is no bus master must not touch memory. What waits is served at a doorbell when it is one again. */
static void bus_master(struct device *device)
{
	struct buffer buffer = { data, 8, true };
	u32 id, written;

	start(device, F_VERSION_1, 0);
	pci_put(device->bdf, PCI_COMMAND, 2, COMMAND_IO | COMMAND_MEMORY);
	queue_add(&queue, &buffer, 1);
	queue_kick(&queue);
	check(!queue_wait(&queue, &id, &written, 20), "not a bus master: nothing is served");
	pci_put(device->bdf, PCI_COMMAND, 2, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER);
	device_ok(device);		/* QEMU clears that bit with the bus master's */
	queue_kick(&queue);
	check(queue_wait(&queue, &id, &written, LIMIT_MS), "a bus master again: the request is served");
}

static void resets(struct device *device)
{
	struct buffer buffer = { data, 8, true };

	start(device, F_VERSION_1, 0);
	for (u32 i = 0; i < 8; i++)
		queue_add(&queue, &buffer, 1);
	queue_kick(&queue);
	check(device_reset(device), "a reset right behind a doorbell");
	set_common(device, QUEUE_SELECT, 0);
	check_eq(common(device, QUEUE_ENABLE), 0, "the queue is disabled");
	check_eq(common(device, QUEUE_DESC), 0, "the queue's address is forgotten");
	for (u32 i = 0; i < sizeof(ring); i++)
		((volatile u8 *)&ring)[i] = 0x5a;
	delay_us(1000);
	check_eq(ring.used.index, 0x5a5a, "nothing is written after a reset");
	start(device, F_VERSION_1, 0);
	check(ask(8), "it works after the reset");
	device_reset(device);
}

void test_rng(struct device *device, u32 n)
{
	(void)n;
	polling(device);
	several(device);
	indirect(device);
	doorbells(device);
	messages(device);
	input_of_the_8259s(device);
	pin(device);
	event_index(device);
	bus_master(device);
	wrapping(device);
	resets(device);
}
