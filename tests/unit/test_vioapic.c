/* SPDX-License-Identifier: MIT */
/*
 * The IOAPIC against Intel's "82093AA I/O Advanced Programmable Interrupt Controller (IOAPIC)",
 * with local APICs that take and end what it sends.
 */
/* link: dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c dev/irq/apic_bus.c */
/* link: dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
/* cflags: -DVM_MAX_VCPUS=4 */
#include "apic_fixture.h"

#include <stdlib.h>

#define REMOTE_IRR 0x4000
#define PIN	   5	/* also its ISA interrupt */

static int set_up(void **state)
{
	struct vm *vm = apic_vm(2);

	apic_enable(vm, 1);
	*state = vm;
	return 0;
}

static void pulse(struct vm *vm, unsigned irq)
{
	line(vm, irq, true);
	line(vm, irq, false);
}

static void write_eoi_register(struct vm *vm, u8 vector)
{
	mmio_write(cpu(vm, 0), IOAPIC_BASE + 0x40, 4, vector);
}

/* --- registers --- */

static void test_registers_after_reset(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(vioapic_get(vm, 0), 0);
	assert_int_equal(vioapic_get(vm, 1), 0x170020); /* 24 entries; version with EOI register */
	assert_int_equal(vioapic_get(vm, 2), 0);
	for (unsigned pin = 0; pin < 24; pin++)
		assert_int_equal(entry_get(vm, pin), 0x10000);
}

static void test_id(void **state)
{
	struct vm *vm = *state;

	vioapic_set(vm, 0, 0xffffffff);
	assert_int_equal(vioapic_get(vm, 0), 0x0f000000);
	assert_int_equal(vioapic_get(vm, 2), 0x0f000000);
	vioapic_set(vm, 1, 0);
	assert_int_equal(vioapic_get(vm, 1), 0x170020);
}

/* Delivery status and remote IRR are read-only. */
static void test_entry_bits(void **state)
{
	struct vm *vm = *state;

	for (unsigned pin = 0; pin < 24; pin++) {
		vioapic_set(vm, 0x11 + 2 * pin, 0xffffffff);
		vioapic_set(vm, 0x10 + 2 * pin, 0xffffffff);
		assert_int_equal(entry_get(vm, pin), 0xff0000000001afff);
		vioapic_set(vm, 0x10 + 2 * pin, 0x10000);
		assert_int_equal(entry_get(vm, pin), 0xff00000000010000);
	}
}

static void test_registers_that_do_not_exist(void **state)
{
	struct vm *vm = *state;

	for (unsigned reg = 3; reg < 0x100; reg++) {
		if (reg >= 0x10 && reg < 0x40)
			continue;
		vioapic_set(vm, reg, 0xffffffff);
		assert_int_equal(vioapic_get(vm, reg), 0);
	}
	test_registers_after_reset(state);
}

static void test_odd_accesses(void **state)
{
	struct vm *vm = *state;

	/* The index register is a byte; the data register reads in parts and writes as a whole. */
	mmio_write(cpu(vm, 0), IOAPIC_BASE, 1, 0x01);
	assert_int_equal(mmio_read(cpu(vm, 0), IOAPIC_BASE, 1) & 0xff, 0x01);
	assert_int_equal(mmio_read(cpu(vm, 0), IOAPIC_BASE, 4), 0x01);
	assert_int_equal(mmio_read(cpu(vm, 0), IOAPIC_BASE + 0x12, 1) & 0xff, 0x17);
	assert_int_equal(mmio_read(cpu(vm, 0), IOAPIC_BASE + 0x10, 2) & 0xffff, 0x20);
	mmio_write(cpu(vm, 0), IOAPIC_BASE, 4, 0x00);
	mmio_write(cpu(vm, 0), IOAPIC_BASE + 0x13, 1, 0x0f);
	mmio_write(cpu(vm, 0), IOAPIC_BASE + 0x10, 2, 0x0f0f);
	assert_int_equal(vioapic_get(vm, 0), 0);
	assert_int_equal(mmio_read(cpu(vm, 0), IOAPIC_BASE + 0x20, 4), 0);
	assert_int_equal(mmio_read(cpu(vm, 0), IOAPIC_BASE + 0x41, 1) & 0xff, 0);
	mmio_write(cpu(vm, 0), IOAPIC_BASE + 0xffc, 4, 0xffffffff);
}

/* Each byte of the index register, the data register, and of what lies between them. */
static void test_narrow_reads(void **state)
{
	static const u8 low[32] = {
		[0x00] = 0x1a, [0x10] = 0x45, [0x11] = 0xa7, [0x12] = 0x01,
	};
	static const u8 high[32] = { [0x00] = 0x1b, [0x13] = 0xe5 };
	struct vm *vm = *state;

	entry_set(vm, PIN, ENTRY_MASKED | 0xa745, 0xe5);
	for (unsigned i = 0; i < 32; i++) {
		mmio_write(cpu(vm, 0), IOAPIC_BASE, 1, 0x10 + 2 * PIN);
		assert_int_equal(mmio_read(cpu(vm, 0), IOAPIC_BASE + i, 1) & 0xff, low[i]);
		mmio_write(cpu(vm, 0), IOAPIC_BASE, 1, 0x11 + 2 * PIN);
		assert_int_equal(mmio_read(cpu(vm, 0), IOAPIC_BASE + i, 1) & 0xff, high[i]);
	}
}

/* In memory of its own size, where the sanitizer finds an access past the last entry. */
static void test_no_entry_past_the_last(void **state)
{
	struct vioapic *vioapic = calloc(1, sizeof(*vioapic));
	struct vm *vm = fake_create(0);

	vioapic->id = 0x0f000000;	/* vioapic_create() sets it */
	assert_int_equal(vioapic_create(vioapic, vm), 0);
	assert_int_equal(vioapic_get(vm, 0), 0);
	for (unsigned reg = 0x40; reg < 0x100; reg++) {
		vioapic_set(vm, reg, 0xffffffff);
		assert_int_equal(vioapic_get(vm, reg), 0);
	}
	for (unsigned vector = 0; vector < 256; vector++)
		write_eoi_register(vm, vector);
	fake_destroy(vm);
	free(vioapic);
}

/* --- edges --- */

static void test_edge(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, PIN, 0x45, 1);
	line(vm, PIN, true);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(acknowledge(vm, 1), 0x45);
	assert_false(apic_bit(vm, 1, LAPIC_TMR, 0x45));
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, 0);
	end_interrupt(vm, 1);
	line(vm, PIN, true); /* it is high already */
	assert_int_equal(pending(vm, 1), -1);
	line(vm, PIN, false);
	assert_int_equal(pending(vm, 1), -1);
	line(vm, PIN, true);
	assert_int_equal(acknowledge(vm, 1), 0x45);
}

static void test_edges_while_pending_merge(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, PIN, 0x45, 0);
	pulse(vm, PIN);
	pulse(vm, PIN);
	assert_int_equal(acknowledge(vm, 0), 0x45);
	pulse(vm, PIN); /* in service now: this one is kept */
	end_interrupt(vm, 0);
	assert_int_equal(acknowledge(vm, 0), 0x45);
	end_interrupt(vm, 0);
	assert_int_equal(acknowledge(vm, 0), -1);
}

static void test_masked_edge_is_lost(void **state)
{
	struct vm *vm = *state;

	line(vm, PIN, true);
	entry_set(vm, PIN, 0x45, 0);
	assert_int_equal(pending(vm, 0), -1);
	line(vm, PIN, false);
	line(vm, PIN, true);
	assert_int_equal(pending(vm, 0), 0x45);
}

/* --- levels --- */

static void test_level(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, PIN, 0x45 | ENTRY_LEVEL, 0);
	line(vm, PIN, true);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, REMOTE_IRR);
	assert_int_equal(acknowledge(vm, 0), 0x45);
	assert_true(apic_bit(vm, 0, LAPIC_TMR, 0x45));
	assert_int_equal(pending(vm, 0), -1);
	/* Still asserted when it ends: it comes again. */
	end_interrupt(vm, 0);
	assert_int_equal(acknowledge(vm, 0), 0x45);
	line(vm, PIN, false);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, REMOTE_IRR);
	end_interrupt(vm, 0);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, 0);
	assert_int_equal(pending(vm, 0), -1);
}

static void test_level_waits_for_its_eoi(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, PIN, 0x45 | ENTRY_LEVEL, 0);
	line(vm, PIN, true);
	acknowledge(vm, 0);
	line(vm, PIN, false);
	line(vm, PIN, true);
	assert_false(apic_bit(vm, 0, LAPIC_IRR, 0x45));
	end_interrupt(vm, 0);
	assert_true(apic_bit(vm, 0, LAPIC_IRR, 0x45));
}

static void test_masked_level_comes_when_unmasked(void **state)
{
	struct vm *vm = *state;

	line(vm, PIN, true);
	assert_int_equal(pending(vm, 0), -1);
	entry_set(vm, PIN, 0x45 | ENTRY_LEVEL, 0);
	assert_int_equal(pending(vm, 0), 0x45);
	/* Masked while in service: not sent again by the EOI, but by unmasking. */
	acknowledge(vm, 0);
	vioapic_set(vm, 0x10 + 2 * PIN, 0x45 | ENTRY_LEVEL | ENTRY_MASKED);
	end_interrupt(vm, 0);
	assert_int_equal(pending(vm, 0), -1);
	vioapic_set(vm, 0x10 + 2 * PIN, 0x45 | ENTRY_LEVEL);
	assert_int_equal(pending(vm, 0), 0x45);
}

/* An EOI for another vector, or of an edge-triggered interrupt, has no effect. */
static void test_eoi_of_others(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, PIN, 0x45 | ENTRY_LEVEL, 0);
	entry_set(vm, PIN + 1, 0x56, 0);
	line(vm, PIN, true);
	acknowledge(vm, 0);
	line(vm, PIN, false); /* an EOI that counted would leave a trace */
	pulse(vm, PIN + 1);
	assert_int_equal(acknowledge(vm, 0), 0x56);
	end_interrupt(vm, 0);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, REMOTE_IRR);
	self_ipi(vm, 1, 0x45);
	acknowledge(vm, 1);
	end_interrupt(vm, 1);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, REMOTE_IRR);
}

static void test_two_pins_share_a_vector(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, 20, 0x45 | ENTRY_LEVEL, 0);
	entry_set(vm, 21, 0x45 | ENTRY_LEVEL, 0);
	line(vm, 20, true);
	line(vm, 21, true);
	acknowledge(vm, 0);
	line(vm, 20, false);
	end_interrupt(vm, 0);
	assert_int_equal(entry_get(vm, 20) & REMOTE_IRR, 0);
	assert_int_equal(entry_get(vm, 21) & REMOTE_IRR, REMOTE_IRR);
	assert_int_equal(acknowledge(vm, 0), 0x45);
}

static void test_eoi_register(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, PIN, 0x45 | ENTRY_LEVEL, 0);
	line(vm, PIN, true);
	acknowledge(vm, 0);
	line(vm, PIN, false);
	write_eoi_register(vm, 0x46);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, REMOTE_IRR);
	write_eoi_register(vm, 0x45);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, 0);
}

static void test_edge_mode_clears_remote_irr(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, PIN, 0x45 | ENTRY_LEVEL, 0);
	line(vm, PIN, true);
	vioapic_set(vm, 0x10 + 2 * PIN, 0x45 | ENTRY_MASKED);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, 0);
}

/* No local APIC accepted it, so no EOI will come. It is sent again, not lost. */
static void test_level_that_nobody_accepts(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, PIN, 0x45 | ENTRY_LEVEL, 7);
	line(vm, PIN, true);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, 0);
	vioapic_set(vm, 0x11 + 2 * PIN, 1 << 24);
	assert_int_equal(pending(vm, 1), 0x45);
}

/* An APIC that is disabled by software, or a vector below 16. */
static void test_level_that_is_refused(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, PIN, 0x0f | ENTRY_LEVEL, 1);
	line(vm, PIN, true);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, 0);
	line(vm, PIN, false);
	apic_set(vm, 1, LAPIC_SVR, 0xff);
	for (unsigned mode = 0; mode < 2; mode++) {
		entry_set(vm, PIN, mode << 8 | 0x45 | ENTRY_LEVEL, 1);
		line(vm, PIN, true);
		assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, 0);
		line(vm, PIN, false);
	}
}

/* --- delivery modes, wiring --- */

static void test_nmi_and_init(void **state)
{
	struct vm *vm = *state;

	/* NMI is an edge, whatever the trigger mode says. */
	entry_set(vm, PIN, 0x400 | ENTRY_LEVEL, 1);
	line(vm, PIN, true);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->nmis, 1);
	assert_int_equal(fake_vcpu_of(cpu(vm, 0))->nmis, 0);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, 0);
	line(vm, PIN, true);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->nmis, 1);
	line(vm, PIN, false);
	entry_set(vm, PIN, 0x500, 1);
	line(vm, PIN, true);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->inits, 1);
	line(vm, PIN, false);
	entry_set(vm, PIN, 0x645, 1); /* reserved: where the ICR has start-up */
	line(vm, PIN, true);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->startups, 0);
}

static void test_lowest_priority(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LDR, 1 << 24);
	apic_set(vm, 1, LAPIC_LDR, 2 << 24);
	apic_set(vm, 0, LAPIC_TPR, 0x20);
	entry_set(vm, PIN, 0x45 | 0x800 | 0x100, 0x03);
	pulse(vm, PIN);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(pending(vm, 1), 0x45);
}

static void test_level_by_lowest_priority(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, PIN, 0x45 | 0x100 | ENTRY_LEVEL, 1);
	line(vm, PIN, true);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, REMOTE_IRR);
	assert_true(vm->irqchip->line_waiting(vm, PIN));
	assert_int_equal(acknowledge(vm, 1), 0x45);
	assert_false(vm->irqchip->line_waiting(vm, PIN));
	assert_true(apic_bit(vm, 1, LAPIC_TMR, 0x45));
	end_interrupt(vm, 1);	/* still asserted */
	assert_int_equal(acknowledge(vm, 1), 0x45);
	line(vm, PIN, false);
	end_interrupt(vm, 1);
	assert_int_equal(entry_get(vm, PIN) & REMOTE_IRR, 0);
}

static void program_master_pic(struct vm *vm)
{
	out8(vm, 0x20, 0x13);	/* single, with ICW4 */
	out8(vm, 0x21, 0x20);
	out8(vm, 0x21, 0x01);
}

/* The output of the 8259s is a line like any other to pin 0. */
static void test_pin_of_the_8259s(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, 0x10700);
	program_master_pic(vm);
	entry_set(vm, 0, 0x45 | ENTRY_LEVEL, 1);
	line(vm, 1, true);
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(acknowledge(vm, 1), 0x45);
	assert_int_equal(entry_get(vm, 0) & REMOTE_IRR, REMOTE_IRR);
	line(vm, 1, false);
	end_interrupt(vm, 1);
	assert_int_equal(entry_get(vm, 0) & REMOTE_IRR, 0);
	assert_int_equal(pending(vm, 1), -1);
}

static void test_pins_of_isa_interrupts(void **state)
{
	struct vm *vm = *state;

	for (unsigned pin = 0; pin < 24; pin++)
		entry_set(vm, pin, 0x40 + pin, 0);
	for (unsigned irq = 0; irq < 24; irq++) {
		int expected = irq == 0 ? 0x42 : irq == 2 ? -1 : 0x40 + (int)irq;

		pulse(vm, irq);
		assert_int_equal(acknowledge(vm, 0), expected);
		if (expected >= 0)
			end_interrupt(vm, 0);
	}
	line(vm, 24, true);
	line(vm, ~0u, true);
	assert_int_equal(pending(vm, 0), -1);
}

/* The 8259s through pin 0 in ExtINT mode, for guests that mask LINT0. */
static void test_extint(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, 0x10700);
	out8(vm, 0x20, 0x11);
	out8(vm, 0x21, 0x20);
	out8(vm, 0x21, 0x04);
	out8(vm, 0x21, 0x01);
	out8(vm, 0x21, 0x00);
	entry_set(vm, 0, 0x700, 1);
	line(vm, 1, true);
	assert_int_equal(pending(vm, 0), -1);
	assert_true(pending(vm, 1) >= 0);
	assert_int_equal(acknowledge(vm, 1), 0x21);
	assert_int_equal(pending(vm, 1), -1);
}

static bool may_send_nmi(struct vm *vm, u32 to)
{
	return vm->irqchip->nmi_may_come(vm_vcpu(vm, to));
}

/* Delivery mode NMI: 100b in bits 10:8. Masked or not, and to whom. */
static void test_lines_that_may_send_nmis(void **state)
{
	struct vm *vm = *state;

	assert_false(may_send_nmi(vm, 0) || may_send_nmi(vm, 1));
	for (unsigned pin = 0; pin < 24; pin += 23) {
		for (u64 delivery = 0; delivery < 8; delivery++) {
			entry_set(vm, pin, delivery << 8 | 0x45, 1);
			assert_int_equal(may_send_nmi(vm, 1), delivery == 4);
			assert_false(may_send_nmi(vm, 0));
		}
		entry_set(vm, pin, 0x10400, 1);
		assert_false(may_send_nmi(vm, 1));
		entry_set(vm, pin, 0x400, 0xff);
		assert_true(may_send_nmi(vm, 0) && may_send_nmi(vm, 1));
		entry_set(vm, pin, 0x10000, 0);
	}
	/* LINT0 of the boot processor is the 8259s' output; the other's is not connected. LINT1 is nobody's. */
	for (u32 id = 0; id < 2; id++) {
		apic_set(vm, id, LAPIC_LVT + LVT_LINT1, 0x400);
		apic_set(vm, id, LAPIC_LVT + LVT_LINT0, 0x700);
		assert_false(may_send_nmi(vm, id));
		apic_set(vm, id, LAPIC_LVT + LVT_LINT0, 0x400);
		assert_int_equal(may_send_nmi(vm, id), id == 0);
		apic_set(vm, id, LAPIC_LVT + LVT_LINT0, 0x10400);
		assert_false(may_send_nmi(vm, id));
	}
}

/* A device that makes up for late edges asks before it raises the next one. */
static void test_line_waiting(void **state)
{
	struct vm *vm = *state;
	const struct irqchip_ops *ops = vm->irqchip;

	pulse(vm, PIN);
	assert_false(ops->line_waiting(vm, PIN));	/* masked at both: nobody wants it */
	entry_set(vm, PIN, 0x45, 1);
	assert_false(ops->line_waiting(vm, PIN));
	pulse(vm, PIN);
	assert_true(ops->line_waiting(vm, PIN));
	assert_int_equal(acknowledge(vm, 1), 0x45);
	assert_false(ops->line_waiting(vm, PIN));	/* taken; one more edge would be kept */
	pulse(vm, PIN);
	assert_true(ops->line_waiting(vm, PIN));
	entry_set(vm, PIN, ENTRY_MASKED | 0x45, 1);
	assert_false(ops->line_waiting(vm, PIN));
	/* ISA interrupt 0 is on pin 2. */
	entry_set(vm, 2, 0x46, 0);
	line(vm, 0, true);
	assert_true(ops->line_waiting(vm, 0));
	assert_int_equal(acknowledge(vm, 0), 0x46);
	assert_false(ops->line_waiting(vm, 0));
}

/* The 8259s count only where their output reaches the processor. */
static void test_line_waiting_at_the_8259(void **state)
{
	struct vm *vm = *state;
	const struct irqchip_ops *ops = vm->irqchip;

	out8(vm, 0x20, 0x13);
	out8(vm, 0x21, 0x20);
	out8(vm, 0x21, 0x01);
	line(vm, 0, true);
	assert_true(ops->line_waiting(vm, 0));
	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, 0x10700);
	assert_false(ops->line_waiting(vm, 0));
	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, 0x700);
	assert_int_equal(acknowledge(vm, 0), 0x20);
	assert_false(ops->line_waiting(vm, 0));
}

/* Inputs from 16 on have no 8259: 16 is not ISA interrupt 8, the slave's input 0. */
static void test_line_waiting_without_an_8259(void **state)
{
	struct vm *vm = *state;

	program_master_pic(vm);
	out8(vm, 0xa0, 0x13);
	out8(vm, 0xa1, 0x70);
	out8(vm, 0xa1, 0x01);
	line(vm, 8, true);
	assert_true(vm->irqchip->line_waiting(vm, 8));
	assert_false(vm->irqchip->line_waiting(vm, 16));
}

#define ON(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(test_registers_after_reset),
		ON(test_id),
		ON(test_entry_bits),
		ON(test_registers_that_do_not_exist),
		ON(test_odd_accesses),
		ON(test_narrow_reads),
		cmocka_unit_test(test_no_entry_past_the_last),
		ON(test_edge),
		ON(test_edges_while_pending_merge),
		ON(test_masked_edge_is_lost),
		ON(test_level),
		ON(test_level_waits_for_its_eoi),
		ON(test_masked_level_comes_when_unmasked),
		ON(test_eoi_of_others),
		ON(test_two_pins_share_a_vector),
		ON(test_eoi_register),
		ON(test_edge_mode_clears_remote_irr),
		ON(test_level_that_nobody_accepts),
		ON(test_level_that_is_refused),
		ON(test_nmi_and_init),
		ON(test_lowest_priority),
		ON(test_level_by_lowest_priority),
		ON(test_pin_of_the_8259s),
		ON(test_pins_of_isa_interrupts),
		ON(test_extint),
		ON(test_lines_that_may_send_nmis),
		ON(test_line_waiting),
		ON(test_line_waiting_at_the_8259),
		ON(test_line_waiting_without_an_8259),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
