/* SPDX-License-Identifier: MIT */
/* The serial port against National Semiconductor's PC16550D data sheet. */
/* link: dev/isa/vuart.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include <string.h>

#include "core/io_access.h"
#include "dev/isa/vuart.h"

#define COM1 0x3f8
#define IRQ  4
#define DATA (COM1 + 0)
#define IER  (COM1 + 1)
#define IIR  (COM1 + 2)
#define FCR  (COM1 + 2)
#define LCR  (COM1 + 3)
#define MCR  (COM1 + 4)
#define LSR  (COM1 + 5)
#define MSR  (COM1 + 6)
#define SCR  (COM1 + 7)

#define OUT2 0x08
#define LOOP 0x10


static struct vm *typed_at;

/* 8 bits, no parity, 1 stop bit, 115200 baud, interrupt connected. */
static int setup(void **state)
{
	struct vm *vm = fake_create(0);

	assert_non_null(vuart_create(vm, COM1, IRQ, true));
	typed_at = vm;
	out8(vm, LCR, 0x83);
	out8(vm, DATA, 1);
	out8(vm, IER, 0);
	out8(vm, LCR, 0x03);
	out8(vm, MCR, OUT2 | 0x03);
	*state = vm;
	return 0;
}

static int teardown(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void type(const char *text)
{
	while (*text)
		fake_type(typed_at, *text++);
}

static void test_no_memory(void **state)
{
	struct vm *vm = fake_create(0);

	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	assert_null(vuart_create(vm, COM1, IRQ, true));
	fake_destroy(vm);
}

/* The chip's reset state, but for the format of 8 data bits that firmware leaves. */
static void test_initial_state(void **state)
{
	struct vm *vm = fake_create(0);

	vuart_create(vm, COM1, IRQ, true);
	assert_int_equal(in8(vm, IER), 0);
	assert_int_equal(in8(vm, IIR), 0x01);
	assert_int_equal(in8(vm, LCR), 0x03);
	assert_int_equal(in8(vm, MCR), 0);
	assert_int_equal(in8(vm, LSR), 0x60);
	assert_int_equal(in8(vm, MSR), 0xb0);
	assert_int_equal(in8(vm, 0x2f8), 0xff);	/* COM2 */
	fake_destroy(vm);
}

static void test_output(void **state)
{
	struct vm *vm = *state;

	for (const char *c = "hello"; *c; c++) {
		out8(vm, DATA, *c);
		assert_int_equal(in8(vm, LSR) & 0x60, 0x60);
	}
	assert_int_equal(fake_of(vm)->console_length, 5);
	assert_memory_equal(fake_of(vm)->console, "hello", 5);
}

static void test_word_length(void **state)
{
	struct vm *vm = *state;

	out8(vm, LCR, 0x02);		/* 7 bits */
	out8(vm, DATA, 0xc1);
	assert_int_equal(fake_of(vm)->console[0], 0x41);
	fake_type(vm, (char)0xc2);
	assert_int_equal(in8(vm, DATA), 0x42);
}

static void test_divisor_and_scratch(void **state)
{
	struct vm *vm = *state;

	out8(vm, IER, 0x05);
	out8(vm, LCR, 0x83);
	out8(vm, DATA, 0x34);
	out8(vm, IER, 0x12);
	assert_int_equal(in8(vm, DATA), 0x34);
	assert_int_equal(in8(vm, IER), 0x12);
	out8(vm, LCR, 0x03);
	assert_int_equal(in8(vm, IER), 0x05);
	assert_int_equal(fake_of(vm)->console_length, 0);
	out8(vm, SCR, 0xa5);
	assert_int_equal(in8(vm, SCR), 0xa5);
	out8(vm, IER, 0xff);
	assert_int_equal(in8(vm, IER), 0x0f);
	out8(vm, MCR, 0xff);
	assert_int_equal(in8(vm, MCR), 0x1f);
}

static void test_divisor_from_the_start(void **state)
{
	struct vm *vm = fake_create(0);

	vuart_create(vm, COM1, IRQ, true);
	out8(vm, LCR, 0x83);
	assert_int_equal(in8(vm, DATA), 1);	/* 115200 baud */
	assert_int_equal(in8(vm, IER), 0);
	fake_destroy(vm);
}

/* In either order, and each half by itself. */
static void test_divisor_halves(void **state)
{
	struct vm *vm = *state;

	out8(vm, LCR, 0x83);
	out8(vm, DATA, 0x35);
	out8(vm, IER, 0xff);
	assert_int_equal(in8(vm, DATA), 0x35);
	out8(vm, DATA, 0xca);
	assert_int_equal(in8(vm, IER), 0xff);
	out8(vm, IER, 0x12);
	assert_int_equal(in8(vm, DATA), 0xca);
	assert_int_equal(in8(vm, IER), 0x12);
}

static void test_registers_do_not_share_bits(void **state)
{
	struct vm *vm = *state;

	out8(vm, SCR, 0x5a);
	out8(vm, MCR, 0x0b);
	out8(vm, LCR, 0x14);
	out8(vm, IER, 0x0a);
	assert_int_equal(in8(vm, SCR), 0x5a);
	assert_int_equal(in8(vm, MCR), 0x0b);
	assert_int_equal(in8(vm, LCR), 0x14);
	assert_int_equal(in8(vm, IER), 0x0a);
}

static void test_transmit_interrupt(void **state)
{
	struct vm *vm = *state;

	out8(vm, IER, 0x02);
	assert_true(fake_of(vm)->lines[IRQ].level);	/* empty already */
	assert_int_equal(in8(vm, IIR), 0x02);	/* reading it as the source clears it */
	assert_false(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(in8(vm, IIR), 0x01);
	out8(vm, IER, 0x02);			/* no edge of the enable: nothing new */
	assert_false(fake_of(vm)->lines[IRQ].level);
	out8(vm, DATA, 'x');
	assert_int_equal(in8(vm, LSR), 0x60);	/* empty already, */
	assert_false(fake_of(vm)->lines[IRQ].level);	/* with an interrupt a character's time later */
	fake_advance_ns(vm, 86000);
	assert_false(fake_of(vm)->lines[IRQ].level);
	fake_advance_ns(vm, 2000);
	assert_true(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(fake_of(vm)->lines[IRQ].rises, 2);
	out8(vm, IER, 0);
	assert_false(fake_of(vm)->lines[IRQ].level);
	in8(vm, IIR);
	out8(vm, IER, 0x02);			/* enabled anew: raised anew */
	assert_int_equal(in8(vm, IIR), 0x02);
}

static void test_receive_without_fifo(void **state)
{
	struct vm *vm = *state;

	out8(vm, IER, 0x01);
	type("a");
	assert_true(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(in8(vm, IIR), 0x04);
	assert_int_equal(in8(vm, LSR), 0x61);
	assert_int_equal(in8(vm, DATA), 'a');
	assert_int_equal(in8(vm, LSR), 0x60);
	assert_false(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(in8(vm, DATA), 'a');	/* an empty buffer keeps what it showed */
}

/* What has no room in the receiver waits in the console: never an overrun. */
static void test_pasted_text(void **state)
{
	struct vm *vm = *state;

	for (unsigned i = 0; i < 1000; i++)
		fake_type(vm, (char)i);
	assert_int_equal(fake_of(vm)->typed_read, 1);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(in8(vm, LSR), 0x61);
		assert_int_equal(in8(vm, DATA), (u8)i);
	}
	assert_int_equal(in8(vm, LSR), 0x60);
	/* With a FIFO as many as the trigger level says are on their way at the same time. */
	out8(vm, FCR, 0xc1);
	for (unsigned i = 0; i < 20; i++)
		fake_type(vm, (char)i);
	assert_int_equal(fake_of(vm)->typed_count - fake_of(vm)->typed_read, 6);
}

/*
 * "Interrupt Control Functions": the line falls when the last character at or above the trigger level is read, and a
 * write to THR resets the transmitter's interrupt, as a read of IIR does. So a driver that handles one character for each
 * edge, and does not read IIR, gets an edge for each.
 */
static void test_an_edge_for_each_character(void **state)
{
	struct vm *vm = *state;
	const struct fake_line *line = &fake_of(vm)->lines[IRQ];
	static const struct {
		u8 fcr, level;
	} modes[] = { { 0x00, 1 }, { 0x01, 1 }, { 0x41, 4 }, { 0xc1, 14 } };

	out8(vm, IER, 0x02);
	for (unsigned i = 1; i <= 5; i++) {
		assert_true(line->level);
		assert_int_equal(line->rises, i);
		out8(vm, DATA, 'a');
		assert_false(line->level);
		fake_advance_ns(vm, 90000);
	}
	out8(vm, IER, 0x01);
	for (unsigned mode = 0; mode < ARRAY_SIZE(modes); mode++) {
		unsigned rises;

		out8(vm, FCR, modes[mode].fcr);
		rises = line->rises;
		for (unsigned i = 0; i < 56; i++)
			fake_type(vm, (char)i);
		for (unsigned i = 0; i < 56; i += modes[mode].level) {
			assert_true(line->level);
			assert_true(line->rises > rises);
			rises = line->rises;
			for (unsigned n = 0; n < modes[mode].level; n++)
				assert_int_equal(in8(vm, DATA), i + n);
		}
		assert_false(line->level);
	}
}

/* One edge for all that is written into the FIFO, and none if the driver asks before it comes. */
static void test_an_edge_for_a_burst(void **state)
{
	struct vm *vm = *state;
	const struct fake_line *line = &fake_of(vm)->lines[IRQ];

	out8(vm, FCR, 0x01);
	out8(vm, IER, 0x02);
	assert_int_equal(in8(vm, IIR), 0xc2);
	for (unsigned i = 0; i < 16; i++)
		out8(vm, DATA, 'a');
	fake_advance_ns(vm, 1300000);	/* 16 characters take 1.39 ms */
	assert_false(line->level);
	fake_advance_ns(vm, 100000);
	assert_true(line->level);
	assert_int_equal(line->rises, 2);

	for (unsigned i = 0; i < 16; i++)
		out8(vm, DATA, 'a');
	assert_false(line->level);
	assert_int_equal(in8(vm, IIR), 0xc2);
	fake_advance_ns(vm, 100000000);
	assert_false(line->level);
	assert_int_equal(line->rises, 2);

	/* Without the interrupt nothing is waited for; enabling it finds an empty transmitter. */
	out8(vm, IER, 0);
	out8(vm, DATA, 'a');
	fake_advance_ns(vm, 100000000);
	assert_false(line->level);
	out8(vm, IER, 0x02);
	assert_true(line->level);
}

static void fill(struct vm *vm, bool full)
{
	fake_of(vm)->console_full = full;
	if (!full)
		fake_console_changed(vm);
}

/* A full console: THRE and TEMT are 0 until there is room. The character that was sent is not lost. */
static void test_a_full_console_keeps_the_transmitter_busy(void **state)
{
	struct vm *vm = *state;

	out8(vm, DATA, 'a');
	assert_int_equal(in8(vm, LSR), 0x60);
	fill(vm, true);
	out8(vm, DATA, 'b');
	assert_int_equal(in8(vm, LSR), 0x00);
	assert_int_equal(in8(vm, LSR), 0x00);
	type("x");
	assert_int_equal(in8(vm, LSR), 0x01);	/* input still comes */
	assert_int_equal(in8(vm, DATA), 'x');
	fill(vm, false);
	assert_int_equal(in8(vm, LSR), 0x60);
	out8(vm, DATA, 'c');
	assert_memory_equal(fake_of(vm)->console, "ac", 2);
	assert_int_equal(in8(vm, LSR), 0x60);
}

/* No THRE interrupt while it is busy, not even by enabling it anew; one when there is room. */
static void test_room_raises_the_transmit_interrupt(void **state)
{
	struct vm *vm = *state;

	out8(vm, IER, 0x02);
	assert_int_equal(in8(vm, IIR), 0x02);
	fill(vm, true);
	out8(vm, DATA, 'b');
	assert_false(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(in8(vm, IIR), 0x01);
	out8(vm, IER, 0x00);
	out8(vm, IER, 0x02);
	assert_false(fake_of(vm)->lines[IRQ].level);
	type("x");				/* a change that brings no room */
	assert_false(fake_of(vm)->lines[IRQ].level);
	fill(vm, false);
	assert_true(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(in8(vm, IIR), 0x02);
	assert_int_equal(in8(vm, IIR), 0x01);
	fill(vm, false);			/* further changes raise nothing */
	assert_false(fake_of(vm)->lines[IRQ].level);
}

/* Loopback sends to itself, whatever the console does. */
static void test_loopback_with_a_full_console(void **state)
{
	struct vm *vm = *state;

	fill(vm, true);
	out8(vm, MCR, LOOP);
	out8(vm, DATA, 'a');
	assert_int_equal(in8(vm, LSR), 0x61);
	assert_int_equal(in8(vm, DATA), 'a');
}

/* A driver's interrupt handler reads IIR again when it has sent its burst. */
static void test_reading_iir_pushes_the_output(void **state)
{
	struct vm *vm = *state;

	out8(vm, DATA, 'a');
	in8(vm, LSR);
	assert_int_equal(fake_of(vm)->console_pushes, 0);
	in8(vm, IIR);
	assert_int_equal(fake_of(vm)->console_pushes, 1);
}

static void test_fifo_bits(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(in8(vm, IIR) & 0xc0, 0);
	out8(vm, FCR, 0xc0);		/* not taken without the enable */
	assert_int_equal(in8(vm, IIR) & 0xc0, 0);
	out8(vm, FCR, 0x01);
	assert_int_equal(in8(vm, IIR) & 0xc0, 0xc0);
	type("x");
	out8(vm, FCR, 0x03);		/* clear the receive FIFO */
	assert_int_equal(in8(vm, LSR), 0x60);
	type("x");
	out8(vm, FCR, 0x00);		/* switching clears too */
	assert_int_equal(in8(vm, LSR), 0x60);
	type("xyz");
	out8(vm, FCR, 0x01);		/* what had no room yet comes in then */
	assert_int_equal(in8(vm, DATA), 'y');
	assert_int_equal(in8(vm, DATA), 'z');
}

/* "FCR0 must be a 1 when other FCR bits are written to or they will not be programmed." */
static void test_fcr_without_its_enable(void **state)
{
	struct vm *vm = *state;

	type("x");
	out8(vm, FCR, 0xc2);		/* would clear the receiver */
	assert_int_equal(in8(vm, LSR), 0x61);
	assert_int_equal(in8(vm, DATA), 'x');
}

/* Another trigger level clears nothing. */
static void test_fcr_keeps_the_fifo(void **state)
{
	struct vm *vm = *state;

	out8(vm, FCR, 0x01);
	type("xy");
	out8(vm, FCR, 0x41);
	assert_int_equal(in8(vm, DATA), 'x');
	assert_int_equal(in8(vm, DATA), 'y');
	assert_int_equal(in8(vm, LSR), 0x60);
}

static void test_received_data_without_its_enable(void **state)
{
	struct vm *vm = *state;

	out8(vm, IER, 0x0c);		/* line status and modem */
	in8(vm, MSR);
	type("x");
	assert_int_equal(in8(vm, IIR), 0x01);
	assert_false(fake_of(vm)->lines[IRQ].level);
	out8(vm, FCR, 0x81);
	type("yz");
	fake_advance_ns(vm, 1000000);	/* longer than the time-out */
	assert_int_equal(in8(vm, IIR), 0xc1);
	assert_false(fake_of(vm)->lines[IRQ].level);
}

static void test_trigger_levels(void **state)
{
	static const unsigned levels[] = { 1, 4, 8, 14 };
	struct vm *vm = *state;

	out8(vm, IER, 0x01);
	for (unsigned i = 0; i < 4; i++) {
		out8(vm, FCR, 0x03 | i << 6);
		for (unsigned n = 1; n < levels[i]; n++) {
			type("q");
			assert_int_equal(in8(vm, IIR), 0xc1);
		}
		type("q");
		assert_int_equal(in8(vm, IIR), 0xc4);
		in8(vm, DATA);		/* falls below the trigger */
		assert_int_equal(in8(vm, IIR), 0xc1);
	}
}

/* Four characters of 10 bits at 115200 baud: 347.2 us. */
static void test_character_timeout(void **state)
{
	struct vm *vm = *state;

	out8(vm, IER, 0x01);
	out8(vm, FCR, 0x81);
	type("ab");
	fake_advance_ns(vm, 347000);
	assert_false(fake_of(vm)->lines[IRQ].level);
	fake_advance_ns(vm, 1000);
	assert_true(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(in8(vm, IIR), 0xcc);
	assert_int_equal(in8(vm, IIR), 0xcc);	/* stays until a character is read */
	assert_int_equal(in8(vm, DATA), 'a');
	assert_int_equal(in8(vm, IIR), 0xc1);
	assert_false(fake_of(vm)->lines[IRQ].level);
	/* The time starts anew with each character that comes or is read. */
	fake_advance_ns(vm, 300000);
	type("c");
	fake_advance_ns(vm, 300000);
	assert_int_equal(in8(vm, IIR), 0xc1);
	fake_advance_ns(vm, 50000);
	assert_int_equal(in8(vm, IIR), 0xcc);
	in8(vm, DATA);
	fake_advance_ns(vm, 348000);
	assert_int_equal(in8(vm, IIR), 0xcc);	/* the one that is left */
	in8(vm, DATA);
	fake_advance_ns(vm, 1000000000);
	assert_int_equal(in8(vm, IIR), 0xc1);	/* nothing left, nothing to time out */
	type("d");
	out8(vm, FCR, 0x83);
	fake_advance_ns(vm, 1000000000);
	assert_int_equal(in8(vm, IIR), 0xc1);	/* cleared, likewise */
}

static void test_clearing_ends_the_timeout(void **state)
{
	struct vm *vm = *state;

	out8(vm, IER, 0x01);
	out8(vm, FCR, 0x81);
	type("a");
	fake_advance_ns(vm, 348000);
	assert_int_equal(in8(vm, IIR), 0xcc);
	out8(vm, FCR, 0x83);
	assert_int_equal(in8(vm, IIR), 0xc1);
	assert_false(fake_of(vm)->lines[IRQ].level);
}

static void test_no_timeout_without_fifo(void **state)
{
	struct vm *vm = *state;

	type("a");
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
}

/* A divisor of 0 makes no baud rate: it counts as 1. */
static void test_timeout_with_divisor_0(void **state)
{
	struct vm *vm = *state;

	out8(vm, LCR, 0x83);
	out8(vm, DATA, 0);
	out8(vm, LCR, 0x03);
	out8(vm, IER, 0x01);
	out8(vm, FCR, 0x81);
	type("a");
	fake_advance_ns(vm, 347000);
	assert_int_equal(in8(vm, IIR), 0xc1);
	fake_advance_ns(vm, 1000);
	assert_int_equal(in8(vm, IIR), 0xcc);
}

static void test_timeout_follows_the_format(void **state)
{
	struct vm *vm = *state;

	out8(vm, LCR, 0x83);
	out8(vm, DATA, 12);		/* 9600 baud */
	out8(vm, LCR, 0x0f);		/* 8 bits, parity, 2 stop bits: 12 bits, 5 ms for four */
	out8(vm, IER, 0x01);
	out8(vm, FCR, 0x81);
	type("a");
	fake_advance_ns(vm, 4990000);
	assert_int_equal(in8(vm, IIR), 0xc1);
	fake_advance_ns(vm, 20000);
	assert_int_equal(in8(vm, IIR), 0xcc);
	in8(vm, DATA);
	out8(vm, LCR, 0x07);		/* no parity: 11 bits, 4.58 ms */
	type("a");
	fake_advance_ns(vm, 4570000);
	assert_int_equal(in8(vm, IIR), 0xc1);
	fake_advance_ns(vm, 20000);
	assert_int_equal(in8(vm, IIR), 0xcc);
}

static void test_loopback_overrun(void **state)
{
	struct vm *vm = *state;

	out8(vm, MCR, LOOP);
	out8(vm, DATA, 'a');
	assert_int_equal(in8(vm, LSR), 0x61);
	out8(vm, DATA, 'b');		/* without FIFO the new one stays */
	assert_int_equal(in8(vm, LSR), 0x63);
	assert_int_equal(in8(vm, LSR), 0x61);	/* reading cleared the error */
	assert_int_equal(in8(vm, DATA), 'b');

	out8(vm, FCR, 0x01);
	for (unsigned i = 0; i < 17; i++)
		out8(vm, DATA, 'a' + i);
	assert_int_equal(in8(vm, LSR), 0x63);
	for (unsigned i = 0; i < 16; i++)	/* with FIFO the old ones do */
		assert_int_equal(in8(vm, DATA), 'a' + i);
	assert_int_equal(in8(vm, LSR), 0x60);
	assert_int_equal(fake_of(vm)->console_length, 0);
}

static void test_loopback_modem_lines(void **state)
{
	struct vm *vm = *state;

	in8(vm, MSR);
	out8(vm, MCR, LOOP);
	assert_int_equal(in8(vm, MSR), 0x0b);	/* CTS, DSR, DCD went off */
	assert_int_equal(in8(vm, MSR), 0x00);
	out8(vm, MCR, LOOP | 0x01);		/* DTR -> DSR */
	assert_int_equal(in8(vm, MSR), 0x22);
	out8(vm, MCR, LOOP | 0x02);		/* RTS -> CTS, DSR off */
	assert_int_equal(in8(vm, MSR), 0x13);
	out8(vm, MCR, LOOP | 0x04);		/* OUT1 -> RI: its delta is of the trailing edge */
	assert_int_equal(in8(vm, MSR), 0x41);
	out8(vm, MCR, LOOP | 0x08);		/* OUT2 -> DCD */
	assert_int_equal(in8(vm, MSR), 0x8c);
	out8(vm, MCR, OUT2);
	assert_int_equal(in8(vm, MSR), 0xb3);
}

static void test_loopback_keeps_the_line_out(void **state)
{
	struct vm *vm = *state;

	out8(vm, MCR, LOOP);
	type("a");
	assert_int_equal(in8(vm, LSR), 0x60);
	out8(vm, MCR, OUT2);
	assert_int_equal(in8(vm, LSR), 0x61);
	assert_int_equal(in8(vm, DATA), 'a');
}

static void test_out2_connects_the_interrupt(void **state)
{
	struct vm *vm = *state;

	out8(vm, MCR, 0);
	out8(vm, IER, 0x02);
	assert_false(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(in8(vm, LCR), 0x03);
	out8(vm, MCR, OUT2);
	assert_true(fake_of(vm)->lines[IRQ].level);
	out8(vm, MCR, OUT2 | LOOP);
	assert_false(fake_of(vm)->lines[IRQ].level);
}

/* Line status, received data, transmitter, modem: each shows once the more urgent is served. */
static void test_interrupt_priorities(void **state)
{
	struct vm *vm = *state;

	out8(vm, MCR, LOOP);
	in8(vm, MSR);
	out8(vm, IER, 0x0f);
	out8(vm, MCR, LOOP | 0x01);	/* DDSR */
	out8(vm, DATA, 'a');
	out8(vm, DATA, 'b');		/* overrun */
	assert_int_equal(in8(vm, IIR), 0x06);
	in8(vm, LSR);
	assert_int_equal(in8(vm, IIR), 0x04);
	in8(vm, DATA);
	assert_int_equal(in8(vm, IIR), 0x02);
	assert_int_equal(in8(vm, IIR), 0x00);
	in8(vm, MSR);
	assert_int_equal(in8(vm, IIR), 0x01);
}

static void test_line_status_interrupt_alone(void **state)
{
	struct vm *vm = *state;

	out8(vm, MCR, LOOP);
	in8(vm, MSR);
	out8(vm, IER, 0x04);
	out8(vm, DATA, 'a');
	out8(vm, DATA, 'b');
	assert_int_equal(in8(vm, IIR), 0x06);
	out8(vm, IER, 0x0b);
	assert_int_not_equal(in8(vm, IIR), 0x06);
}

static void test_read_only_registers(void **state)
{
	struct vm *vm = *state;

	out8(vm, LSR, 0xff);
	out8(vm, MSR, 0xff);
	assert_int_equal(in8(vm, LSR), 0x60);
	assert_int_equal(in8(vm, MSR), 0xb0);
}

static void test_hostile(void **state)
{
	struct vm *vm = *state;
	u64 seed = 0x16550;

	for (unsigned i = 0; i < 1500000; i++) {
		u64 random = fake_random(&seed);
		u16 port = COM1 + (random >> 8) % 8;

		switch (random & 7) {
		case 0 ... 2:
			out8(vm, port, random >> 32);
			break;
		case 3 ... 4:
			in8(vm, port);
			break;
		case 5:
			out16(vm, port, random >> 32);
			break;
		case 6:
			if (fake_of(vm)->typed_count - fake_of(vm)->typed_read < 64)
				fake_type(vm, (char)(random >> 32));
			break;
		default:
			fake_advance_ns(vm, random >> 44);
			fake_of(vm)->console_full = random >> 43 & 1;
			fake_console_changed(vm);
			break;
		}
	}
	fake_of(vm)->console_full = false;
	out8(vm, LCR, 0x03);
	out8(vm, IER, 0);
	out8(vm, MCR, OUT2);
	while (in8(vm, LSR) & 1)
		in8(vm, DATA);
	fake_type(vm, 'z');
	assert_int_equal(in8(vm, DATA), 'z');
	assert_false(fake_of(vm)->lines[IRQ].level);
}

static unsigned block(struct vm *vm, u16 port, bool in, u8 *data, unsigned n)
{
	unsigned done = io_block(vm_vcpu(vm, 0), port, in, data, n);

	assert_true(done <= n);
	return done;
}

/* What a block is refused for, the caller does by single accesses. */
static void test_blocks(void **state)
{
	struct vm *vm = *state;
	u8 data[40];

	memcpy(data, "a run of characters, and some more of it", 40);
	out8(vm, IER, 0x02);
	assert_true(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(block(vm, DATA, false, data, 40), 40);
	assert_false(fake_of(vm)->lines[IRQ].level);
	assert_memory_equal(fake_of(vm)->console, data, 40);
	fake_advance_ns(vm, 1400000);		/* 16 characters: the transmitter's interrupt */
	assert_true(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(in8(vm, IIR), 0x02);
	assert_int_equal(block(vm, LSR, true, data, 20), 20);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(data[i], 0x60);
	for (u16 port = COM1; port <= SCR; port++) {
		assert_int_equal(block(vm, port, true, data, 4), port == LSR ? 4 : 0);
		if (port != DATA)
			assert_int_equal(block(vm, port, false, data, 4), 0);
	}
	out8(vm, LCR, 0x02);			/* 7 bits: each is masked */
	assert_int_equal(block(vm, DATA, false, data, 4), 0);
	out8(vm, LCR, 0x83);			/* the divisor */
	assert_int_equal(block(vm, DATA, false, data, 4), 0);
	out8(vm, LCR, 0x03);
	out8(vm, MCR, LOOP);
	assert_int_equal(block(vm, DATA, false, data, 4), 0);
	out8(vm, MCR, OUT2);
	fill(vm, true);
	assert_int_equal(block(vm, DATA, false, data, 4), 0);
	assert_int_equal(fake_of(vm)->console_length, 40);
}

/* Errors show in the first look only. */
static void test_a_block_reads_errors_once(void **state)
{
	struct vm *vm = *state;
	u8 data[3];

	out8(vm, MCR, LOOP);
	out8(vm, DATA, 'a');
	out8(vm, DATA, 'b');
	assert_int_equal(block(vm, LSR, true, data, 3), 3);
	assert_int_equal(data[0], 0x63);
	assert_int_equal(data[1], 0x61);
	assert_int_equal(data[2], 0x61);
}

/* Two ports get the same, one of them in blocks. */
static void test_blocks_are_many_accesses(void **state)
{
	struct vm *vms[] = { fake_create(0), fake_create(0) };
	u64 seed = 0x16551;
	unsigned blocks = 0;

	for (unsigned i = 0; i < 2; i++)
		assert_non_null(vuart_create(vms[i], COM1, IRQ, true));
	for (unsigned round = 0; round < 200000; round++) {
		u64 random = fake_random(&seed);
		u16 port = random & 0x100 ? COM1 : COM1 + (random >> 9) % 8;
		unsigned n = 1 + (random >> 16) % 20, done;
		u8 data[20], read[20];

		for (unsigned i = 0; i < 2; i++) {
			struct fake_vm *fake = fake_of(vms[i]);

			fake->console_length = 0;
			switch (random & 7) {
			case 0 ... 1:
				out8(vms[i], port, random >> 32);
				break;
			case 2:
				fake_advance_ns(vms[i], i ? 0 : random >> 43);	/* they have one clock */
				break;
			case 3:
				fake->console_full = random >> 43 & 1;
				fake_console_changed(vms[i]);
				break;
			case 4 ... 5:
				memset(data, random >> 32, n);
				done = i ? block(vms[i], port, false, data, n) : 0;
				blocks += done;
				while (done < n)
					out8(vms[i], port, data[done++]);
				break;
			default:
				done = i ? block(vms[i], port, true, data, n) : 0;
				blocks += done;
				while (done < n)
					data[done++] = in8(vms[i], port);
				if (i)
					assert_memory_equal(data, read, n);
				memcpy(read, data, n);
			}
		}
		assert_int_equal(fake_of(vms[0])->console_length, fake_of(vms[1])->console_length);
		assert_memory_equal(fake_of(vms[0])->console, fake_of(vms[1])->console, fake_of(vms[0])->console_length);
		assert_int_equal(fake_of(vms[0])->lines[IRQ].level, fake_of(vms[1])->lines[IRQ].level);
		assert_int_equal(fake_of(vms[0])->lines[IRQ].rises, fake_of(vms[1])->lines[IRQ].rises);
		if (round % 8 == 0)
			for (u16 i = IER; i <= SCR; i++)
				assert_int_equal(in8(vms[0], i), in8(vms[1], i));
	}
	assert_true(blocks > 10000);
	fake_destroy(vms[0]);
	fake_destroy(vms[1]);
}

/* On an 8-bit bus a wider access is one of a byte for each port, the lowest first. */
static void test_wide_accesses(void **state)
{
	struct vm *vm = *state;

	out16(vm, SCR - 1, 0x5a00);
	assert_int_equal(in8(vm, SCR), 0x5a);
	assert_int_equal(in16(vm, MSR), 0x5a00 | in8(vm, MSR));
	out16(vm, DATA, 0x0241);
	assert_int_equal(fake_of(vm)->console[0], 'A');
	assert_int_equal(in8(vm, IER), 2);
	assert_int_equal(in16(vm, LCR), (u16)(in8(vm, MCR) << 8 | in8(vm, LCR)));
}

/* A port without a console works as one to which nothing is connected, and leaves the console to the other. */
static void test_nothing_is_connected(void **state)
{
	enum { COM2 = 0x2f8 };
	struct vm *vm = *state;

	assert_non_null(vuart_create(vm, COM2, 3, false));
	fake_type(vm, 'x');
	assert_int_equal(in8(vm, LSR) & 1, 1);		/* COM1 has it */
	assert_int_equal(in8(vm, COM2 + 5), 0x60);
	assert_int_equal(in8(vm, DATA), 'x');
	out8(vm, COM2 + 4, 0x08);			/* OUT2 */
	out8(vm, COM2 + 1, 0x02);			/* the transmitter's interrupt */
	assert_true(fake_of(vm)->lines[3].level);
	assert_int_equal(in8(vm, COM2 + 2), 0x02);
	assert_false(fake_of(vm)->lines[3].level);
	for (unsigned i = 1; i <= 3; i++) {
		out8(vm, COM2, 'y');
		fake_advance_ns(vm, 90000);
		assert_true(fake_of(vm)->lines[3].level);
		assert_int_equal(in8(vm, COM2 + 5), 0x60);
		assert_int_equal(in8(vm, COM2 + 2), 0x02);
		assert_int_equal(vm->once.count, 1);	/* said once */
	}
	assert_int_equal(fake_of(vm)->console_length, 0);
	out8(vm, COM2 + 4, 0x10);			/* the loopback that drivers look for */
	out8(vm, COM2, 0xae);
	assert_int_equal(in8(vm, COM2 + 5) & 1, 1);
	assert_int_equal(in8(vm, COM2), 0xae);
	out8(vm, DATA, 'z');
	assert_int_equal(fake_of(vm)->console_length, 1);
}

/* --- another device at the same console --- */

static unsigned other_changes;

static void other_changed(void *device)
{
	other_changes++;
}

/* Another device takes what is typed: the port still sends. */
static void test_without_input(void **state)
{
	struct vm_console_end keyboard = { .changed = other_changed, .need = CONSOLE_CHOSEN };
	struct vm *vm = *state;

	vm_console_connect(vm, &keyboard);
	fake_type(vm, 'x');
	assert_int_equal(in8(vm, LSR), 0x60);
	assert_int_equal(fake_of(vm)->typed_read, 0);
	out8(vm, IER, 0x01);
	assert_int_equal(in8(vm, LSR), 0x60);
	out8(vm, DATA, 'y');
	assert_int_equal(fake_of(vm)->console_length, 1);
	fake_of(vm)->console_full = true;
	out8(vm, DATA, 'z');
	assert_int_equal(in8(vm, LSR) & 0x60, 0);
	fake_of(vm)->console_full = false;
	fake_console_changed(vm);
	assert_int_equal(in8(vm, LSR) & 0x60, 0x60);
}

/* A driver that has enabled the receive interrupt gets what is typed, before a device that is only open. */
static void test_the_receive_interrupt_asks_for_input(void **state)
{
	struct vm_console_end hvc = { .changed = other_changed, .need = CONSOLE_OPEN };
	struct vm *vm = *state;

	vm_console_connect(vm, &hvc);
	fake_type(vm, 'x');
	assert_int_equal(in8(vm, LSR) & 1, 0);
	out8(vm, IER, 0x01);
	assert_true(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(in8(vm, DATA), 'x');
	other_changes = 0;
	out8(vm, IER, 0x02);			/* of the transmitter only */
	assert_int_equal(other_changes, 1);
	fake_type(vm, 'y');
	assert_int_equal(in8(vm, LSR) & 1, 0);
	assert_int_equal(vm_console_read(vm, &hvc), 'y');
}

/* Characters that were typed and not read are not lost to the other device; those of a loopback are not for it. */
static void test_unread_characters_are_taken_back(void **state)
{
	struct vm *vm = *state;
	struct vm_console_end *end = fake_of(vm)->console_ends;

	assert_int_equal(end->take_back(end->device), -1);
	out8(vm, FCR, 0xc1);			/* FIFO, trigger level 14 */
	type("abc");
	assert_int_equal(in8(vm, DATA), 'a');
	out8(vm, IER, 0x01);
	fake_advance_ns(vm, 1000000);		/* time-out: the interrupt is up */
	assert_true(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(end->take_back(end->device), 'b');
	assert_int_equal(end->take_back(end->device), 'c');
	assert_int_equal(end->take_back(end->device), -1);
	assert_false(fake_of(vm)->lines[IRQ].level);
	assert_int_equal(in8(vm, LSR) & 1, 0);
	out8(vm, MCR, LOOP);
	out8(vm, DATA, 'l');
	assert_int_equal(end->take_back(end->device), -1);
	out8(vm, MCR, OUT2);
	assert_int_equal(end->take_back(end->device), -1);
	assert_int_equal(in8(vm, DATA), 'l');
	type("d");
	assert_int_equal(end->take_back(end->device), 'd');
	/* Without FIFOs the looped character replaces the typed one. */
	out8(vm, FCR, 0);
	type("e");
	out8(vm, MCR, LOOP);
	out8(vm, DATA, 'm');
	out8(vm, MCR, OUT2);
	assert_int_equal(end->take_back(end->device), -1);
	assert_int_equal(in8(vm, DATA), 'm');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_initial_state),
		TEST(test_output),
		TEST(test_blocks),
		TEST(test_a_block_reads_errors_once),
		cmocka_unit_test(test_blocks_are_many_accesses),
		TEST(test_wide_accesses),
		TEST(test_nothing_is_connected),
		TEST(test_without_input),
		TEST(test_the_receive_interrupt_asks_for_input),
		TEST(test_unread_characters_are_taken_back),
		TEST(test_word_length),
		TEST(test_divisor_and_scratch),
		cmocka_unit_test(test_divisor_from_the_start),
		TEST(test_divisor_halves),
		TEST(test_registers_do_not_share_bits),
		TEST(test_transmit_interrupt),
		TEST(test_receive_without_fifo),
		TEST(test_pasted_text),
		TEST(test_an_edge_for_each_character),
		TEST(test_an_edge_for_a_burst),
		TEST(test_a_full_console_keeps_the_transmitter_busy),
		TEST(test_room_raises_the_transmit_interrupt),
		TEST(test_loopback_with_a_full_console),
		TEST(test_reading_iir_pushes_the_output),
		TEST(test_fifo_bits),
		TEST(test_fcr_without_its_enable),
		TEST(test_fcr_keeps_the_fifo),
		TEST(test_received_data_without_its_enable),
		TEST(test_trigger_levels),
		TEST(test_character_timeout),
		TEST(test_clearing_ends_the_timeout),
		TEST(test_no_timeout_without_fifo),
		TEST(test_timeout_with_divisor_0),
		TEST(test_timeout_follows_the_format),
		TEST(test_loopback_overrun),
		TEST(test_loopback_modem_lines),
		TEST(test_loopback_keeps_the_line_out),
		TEST(test_out2_connects_the_interrupt),
		TEST(test_interrupt_priorities),
		TEST(test_line_status_interrupt_alone),
		TEST(test_read_only_registers),
		TEST(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
