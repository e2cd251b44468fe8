/* SPDX-License-Identifier: MIT */
/*
 * The local APIC where a processor does its work: what the page shows it, what it is told before an entry, and what the model
 * makes of what the processor has changed. The test is the processor. Intel SDM, "APIC Virtualization and Virtual Interrupts".
 */
/* link: dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c */
/* link: dev/irq/apic_bus.c */
/* link: dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
/* cflags: -DVM_MAX_VCPUS=4 */
#include "apic_fixture.h"

#include "core/vcpu.h"

static enum apic_access access[2];

static void note_access(struct vcpu *vcpu, enum apic_access how) { access[vcpu->id] = how; }

static struct vcpu_ops ops = { .apic_access = note_access };

/* As apic_vm(), of a VM whose processor does it all. */
static int set_up(void **state)
{
	struct vm *vm = fake_create(MIB(2));

	access[0] = access[1] = APIC_ACCESS_NONE;
	vm->vcpu_count = 2;
	vm->apic_hardware = APIC_BY_HARDWARE;
	for (u32 i = 0; i < 2; i++)
		vm_vcpu(vm, i)->ops = &ops;
	vm_set_platform(vm, &fixture_platform);
	fixture_platform.vpic = vpic_create(vm);
	assert_non_null(fixture_platform.vpic);
	assert_int_equal(apic_create(vm), 0);
	*state = vm;
	return 0;
}

static struct vlapic *apic_of(struct vm *vm, u32 index)
{
	return vcpu_vlapic(cpu(vm, index));
}

/* What the processor reads, by offset. */
static u32 *shown(struct vm *vm, u32 offset)
{
	return &((u32 *)apic_of(vm, 0))[offset / 4];
}

static struct apic_vectors hand_over(struct vm *vm)
{
	struct apic_vectors vectors = { .level = { ~0ull, ~0ull, ~0ull, ~0ull } };

	vm->irqchip->hand_over(apic_of(vm, 0), &vectors);
	return vectors;
}

/* Each register that a guest reads without an exit. */
static void assert_shown(struct vm *vm)
{
	static const u16 offsets[] = { 0x20, 0x30, 0x80, 0xd0, 0xe0, 0xf0, 0x280, 0x300, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360,
				       0x370, 0x380, 0x3e0 };

	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++)
		assert_int_equal(*shown(vm, offsets[i]), apic_get(vm, 0, offsets[i] / 16));
}

static void the_page_shows_the_registers(void **state)
{
	struct vm *vm = *state;

	assert_int_equal((uintptr_t)apic_of(vm, 0) % PAGE_SIZE, 0);
	assert_shown(vm);
	assert_int_equal(*shown(vm, 0x30), 0x50014);
	assert_int_equal(*shown(vm, 0xe0), 0xffffffff);
	assert_int_equal(*shown(vm, 0xf0), 0x1ff);
	assert_int_equal(*shown(vm, 0x350), 0x700);
	apic_set(vm, 0, LAPIC_LVT, 0x20031);
	apic_set(vm, 0, LAPIC_DIVIDE, 0xb);
	apic_set(vm, 0, LAPIC_INITIAL_COUNT, 1000);
	apic_set(vm, 0, LAPIC_LDR, 0x02000000);
	assert_int_equal(*shown(vm, 0x320), 0x20031);
	assert_int_equal(*shown(vm, 0x380), 1000);
	assert_shown(vm);
	apic_set(vm, 0, LAPIC_SVR, 0xff);	/* masks the LVT */
	assert_int_equal(*shown(vm, 0x320), 0x30031);
	assert_int_equal(*shown(vm, 0x350), 0x10700);
	assert_shown(vm);
}

/* SDM, "APIC-Write Emulation": it has stored what the guest wrote. */
static void processor_writes(struct vm *vm, u32 offset, u32 value)
{
	*shown(vm, offset) = value;
	vm->irqchip->register_written(apic_of(vm, 0), offset);
}

static void writes_that_the_processor_leaves_to_the_model(void **state)
{
	struct vm *vm = *state;

	processor_writes(vm, 0x320, 0xffffffff);
	assert_int_equal(*shown(vm, 0x320), 0x700ff);
	processor_writes(vm, 0x20, 0x55000000);		/* read-only */
	assert_int_equal(*shown(vm, 0x20), 0);
	processor_writes(vm, 0xe0, 0);
	assert_int_equal(*shown(vm, 0xe0), 0x0fffffff);
	processor_writes(vm, 0xf0, 0x0ff);
	assert_int_equal(*shown(vm, 0x320), 0x700ff | LVT_MASKED);
	processor_writes(vm, 0xf0, 0x1ff);
	assert_shown(vm);
	/* Of a self-IPI it leaves the illegal vectors. ESR is latched by a write. */
	processor_writes(vm, 0x300, 0x40005);
	processor_writes(vm, 0x280, 0);
	assert_int_equal(*shown(vm, 0x280), 0x20);
	processor_writes(vm, 0x3f0, 5);
	processor_writes(vm, 0x280, 0);
	assert_int_equal(*shown(vm, 0x280), 0x20);
	/* The destination was written without an exit. */
	apic_enable(vm, 1);
	*shown(vm, 0x310) = 0x01000000;
	processor_writes(vm, 0x300, 0x61);
	assert_true(apic_bit(vm, 1, LAPIC_IRR, 0x61));
}

static void what_the_processor_starts_from(void **state)
{
	struct vm *vm = *state;
	struct apic_vectors vectors = hand_over(vm);

	assert_int_equal(vectors.requested, 0);
	assert_int_equal(vectors.in_service, 0);
	assert_true(vlapic_receive(apic_of(vm, 0), 0x51, false));
	assert_true(vlapic_receive(apic_of(vm, 0), 0xe3, false));
	vectors = hand_over(vm);
	assert_int_equal(vectors.requested, 0xe3);
	/* It delivers E3h, and 51h waits. */
	*shown(vm, 0x270) &= ~BIT(3);
	*shown(vm, 0x170) |= BIT(3);
	*shown(vm, 0xa0) = 0xe0;
	vectors = hand_over(vm);
	assert_int_equal(vectors.requested, 0x51);
	assert_int_equal(vectors.in_service, 0xe3);
	assert_int_equal(vm->irqchip->wakes(apic_of(vm, 0)), -1);
	/* An EOI that exits, as by an instruction that is no MOV, is the model's. */
	end_interrupt(vm, 0);
	assert_true(vcpu_requested(cpu(vm, 0)));
	assert_int_equal(*shown(vm, 0xa0), 0);
	vectors = hand_over(vm);
	assert_int_equal(vectors.requested, 0x51);
	assert_int_equal(vectors.in_service, 0);
	assert_int_equal(vm->irqchip->wakes(apic_of(vm, 0)), 0x51);
	/* The model injects none of them itself. */
	assert_int_equal(pending(vm, 0), -1);
	assert_int_equal(acknowledge(vm, 0), -1);
	assert_true(apic_bit(vm, 0, LAPIC_IRR, 0x51));
}

/* SDM, "Virtual-Interrupt Delivery", "EOI-exit bitmap". */
static void ends_of_level_triggered_interrupts_are_told(void **state)
{
	struct vm *vm = *state;
	struct apic_vectors vectors = hand_over(vm);

	assert_true(vectors.level_changed);	/* since power-up */
	assert_int_equal(vectors.level[0] | vectors.level[1] | vectors.level[2] | vectors.level[3], 0);
	assert_false(hand_over(vm).level_changed);
	entry_set(vm, 5, ENTRY_LEVEL | 0xb7, 0);
	line(vm, 5, true);
	vectors = hand_over(vm);
	assert_int_equal(vectors.requested, 0xb7);
	assert_true(vectors.level_changed);
	assert_int_equal(vectors.level[2], BIT_ULL(0xb7 - 128));
	assert_int_equal(vectors.level[0] | vectors.level[1] | vectors.level[3], 0);
	/* The processor has delivered and ended it; its line is still high. */
	*shown(vm, 0x250) = 0;
	assert_true(entry_get(vm, 5) & 0x4000);
	vm->irqchip->interrupt_ended(apic_of(vm, 0), 0xb7);
	assert_int_equal(hand_over(vm).requested, 0xb7);
	*shown(vm, 0x250) = 0;
	line(vm, 5, false);
	vm->irqchip->interrupt_ended(apic_of(vm, 0), 0xb7);
	assert_false(entry_get(vm, 5) & 0x4000);
	assert_int_equal(hand_over(vm).requested, 0);
	/* The vector is used for an edge again. */
	assert_true(vlapic_receive(apic_of(vm, 0), 0xb7, false));
	vectors = hand_over(vm);
	assert_true(vectors.level_changed);
	assert_int_equal(vectors.level[2], 0);
}

static void an_extint_is_still_injected(void **state)
{
	struct vm *vm = *state;

	*shown(vm, 0x80) = 0xf0;	/* TPR does not block it */
	pio_write(cpu(vm, 0), 0x20, 1, 0x11);
	pio_write(cpu(vm, 0), 0x21, 1, 0x20);
	pio_write(cpu(vm, 0), 0x21, 1, 4);
	pio_write(cpu(vm, 0), 0x21, 1, 1);
	pio_write(cpu(vm, 0), 0x21, 1, 0xfd);
	line(vm, 1, true);
	assert_int_equal(pending(vm, 0), 0);
	assert_int_equal(vm->irqchip->wakes(apic_of(vm, 0)), 0);
	assert_int_equal(acknowledge(vm, 0), 0x21);
	assert_int_equal(pending(vm, 0), -1);
}

/* SDM, "Extended XAPIC (x2APIC)": id, logical id and ICR have other forms there. */
static void modes(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(access[0], APIC_ACCESS_PAGE);
	assert_int_equal(access[1], APIC_ACCESS_PAGE);
	assert_int_equal(*(u32 *)((char *)apic_of(vm, 1) + 0x20), 1u << 24);
	assert_int_equal(msr_set(vm, 1, 0x1b, BASE_X2APIC), 0);
	assert_int_equal(access[1], APIC_ACCESS_MSRS);
	assert_int_equal(access[0], APIC_ACCESS_PAGE);
	assert_int_equal(*(u32 *)((char *)apic_of(vm, 1) + 0x20), 1);
	assert_int_equal(*(u32 *)((char *)apic_of(vm, 1) + 0xd0), 2);
	assert_int_equal(msr_set(vm, 1, X2APIC(LAPIC_SVR), 0x1ee), 0);
	assert_int_equal(*(u32 *)((char *)apic_of(vm, 1) + 0xf0), 0x1ee);
	assert_int_equal(msr_set(vm, 1, X2APIC(LAPIC_ICR), 0x1234567800000061), 0);
	assert_int_equal(*(u64 *)((char *)apic_of(vm, 1) + 0x300), 0x1234567800000061);
	assert_int_equal(msr_set(vm, 1, 0x1b, BASE_OFF), 0);
	assert_int_equal(access[1], APIC_ACCESS_NONE);
	assert_int_equal(*(u32 *)((char *)apic_of(vm, 1) + 0xf0), 0xff);
	assert_int_equal(msr_set(vm, 1, 0x1b, 0xfed40800), 0);
	assert_int_equal(access[1], APIC_ACCESS_NONE);
	assert_int_equal(mmio_read(cpu(vm, 1), 0xfed40020, 4), 1u << 24);
	mmio_write(cpu(vm, 1), 0xfed400f0, 4, 0x1dd);
	assert_int_equal(*(u32 *)((char *)apic_of(vm, 1) + 0xf0), 0x1dd);
	assert_int_equal(msr_set(vm, 1, 0x1b, BASE_XAPIC), 0);
	assert_int_equal(access[1], APIC_ACCESS_PAGE);
	assert_int_equal(*(u32 *)((char *)apic_of(vm, 1) + 0x20), 1u << 24);
}

#define ON(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(the_page_shows_the_registers),
		ON(writes_that_the_processor_leaves_to_the_model),
		ON(what_the_processor_starts_from),
		ON(ends_of_level_triggered_interrupts_are_told),
		ON(an_extint_is_still_injected),
		ON(modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
