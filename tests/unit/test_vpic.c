/* SPDX-License-Identifier: MIT */
/*
 * The 8259 pair against Intel's "8259A Programmable Interrupt Controller" data sheet.
 */
/* link: dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include "dev/irq/irqchip.h"
#include "dev/irq/vpic.h"
#include "dev/platform.h"

#define MASTER 0x20
#define SLAVE  0xa0
#define BASE   0x30
#define BASE2  0x70

static struct platform platform;

void irqchip_pic_output(struct vm *vm, bool level)
{
	assert_int_equal(level, vpic_pending(vm));
	vcpu_interrupt_sent(vm_bsp(vm));
}

static void program(struct vm *vm, u16 port, u8 icw1, u8 base, u8 icw3, u8 icw4)
{
	out8(vm, port, icw1);
	out8(vm, port + 1, base);
	out8(vm, port + 1, icw3);
	out8(vm, port + 1, icw4);
}

static int setup(void **state)
{
	struct vm *vm = fake_create(0);

	vm_set_platform(vm, &platform);
	platform.vpic = vpic_create(vm);
	assert_non_null(platform.vpic);
	program(vm, MASTER, 0x11, BASE, 0x04, 0x01);
	program(vm, SLAVE, 0x11, BASE2, 0x02, 0x01);
	*state = vm;
	return 0;
}

static int teardown(void **state)
{
	fake_destroy(*state);
	return 0;
}

/* A rise, whatever the line was. */
static void edge(struct vm *vm, unsigned irq)
{
	vpic_set_line(vm, irq, false);
	vpic_set_line(vm, irq, true);
}

static u8 isr(struct vm *vm, u16 port)
{
	out8(vm, port, 0x0b);
	return in8(vm, port);
}

static u8 irr(struct vm *vm, u16 port)
{
	out8(vm, port, 0x0a);
	return in8(vm, port);
}

static void test_masked_and_silent_before_initialization(void **state)
{
	struct vm *vm = fake_create(0);

	vm_set_platform(vm, &platform);
	platform.vpic = vpic_create(vm);
	assert_int_equal(in8(vm, MASTER + 1), 0xff);
	assert_int_equal(in8(vm, SLAVE + 1), 0xff);
	out8(vm, MASTER + 1, 0);
	edge(vm, 1);
	assert_false(vpic_pending(vm));
	fake_destroy(vm);
}

static void test_no_memory(void **state)
{
	struct vm *vm = fake_create(0);

	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	vm->ports.count = 0;
	assert_null(vpic_create(vm));
	fake_destroy(vm);
}

static void test_edge(void **state)
{
	struct vm *vm = *state;

	fake_interrupt_changed(vm_bsp(vm));
	vpic_set_line(vm, 3, true);
	assert_true(vpic_pending(vm));
	assert_true(fake_interrupt_changed(vm_bsp(vm)));
	assert_int_equal(irr(vm, MASTER), 0x08);
	assert_int_equal(vpic_acknowledge(vm), BASE + 3);
	assert_false(vpic_pending(vm));
	assert_int_equal(irr(vm, MASTER), 0);
	assert_int_equal(isr(vm, MASTER), 0x08);
	/* Held high it does not interrupt again, not even after its EOI. */
	out8(vm, MASTER, 0x20);
	assert_int_equal(isr(vm, MASTER), 0);
	assert_false(vpic_pending(vm));
	vpic_set_line(vm, 3, false);
	vpic_set_line(vm, 3, true);
	assert_true(vpic_pending(vm));
}

/* The request falls with the line: no interrupt is left over from a cause that was served. */
static void test_line_falls_before_acknowledge(void **state)
{
	struct vm *vm = *state;

	out8(vm, MASTER + 1, 0x10);
	vpic_set_line(vm, 4, true);
	assert_int_equal(irr(vm, MASTER), 0x10);
	vpic_set_line(vm, 4, false);
	assert_int_equal(irr(vm, MASTER), 0);
	out8(vm, MASTER + 1, 0);
	assert_false(vpic_pending(vm));
}

static void test_level(void **state)
{
	struct vm *vm = *state;

	out8(vm, 0x4d0, 0xff);
	out8(vm, 0x4d1, 0xff);
	assert_int_equal(in8(vm, 0x4d0), 0xf8);	/* IRQ 0, 1, 2 stay edge-triggered */
	assert_int_equal(in8(vm, 0x4d1), 0xde);	/* and 8, 13 */
	vpic_set_line(vm, 5, true);
	assert_int_equal(vpic_acknowledge(vm), BASE + 5);
	assert_false(vpic_pending(vm));
	out8(vm, MASTER, 0x20);
	assert_true(vpic_pending(vm));	/* still high */
	vpic_set_line(vm, 5, false);
	assert_false(vpic_pending(vm));
}

static void test_elcr_takes_effect_at_once(void **state)
{
	struct vm *vm = *state;

	vpic_set_line(vm, 5, true);
	assert_int_equal(vpic_acknowledge(vm), BASE + 5);
	out8(vm, MASTER, 0x20);
	assert_false(vpic_pending(vm));
	out8(vm, 0x4d0, 0x20);		/* high is enough now */
	assert_true(vpic_pending(vm));
	edge(vm, 4);
	out8(vm, 0x4d0, 0x00);
	assert_int_equal(irr(vm, MASTER), 0x30);	/* neither's request is touched */
}

static void test_lines_that_change_nothing(void **state)
{
	struct vm *vm = *state;

	vpic_set_line(vm, 3, false);
	vpic_set_line(vm, 16, true);
	vpic_set_line(vm, 17, true);
	assert_false(vpic_pending(vm));
	vpic_set_line(vm, 3, true);
	assert_int_equal(vpic_acknowledge(vm), BASE + 3);
	out8(vm, MASTER, 0x20);
	vpic_set_line(vm, 3, true);	/* no edge */
	assert_false(vpic_pending(vm));
}

static void test_spurious(void **state)
{
	struct vm *vm = *state;

	/* Gone before the acknowledge: IRQ 7's vector, and nothing is in service. */
	for (unsigned level = 0; level < 2; level++) {
		out8(vm, 0x4d0, level ? 0x20 : 0);
		vpic_set_line(vm, 5, true);
		vpic_set_line(vm, 5, false);
		assert_false(vpic_pending(vm));
		assert_int_equal(vpic_acknowledge(vm), BASE + 7);
		assert_int_equal(isr(vm, MASTER), 0);
	}
}

static void test_cascade(void **state)
{
	struct vm *vm = *state;

	vpic_set_line(vm, 2, true);	/* not a device's line */
	assert_false(vpic_pending(vm));
	edge(vm, 12);
	assert_int_equal(irr(vm, MASTER), 0x04);
	assert_int_equal(irr(vm, SLAVE), 0x10);
	assert_int_equal(vpic_acknowledge(vm), BASE2 + 4);
	assert_int_equal(isr(vm, MASTER), 0x04);
	assert_int_equal(isr(vm, SLAVE), 0x10);
	/* Nothing more from the slave until its EOI and the master's. */
	edge(vm, 9);
	assert_false(vpic_pending(vm));
	out8(vm, SLAVE, 0x20);
	assert_false(vpic_pending(vm));
	out8(vm, MASTER, 0x20);
	assert_true(vpic_pending(vm));
	assert_int_equal(vpic_acknowledge(vm), BASE2 + 1);
}

static void test_special_fully_nested(void **state)
{
	struct vm *vm = *state;

	program(vm, MASTER, 0x11, BASE, 0x04, 0x11);
	edge(vm, 12);
	assert_int_equal(vpic_acknowledge(vm), BASE2 + 4);
	edge(vm, 14);			/* of lower priority within the slave */
	assert_false(vpic_pending(vm));
	edge(vm, 9);			/* of higher priority: passes the master now */
	assert_true(vpic_pending(vm));
	assert_int_equal(vpic_acknowledge(vm), BASE2 + 1);
}

static void test_priorities(void **state)
{
	struct vm *vm = *state;

	edge(vm, 6);
	edge(vm, 1);
	edge(vm, 8);
	assert_int_equal(vpic_acknowledge(vm), BASE + 1);
	assert_false(vpic_pending(vm));	/* 8, by way of 2, and 6 wait for 1's EOI */
	edge(vm, 0);
	assert_true(vpic_pending(vm));	/* which outranks it */
	assert_int_equal(vpic_acknowledge(vm), BASE + 0);
	out8(vm, MASTER, 0x20);		/* ends 0, the more urgent one */
	assert_int_equal(isr(vm, MASTER), 0x02);
	out8(vm, MASTER, 0x20);
	assert_int_equal(vpic_acknowledge(vm), BASE2 + 0);
	out8(vm, SLAVE, 0x20);
	out8(vm, MASTER, 0x20);
	assert_int_equal(vpic_acknowledge(vm), BASE + 6);
}

static void test_each_line_has_its_vector(void **state)
{
	struct vm *vm = *state;

	for (unsigned irq = 0; irq < 16; irq++) {
		if (irq == 2)
			continue;
		edge(vm, irq);
		for (unsigned other = 0; other < 16; other++)
			if (other != 2)	/* the master's input 2 is the slave's output */
				assert_int_equal(vpic_line_waiting(vm, other), other == irq);
		assert_int_equal(vpic_acknowledge(vm), irq < 8 ? BASE + irq : BASE2 + irq - 8);
		if (irq >= 8)
			out8(vm, SLAVE, 0x20);
		out8(vm, MASTER, 0x20);		/* of IRQ 7 too, the lowest priority */
		assert_int_equal(isr(vm, MASTER), 0);
		assert_int_equal(isr(vm, SLAVE), 0);
		vpic_set_line(vm, irq, false);
	}
}

static void test_line_waiting(void **state)
{
	struct vm *vm = *state;

	assert_false(vpic_line_waiting(vm, 0));
	edge(vm, 0);
	edge(vm, 9);
	assert_true(vpic_line_waiting(vm, 0));
	assert_true(vpic_line_waiting(vm, 9));
	assert_false(vpic_line_waiting(vm, 1));
	vpic_acknowledge(vm);
	assert_false(vpic_line_waiting(vm, 0));	/* taken, if not ended */
	edge(vm, 0);
	assert_true(vpic_line_waiting(vm, 0));
	out8(vm, MASTER + 1, 0x01);
	assert_false(vpic_line_waiting(vm, 0));	/* nobody wants it */
	out8(vm, SLAVE, 0x11);
	assert_false(vpic_line_waiting(vm, 9));
}

static void test_mask(void **state)
{
	struct vm *vm = *state;

	out8(vm, MASTER + 1, 0x40);
	assert_int_equal(in8(vm, MASTER + 1), 0x40);
	edge(vm, 6);
	assert_false(vpic_pending(vm));
	assert_int_equal(irr(vm, MASTER), 0x40);
	out8(vm, MASTER + 1, 0);
	assert_true(vpic_pending(vm));
	out8(vm, MASTER + 1, 0x40);
	assert_false(vpic_pending(vm));
}

static void test_specific_eoi_and_rotation(void **state)
{
	struct vm *vm = *state;

	edge(vm, 5);
	assert_int_equal(vpic_acknowledge(vm), BASE + 5);
	edge(vm, 2 + 1);
	assert_int_equal(vpic_acknowledge(vm), BASE + 3);
	out8(vm, MASTER, 0x65);		/* specific EOI of 5 */
	assert_int_equal(isr(vm, MASTER), 0x08);
	out8(vm, MASTER, 0xa0);		/* rotate on non-specific EOI: 3 becomes the lowest */
	assert_int_equal(isr(vm, MASTER), 0);
	edge(vm, 3);
	edge(vm, 4);
	edge(vm, 0);
	assert_int_equal(vpic_acknowledge(vm), BASE + 4);
	out8(vm, MASTER, 0xe4);		/* rotate on specific EOI: 4 the lowest */
	assert_int_equal(isr(vm, MASTER), 0);
	assert_int_equal(vpic_acknowledge(vm), BASE + 0);
	out8(vm, MASTER, 0x20);
	out8(vm, MASTER, 0xc2);		/* set priority: 2 the lowest, 3 the highest */
	edge(vm, 1);
	assert_int_equal(vpic_acknowledge(vm), BASE + 3);
}

/* With 5 and 6 requested: is the order that of the highest priority first? */
static bool order_is_fixed(struct vm *vm)
{
	int first;

	out8(vm, MASTER + 1, 0);
	edge(vm, 5);
	edge(vm, 6);
	first = vpic_acknowledge(vm);
	out8(vm, MASTER, 0x65);
	out8(vm, MASTER, 0x66);
	vpic_set_line(vm, 5, false);
	vpic_set_line(vm, 6, false);
	return first == BASE + 5;
}

/* An EOI that finds nothing in service ends nothing, and rotates nothing. */
static void test_eoi_without_service(void **state)
{
	static const u8 commands[] = { 0x20, 0xa0 };
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		out8(vm, MASTER, 0xc5);		/* 5 is the lowest, 6 the highest */
		out8(vm, MASTER, commands[i]);
		assert_false(order_is_fixed(vm));
		out8(vm, MASTER, 0xc7);
		out8(vm, MASTER, commands[i]);
		assert_true(order_is_fixed(vm));
	}
}

/* "Operation Command Word 2": commands without EOI end nothing. */
static void test_commands_without_eoi(void **state)
{
	static const u8 commands[] = { 0x00, 0x80, 0x00, 0x40, 0x43, 0xc7 };
	struct vm *vm = *state;

	edge(vm, 3);
	assert_int_equal(vpic_acknowledge(vm), BASE + 3);
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		out8(vm, MASTER, commands[i]);
		assert_int_equal(isr(vm, MASTER), 0x08);
	}
}

static void test_no_operation_keeps_the_priorities(void **state)
{
	struct vm *vm = *state;

	out8(vm, MASTER, 0x45);
	assert_true(order_is_fixed(vm));
	out8(vm, MASTER, 0xc5);
	out8(vm, MASTER, 0x47);
	assert_false(order_is_fixed(vm));
}

static void test_auto_eoi(void **state)
{
	struct vm *vm = *state;

	program(vm, MASTER, 0x11, BASE, 0x04, 0x03);
	edge(vm, 1);
	edge(vm, 4);
	assert_int_equal(vpic_acknowledge(vm), BASE + 1);
	assert_true(vpic_pending(vm));	/* what is left: whoever acknowledges asks for it next */
	assert_int_equal(isr(vm, MASTER), 0);
	assert_int_equal(vpic_acknowledge(vm), BASE + 4);
	out8(vm, MASTER, 0x80);		/* rotate in automatic EOI mode */
	edge(vm, 1);
	assert_int_equal(vpic_acknowledge(vm), BASE + 1);
	edge(vm, 1);
	edge(vm, 3);
	assert_int_equal(vpic_acknowledge(vm), BASE + 3);	/* 1 is the lowest now */
}

static void test_rotation_on_auto_eoi_is_cleared(void **state)
{
	struct vm *vm = *state;

	program(vm, MASTER, 0x11, BASE, 0x04, 0x03);
	out8(vm, MASTER, 0x80);
	out8(vm, MASTER, 0x00);
	edge(vm, 5);
	assert_int_equal(vpic_acknowledge(vm), BASE + 5);
	assert_true(order_is_fixed(vm));
}

static void test_special_mask(void **state)
{
	struct vm *vm = *state;

	edge(vm, 1);
	assert_int_equal(vpic_acknowledge(vm), BASE + 1);
	edge(vm, 5);
	assert_false(vpic_pending(vm));
	out8(vm, MASTER, 0x68);		/* special mask mode */
	out8(vm, MASTER + 1, 0x02);	/* the one in service is masked: lower ones pass */
	assert_true(vpic_pending(vm));
	assert_int_equal(vpic_acknowledge(vm), BASE + 5);
	out8(vm, MASTER, 0x20);		/* does not reach the masked one */
	assert_int_equal(isr(vm, MASTER), 0x02);
	out8(vm, MASTER, 0x48);		/* normal mask mode */
	out8(vm, MASTER, 0x20);
	assert_int_equal(isr(vm, MASTER), 0);
}

/* "Operation Command Word 3": without its enable bit a choice is kept. */
static void test_choices_are_kept(void **state)
{
	struct vm *vm = *state;

	edge(vm, 1);
	assert_int_equal(vpic_acknowledge(vm), BASE + 1);
	edge(vm, 5);
	out8(vm, MASTER + 1, 0x02);
	out8(vm, MASTER, 0x28);		/* neither sets nor clears special mask mode */
	assert_false(vpic_pending(vm));
	out8(vm, MASTER, 0x68);
	out8(vm, MASTER, 0x08);
	assert_true(vpic_pending(vm));
	out8(vm, MASTER, 0x0b);
	out8(vm, MASTER, 0x08);
	assert_int_equal(in8(vm, MASTER), 0x02);	/* ISR */
	out8(vm, MASTER, 0x0a);
	out8(vm, MASTER, 0x09);
	assert_int_equal(in8(vm, MASTER), 0x20);	/* IRR */
}

/* All inputs in service are masked: the EOI ends none of them. */
static void test_special_mask_hides_all_from_the_eoi(void **state)
{
	struct vm *vm = *state;

	for (unsigned irq = 0; irq < 2; irq++) {
		edge(vm, 1 - irq);
		vpic_acknowledge(vm);
	}
	assert_int_equal(isr(vm, MASTER), 0x03);
	out8(vm, MASTER, 0x68);
	out8(vm, MASTER + 1, 0xff);
	out8(vm, MASTER, 0x20);
	assert_int_equal(isr(vm, MASTER), 0x03);
}

/* A poll is the acknowledge: INT falls with it. */
static void test_poll_lowers_int(void **state)
{
	struct vm *vm = *state;

	edge(vm, 3);
	assert_true(vpic_pending(vm));
	out8(vm, MASTER, 0x0c);
	assert_int_equal(in8(vm, MASTER), 0x83);
	assert_false(vpic_pending(vm));
}

static void test_poll(void **state)
{
	struct vm *vm = *state;

	out8(vm, MASTER, 0x0c);
	assert_int_equal(in8(vm, MASTER), 0);
	edge(vm, 3);
	edge(vm, 6);
	out8(vm, MASTER, 0x0c);
	assert_int_equal(in8(vm, MASTER), 0x83);
	assert_int_equal(in8(vm, MASTER), 0x40);	/* one read is one poll; then IRR again */
	assert_int_equal(isr(vm, MASTER), 0x08);
	assert_false(vpic_pending(vm));
	/* The slave is polled by itself. */
	out8(vm, MASTER, 0x20);
	edge(vm, 10);
	out8(vm, SLAVE, 0x0c);
	assert_int_equal(in8(vm, SLAVE), 0x82);
	assert_int_equal(irr(vm, MASTER), 0x40);
	edge(vm, 0);
	out8(vm, MASTER, 0x0c);
	assert_int_equal(in8(vm, MASTER), 0x80);
}

static void test_initialization(void **state)
{
	struct vm *vm = *state;

	vpic_set_line(vm, 4, true);
	edge(vm, 6);
	out8(vm, MASTER + 1, 0xff);
	out8(vm, MASTER, 0x13);		/* single: no ICW3 */
	assert_false(vpic_pending(vm));
	out8(vm, MASTER + 1, 0x4b);	/* low bits are not part of the vector */
	out8(vm, MASTER + 1, 0x01);
	assert_int_equal(in8(vm, MASTER + 1), 0);	/* ICW1 cleared the mask */
	assert_false(vpic_pending(vm));	/* and the edges, the one of the line that is high too */
	out8(vm, MASTER + 1, 0x55);
	assert_int_equal(in8(vm, MASTER + 1), 0x55);
	out8(vm, MASTER + 1, 0);
	edge(vm, 1);
	assert_int_equal(vpic_acknowledge(vm), 0x48 + 1);
	/* Neither ICW3 nor ICW4. */
	out8(vm, MASTER, 0x12);
	out8(vm, MASTER + 1, 0x20);
	edge(vm, 1);
	assert_int_equal(vpic_acknowledge(vm), 0x20 + 1);
	assert_int_equal(isr(vm, MASTER), 0x02);
}

/* "Initialization Command Words": what ICW1 clears, and what is 0 without ICW4. */
static void test_initialization_clears_the_modes(void **state)
{
	struct vm *vm = *state;

	program(vm, MASTER, 0x11, BASE, 0x04, 0x13);	/* automatic EOI, fully nested */
	out8(vm, MASTER, 0x80);				/* which rotates */
	out8(vm, MASTER, 0xc5);
	out8(vm, MASTER, 0x6b);				/* special mask mode, ISR is read */
	out8(vm, MASTER, 0x0c);				/* poll */
	out8(vm, MASTER, 0x10);				/* no ICW4 */
	out8(vm, MASTER + 1, BASE);
	out8(vm, MASTER + 1, 0x04);
	out8(vm, MASTER + 1, 0x81);			/* so this is the mask */
	assert_int_equal(in8(vm, MASTER + 1), 0x81);
	edge(vm, 1);
	assert_int_equal(in8(vm, MASTER), 0x02);	/* IRR, and no poll */
	assert_int_equal(vpic_acknowledge(vm), BASE + 1);
	assert_int_equal(isr(vm, MASTER), 0x02);	/* no automatic EOI */
	out8(vm, MASTER + 1, 0x02);
	edge(vm, 3);
	assert_false(vpic_pending(vm));			/* no special mask mode */
	out8(vm, MASTER, 0x20);
	vpic_set_line(vm, 3, false);
	assert_true(order_is_fixed(vm));
	assert_int_equal(isr(vm, MASTER), 0);
}

/* ICW1: "IR7 input is assigned priority 7", whatever had the lowest priority before. */
static void test_initialization_restores_the_priorities(void **state)
{
	static const u8 order[] = { 0, 1, 3, 4, 5, 6, 7 };	/* 2 is the slave's */
	struct vm *vm = *state;

	for (unsigned lowest = 0; lowest < 8; lowest++) {
		out8(vm, MASTER, 0xc0 | lowest);
		program(vm, MASTER, 0x11, BASE, 0x04, 0x01);
		for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
			edge(vm, order[i]);
		for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
			assert_int_equal(vpic_acknowledge(vm), BASE + order[i]);
			out8(vm, MASTER, 0x20);
		}
	}
}

/* Two ports each. */
static void test_ports_beside_them_are_free(void **state)
{
	static const u16 ports[] = { MASTER - 1, MASTER + 2, SLAVE - 1, SLAVE + 2, 0x4cf, 0x4d2 };

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		assert_int_equal(in8(*state, ports[i]), 0xff);
}

static void test_wide_access(void **state)
{
	struct vm *vm = *state;

	out16(vm, 0x4d0, 0x0220);
	assert_int_equal(in8(vm, 0x4d0), 0x20);
	assert_int_equal(in8(vm, 0x4d1), 0x02);
	out8(vm, MASTER + 1, 0xa5);
	assert_int_equal(in16(vm, MASTER), 0xa500);
}

/* Whatever a guest does, vectors are those that it has set, and INT agrees with the registers. */
static void test_hostile(void **state)
{
	static const u16 ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	struct vm *vm = *state;
	u64 seed = 0x8259;

	for (unsigned i = 0; i < 1500000; i++) {
		u64 random = fake_random(&seed);
		u16 port = ports[(random >> 8) % ARRAY_SIZE(ports)];

		switch (random & 7) {
		case 0 ... 2:
			out8(vm, port, random >> 32);
			break;
		case 3:
			in8(vm, port);
			break;
		case 4:
			out16(vm, port, random >> 32);
			break;
		case 5:
			vpic_set_line(vm, random >> 32 & 15, true);
			break;
		case 6:
			vpic_set_line(vm, random >> 32 & 15, false);
			break;
		default:
			assert_in_range(vpic_acknowledge(vm), 0, 255);
			break;
		}
	}
	/* It still works after a proper set-up. */
	for (unsigned irq = 0; irq < 16; irq++)
		vpic_set_line(vm, irq, false);
	out16(vm, 0x4d0, 0);
	program(vm, MASTER, 0x11, BASE, 0x04, 0x01);
	program(vm, SLAVE, 0x11, BASE2, 0x02, 0x01);
	edge(vm, 15);
	assert_int_equal(vpic_acknowledge(vm), BASE2 + 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_masked_and_silent_before_initialization),
		cmocka_unit_test(test_no_memory),
		TEST(test_edge),
		TEST(test_line_falls_before_acknowledge),
		TEST(test_level),
		TEST(test_elcr_takes_effect_at_once),
		TEST(test_lines_that_change_nothing),
		TEST(test_spurious),
		TEST(test_cascade),
		TEST(test_special_fully_nested),
		TEST(test_priorities),
		TEST(test_each_line_has_its_vector),
		TEST(test_line_waiting),
		TEST(test_mask),
		TEST(test_specific_eoi_and_rotation),
		TEST(test_eoi_without_service),
		TEST(test_commands_without_eoi),
		TEST(test_no_operation_keeps_the_priorities),
		TEST(test_auto_eoi),
		TEST(test_rotation_on_auto_eoi_is_cleared),
		TEST(test_special_mask),
		TEST(test_choices_are_kept),
		TEST(test_special_mask_hides_all_from_the_eoi),
		TEST(test_poll),
		TEST(test_poll_lowers_int),
		TEST(test_initialization),
		TEST(test_initialization_clears_the_modes),
		TEST(test_initialization_restores_the_priorities),
		TEST(test_wide_access),
		TEST(test_ports_beside_them_are_free),
		TEST(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
