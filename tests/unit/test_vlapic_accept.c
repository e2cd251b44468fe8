/* SPDX-License-Identifier: MIT */
/*
 * Which messages a local APIC accepts, whom an IPI reaches, and that each change is announced to the
 * vCPU after it was made. Intel SDM, "Interrupt Acceptance for Fixed
 * Interrupts", "Determining IPI Destination".
 */
/* link: dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c dev/irq/apic_bus.c */
/* link: dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
/* cflags: -DVM_MAX_VCPUS=4 */
/* cflags: -Xlinker --wrap=vcpu_interrupt_changed -Xlinker --wrap=vcpu_interrupt_sent */
#include "apic_fixture.h"

#define VECTOR	   0x66
#define REMOTE_IRR 0x4000
#define LEVEL	   true
#define EDGE	   false

/* --- what the vCPU finds when a change is announced --- */

static struct {
	unsigned count;
	int vector;		/* that the first announcement found pending */
	bool int_output;	/* of the 8259s, at the first announcement */
} announced;

void __real_vcpu_interrupt_changed(struct vcpu *vcpu);
void __wrap_vcpu_interrupt_changed(struct vcpu *vcpu);
void __real_vcpu_interrupt_sent(struct vcpu *vcpu);
void __wrap_vcpu_interrupt_sent(struct vcpu *vcpu);

static void note_announcement(struct vcpu *vcpu)
{
	if (!announced.count++) {
		announced.vector = vcpu_vlapic(vcpu) ? vlapic_pending(vcpu_vlapic(vcpu)) : -1;
		announced.int_output = vpic_pending(vcpu_vm(vcpu));
	}
}

void __wrap_vcpu_interrupt_changed(struct vcpu *vcpu)
{
	note_announcement(vcpu);
	__real_vcpu_interrupt_changed(vcpu);
}

void __wrap_vcpu_interrupt_sent(struct vcpu *vcpu)
{
	note_announcement(vcpu);
	__real_vcpu_interrupt_sent(vcpu);
}

static void forget_announcements(void)
{
	announced.count = 0;
	announced.vector = -1;
	announced.int_output = false;
}

/* Four processors, all enabled. */
static int set_up(void **state)
{
	struct vm *vm = apic_vm(4);

	for (u32 i = 1; i < 4; i++)
		apic_enable(vm, i);
	forget_announcements();
	*state = vm;
	return 0;
}

static struct vlapic *apic_of(struct vm *vm, u32 index)
{
	return vcpu_vlapic(cpu(vm, index));
}

static bool accepts(struct vm *vm, u32 index, u8 delivery, u8 vector, bool level)
{
	const struct apic_message message = { .delivery = delivery, .vector = vector, .level = level };

	return vlapic_accept(apic_of(vm, index), &message);
}

static u32 errors(struct vm *vm, u32 index)
{
	apic_set(vm, index, LAPIC_ESR, 0);
	return apic_get(vm, index, LAPIC_ESR);
}

static void program_pic(struct vm *vm)
{
	out8(vm, 0x20, 0x13);	/* single, with ICW4 */
	out8(vm, 0x21, 0x20);
	out8(vm, 0x21, 0x01);
}

/* --- acceptance --- */

static void each_delivery_mode_is_accepted_or_not(void **state)
{
	static const struct {
		u8 delivery, vector;
		bool accepted;
	} rows[] = {
		{ APIC_FIXED, VECTOR, true },
		{ APIC_FIXED, 0x0f, false },
		{ APIC_LOWEST, VECTOR, true },
		{ APIC_LOWEST, 0x0f, false },
		{ APIC_SMI, 0, true },
		{ 3, VECTOR, false },	/* reserved */
		{ APIC_NMI, 0, true },
		{ APIC_INIT, 0, true },
		{ APIC_STARTUP, 0x0f, true },	/* the vector is a page's number there */
		{ APIC_EXTINT, 0, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(accepts(*state, 1, rows[i].delivery, rows[i].vector, EDGE), rows[i].accepted);
}

/* SDM, "Local APIC State After It Has Been Software Disabled" */
static void software_disabled_it_takes_signals_but_no_vectors(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 1, LAPIC_SVR, 0xff);
	assert_false(accepts(vm, 1, APIC_FIXED, VECTOR, EDGE));
	assert_false(accepts(vm, 1, APIC_LOWEST, VECTOR, EDGE));
	assert_true(accepts(vm, 1, APIC_NMI, 0, EDGE));
	assert_false(apic_bit(vm, 1, LAPIC_IRR, VECTOR));
	assert_int_equal(errors(vm, 1), 0);
}

/* SDM, "Valid Interrupt Vectors": 0 to 15 are illegal. */
static void vectors_from_16_are_legal(void **state)
{
	struct vm *vm = *state;

	assert_true(accepts(vm, 1, APIC_FIXED, 16, EDGE));
	assert_int_equal(errors(vm, 1), 0);
	assert_int_equal(acknowledge(vm, 1), 16);
	end_interrupt(vm, 1);
	assert_false(accepts(vm, 1, APIC_FIXED, 15, EDGE));
	assert_int_equal(errors(vm, 1), 0x40);	/* received */

	self_ipi(vm, 1, 16);
	assert_int_equal(errors(vm, 1), 0);
	assert_int_equal(acknowledge(vm, 1), 16);
	end_interrupt(vm, 1);
	self_ipi(vm, 1, 15);
	assert_int_equal(errors(vm, 1), 0x20);	/* sent */
	vlapic_send_self(apic_of(vm, 1), 16);
	assert_int_equal(errors(vm, 1), 0);
	assert_int_equal(acknowledge(vm, 1), 16);
	end_interrupt(vm, 1);
	vlapic_send_self(apic_of(vm, 1), 15);
	assert_int_equal(errors(vm, 1), 0x20);
	assert_int_equal(pending(vm, 1), -1);
}

/* SDM, "IRR, ISR and TMR Registers": TMR tells how the vector was accepted the last time. */
static void tmr_follows_the_last_interrupt_of_the_vector(void **state)
{
	struct vm *vm = *state;

	accepts(vm, 1, APIC_FIXED, VECTOR, LEVEL);
	assert_true(apic_bit(vm, 1, LAPIC_TMR, VECTOR));
	accepts(vm, 1, APIC_FIXED, VECTOR, EDGE);
	assert_false(apic_bit(vm, 1, LAPIC_TMR, VECTOR));
	accepts(vm, 1, APIC_FIXED, VECTOR, LEVEL);
	vlapic_send_self(apic_of(vm, 1), VECTOR);
	assert_false(apic_bit(vm, 1, LAPIC_TMR, VECTOR));
}

/* The vector is only requested, not in service: no EOI can end it. */
static void an_eoi_without_service_is_not_broadcast(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, 5, 0xff | ENTRY_LEVEL, 1);
	line(vm, 5, true);
	assert_true(apic_bit(vm, 1, LAPIC_TMR, 0xff));
	line(vm, 5, false);
	end_interrupt(vm, 1);
	assert_int_equal(entry_get(vm, 5) & REMOTE_IRR, REMOTE_IRR);
	assert_int_equal(acknowledge(vm, 1), 0xff);
	end_interrupt(vm, 1);
	assert_int_equal(entry_get(vm, 5) & REMOTE_IRR, 0);
}

/* --- switched off in IA32_APIC_BASE: as a processor without a local APIC --- */

static void switched_off_it_gets_no_messages(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(msr_set(vm, 1, MSR_APIC_BASE, BASE_OFF), 0);
	apic_set(vm, 0, LAPIC_ICR_HIGH, 1u << 24);
	apic_set(vm, 0, LAPIC_ICR, 0x400);	/* NMI to it alone */
	apic_set(vm, 0, LAPIC_ICR_HIGH, 0xffu << 24);
	apic_set(vm, 0, LAPIC_ICR, 0x400);	/* to all, as a destination */
	apic_set(vm, 0, LAPIC_ICR, 0xc0400);	/* to the others, by shorthand */
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->nmis, 0);
	assert_int_equal(fake_vcpu_of(cpu(vm, 2))->nmis, 2);
}

static void switched_off_it_is_off_whatever_its_registers_hold(void **state)
{
	struct vm *vm = *state;
	struct vlapic *vlapic = apic_of(vm, 0);

	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, BASE_OFF | BASE_BSP), 0);
	assert_true(vlapic_write(vlapic, LAPIC_SVR, 0x1ff));
	assert_true(vlapic_write(vlapic, LAPIC_LVT + LVT_LINT0, LVT_NMI));
	assert_false(vlapic_enabled(vlapic));
	assert_false(accepts(vm, 0, APIC_FIXED, VECTOR, EDGE));
	vlapic_set_lint0(vlapic, true);
	assert_int_equal(fake_vcpu_of(cpu(vm, 0))->nmis, 0);
}

/* --- LINT0 --- */

static void lint0_signals_once_for_each_rise(void **state)
{
	static const struct {
		bool level;
		unsigned nmis;
	} rows[] = { { true, 1 }, { true, 1 }, { false, 1 }, { false, 1 }, { true, 2 } };
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, LVT_NMI);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vlapic_set_lint0(apic_of(vm, 0), rows[i].level);
		assert_int_equal(fake_vcpu_of(cpu(vm, 0))->nmis, rows[i].nmis);
	}
}

/* --- IPIs --- */

static unsigned receivers(struct vm *vm)
{
	unsigned set = 0;

	for (u32 i = 0; i < 4; i++)
		set |= apic_bit(vm, i, LAPIC_IRR, VECTOR) ? BIT(i) : 0;
	return set;
}

static void send(struct vm *vm, u32 from, u8 destination, u32 low)
{
	apic_set(vm, from, LAPIC_ICR_HIGH, (u32)destination << 24);
	apic_set(vm, from, LAPIC_ICR, low);
}

static void among_equals_the_lowest_id_gets_it(void **state)
{
	struct vm *vm = *state;

	send(vm, 1, 0xff, 0x100 | VECTOR);
	assert_int_equal(receivers(vm), BIT(0));
}

static void a_single_destination_gets_it_by_lowest_priority_too(void **state)
{
	struct vm *vm = *state;

	send(vm, 1, 0, 0x100 | VECTOR);
	assert_int_equal(receivers(vm), BIT(0));
}

/* SDM, "Logical Destination Mode": DFR is 1111b, the flat model, or 0000b, the cluster model. */
static void an_undefined_destination_format_matches_nothing(void **state)
{
	struct vm *vm = *state;

	for (u32 format = 1; format < 15; format++) {
		apic_set(vm, 1, LAPIC_DFR, format << 28);
		apic_set(vm, 1, LAPIC_LDR, 0x11u << 24);
		send(vm, 0, 0x11, 0x800 | VECTOR);
		assert_int_equal(receivers(vm), 0);
	}
}

/* SDM, "Interrupt Command Register (ICR)": INIT level de-assert, whatever the vector field has. */
static void an_init_deassert_does_nothing(void **state)
{
	struct vm *vm = *state;

	for (unsigned vector = 0; vector < 256; vector++)
		send(vm, 0, 1, 0x8500 | vector);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->inits, 0);
	send(vm, 0, 1, 0xc501);
	assert_int_equal(fake_vcpu_of(cpu(vm, 1))->inits, 1);
}

/* ExtINT and the reserved mode are not among the ICR's delivery modes. */
static void ipis_of_other_modes_change_nothing(void **state)
{
	static const u32 modes[] = { 0x300, 0x700 };
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		send(vm, 0, 1, modes[i] | VECTOR);
		send(vm, 0, 0, 0x40000 | modes[i] | VECTOR);
		assert_int_equal(receivers(vm), 0);
		assert_int_equal(announced.count, 0);
	}
}

/* --- announcements --- */

static void an_interrupt_is_announced_when_it_can_be_found(void **state)
{
	struct vm *vm = *state;

	accepts(vm, 1, APIC_FIXED, VECTOR, EDGE);
	assert_int_equal(announced.count, 1);
	assert_int_equal(announced.vector, VECTOR);
}

static void the_8259s_announce_a_new_output(void **state)
{
	struct vm *vm = *state;

	program_pic(vm);
	forget_announcements();
	line(vm, 3, true);
	assert_true(announced.count >= 1);
	assert_true(announced.int_output);
}

static void whatever_reroutes_an_extint_is_announced(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_LINT0, 0x10700);
	assert_int_equal(announced.count, 1);
	vioapic_set(vm, 0x10, 0x10700);		/* the entry of the pin of the 8259s */
	assert_int_equal(announced.count, 2);
	assert_true(accepts(vm, 1, APIC_EXTINT, 0, EDGE));
	assert_int_equal(announced.count, 3);
	assert_int_equal(msr_set(vm, 0, MSR_APIC_BASE, BASE_OFF | BASE_BSP), 0);
	assert_int_equal(announced.count, 4);
	vm->irqchip->vcpu_reset(cpu(vm, 0), false);
	assert_int_equal(announced.count, 5);
}

static void what_reroutes_nothing_is_not_announced(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 0, LAPIC_LVT + LVT_LINT1, 0x10400);
	vioapic_set(vm, 0x10 + 2 * 5, 0x10045);
	apic_set(vm, 0, LAPIC_SVR, 0x1fe);	/* another spurious vector */
	assert_int_equal(announced.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_delivery_mode_is_accepted_or_not),
		TEST(software_disabled_it_takes_signals_but_no_vectors),
		TEST(vectors_from_16_are_legal),
		TEST(tmr_follows_the_last_interrupt_of_the_vector),
		TEST(an_eoi_without_service_is_not_broadcast),
		TEST(switched_off_it_gets_no_messages),
		TEST(switched_off_it_is_off_whatever_its_registers_hold),
		TEST(lint0_signals_once_for_each_rise),
		TEST(among_equals_the_lowest_id_gets_it),
		TEST(a_single_destination_gets_it_by_lowest_priority_too),
		TEST(an_undefined_destination_format_matches_nothing),
		TEST(an_init_deassert_does_nothing),
		TEST(ipis_of_other_modes_change_nothing),
		TEST(an_interrupt_is_announced_when_it_can_be_found),
		TEST(the_8259s_announce_a_new_output),
		TEST(whatever_reroutes_an_extint_is_announced),
		TEST(what_reroutes_nothing_is_not_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
