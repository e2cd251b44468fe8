/* SPDX-License-Identifier: MIT */
/*
 * Interrupts between CPUs: posting, and merging into the local APIC, by threads under ThreadSanitizer.
 * Intel SDM, "Posted-Interrupt Processing".
 */
/* link: dev/irq/vlapic.c dev/irq/vlapic_hardware.c dev/irq/vlapic_registers.c dev/irq/vlapic_timer.c dev/irq/vlapic_msr.c dev/irq/apic_bus.c */
/* link: dev/irq/vioapic.c dev/irq/irqchip.c dev/irq/vpic.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* link: core/pace.c */
/* cflags: -DVM_MAX_VCPUS=4 -fno-sanitize=address,undefined -fsanitize=thread --param tsan-distinguish-volatile=1 */
#include "apic_fixture.h"

#include <pthread.h>
#include <string.h>

#define REMOTE_IRR 0x4000

/* READ_ONCE() and WRITE_ONCE() are volatile: they say that a race is meant. */
#define VOLATILE(size)						\
	void __tsan_volatile_read##size(void *at);		\
	void __tsan_volatile_write##size(void *at);		\
	void __tsan_volatile_read##size(void *at) { }		\
	void __tsan_volatile_write##size(void *at) { }
VOLATILE(1) VOLATILE(2) VOLATILE(4) VOLATILE(8) VOLATILE(16)

static int set_up(void **state)
{
	struct vm *vm = apic_vm(4);

	for (u32 i = 1; i < 4; i++)
		apic_enable(vm, i);
	*state = vm;
	return 0;
}

static struct vlapic *apic_of(struct vm *vm, u32 index)
{
	return vcpu_vlapic(cpu(vm, index));
}

static void come_home(struct vcpu *vcpu)
{
	vcpu->cpu = this_cpu();
}

static bool send(struct vm *vm, u32 to, u8 vector, bool level)
{
	const struct apic_message message = { .delivery = APIC_FIXED, .vector = vector, .level = level };

	return vlapic_accept(apic_of(vm, to), &message);
}

/* --- the descriptor --- */

static void the_layout_is_the_manuals(void **state)
{
	struct posted_interrupts posted = { };
	const u8 *bytes = (const u8 *)&posted;

	for (unsigned vector = 0; vector < 256; vector++) {
		memset(&posted, 0, sizeof(posted));
		assert_true(posted_add(&posted, (u8)vector));
		for (unsigned i = 0; i < 64; i++) {
			u8 expected = i == vector / 8 ? 1 << vector % 8 : i == 32 ? 1 : 0;	/* PIR; ON is bit 256 */

			assert_int_equal(bytes[i], expected);
		}
		assert_true(posted_has(&posted, (u8)vector));
		assert_false(posted_has(&posted, (u8)(vector + 1)));
	}
	assert_int_equal((u64)&cpu(*state, 1)->posted % 64, 0);
}

static void only_the_first_post_notifies(void **state)
{
	struct posted_interrupts posted = { };
	u64 taken[4];

	assert_true(posted_add(&posted, 40));
	assert_false(posted_add(&posted, 40));
	assert_false(posted_add(&posted, 200));
	assert_true(posted_outstanding(&posted));
	posted_begin_taking(&posted);
	for (unsigned i = 0; i < 4; i++)
		taken[i] = posted_take_word(&posted, i);
	assert_false(posted_outstanding(&posted));
	assert_int_equal(taken[0], 1ull << 40);
	assert_int_equal(taken[3], 1ull << (200 - 192));
	assert_true(posted_add(&posted, 40));
}

/* Where there is nothing more, nothing is pending. */
static void the_acknowledge_says_whether_more_may_be_pending(void **state)
{
	struct vm *vm = *state;
	void *vlapic = vcpu_vlapic(cpu(vm, 1));
	bool more;

	assert_true(send(vm, 1, 0x66, false));
	assert_true(send(vm, 1, 0x77, false));
	assert_int_equal(vm->irqchip->acknowledge(vlapic, &more), 0x77);
	assert_true(more);
	end_interrupt(vm, 1);
	assert_int_equal(vm->irqchip->acknowledge(vlapic, &more), 0x66);
	assert_false(more);
	assert_int_equal(pending(vm, 1), -1);
	end_interrupt(vm, 1);
	assert_int_equal(vm->irqchip->acknowledge(vlapic, &more), -1);
	assert_false(more);
}

/* --- one CPU after the other --- */

static void a_vcpu_of_another_cpu_is_posted_to(void **state)
{
	struct vm *vm = *state;
	struct vcpu *vcpu = cpu(vm, 1);

	fake_move_away(vcpu);
	vcpu->requests = 0;
	assert_true(send(vm, 1, 0x66, false));
	assert_int_equal(fake_vcpu_of(vcpu)->kicks, 1);
	assert_false(vector_set_has(&apic_of(vm, 1)->page.irr, 0x66));
	assert_true(send(vm, 1, 0x77, false));
	assert_int_equal(fake_vcpu_of(vcpu)->kicks, 1);	/* the first kick is still to be served */
	vcpu->requests = 0;
	come_home(vcpu);
	assert_int_equal(pending(vm, 1), 0x77);
	assert_int_equal(vcpu->requests, 0);		/* looking announces nothing */
	assert_int_equal(acknowledge(vm, 1), 0x77);
	end_interrupt(vm, 1);
	assert_int_equal(acknowledge(vm, 1), 0x66);
	end_interrupt(vm, 1);
	assert_true(send(vm, 1, 0x88, false));		/* at home: without a detour */
	assert_true(vector_set_has(&apic_of(vm, 1)->page.irr, 0x88));
}

static void the_guest_sees_posted_interrupts_in_irr(void **state)
{
	struct vm *vm = *state;

	fake_move_away(cpu(vm, 1));
	send(vm, 1, 0x66, false);
	assert_true(apic_bit(vm, 1, LAPIC_IRR, 0x66));
}

static void an_illegal_vector_is_found_at_home(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 1, LAPIC_LVT + LVT_ERROR, 0xe0);
	fake_move_away(cpu(vm, 1));
	assert_false(send(vm, 1, 15, false));
	come_home(cpu(vm, 1));
	cpu(vm, 1)->requests = 0;
	assert_int_equal(pending(vm, 1), 0xe0);
	assert_int_equal(cpu(vm, 1)->requests, 0);
	assert_int_equal(vector_set_register(&apic_of(vm, 1)->page.irr, 0) & 0xffff, 0);
	apic_set(vm, 1, LAPIC_ESR, 0);
	assert_int_equal(apic_get(vm, 1, LAPIC_ESR), 0x40);
}

/* The error interrupt's own vector may be illegal, too. */
static void an_illegal_error_vector_ends_there(void **state)
{
	struct vm *vm = *state;

	apic_set(vm, 1, LAPIC_LVT + LVT_ERROR, 0x05);
	fake_move_away(cpu(vm, 1));
	send(vm, 1, 5, false);
	come_home(cpu(vm, 1));
	assert_int_equal(pending(vm, 1), -1);
	assert_true(send(vm, 1, 0x66, false));
	assert_int_equal(pending(vm, 1), 0x66);
}

/* SDM, "Local APIC State After It Has Been Software Disabled": it keeps what it has, and accepts nothing new. */
static void a_disabled_apic_drops_what_comes(void **state)
{
	struct vm *vm = *state;

	fake_move_away(cpu(vm, 1));
	assert_true(send(vm, 1, 0x66, false));
	apic_set(vm, 1, LAPIC_SVR, 0xff);	/* 0x66 was accepted before that */
	assert_false(send(vm, 1, 0x77, false));
	/* A sender may not see yet that it is disabled. */
	posted_add(&cpu(vm, 1)->posted, 0x88);
	assert_int_equal(pending(vm, 1), 0x66);
	posted_add(&cpu(vm, 1)->posted, 0x99);
	apic_set(vm, 1, LAPIC_SVR, 0x1ff);
	assert_int_equal(acknowledge(vm, 1), 0x66);
	end_interrupt(vm, 1);
	assert_int_equal(pending(vm, 1), -1);
}

/* Otherwise its pin would wait for an EOI that never comes. */
static void a_dropped_level_interrupt_is_sent_again(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, 5, 0x66 | ENTRY_LEVEL, 1);
	fake_move_away(cpu(vm, 1));
	line(vm, 5, true);
	assert_int_equal(entry_get(vm, 5) & REMOTE_IRR, REMOTE_IRR);
	WRITE_ONCE(apic_of(vm, 1)->svr, 0xff);
	assert_int_equal(pending(vm, 1), -1);
	assert_int_equal(entry_get(vm, 5) & REMOTE_IRR, 0);
	assert_int_equal(vm->lock.next, vm->lock.served);
}

static void power_up_discards_what_is_posted(void **state)
{
	struct vm *vm = *state;

	fake_move_away(cpu(vm, 1));
	send(vm, 1, 0x66, false);
	vm->irqchip->vcpu_reset(cpu(vm, 1), true);
	apic_enable(vm, 1);
	assert_int_equal(pending(vm, 1), -1);
	assert_false(posted_has(&cpu(vm, 1)->posted, 0x66));
}

/* The EOI of a level-triggered interrupt that another CPU sent reaches the IOAPIC, whatever its entry has now. */
static void a_posted_level_interrupt_is_ended(void **state)
{
	struct vm *vm = *state;

	entry_set(vm, 5, 0x66 | ENTRY_LEVEL, 1);
	fake_move_away(cpu(vm, 1));
	line(vm, 5, true);
	line(vm, 5, false);
	assert_int_equal(acknowledge(vm, 1), 0x66);
	assert_true(apic_bit(vm, 1, LAPIC_TMR, 0x66));
	/* Another vector and target before the EOI. */
	vioapic_set(vm, 0x11 + 2 * 5, 2u << 24);
	vioapic_set(vm, 0x10 + 2 * 5, 0x77 | ENTRY_LEVEL);
	end_interrupt(vm, 1);
	assert_int_equal(entry_get(vm, 5) & REMOTE_IRR, 0);
	line(vm, 5, true);
	assert_int_equal(pending(vm, 2), 0x77);
}

/* --- all at once --- */

#define SENDERS 3
#define ROUNDS	20000

static struct {
	struct vm *vm;
	u32 received[SENDERS];	/* atomic */
} race;

static void *send_rounds(void *argument)
{
	u32 self = (u32)(u64)argument;
	u8 vector = (u8)(0x41 + self * 0x40);
	bool level = self == 0;

	for (u32 round = 1; round <= ROUNDS; round++) {
		if (!send(race.vm, 1, vector, level))
			return "refused";
		while (__atomic_load_n(&race.received[self], __ATOMIC_SEQ_CST) != round)
			sched_yield();
	}
	return NULL;
}

/* What the home CPU does: it looks only when there is a request, which it clears first. */
static void receive_all(struct vm *vm)
{
	struct vcpu *vcpu = cpu(vm, 1);
	u32 left = SENDERS * ROUNDS;
	int vector;

	while (left) {
		if (!(__atomic_fetch_and(&vcpu->requests, ~(u32)REQ_EVENT, __ATOMIC_SEQ_CST) & REQ_EVENT)) {
			sched_yield();
			continue;
		}
		while ((vector = vlapic_acknowledge(apic_of(vm, 1))) >= 0) {
			u32 sender = ((u32)vector - 0x41) / 0x40;

			/* The trigger mode was set before the vector could be seen. */
			assert_int_equal(vector_set_has(&apic_of(vm, 1)->page.tmr, (u8)vector), sender == 0);
			vlapic_end_of_interrupt(apic_of(vm, 1));
			__atomic_fetch_add(&race.received[sender], 1, __ATOMIC_SEQ_CST);
			left--;
		}
	}
}

static void no_interrupt_is_lost(void **state)
{
	struct vm *vm = *state;
	pthread_t threads[SENDERS];
	void *error;

	memset(&race, 0, sizeof(race));
	race.vm = vm;
	cpu(vm, 1)->requests = 0;
	for (u64 i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_rounds, (void *)i), 0);
	receive_all(vm);
	for (unsigned i = 0; i < SENDERS; i++) {
		pthread_join(threads[i], &error);
		assert_null(error);
		assert_int_equal(race.received[i], ROUNDS);
	}
}

/* Senders choose by lowest priority while the home CPU changes the registers that they look at. */
static void *send_lowest(void *argument)
{
	const struct apic_message message = {
		.destination = 0xff, .logical = true, .delivery = APIC_LOWEST, .vector = 0x55,
	};

	for (u32 round = 0; round < ROUNDS; round++)
		apic_bus_send(race.vm, &message);
	return NULL;
}

static void registers_may_change_while_others_send(void **state)
{
	struct vm *vm = *state;
	pthread_t threads[2];

	race.vm = vm;
	/* Everybody's home is another thread than the senders. */
	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_lowest, NULL), 0);
	for (u32 round = 0; round < ROUNDS; round++) {
		apic_set(vm, 1, LAPIC_TPR, round & 0xf0);
		apic_set(vm, 1, LAPIC_LDR, round << 24);
		apic_set(vm, 1, LAPIC_DFR, round << 28);
		apic_set(vm, 1, LAPIC_SVR, round & 1 ? 0x1ff : 0xff);
		if (acknowledge(vm, 1) >= 0)
			end_interrupt(vm, 1);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_layout_is_the_manuals),
		TEST(only_the_first_post_notifies),
		TEST(the_acknowledge_says_whether_more_may_be_pending),
		TEST(a_vcpu_of_another_cpu_is_posted_to),
		TEST(the_guest_sees_posted_interrupts_in_irr),
		TEST(an_illegal_vector_is_found_at_home),
		TEST(an_illegal_error_vector_ends_there),
		TEST(a_disabled_apic_drops_what_comes),
		TEST(a_dropped_level_interrupt_is_sent_again),
		TEST(power_up_discards_what_is_posted),
		TEST(a_posted_level_interrupt_is_ended),
		TEST(no_interrupt_is_lost),
		TEST(registers_may_change_while_others_send),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
