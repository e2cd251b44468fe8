/* SPDX-License-Identifier: MIT */
/* The virtio-console: see console.h. VIRTIO 1.2, "Console Device". */
#include "dev/virtio/console.h"

#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vm_console.h"
#include "core/vm_devices.h"
#include "core/vm_log.h"
#include "dev/virtio/guest_port.h"
#include "dev/virtio/virtio.h"
#include "lib/errno.h"
#include "lib/string.h"

/* "Feature bits". F_SIZE (bit 0) is not offered: nobody knows the size of the terminal at the host's serial port. */
#define F_MULTIPORT   BIT_ULL(1)
#define F_EMERG_WRITE BIT_ULL(2)

enum { CONSOLE_PORT_HVC, CONSOLE_PORT_MONITOR, CONSOLE_PORTS };
#define MONITOR_NAME "lamina.monitor"

/* "Virtqueues". Received by the driver, sent by the driver. */
enum {
	QUEUE_HVC_IN, QUEUE_HVC_OUT, QUEUE_CONTROL_IN, QUEUE_CONTROL_OUT, QUEUE_MONITOR_IN, QUEUE_MONITOR_OUT, QUEUES
};

/* "Device configuration layout". */
struct console_config {
	u16 columns, rows;
	u32 max_ports;
	u32 emergency_write;
};
_Static_assert(sizeof(struct console_config) == 12, "struct virtio_console_config");

/* "Multiport Device Operation". */
struct control_message {
	u32 port;
	u16 event;
	u16 value;
};
_Static_assert(sizeof(struct control_message) == 8, "struct virtio_console_control");

enum control_event {
	CONTROL_DEVICE_READY, CONTROL_PORT_ADD, CONTROL_PORT_REMOVE, CONTROL_PORT_READY, CONTROL_CONSOLE_PORT,
	CONTROL_RESIZE, CONTROL_PORT_OPEN, CONTROL_PORT_NAME
};

/* What is done in one call of serve(), for each queue. */
#define PORTION_BYTES	 2048u
#define PORTION_REQUESTS 32u
#define PORTION_LINES	 4u	/* from the guest to Lamina */
#define CONSOLE_PIECE		 512u	/* copied with the VM lock held */

struct console_port {
	bool open;		/* by the driver */
	u8 announce;		/* bit n: the message with event n is still to be sent */
};

struct virtio_console {
	struct virtio_device virtio;	/* must be first */
	/* The device's lock. */
	struct console_port ports[CONSOLE_PORTS];
	u32 sent[CONSOLE_PORTS];	/* bytes of the port's next request that are done */
	bool printed;			/* at port 0 */
	bool stopped;			/* until the reset */
	struct guest_port monitor;
	struct virtqueue_chain chain;	/* of the request that is being served */
	/* VM lock. */
	struct vm_console_end end;
	bool waits;			/* port 0, for room in the VM's console */
};

/* The VM lock is held: the device's must not be taken. */
static void console_changed(void *device)
{
	struct virtio_console *console = device;
	u32 queues = 0;

	if (console->waits)
		queues |= BIT(QUEUE_HVC_OUT);
	if (console->end.need != CONSOLE_UNREAD)
		queues |= BIT(QUEUE_HVC_IN);
	console->waits = false;
	if (queues)
		virtio_device_post(&console->virtio, queues);
}

/* --- requests --- */

/* The queue's next request, in console->chain. False: there is none, and the driver rings when there is, or it is broken. */
static bool next_request(struct virtio_console *console, unsigned index)
{
	struct virtqueue *queue = &console->virtio.queues[index];
	const char *why = "";
	int error = virtqueue_peek(queue, &console->chain, &why);

	/* Once more, and not for as long as a driver changes the index to and fro: it must never take requests back. */
	if (error == -ENOENT && virtqueue_want_doorbell(queue))
		error = virtqueue_peek(queue, &console->chain, &why);
	if (error == -EINVAL)
		virtio_device_break(&console->virtio, why);
	return !error;
}

static void finish_request(struct virtio_console *console, unsigned index, u32 written)
{
	struct virtqueue *queue = &console->virtio.queues[index];

	virtqueue_take(queue);
	virtqueue_done(queue, console->chain.head, written);
	virtio_queue_notify(&console->virtio, index);
}

/* --- port 0: what is printed --- */

static void update_need(struct virtio_console *console)
{
	struct vm *vm = console->virtio.pci.vm;
	bool reads = console->ports[CONSOLE_PORT_HVC].open && !console->stopped;
	enum vm_console_need need = CONSOLE_UNREAD;

	if (reads && vm_types_at_hvc0(vm))
		need = CONSOLE_CHOSEN;
	else if (reads && console->printed)
		need = CONSOLE_OPEN;
	vm_lock(vm);
	vm_console_need(vm, &console->end, need);
	vm_unlock(vm);
}

/* Returns how many characters were taken. If not all, the console's change will be reported. */
static u32 print(struct virtio_console *console, const char *text, u32 n)
{
	struct vm *vm = console->virtio.pci.vm;
	u32 taken;

	vm_lock(vm);
	taken = (u32)vm_console_send(vm, text, n);
	console->waits = taken < n;
	vm_unlock(vm);
	if (taken && !console->printed) {
		console->printed = true;
		update_need(console);
	}
	return taken;
}

/* Print the rest of the request, as far as `*budget` allows. False: there is more of it. */
static bool print_request(struct virtio_console *console, u32 *budget, bool *full)
{
	struct virtqueue *queue = &console->virtio.queues[QUEUE_HVC_OUT];
	u32 *sent = &console->sent[CONSOLE_PORT_HVC], n, taken;
	char piece[CONSOLE_PIECE];

	while (*sent < console->chain.readable_bytes) {
		if (!*budget)
			return false;
		n = virtqueue_read(queue, &console->chain, *sent, piece, MIN(*budget, CONSOLE_PIECE));
		if (!n)
			break;
		taken = print(console, piece, n);
		*sent += taken;
		*budget -= taken;
		*full = taken < n;
		if (*full)
			return false;
	}
	*sent = 0;
	return true;
}

/* While the console is full, the request stays in the queue. Returns the queues to serve again. */
static u32 serve_output(struct virtio_console *console)
{
	u32 budget = PORTION_BYTES;
	bool full = false;

	for (u32 i = 0; i < PORTION_REQUESTS; i++) {
		if (!next_request(console, QUEUE_HVC_OUT))
			return 0;
		if (!print_request(console, &budget, &full))
			return full ? 0 : BIT(QUEUE_HVC_OUT);
		finish_request(console, QUEUE_HVC_OUT, 0);
	}
	return BIT(QUEUE_HVC_OUT);
}

/* --- port 0: what is typed --- */

static u32 read_typed(struct virtio_console *console, char *text, u32 size)
{
	struct vm *vm = console->virtio.pci.vm;
	u32 n = 0;
	int c = 0;

	vm_lock(vm);
	while (n < size && (c = vm_console_read(vm, &console->end)) >= 0)
		text[n++] = (char)c;
	vm_unlock(vm);
	return n;
}

/* Characters stay in the VM's console until there is a request to put them into. */
static u32 serve_input(struct virtio_console *console)
{
	char text[64];
	u32 n;

	for (u32 i = 0; i < PORTION_REQUESTS; i++) {
		if (!console->ports[CONSOLE_PORT_HVC].open || !next_request(console, QUEUE_HVC_IN))
			return 0;
		if (!console->chain.writable_bytes) {
			virtio_device_break(&console->virtio, "a buffer for input has no room");
			return 0;
		}
		n = read_typed(console, text, MIN(sizeof(text), console->chain.writable_bytes));
		if (!n)
			return 0;
		virtqueue_write(&console->virtio.queues[QUEUE_HVC_IN], &console->chain, 0, text, n);
		finish_request(console, QUEUE_HVC_IN, n);
	}
	return BIT(QUEUE_HVC_IN);
}

/* --- port 1: to Lamina, and its replies --- */

/* What nobody will read is dropped; so is a line that a program has begun and not ended before it closed the port. */
static void close_monitor(struct virtio_console *console)
{
	struct vm *vm = console->virtio.pci.vm;

	if (guest_port_close(&console->monitor) && vm_once(vm, ONCE_OTHER, (uintptr_t)&console->monitor))
		vm_warn(vm, MONITOR_NAME ": a line that the guest did not end was dropped");
}

/* Take the rest of the request. False: there is more of it. */
static bool take_request(struct virtio_console *console, u32 *lines, u32 *budget)
{
	struct virtqueue *queue = &console->virtio.queues[QUEUE_MONITOR_OUT];
	u32 *sent = &console->sent[CONSOLE_PORT_MONITOR];
	char piece[CONSOLE_PIECE];

	while (*sent < console->chain.readable_bytes) {
		u32 n = virtqueue_read(queue, &console->chain, *sent, piece, MIN(*budget, CONSOLE_PIECE)), i = 0;

		if (!n && *budget)
			break;
		while (i < n && *lines && guest_port_ready(&console->monitor))
			*lines -= guest_port_take(&console->monitor, piece[i++]);
		*sent += i;
		*budget -= i;
		if (i < n || !*budget)
			return false;
	}
	*sent = 0;
	return true;
}

static u32 serve_monitor_output(struct virtio_console *console)
{
	u32 lines = PORTION_LINES, budget = PORTION_BYTES;
	bool is_open = console->ports[CONSOLE_PORT_MONITOR].open;

	for (u32 i = 0; i < PORTION_REQUESTS; i++) {
		if (!is_open && guest_port_has_reply(&console->monitor))
			console->monitor.tail = console->monitor.head;
		if (!next_request(console, QUEUE_MONITOR_OUT)) {
			if (!is_open)
				close_monitor(console);
			return 0;
		}
		if (!take_request(console, &lines, &budget))
			return !is_open || guest_port_ready(&console->monitor) ? BIT(QUEUE_MONITOR_OUT) : 0;
		finish_request(console, QUEUE_MONITOR_OUT, 0);
	}
	return BIT(QUEUE_MONITOR_OUT);
}

static u32 send_replies(struct virtio_console *console)
{
	char text[GUEST_REPLY_SIZE];
	u32 n;

	for (u32 i = 0; i < PORTION_REQUESTS; i++) {
		if (!console->ports[CONSOLE_PORT_MONITOR].open || !guest_port_has_reply(&console->monitor) ||
		    !next_request(console, QUEUE_MONITOR_IN))
			return 0;
		if (!console->chain.writable_bytes) {
			virtio_device_break(&console->virtio, "a buffer for input has no room");
			return 0;
		}
		n = guest_port_read(&console->monitor, text, MIN(sizeof(text), console->chain.writable_bytes));
		virtqueue_write(&console->virtio.queues[QUEUE_MONITOR_IN], &console->chain, 0, text, n);
		finish_request(console, QUEUE_MONITOR_IN, n);
	}
	return BIT(QUEUE_MONITOR_IN);
}

/* Lines from the guest may have waited until there was room for their replies. */
static u32 serve_replies(struct virtio_console *console)
{
	bool was_ready = guest_port_ready(&console->monitor);
	u32 more = send_replies(console);

	return more | (!was_ready && guest_port_ready(&console->monitor) ? BIT(QUEUE_MONITOR_OUT) : 0);
}

/* --- the control queues --- */

/* The message with its name, if it has one. Returns its size. */
static u32 make_message(unsigned port, enum control_event event, char *text)
{
	struct control_message message = { .port = port, .event = event, .value = 1 };
	u32 size = sizeof(message);

	memcpy(text, &message, size);
	if (event != CONTROL_PORT_NAME)
		return size;
	memcpy(text + size, MONITOR_NAME, strlen(MONITOR_NAME));
	return size + (u32)strlen(MONITOR_NAME);
}

/* False: there is no request to put it into. */
static bool send_message(struct virtio_console *console, unsigned port, enum control_event event)
{
	char text[sizeof(struct control_message) + sizeof(MONITOR_NAME)];
	u32 size = make_message(port, event, text);

	if (!next_request(console, QUEUE_CONTROL_IN))
		return false;
	if (console->chain.writable_bytes < size) {
		virtio_device_break(&console->virtio, "a buffer for control messages is too small");
		return false;
	}
	virtqueue_write(&console->virtio.queues[QUEUE_CONTROL_IN], &console->chain, 0, text, size);
	finish_request(console, QUEUE_CONTROL_IN, size);
	console->ports[port].announce &= (u8)~BIT(event);
	return true;
}

/* In the order in which a driver needs them: that of their numbers, but a port has its name before it is open. */
static void send_messages(struct virtio_console *console)
{
	static const enum control_event order[] = {
		CONTROL_PORT_ADD, CONTROL_CONSOLE_PORT, CONTROL_PORT_NAME, CONTROL_PORT_OPEN
	};

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		for (unsigned port = 0; port < CONSOLE_PORTS; port++) {
			if (console->ports[port].announce & BIT(order[i]) && !send_message(console, port, order[i]))
				return;
		}
	}
}

static void failed(struct virtio_console *console, const char *what, unsigned port)
{
	if (vm_once(console->virtio.pci.vm, ONCE_OTHER, (uintptr_t)&console->ports[port]))
		vm_warn(console->virtio.pci.vm, "console: the driver could not set up %s %u", what, port);
}

static void port_ready(struct virtio_console *console, unsigned port, bool success)
{
	if (!success)
		failed(console, "port", port);
	else if (port == CONSOLE_PORT_HVC)
		console->ports[port].announce |= BIT(CONTROL_CONSOLE_PORT) | BIT(CONTROL_PORT_OPEN);
	else
		console->ports[port].announce |= BIT(CONTROL_PORT_NAME) | BIT(CONTROL_PORT_OPEN);
}

/* Returns the queues that there may be something to do for. */
static u32 port_opened(struct virtio_console *console, unsigned port, bool open)
{
	console->ports[port].open = open;
	if (port == CONSOLE_PORT_HVC)
		update_need(console);
	return port == CONSOLE_PORT_HVC ? BIT(QUEUE_HVC_IN) : BIT(QUEUE_MONITOR_OUT) | BIT(QUEUE_MONITOR_IN);
}

/* "Multiport Device Operation". A message about a port that there is not, or with another event, is ignored. */
static u32 take_message(struct virtio_console *console, const struct control_message *message)
{
	struct vm *vm = console->virtio.pci.vm;

	if (message->event == CONTROL_DEVICE_READY) {
		for (unsigned port = 0; message->value && port < CONSOLE_PORTS; port++)
			console->ports[port].announce |= BIT(CONTROL_PORT_ADD);
		if (!message->value)
			failed(console, "the device's queues; ports:", CONSOLE_PORT_HVC);
	} else if (message->event == CONTROL_PORT_READY && message->port < CONSOLE_PORTS) {
		port_ready(console, message->port, message->value);
	} else if (message->event == CONTROL_PORT_OPEN && message->port < CONSOLE_PORTS) {
		return port_opened(console, message->port, message->value);
	} else if (vm_once(vm, ONCE_OTHER, (uintptr_t)&console->chain)) {
		vm_warn(vm, "console: the driver's control message with event %u for port %u is ignored", message->event,
			message->port);
	}
	return 0;
}

static u32 serve_control(struct virtio_console *console)
{
	struct virtqueue *queue = &console->virtio.queues[QUEUE_CONTROL_OUT];
	struct control_message message;
	u32 more = 0;

	for (u32 i = 0; i < PORTION_REQUESTS; i++) {
		if (!next_request(console, QUEUE_CONTROL_OUT))
			return more;
		if (virtqueue_read(queue, &console->chain, 0, &message, sizeof(message)) < sizeof(message)) {
			virtio_device_break(&console->virtio, "a control message is too short");
			return 0;
		}
		finish_request(console, QUEUE_CONTROL_OUT, 0);
		more |= take_message(console, &message);
	}
	return more | BIT(QUEUE_CONTROL_OUT);
}

/* --- the device --- */

/* What was written to port 1 before it was closed is taken before the message that says so. */
static u32 serve_ports(struct virtio_console *console, u32 queues)
{
	u32 more = 0;

	if (queues & BIT(QUEUE_MONITOR_OUT))
		more |= serve_monitor_output(console);
	if (queues & BIT(QUEUE_CONTROL_OUT))
		more |= serve_control(console);
	if (queues & (BIT(QUEUE_CONTROL_OUT) | BIT(QUEUE_CONTROL_IN)))
		send_messages(console);
	return more | serve_replies(console);
}

static u32 serve(struct virtio_device *device, u32 queues)
{
	struct virtio_console *console = container_of(device, struct virtio_console, virtio);
	u32 more = 0;

	if (queues & BIT(QUEUE_HVC_OUT))
		more |= serve_output(console);
	if (queues & BIT(QUEUE_HVC_IN))
		more |= serve_input(console);
	if (virtio_has(device, F_MULTIPORT))
		more |= serve_ports(console, queues);
	return more;
}

/* Without F_MULTIPORT there is one port, and no message opens it. */
static void start(struct virtio_device *device)
{
	struct virtio_console *console = container_of(device, struct virtio_console, virtio);

	console->ports[CONSOLE_PORT_HVC].open |= !virtio_has(device, F_MULTIPORT);
	update_need(console);
}

/* What is typed is another device's from now on. */
static void stop(struct virtio_device *device)
{
	struct virtio_console *console = container_of(device, struct virtio_console, virtio);

	console->stopped = true;
	update_need(console);
}

static void reset(struct virtio_device *device)
{
	struct virtio_console *console = container_of(device, struct virtio_console, virtio);

	memset(console->ports, 0, sizeof(console->ports));
	memset(console->sent, 0, sizeof(console->sent));
	console->printed = console->stopped = false;
	guest_port_close(&console->monitor);
	update_need(console);
}

static u32 config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
	const struct console_config config = { .max_ports = CONSOLE_PORTS };
	u32 value = 0;

	memcpy(&value, (const u8 *)&config + offset, size);
	return value;
}

/* "Emergency write": one character, from a driver that may not be ready. What the console has no room for is lost. */
static void config_write(struct virtio_device *device, unsigned offset, unsigned size, u32 value)
{
	struct virtio_console *console = container_of(device, struct virtio_console, virtio);
	struct vm *vm = device->pci.vm;
	char c = (char)value;
	size_t taken;

	if (offset != offsetof(struct console_config, emergency_write))
		return;
	vm_lock(vm);
	taken = vm_console_send(vm, &c, 1);
	vm_unlock(vm);
	if (!taken && vm_once(vm, ONCE_OTHER, (uintptr_t)&console->end))
		vm_warn(vm, "console: emergency output of the guest is lost while its console is full");
}

int virtio_console_create(struct vm *vm)
{
	static const u16 sizes[QUEUES] = { 64, 64, 32, 32, 32, 32 };
	static const struct virtio_ops ops = {
		.serve = serve, .start = start, .stop = stop, .reset = reset,
		.config_read = config_read, .config_write = config_write,
	};
	static const struct virtio_kind kind = {
		.name = "console", .id = VIRTIO_ID_CONSOLE, .class = 0x078000,	/* another communication controller */
		.features = F_MULTIPORT | F_EMERG_WRITE, .config_size = sizeof(struct console_config), .ops = &ops,
	};
	struct virtio_console *console = vm_alloc(vm, sizeof(*console));
	int error;

	if (!console) {
		vm_error(vm, "cannot create the VM's virtio-console: the hypervisor's own memory is used up");
		return -ENOMEM;
	}
	guest_port_init(&console->monitor, vm);
	error = virtio_device_create(vm, &console->virtio, &kind, QUEUES, sizes);
	if (error)
		return error;
	console->end = (struct vm_console_end){ .changed = console_changed, .device = console };
	vm_console_connect(vm, &console->end);
	return 0;
}
