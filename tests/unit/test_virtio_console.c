/* SPDX-License-Identifier: MIT */
/*
 * The virtio-console: hvc0, and the port through which a guest reports to Lamina. Values from VIRTIO 1.2, "Console
 * Device"; the messages' order is what Linux' and FreeBSD's drivers work with.
 */
/* link: dev/virtio/console.c dev/virtio/guest_port.c dev/virtio/virtqueue.c tests/unit/fake_virtio.c */
/* link: tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c lib/string.c */
/* cflags: -Xlinker --wrap=log_line -Xlinker --wrap=virtqueue_want_doorbell */
#include "fake_virtio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/virtio/console.h"
#include "dev/virtio/guest_port.h"
#include "lib/errno.h"

/* "Feature bits", "Virtqueues", "Multiport Device Operation". */
#define MULTIPORT   BIT_ULL(1)
#define EMERG_WRITE BIT_ULL(2)
enum { IN0, OUT0, CONTROL_IN, CONTROL_OUT, IN1, OUT1, QUEUE_COUNT };
enum { DEVICE_READY, PORT_ADD, PORT_REMOVE, PORT_READY, CONSOLE_PORT, RESIZE, PORT_OPEN, PORT_NAME };

#define QUEUE_SIZE 16
#define QUEUE_AREA 0x10000
#define TEXT	   0x20000	/* what the driver sends */
#define INPUT	   0x30000	/* buffers for what it receives: of each queue, */
#define INPUT_SIZE 0x100	/* for each entry */

static struct vm *vm;
static struct virtio_device *device;
static struct fake_queue queues[QUEUE_COUNT];
static char logged[16384];
static unsigned lines;

void __wrap_log_line(enum log_level level, const char *tag, const char *format, ...);

void __wrap_log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t n = strlen(logged);
	va_list args;

	va_start(args, format);
	n += (size_t)vsnprintf(logged + n, sizeof(logged) - n, format, args);
	va_end(args);
	assert_true(n + 2 < sizeof(logged));
	strcpy(logged + n, "\n");
	lines++;
}

/* A driver on another CPU, which acts when the device has found a queue empty and asks for a doorbell. */
static bool (*meanwhile)(struct virtqueue *queue);

bool __real_virtqueue_want_doorbell(struct virtqueue *queue);
bool __wrap_virtqueue_want_doorbell(struct virtqueue *queue);

bool __wrap_virtqueue_want_doorbell(struct virtqueue *queue)
{
	bool acts = meanwhile && meanwhile(queue);

	return __real_virtqueue_want_doorbell(queue) || acts;
}

/* --- a driver --- */

static void lay_out_queues(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		fake_queue_create(&queues[i], vm, &device->queues[i], QUEUE_AREA + i * 0x1000, QUEUE_SIZE);
}

static void create(u64 features)
{
	vm = fake_create(MIB(1) / 2);
	logged[0] = '\0';
	lines = 0;
	meanwhile = NULL;
	assert_int_equal(virtio_console_create(vm), 0);
	device = fake_of(vm)->allocs[fake_of(vm)->alloc_count - 1];
	fake_virtio_accept(device, VIRTIO_F_VERSION_1 | features);
	lay_out_queues(features & MULTIPORT ? QUEUE_COUNT : 2);
	fake_virtio_start(device);
}

static int set_up(void **state)
{
	create(MULTIPORT);
	return 0;
}

static int set_up_simple(void **state)
{
	create(0);
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(vm);
	return 0;
}

/* The buffer of a request with this head, in an IN queue. */
static u64 input_buffer(unsigned queue, u16 head)
{
	return INPUT + (queue * QUEUE_SIZE + head) * INPUT_SIZE;
}

static void give_buffers(unsigned queue, unsigned count, u32 size)
{
	while (count--) {
		u16 head = queues[queue].next_free;

		fake_queue_add(&queues[queue],
			       &(struct fake_buffer){ input_buffer(queue, head), size, true }, 1);
	}
	fake_virtio_kick(device, queue);
}

/* What was received in the next buffer; NULL: nothing. */
static const char *received(unsigned queue, u32 *size)
{
	static char text[INPUT_SIZE + 1];
	u16 head;

	if (!fake_queue_used(&queues[queue], &head, size))
		return NULL;
	assert_in_range(*size, 0, INPUT_SIZE);
	fake_ram_read(vm, input_buffer(queue, head), text, *size);
	text[*size] = '\0';
	return text;
}

static void assert_received(unsigned queue, const char *expected)
{
	u32 size;
	const char *text = received(queue, &size);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

/* All that was received, in one text. */
static const char *all_received(unsigned queue)
{
	static char all[8192];
	const char *text;
	u32 size;

	all[0] = '\0';
	while ((text = received(queue, &size)) != NULL)
		strcat(all, text);
	return all;
}

static void send_piece(unsigned queue, const void *text, u32 size)
{
	fake_ram_write(vm, TEXT, text, size);
	fake_queue_add(&queues[queue], &(struct fake_buffer){ TEXT, size, false }, 1);
}

static void drop_used(unsigned queue)
{
	u32 written;

	while (fake_queue_used(&queues[queue], NULL, &written))
		assert_int_equal(written, 0);
}

static void send_text(unsigned queue, const char *text)
{
	send_piece(queue, text, (u32)strlen(text));
	fake_virtio_kick(device, queue);
}

static void send_control(u32 port, u16 event, u16 value)
{
	struct { u32 port; u16 event, value; } message = { port, event, value };

	send_piece(CONTROL_OUT, &message, 8);
	fake_virtio_kick(device, CONTROL_OUT);
	drop_used(CONTROL_OUT);
}

static void assert_control(u32 port, u16 event, u16 value, const char *name)
{
	struct { u32 port; u16 event, value; } message;
	u32 size;
	const char *text = received(CONTROL_IN, &size);

	assert_non_null(text);
	assert_int_equal(size, 8 + strlen(name));
	memcpy(&message, text, 8);
	assert_int_equal(message.port, port);
	assert_int_equal(message.event, event);
	assert_int_equal(message.value, value);
	assert_memory_equal(text + 8, name, strlen(name));
}

/* All of a driver's set-up; both ports open. */
static void open_ports(void)
{
	give_buffers(CONTROL_IN, QUEUE_SIZE / 2, INPUT_SIZE);
	send_control(0, DEVICE_READY, 1);
	for (u32 port = 0; port < 2; port++) {
		send_control(port, PORT_READY, 1);
		send_control(port, PORT_OPEN, 1);
	}
	all_received(CONTROL_IN);
}

static const char *printed(void)
{
	fake_of(vm)->console[fake_of(vm)->console_length] = '\0';
	return fake_of(vm)->console;
}

/* --- set-up --- */

static void test_configuration(void **state)
{
	assert_int_equal(device->queue_count, 6);
	assert_int_equal(device->config_size, 12);
	assert_int_equal(device->offered & 0xffffff, MULTIPORT | EMERG_WRITE);	/* no size of a terminal */
	assert_int_equal(fake_virtio_config(device, 0, 2), 0);
	assert_int_equal(fake_virtio_config(device, 2, 2), 0);
	assert_int_equal(fake_virtio_config(device, 4, 4), 2);			/* max_nr_ports */
	assert_int_equal(fake_virtio_config(device, 4, 1), 2);
	assert_int_equal(fake_virtio_config(device, 8, 4), 0);
}

static void test_no_memory(void **state)
{
	struct vm *small = fake_create(0);

	fake_of(small)->alloc_limit = 0;
	assert_int_equal(virtio_console_create(small), -ENOMEM);
	assert_non_null(strstr(logged, "memory is used up"));
	fake_of(small)->alloc_limit = FAKE_ALLOCS;
	fake_virtio_failure = -ENOSPC;
	assert_int_equal(virtio_console_create(small), -ENOSPC);
	fake_destroy(small);
}

static void test_ports_are_announced(void **state)
{
	give_buffers(CONTROL_IN, 8, INPUT_SIZE);
	assert_int_equal(fake_queue_used_count(&queues[CONTROL_IN]), 0);
	send_control(0xffffffff, DEVICE_READY, 1);
	assert_control(0, PORT_ADD, 1, "");
	assert_control(1, PORT_ADD, 1, "");
	assert_int_equal(fake_queue_used_count(&queues[CONTROL_IN]), 0);
	send_control(0, PORT_READY, 1);
	assert_control(0, CONSOLE_PORT, 1, "");
	assert_control(0, PORT_OPEN, 1, "");
	send_control(1, PORT_READY, 1);
	assert_control(1, PORT_NAME, 1, "lamina.monitor");
	assert_control(1, PORT_OPEN, 1, "");
	assert_int_equal(fake_queue_used_count(&queues[CONTROL_IN]), 0);
	assert_int_equal(fake_transport_of(device)->notified[CONTROL_IN], 6);
}

/* Messages wait for buffers, in their order. */
static void test_messages_wait_for_buffers(void **state)
{
	send_control(0, DEVICE_READY, 1);
	send_control(0, PORT_READY, 1);
	give_buffers(CONTROL_IN, 1, INPUT_SIZE);
	assert_control(0, PORT_ADD, 1, "");
	give_buffers(CONTROL_IN, 8, INPUT_SIZE);
	assert_control(1, PORT_ADD, 1, "");
	assert_control(0, CONSOLE_PORT, 1, "");
	assert_control(0, PORT_OPEN, 1, "");
	assert_int_equal(fake_queue_used_count(&queues[CONTROL_IN]), 0);
}

static void test_a_driver_that_fails(void **state)
{
	give_buffers(CONTROL_IN, 8, INPUT_SIZE);
	send_control(0, DEVICE_READY, 0);
	send_control(1, PORT_READY, 0);
	send_control(1, PORT_READY, 0);
	assert_int_equal(fake_queue_used_count(&queues[CONTROL_IN]), 0);
	assert_int_equal(lines, 2);
}

/* Events that only the device sends, and ports that there are not: ignored, with one line. */
static void test_bad_messages_are_ignored(void **state)
{
	static const struct { u32 port; u16 event, value; } bad[] = {
		{ 2, PORT_READY, 1 }, { 0xffffffff, PORT_OPEN, 1 }, { 0, PORT_ADD, 1 }, { 1, PORT_REMOVE, 1 },
		{ 0, CONSOLE_PORT, 1 }, { 0, RESIZE, 1 }, { 0, PORT_NAME, 1 }, { 0, 8, 1 }, { 1, 0xffff, 0xffff },
	};

	give_buffers(CONTROL_IN, 8, INPUT_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		send_control(bad[i].port, bad[i].event, bad[i].value);
	assert_int_equal(fake_queue_used_count(&queues[CONTROL_IN]), 0);
	assert_int_equal(lines, 1);
	assert_int_equal(fake_transport_of(device)->breaks, 0);
}

static void test_a_short_message_breaks_the_device(void **state)
{
	send_piece(CONTROL_OUT, "1234567", 7);
	fake_virtio_kick(device, CONTROL_OUT);
	assert_int_equal(fake_transport_of(device)->breaks, 1);
	assert_string_equal(fake_transport_of(device)->why, "a control message is too short");
}

static void test_a_small_buffer_breaks_the_device(void **state)
{
	give_buffers(CONTROL_IN, 1, 7);
	send_control(0, DEVICE_READY, 1);
	assert_int_equal(fake_transport_of(device)->breaks, 1);
}

/* --- port 0: output --- */

static void test_output(void **state)
{
	struct fake_buffer buffers[] = { { TEXT, 6, false }, { TEXT + 6, 6, false } };

	fake_ram_write(vm, TEXT, "hello, world", 12);
	fake_queue_add(&queues[OUT0], buffers, 2);
	fake_virtio_kick(device, OUT0);
	assert_string_equal(printed(), "hello, world");
	assert_int_equal(fake_queue_used_count(&queues[OUT0]), 1);
	drop_used(OUT0);
	assert_int_equal(fake_transport_of(device)->notified[OUT0], 1);
}

/* A full console keeps the request; nothing is lost or repeated when there is room, byte by byte. */
static void test_a_full_console_keeps_the_request(void **state)
{
	fake_of(vm)->send_room = 3;
	send_text(OUT0, "abcdefghij");
	send_piece(OUT0, "abcdefghij", 10);
	assert_int_equal(fake_virtio_run(device), 0);
	assert_string_equal(printed(), "abc");
	assert_int_equal(fake_queue_used_count(&queues[OUT0]), 0);
	for (unsigned i = 0; i < 17; i++) {
		assert_int_equal(fake_queue_used_count(&queues[OUT0]), i >= 7);
		fake_of(vm)->send_room = 1;
		fake_console_changed(vm);
		assert_true(fake_virtio_run(device) <= 2);
	}
	assert_string_equal(printed(), "abcdefghijabcdefghij");
	assert_int_equal(fake_queue_used_count(&queues[OUT0]), 2);
	/* Nobody waits: a change of the console is not this device's. */
	fake_console_changed(vm);
	assert_int_equal(device->doorbells & BIT(OUT0), 0);
}

/* A long request is done in portions. */
static void test_portions(void **state)
{
	enum { SIZE = 3000 };
	static char text[SIZE];
	unsigned served;

	for (unsigned i = 0; i < SIZE; i++)
		text[i] = (char)('a' + i % 26);
	send_piece(OUT0, text, SIZE);
	virtio_device_post(device, BIT(OUT0));
	served = fake_virtio_run(device);
	assert_in_range(served, 2, 4);
	assert_int_equal(fake_of(vm)->console_length, SIZE);
	assert_memory_equal(fake_of(vm)->console, text, SIZE);
}

/* The driver changes the request while the device waits for room: what is behind its new end is not sent. */
static void test_a_request_that_shrinks(void **state)
{
	fake_of(vm)->send_room = 5;
	send_text(OUT0, "abcdefghij");
	fake_queue_set(&queues[OUT0], 0, TEXT, 2, 0, 0);
	fake_of(vm)->send_room = SIZE_MAX;
	fake_console_changed(vm);
	fake_virtio_run(device);
	assert_string_equal(printed(), "abcde");
	assert_int_equal(fake_queue_used_count(&queues[OUT0]), 1);
	send_text(OUT0, "next");
	assert_string_equal(printed(), "abcdenext");
}

static void test_a_broken_queue(void **state)
{
	fake_queue_add(&queues[OUT0], &(struct fake_buffer){ MIB(1), 16, false }, 1);
	fake_virtio_kick(device, OUT0);
	assert_int_equal(fake_transport_of(device)->breaks, 1);
	assert_int_equal(fake_of(vm)->console_length, 0);
}

/* Before a driver is ready, too; and the other fields are read-only. */
static void test_emergency_output(void **state)
{
	fake_virtio_reset(device);
	fake_virtio_set_config(device, 8, 4, 'x');
	fake_virtio_set_config(device, 8, 1, 'y');
	fake_virtio_set_config(device, 4, 4, 'z');
	fake_virtio_set_config(device, 0, 2, 'z');
	assert_string_equal(printed(), "xy");
	fake_of(vm)->send_room = 0;
	for (unsigned i = 0; i < 3; i++)
		fake_virtio_set_config(device, 8, 4, 'x');
	assert_string_equal(printed(), "xy");
	assert_int_equal(lines, 1);
}

/* --- port 0: input --- */

/* As soon as the guest prints at the open port; each queue has a doorbell of its own. */
static void test_input(void **state)
{
	open_ports();
	give_buffers(IN0, 4, INPUT_SIZE);
	fake_type(vm, 'a');
	fake_virtio_run(device);
	assert_int_equal(fake_queue_used_count(&queues[IN0]), 0);
	assert_int_equal(fake_of(vm)->typed_read, 0);
	send_text(OUT0, "$ ");
	assert_received(IN0, "a");
	fake_type(vm, 'b');
	fake_type(vm, 'c');
	fake_virtio_run(device);
	assert_received(IN0, "bc");
	assert_int_equal(fake_transport_of(device)->notified[IN0], 2);
}

/* They wait in the console for the driver's next buffer, whose doorbell is enough. */
static void test_input_waits_for_buffers(void **state)
{
	open_ports();
	send_text(OUT0, "$ ");
	for (unsigned i = 0; i < 10; i++)
		fake_type(vm, (char)('a' + i));
	fake_virtio_run(device);
	assert_int_equal(fake_of(vm)->typed_read, 0);
	give_buffers(IN0, 1, 4);
	assert_received(IN0, "abcd");
	give_buffers(IN0, 3, 4);
	assert_received(IN0, "efgh");
	assert_received(IN0, "ij");
	fake_type(vm, 'k');
	fake_virtio_run(device);
	assert_received(IN0, "k");
}

/* Input does not wait for output that does not fit. */
static void test_input_while_output_waits(void **state)
{
	open_ports();
	give_buffers(IN0, 4, INPUT_SIZE);
	fake_of(vm)->send_room = 2;
	send_text(OUT0, "abcdef");
	fake_of(vm)->send_room = 0;
	fake_type(vm, 'q');
	fake_virtio_run(device);
	assert_received(IN0, "q");
	fake_of(vm)->send_room = SIZE_MAX;
	fake_console_changed(vm);
	fake_virtio_run(device);
	assert_string_equal(printed(), "abcdef");
}

static void test_a_closed_port_gets_no_input(void **state)
{
	open_ports();
	give_buffers(IN0, 4, INPUT_SIZE);
	send_text(OUT0, "$ ");
	send_control(0, PORT_OPEN, 0);
	fake_type(vm, 'a');
	fake_virtio_run(device);
	assert_int_equal(fake_of(vm)->typed_read, 0);
	send_control(0, PORT_OPEN, 1);
	assert_received(IN0, "a");
}

static int no_input(void *device)
{
	return -1;
}

static void nothing(void *device)
{
}

/* Whose driver waits for input comes first: COM1's. */
static void test_com1_comes_first(void **state)
{
	struct vm_console_end com1 = { .changed = nothing, .take_back = no_input, .need = CONSOLE_POLLED };

	vm_console_connect(vm, &com1);
	open_ports();
	give_buffers(IN0, 4, INPUT_SIZE);
	send_text(OUT0, "$ ");
	fake_type(vm, 'a');
	fake_virtio_run(device);
	assert_received(IN0, "a");
	vm_console_need(vm, &com1, CONSOLE_AWAITED);
	fake_type(vm, 'b');
	fake_virtio_run(device);
	assert_int_equal(fake_queue_used_count(&queues[IN0]), 0);
	assert_int_equal(vm_console_read(vm, &com1), 'b');
	fake_type(vm, 'c');
	vm_console_need(vm, &com1, CONSOLE_POLLED);
	fake_virtio_run(device);
	assert_received(IN0, "c");
}

/* With keyboard=hvc0 the open port comes first, and need not have printed. */
static void test_the_configuration_chooses(void **state)
{
	struct vm_console_end com1 = { .changed = nothing, .take_back = no_input, .need = CONSOLE_AWAITED };

	vm_console_connect(vm, &com1);
	fake_of(vm)->types_at_hvc0 = true;
	give_buffers(IN0, 4, INPUT_SIZE);
	fake_type(vm, 'a');
	fake_virtio_run(device);
	assert_int_equal(vm_console_read(vm, &com1), 'a');	/* it is not open yet */
	open_ports();
	fake_type(vm, 'b');
	fake_virtio_run(device);
	assert_received(IN0, "b");
	fake_virtio_reset(device);
	fake_type(vm, 'c');
	assert_int_equal(vm_console_read(vm, &com1), 'c');
}

/* Nobody would read it: also not what a control message in the same portion opens. */
static void test_a_broken_device_takes_no_input(void **state)
{
	struct vm_console_end com1 = { .changed = nothing, .take_back = no_input, .need = CONSOLE_POLLED };

	vm_console_connect(vm, &com1);
	fake_of(vm)->types_at_hvc0 = true;
	open_ports();
	fake_type(vm, 'a');
	assert_int_equal(vm_console_read(vm, &com1), -1);
	fake_queue_add(&queues[IN0], &(struct fake_buffer){ TEXT, 16, false }, 1);
	send_control(0, PORT_OPEN, 1);
	assert_int_equal(fake_transport_of(device)->breaks, 1);
	assert_int_equal(vm_console_read(vm, &com1), 'a');
	fake_virtio_reset(device);
	fake_virtio_accept(device, VIRTIO_F_VERSION_1 | MULTIPORT);
	lay_out_queues(QUEUE_COUNT);
	fake_virtio_start(device);
	open_ports();
	give_buffers(IN0, 4, INPUT_SIZE);
	fake_type(vm, 'b');
	fake_virtio_run(device);
	assert_received(IN0, "b");
}

static void test_a_buffer_without_room(void **state)
{
	open_ports();
	send_text(OUT0, "$ ");
	fake_type(vm, 'a');
	fake_queue_add(&queues[IN0], &(struct fake_buffer){ TEXT, 16, false }, 1);
	fake_virtio_kick(device, IN0);
	assert_int_equal(fake_transport_of(device)->breaks, 1);
	assert_int_equal(fake_of(vm)->typed_read, 0);
}

/* One port, which is always open. */
static void test_without_multiport(void **state)
{
	give_buffers(IN0, 4, INPUT_SIZE);
	send_text(OUT0, "$ ");
	fake_type(vm, 'a');
	fake_virtio_run(device);
	assert_received(IN0, "a");
	virtio_device_post(device, BIT(CONTROL_OUT) | BIT(CONTROL_IN) | BIT(IN1) | BIT(OUT1));
	fake_virtio_run(device);
	assert_int_equal(fake_transport_of(device)->breaks, 0);
}

/* After a reset everything is new: the rest of a request, the ports, the input. */
static void test_reset(void **state)
{
	open_ports();
	fake_of(vm)->send_room = 3;
	send_text(OUT0, "abcdef");
	send_text(OUT1, "log unfin");
	fake_virtio_reset(device);
	fake_of(vm)->send_room = SIZE_MAX;
	fake_type(vm, 'x');
	fake_console_changed(vm);
	assert_int_equal(device->doorbells & BIT(IN0), 0);
	fake_virtio_accept(device, VIRTIO_F_VERSION_1 | MULTIPORT);
	lay_out_queues(QUEUE_COUNT);
	fake_virtio_start(device);
	give_buffers(IN0, 4, INPUT_SIZE);
	give_buffers(IN1, 4, INPUT_SIZE);
	open_ports();
	assert_int_equal(fake_queue_used_count(&queues[IN0]), 0);
	send_text(OUT0, "uvwxyz");
	assert_string_equal(printed(), "abcuvwxyz");
	assert_received(IN0, "x");
	send_text(OUT1, "help\n");
	assert_non_null(strstr(all_received(IN1), "ok: "));
}

/* --- port 1 --- */

static const char *reply_to(const char *text)
{
	give_buffers(IN1, 1, INPUT_SIZE);
	send_text(OUT1, text);
	drop_used(OUT1);
	return all_received(IN1);
}

static void test_log(void **state)
{
	open_ports();
	assert_string_equal(reply_to("log hello, world\n"), "ok\n");
	assert_string_equal(logged, "guest: hello, world\n");
	assert_string_equal(reply_to("log  %s%n 100%\r\n"), "ok\n");
	assert_string_equal(logged, "guest: hello, world\nguest: %s%n 100%\n");
	assert_string_equal(reply_to("log\n"), "error: expected a text\n");
	assert_string_equal(reply_to("log \n"), "error: expected a text\n");
	assert_int_equal(lines, 2);
}

static void test_result(void **state)
{
	open_ports();
	assert_string_equal(reply_to("result 3 disk: 5 of 6 passed\n"), "ok\n");
	assert_true(vm->result.given);
	assert_int_equal(vm->result.status, 3);
	assert_string_equal(vm->result.text, "disk: 5 of 6 passed");
	assert_string_equal(reply_to("result 0\n"), "ok\n");
	assert_int_equal(vm->result.status, 0);
	assert_string_equal(vm->result.text, "");
	assert_non_null(strstr(reply_to("result\n"), "error: expected a status"));
	assert_non_null(strstr(reply_to("result good\n"), "error: expected a status"));
	assert_non_null(strstr(reply_to("result 4294967296\n"), "error: expected a status"));
	assert_non_null(strstr(reply_to("result -1\n"), "error: expected a status"));
	assert_int_equal(vm->end, VM_END_NONE);
}

static void test_end(void **state)
{
	static const struct { const char *line; u32 status; } good[] = {
		{ "end\n", 0 }, { "end 0\n", 0 }, { "end 3\n", 3 }, { "end 4294967295\n", 0xffffffff },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		tear_down(state);
		set_up(state);
		open_ports();
		assert_non_null(strstr(reply_to("end now\n"), "error: expected a status"));
		assert_non_null(strstr(reply_to("end 1 2\n"), "error: expected a status and nothing else"));
		assert_int_equal(vm->end, VM_END_NONE);
		assert_string_equal(reply_to(good[i].line), "ok\n");
		assert_int_equal(vm->end, VM_END_DEBUG_EXIT);
		assert_int_equal(vm->exit_status, good[i].status);
	}
}

static void test_reset_by_the_guest(void **state)
{
	open_ports();
	assert_non_null(strstr(reply_to("reset now\n"), "error: expected nothing"));
	assert_int_equal(vm->end, VM_END_NONE);
	assert_string_equal(reply_to("reset\n"), "ok\n");
	assert_int_equal(vm->end, VM_END_RESET);
}

static void test_help_and_unknown_commands(void **state)
{
	open_ports();
	assert_string_equal(reply_to("help\n"),
			    "ok: log TEXT, result STATUS [TEXT], end [STATUS], reset, help\n");
	assert_string_equal(reply_to("stop web\n"), "error: there is no such command; help lists them\n");
	assert_string_equal(reply_to("LOG x\n"), "error: there is no such command; help lists them\n");
	assert_string_equal(reply_to("\n"), "ok\n");
	assert_string_equal(reply_to("help\nlog a\nfoo\n"),
			    "ok: log TEXT, result STATUS [TEXT], end [STATUS], reset, help\nok\n"
			    "error: there is no such command; help lists them\n");
}

/* A line of 200 characters is the longest; of a longer one nothing is done. It may come in pieces. */
static void test_lengths_of_lines(void **state)
{
	char line[300];

	open_ports();
	memset(line, 'x', sizeof(line));
	memcpy(line, "log ", 4);
	strcpy(line + 200, "\n");
	send_piece(OUT1, line, 100);
	fake_ram_write(vm, TEXT + 0x1000, line + 100, 101);
	fake_queue_add(&queues[OUT1], &(struct fake_buffer){ TEXT + 0x1000, 101, false }, 1);
	fake_virtio_kick(device, OUT1);
	drop_used(OUT1);
	give_buffers(IN1, 2, INPUT_SIZE);
	assert_string_equal(all_received(IN1), "ok\n");
	assert_int_equal(strlen(logged), strlen("guest: ") + 196 + 1);
	line[200] = 'x';
	strcpy(line + 201, "\n");
	assert_string_equal(reply_to(line), "error: the line has more than 200 characters\n");
	assert_string_equal(reply_to("help x\n"),
			    "ok: log TEXT, result STATUS [TEXT], end [STATUS], reset, help\n");
	assert_int_equal(lines, 1);
}

/* No control character comes into the log: 0x1b would start an escape sequence of the terminal there. */
static void test_only_printable_characters(void **state)
{
	open_ports();
	for (unsigned c = 0; c < 256; c++) {
		char line[] = { 'e', 'n', 'd', ' ', (char)c, '\n', '\0' };

		if ((c >= ' ' && c <= '~') || c == '\n' || c == '\r')
			continue;
		send_piece(OUT1, line, 6);
		fake_virtio_kick(device, OUT1);
		drop_used(OUT1);
		give_buffers(IN1, 1, INPUT_SIZE);
		assert_string_equal(all_received(IN1), "error: the line has characters that are not printable ASCII\n");
	}
	assert_int_equal(vm->end, VM_END_NONE);
	assert_int_equal(lines, 0);
}

/* So many lines together, and so many a second from then on. */
static void test_the_log_is_limited(void **state)
{
	unsigned n;

	open_ports();
	for (n = 0; !strcmp(reply_to("log x\n"), "ok\n"); n++)
		assert_true(n < 1000);
	assert_int_equal(n, GUEST_LOG_BURST);
	assert_int_equal(lines, GUEST_LOG_BURST);
	assert_non_null(strstr(reply_to("log x\n"), "error: too many lines"));
	assert_non_null(strstr(reply_to("result 1 x\n"), "error: too many lines"));
	assert_false(vm->result.given);
	fake_advance_ns(vm, 1000000000ull / GUEST_LOG_RATE + 1000);
	assert_string_equal(reply_to("log x\n"), "ok\n");
	assert_non_null(strstr(reply_to("log x\n"), "error: too many lines"));
	fake_advance_ns(vm, 3600000000000ull);
	for (n = 0; !strcmp(reply_to("log x\n"), "ok\n"); n++)
		assert_true(n < 1000);
	assert_int_equal(n, GUEST_LOG_BURST);
	/* The end is not a matter of the log. */
	assert_string_equal(reply_to("end 0\n"), "ok\n");
}

/* Lines for whose replies there is no room are taken when the guest reads; none is lost. */
static void test_replies_that_nobody_reads(void **state)
{
	unsigned sent = 0, replies = 0, used;

	open_ports();
	while (fake_queue_used_count(&queues[OUT1]) == sent && sent < QUEUE_SIZE) {
		char text[512] = "";

		for (unsigned i = 0; i < 100; i++)
			strcat(text, "nop\n");
		send_text(OUT1, text);
		sent++;
	}
	used = fake_queue_used_count(&queues[OUT1]);
	assert_int_equal(used, sent - 1);
	assert_int_equal(fake_virtio_run(device), 0);
	for (unsigned i = 0; i < 1000 && replies < sent * 100; i++) {
		give_buffers(IN1, 1, 49);	/* a reply is 49 characters long */
		if (!strcmp(all_received(IN1), "error: there is no such command; help lists them\n"))
			replies++;
	}
	assert_int_equal(replies, sent * 100);
	assert_int_equal(fake_queue_used_count(&queues[OUT1]), sent);
}

/* echo end > port: what is written before the port is closed is done, also if both come together. */
static void test_written_and_closed(void **state)
{
	struct { u32 port; u16 event, value; } message = { 1, PORT_OPEN, 0 };

	open_ports();
	send_piece(OUT1, "end 5\n", 6);
	fake_ram_write(vm, TEXT + 0x100, &message, 8);
	fake_queue_add(&queues[CONTROL_OUT], &(struct fake_buffer){ TEXT + 0x100, 8, false }, 1);
	virtio_device_post(device, BIT(OUT1) | BIT(CONTROL_OUT));
	fake_virtio_run(device);
	assert_int_equal(vm->end, VM_END_DEBUG_EXIT);
	assert_int_equal(vm->exit_status, 5);
}

/* The next program that opens the port gets no replies to the one before, and does not go on with its line. */
static void test_another_program(void **state)
{
	open_ports();
	send_text(OUT1, "help\nen");
	send_control(1, PORT_OPEN, 0);
	assert_int_equal(lines, 1);
	assert_non_null(strstr(logged, "did not end"));
	give_buffers(IN1, 2, INPUT_SIZE);
	send_control(1, PORT_OPEN, 1);
	send_text(OUT1, "d 0\n");
	assert_string_equal(all_received(IN1), "error: there is no such command; help lists them\n");
	assert_int_equal(vm->end, VM_END_NONE);
}

/* A port whose opening nobody has announced: what comes is done, and the replies are dropped. */
static void test_a_port_that_was_not_opened(void **state)
{
	give_buffers(IN1, 2, INPUT_SIZE);
	for (unsigned i = 0; i < 200; i++) {
		send_text(OUT1, "nop\n");
		drop_used(OUT1);
	}
	assert_int_equal(fake_queue_used_count(&queues[IN1]), 0);
	send_text(OUT1, "log still here\n");
	assert_string_equal(logged, "guest: still here\n");
}

/* With the event index the driver rings for the next request only if the device has asked for that. */
static void test_each_queue_asks_for_its_doorbell(void **state)
{
	tear_down(state);
	create(MULTIPORT | VIRTIO_F_EVENT_IDX);
	open_ports();
	assert_int_equal(fake_queue_available_event(&queues[CONTROL_OUT]), queues[CONTROL_OUT].available);
	for (unsigned i = 1; i <= 40; i++) {
		send_text(OUT0, "x");
		drop_used(OUT0);
		assert_int_equal(fake_queue_available_event(&queues[OUT0]), i);
		assert_non_null(strstr(reply_to("help\n"), "ok: "));
		assert_int_equal(fake_queue_available_event(&queues[OUT1]), i);
		give_buffers(IN0, 1, INPUT_SIZE);
		fake_type(vm, 'a');
		fake_type(vm, 'b');
		fake_virtio_run(device);
		assert_received(IN0, "ab");
		fake_type(vm, 'c');
		fake_virtio_run(device);	/* there is no buffer for it yet */
		assert_int_equal(fake_queue_available_event(&queues[IN0]), 2 * i - 1);
		give_buffers(IN0, 1, INPUT_SIZE);
		assert_received(IN0, "c");
	}
}

/* --- hostile --- */

static unsigned flickers;

static bool flicker(struct virtqueue *queue)
{
	assert_true(flickers < 1000);
	flickers++;
	return true;
}

/*
 * "Driver Requirements: The Virtqueue Available Ring": the index never goes back. One that does, always between the
 * device's two looks, does not keep the device in a loop.
 */
static void test_an_index_to_and_fro(void **state)
{
	meanwhile = flicker;
	for (unsigned queue = 0; queue < QUEUE_COUNT; queue++) {
		flickers = 0;
		fake_virtio_kick(device, queue);
		assert_in_range(flickers, 0, 4);
	}
	meanwhile = NULL;
	send_text(OUT0, "good");
	assert_string_equal(printed(), "good");
	assert_int_equal(fake_transport_of(device)->breaks, 0);
}

static char collected[4096];

static bool refill(struct virtqueue *queue)
{
	if (queue != queues[IN1].queue)
		return false;
	strcat(collected, all_received(IN1));
	for (unsigned i = 0; i < QUEUE_SIZE; i++)
		fake_queue_add(&queues[IN1], &(struct fake_buffer){ input_buffer(IN1, queues[IN1].next_free), 1, true }, 1);
	return true;
}

/* One character in each request, and more requests are always there: what is done at a time stays a portion. */
static void test_replies_one_by_one(void **state)
{
	struct fake_transport *transport = fake_transport_of(device);
	char text[40 * 4 + 1] = "";
	u32 before;

	open_ports();
	for (unsigned i = 0; i < 40; i++)
		strcat(text, "nop\n");
	send_text(OUT1, text);
	collected[0] = '\0';
	before = transport->served;
	meanwhile = refill;
	fake_virtio_kick(device, IN1);
	meanwhile = NULL;
	strcat(collected, all_received(IN1));
	assert_int_equal(transport->breaks, 0);
	assert_int_equal(strncmp(collected, "error: there is no such command", 31), 0);
	assert_int_equal(strlen(collected), 40 * strlen("error: there is no such command; help lists them\n"));
	assert_true(transport->served - before >= strlen(collected) / 64);
}

static void scribble(u64 *random, unsigned queue)
{
	u16 i = (u16)(fake_random(random) % QUEUE_SIZE);
	u64 at = fake_random(random) % 8 ? TEXT + fake_random(random) % 0x4000 : fake_random(random);

	fake_queue_set(&queues[queue], i, at, (u32)(fake_random(random) % (fake_random(random) % 16 ? 64 : 1u << 31)),
		       (u16)(fake_random(random) % 4), (u16)(fake_random(random) % (QUEUE_SIZE + 1)));
}

/* Random descriptors, texts and doorbells; the sanitizers watch, serve() ends, and the device can be started again. */
static void test_hostile_driver(void **state)
{
	static const char text[] = "log x\nresult 1\nhelp\nabc\x1b\n\n\n";
	u64 random = 99;

	for (unsigned round = 0; round < 3000; round++) {
		for (unsigned step = 0; step < 20; step++) {
			unsigned queue = (unsigned)(fake_random(&random) % QUEUE_COUNT);
			struct { u32 port; u16 event, value; } message = {
				(u32)(fake_random(&random) % 3), (u16)(fake_random(&random) % 9),
				(u16)(fake_random(&random) % 2) };

			scribble(&random, queue);
			fake_ram_write(vm, TEXT + fake_random(&random) % 0x3000, text, sizeof(text));
			fake_ram_write(vm, TEXT + fake_random(&random) % 0x3000, &message, 8);
			if (fake_random(&random) % 32)
				fake_queue_offer(&queues[queue], (u16)(fake_random(&random) % QUEUE_SIZE));
			else
				fake_queue_set_available(&queues[queue], (u16)fake_random(&random));
			fake_of(vm)->send_room = fake_random(&random) % 4 ? SIZE_MAX : fake_random(&random) % 100;
			if (fake_of(vm)->typed_count - fake_of(vm)->typed_read < 1000)
				fake_type(vm, 'x');
			fake_virtio_kick(device, queue);
		}
		logged[0] = '\0';
		fake_virtio_reset(device);
		fake_virtio_accept(device, VIRTIO_F_VERSION_1 | (fake_random(&random) % 4 ? MULTIPORT : 0));
		lay_out_queues(QUEUE_COUNT);
		fake_virtio_start(device);
	}
	fake_of(vm)->send_room = SIZE_MAX;
	fake_virtio_reset(device);
	fake_virtio_accept(device, VIRTIO_F_VERSION_1 | MULTIPORT);
	lay_out_queues(QUEUE_COUNT);
	fake_virtio_start(device);
	open_ports();
	assert_string_equal(reply_to("nop\n"), "error: there is no such command; help lists them\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_configuration),
		TEST(test_no_memory),
		TEST(test_ports_are_announced),
		TEST(test_messages_wait_for_buffers),
		TEST(test_a_driver_that_fails),
		TEST(test_bad_messages_are_ignored),
		TEST(test_a_short_message_breaks_the_device),
		TEST(test_a_small_buffer_breaks_the_device),
		TEST(test_output),
		TEST(test_a_full_console_keeps_the_request),
		TEST(test_portions),
		TEST(test_a_request_that_shrinks),
		TEST(test_a_broken_queue),
		TEST(test_emergency_output),
		TEST(test_input),
		TEST(test_input_waits_for_buffers),
		TEST(test_input_while_output_waits),
		TEST(test_a_closed_port_gets_no_input),
		TEST(test_com1_comes_first),
		TEST(test_the_configuration_chooses),
		TEST(test_a_broken_device_takes_no_input),
		TEST(test_a_buffer_without_room),
		cmocka_unit_test_setup_teardown(test_without_multiport, set_up_simple, tear_down),
		TEST(test_reset),
		TEST(test_log),
		TEST(test_result),
		TEST(test_end),
		TEST(test_reset_by_the_guest),
		TEST(test_help_and_unknown_commands),
		TEST(test_lengths_of_lines),
		TEST(test_only_printable_characters),
		TEST(test_the_log_is_limited),
		TEST(test_replies_that_nobody_reads),
		TEST(test_written_and_closed),
		TEST(test_another_program),
		TEST(test_a_port_that_was_not_opened),
		TEST(test_each_queue_asks_for_its_doorbell),
		TEST(test_an_index_to_and_fro),
		TEST(test_replies_one_by_one),
		TEST(test_hostile_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
