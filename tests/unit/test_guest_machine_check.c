/* SPDX-License-Identifier: MIT */
/*
 * A machine check in a guest's own memory: the guest is informed if the architecture allows it, with the
 * registers as in the manuals; otherwise the VM ends with a message.
 */
/* link: core/cpu/machine_check.c core/mem/guest_mem.c core/event.c arch/fault/machine_check_judge.c */
/* link: core/vm_log.c lib/log.c lib/string.c */
#include "tests/unit/trace_fixture.h"

#include "arch/cpu/cpufeature.h"
#include "arch/fault/machine_check.h"
#include "arch/cpu/x86.h"
#include "core/exit.h"
#include "core/mem/tdp.h"

void *guest_window(gpa_t gpa) { return (void *)(HOST_GUEST_WINDOW + gpa); }

struct cpu_features cpu_features;

/* A read of data that was lost in memory, as Intel's processors report it (SRAR). */
#define LOST (MCI_VALID | MCI_UNCORRECTED | MCI_ENABLED | MCI_MISC_VALID | MCI_ADDR_VALID | MCI_SIGNALED | \
	      MCI_ACTION_REQUIRED | 0x134)
#define PHYSICAL (2ull << 6 | 6)	/* a cache line */
#define RIPV MCG_STATUS_RIPV
#define MCIP MCG_STATUS_MCIP

/* For HLT, which no test here has made by an instruction. */
void halt_for_good(struct vcpu *v) { fail(); }
void halt_is_over(struct vcpu *v) { fail(); }

static u64 cr4, host_mcg_status;
static struct machine_check_bank host_bank;

/* The pages that the guest must no longer read belong to the VM's lock. */
static unsigned locked;

void vm_lock(struct vm *vm) { assert_int_equal(locked++, 0); }
void vm_unlock(struct vm *vm) { assert_int_equal(--locked, 0); }
void service_pause(void) { }

/* The pure part of arch's: tests/unit/test_machine_check.c is about it. */
enum machine_check_verdict machine_check_in_guest(struct machine_check *mc, struct machine_check_bank *lost)
{
	enum machine_check_verdict verdict;
	const char *kind;

	mc->amd = cpu_features.vendor == CPU_VENDOR_AMD;
	mc->in_guest = mc->recovery = mc->overflow_recovery = true;
	mc->mcg_status = host_mcg_status;
	*lost = host_bank;
	verdict = machine_check_judge_bank(mc, &host_bank, &kind);
	return machine_check_judge(mc, verdict, true);
}

bool machine_check_recovery(void) { return true; }

u64 clock_us_since_boot(void) { return 0; }

static u64 fake_control_get(struct vcpu *v, enum vcpu_control control)
{
	return control == CTL_CR4 ? cr4 : CR0_PE;
}

static void fake_tdp_format(const struct vm *v, struct tdp_format *format) { *format = (struct tdp_format){ 0 }; }

/* What is taken from the guest, by all CPUs: never under the lock. */
static gpa_t unmapped;
static u64 unmapped_size;
static int unmap_error;

int tdp_unmap(struct vm *v, gpa_t gpa, u64 size)
{
	assert_int_equal(locked, 0);
	assert_false(guest_is_ram(v, gpa, size));
	unmapped = gpa;
	unmapped_size = size;
	return unmap_error;
}

int tdp_map(struct vm *v, const struct tdp_format *format, gpa_t gpa, hpa_t hpa, u64 size) { return 0; }

static const struct vcpu_ops ops = { .control_get = fake_control_get, .tdp_format = fake_tdp_format };

/* The machine's memory comes in pieces of 2 MiB, the last first. */
static hpa_t next_piece;
static unsigned freed;

int guest_ram_alloc(u64 size, struct phys_range *range)
{
	next_piece -= MIB(4);
	*range = (struct phys_range){ next_piece, MIB(2) };
	return 0;
}

void guest_ram_free(const struct phys_range *range) { freed++; }
void memory_stats(struct memory_stats *stats) { }
int paging_map(struct address_space *space, u64 va, hpa_t pa, u64 size, unsigned flags) { return 0; }

static int set_up(void **state)
{
	fixture_set_up(&ops);
	vm.ops = &ops;
	vm.state = VM_RUNNING;
	cpu_features.vendor = CPU_VENDOR_INTEL;
	cr4 = CR4_MCE;
	next_piece = 0x80000000;
	assert_int_equal(guest_mem_create(&vm, MIB(4)), 0);
	host_mcg_status = MCIP | RIPV | MCG_STATUS_EIPV | BIT(3);	/* LMCE_S, which the guest has not */
	host_bank = (struct machine_check_bank){ LOST, 0x7fc12340, PHYSICAL };
	return 0;
}

static u64 read_msr(u32 msr)
{
	u64 value = ~0ull;

	assert_int_equal(machine_check_read(&vcpu, msr, &value), 0);
	return value;
}

static void the_guest_is_informed(void **state)
{
	exit_machine_check(&vcpu, true);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(vcpu.events.exception.type, EVENT_EXCEPTION);
	assert_int_equal(vcpu.events.exception.vector, 18);
	assert_false(vcpu.events.exception.has_error_code);
	assert_int_equal(read_msr(0x17a), 7);
	assert_int_equal(read_msr(0x401), LOST);
	assert_int_equal(read_msr(0x402), 0x12340);	/* in the guest's first 2 MiB */
	assert_int_equal(read_msr(0x403), PHYSICAL);
	assert_shown("reported to the guest: its memory at 0x12340 is damaged");
	assert_int_equal(unmapped, 0x12000);
	assert_int_equal(unmapped_size, 0x1000);
}

/* Even where the page cannot be taken away. */
static void without_memory_for_tables_it_is_informed_too(void **state)
{
	unmap_error = -ENOMEM;
	exit_machine_check(&vcpu, true);
	unmap_error = 0;
	assert_int_equal(vcpu.events.exception.vector, 18);
	assert_shown("the damaged memory stays mapped");
}

/* Its next access does not reach the memory, and is told what the processor would tell. */
static void another_access(void **state)
{
	exit_machine_check(&vcpu, true);
	vcpu.events.exception.type = EVENT_NONE;
	vcpu.machine_check = (struct guest_machine_check){ .bank = { 5 } };
	exit_damaged_memory(&vcpu, 0x12abc, guest_mem_damage_at(&vm, 0x12abc));
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(vcpu.events.exception.vector, 18);
	assert_int_equal(read_msr(0x17a), 7);
	assert_int_equal(read_msr(0x400), 5);
	assert_int_equal(read_msr(0x401), LOST);
	assert_int_equal(read_msr(0x402), 0x12abc);
	assert_int_equal(read_msr(0x403), PHYSICAL);
	assert_shown("the guest accesses its damaged memory at 0x12abc again");
	/* In the handler, or without one. */
	vcpu.events.exception.type = EVENT_NONE;
	exit_damaged_memory(&vcpu, 0x12abc, guest_mem_damage_at(&vm, 0x12abc));
	assert_int_equal(vm.state, VM_ENDED);
	assert_shown("while it handled a machine check: a shutdown");
	set_up(state);
	exit_machine_check(&vcpu, true);
	cr4 = 0;
	exit_damaged_memory(&vcpu, 0x12abc, guest_mem_damage_at(&vm, 0x12abc));
	assert_shown("takes no machine checks");
}

/* The second piece, which lies below the first. */
static void addresses_are_the_guests(void **state)
{
	host_bank.address = 0x7f800000 + 0x1fffc0;
	exit_machine_check(&vcpu, true);
	assert_int_equal(read_msr(0x402), MIB(4) - 0x40);
}

/* AMD PPR, "MCA_ADDR": bits 61:56 are the least significant bit of the address that counts. */
static void bits_above_the_address(void **state)
{
	cpu_features.vendor = CPU_VENDOR_AMD;
	host_bank.status = MCI_VALID | MCI_UNCORRECTED | MCI_ENABLED | MCI_ADDR_VALID | MCI_AMD_POISON;
	host_bank.address |= 6ull << 56;
	exit_machine_check(&vcpu, true);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(read_msr(0x402), 0x12340);
	assert_false(guest_is_ram(&vm, 0x12000, 1));
	assert_true(guest_is_ram(&vm, 0x11000, PAGE_SIZE));
	assert_true(guest_is_ram(&vm, 0x13000, PAGE_SIZE));
}

/* The guest may use exactly what its registers announce. */
static void what_is_announced(void **state)
{
	assert_int_equal(read_msr(0x179), 1 | 1u << 24);	/* one bank; recovery */
	cpu_features.vendor = CPU_VENDOR_AMD;
	assert_int_equal(read_msr(0x179), 1);
	for (u32 msr = 0x400; msr < 0x404; msr++)
		assert_int_equal(read_msr(msr), 0);
}

static int write_msr(u32 msr, u64 value)
{
	return machine_check_write(&vcpu, msr, &value);
}

static void the_guest_clears_what_it_has_read(void **state)
{
	exit_machine_check(&vcpu, true);
	assert_int_equal(write_msr(0x400, ~0ull), 0);
	assert_int_equal(read_msr(0x400), ~0ull);
	for (u32 msr = 0x401; msr < 0x404; msr++) {
		assert_true(write_msr(msr, 1) < 0);
		assert_int_equal(write_msr(msr, 0), 0);
		assert_int_equal(read_msr(msr), 0);
	}
	assert_true(write_msr(0x17a, 8) < 0);
	assert_int_equal(read_msr(0x17a), 7);
	assert_int_equal(write_msr(0x17a, 0), 0);
	assert_int_equal(read_msr(0x17a), 0);
	assert_int_equal(read_msr(0x400), ~0ull);
}

static void then_it_can_be_reported_again(void **state)
{
	exit_machine_check(&vcpu, true);
	vcpu.events.exception.type = EVENT_NONE;
	write_msr(0x17a, 0);
	host_bank.address += 0x1000;
	exit_machine_check(&vcpu, true);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(read_msr(0x402), 0x13340);
	/* Of the same damage, too: another of its programs may have read it. */
	vcpu.events.exception.type = EVENT_NONE;
	write_msr(0x17a, 0);
	exit_machine_check(&vcpu, true);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(read_msr(0x402), 0x13340);
}

static void assert_ended(const char *words)
{
	assert_int_equal(vm.state, VM_ENDED);
	assert_int_equal(vcpu.events.exception.type, EVENT_NONE);
	assert_shown(words);
}

/* SDM, "Interrupt 18: Machine-Check Exception": with MCE clear, or MCIP set, the processor shuts down. */
static void what_would_shut_it_down_ends_it(void **state)
{
	cr4 = 0;
	exit_machine_check(&vcpu, true);
	assert_ended("vm ended: machine check: the processor lost data of this VM, and takes no machine checks");
	set_up(state);
	exit_machine_check(&vcpu, true);
	vcpu.events.exception.type = EVENT_NONE;
	exit_machine_check(&vcpu, true);
	assert_ended("of this VM, while it handled a machine check: a shutdown");
}

static void a_guest_that_cannot_continue_is_not_informed(void **state)
{
	host_mcg_status = MCIP | MCG_STATUS_EIPV;	/* no RIPV */
	exit_machine_check(&vcpu, true);
	assert_ended("vm ended: machine check: the processor lost data of this VM\n");
	set_up(state);
	exit_machine_check(&vcpu, false);		/* at an entry that failed */
	assert_ended("vm ended: machine check: the processor lost data of this VM\n");
	set_up(state);
	host_bank.address = 0x7fc00000 + GUEST_VGA_HOLE;
	exit_machine_check(&vcpu, true);
	assert_ended("in a place that it does not see");
}

static void what_is_not_lost_is_not_reported(void **state)
{
	host_bank.status &= ~(MCI_SIGNALED | MCI_ACTION_REQUIRED);
	exit_machine_check(&vcpu, true);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(vcpu.events.exception.type, EVENT_NONE);
	assert_int_equal(read_msr(0x17a), 0);
}

/* Lamina would not survive reading it on behalf of the guest. */
static void lamina_does_not_touch_it_again(void **state)
{
	assert_true(guest_is_ram(&vm, 0x12000, 0x1000));
	exit_machine_check(&vcpu, true);
	assert_false(guest_is_ram(&vm, 0x12000, 1));
	assert_false(guest_is_ram(&vm, 0x12fff, 1));
	assert_false(guest_is_ram(&vm, 0x11000, 0x1001));
	assert_true(guest_is_ram(&vm, 0x11000, 0x1000));
	assert_true(guest_is_ram(&vm, 0x13000, 1));
	assert_null(guest_ptr(&vm, 0x12ff8, 16));
}

static void more_damaged_pages_than_the_list_holds(void **state)
{
	host_bank.misc = 2 << 6 | 16;			/* 64 KiB */
	exit_machine_check(&vcpu, true);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_false(guest_is_ram(&vm, 0x10000, 1));
	assert_false(guest_is_ram(&vm, 0x1ffff, 1));
	assert_true(guest_is_ram(&vm, 0x20000, 1));
	vcpu.events.exception.type = EVENT_NONE;
	write_msr(0x17a, 0);
	host_bank.address += MIB(1);
	exit_machine_check(&vcpu, true);
	assert_ended("in more places than can be kept apart");
}

/* It replaces the event that was being delivered. */
static void during_a_delivery(void **state)
{
	vcpu.events.reinject = (struct event){ .type = EVENT_EXCEPTION, .vector = X86_PF };
	exit_machine_check(&vcpu, true);
	assert_int_equal(vcpu.events.exception.vector, 18);
	assert_int_equal(vcpu.events.reinject.type, EVENT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_guest_is_informed, set_up),
		cmocka_unit_test_setup(without_memory_for_tables_it_is_informed_too, set_up),
		cmocka_unit_test_setup(another_access, set_up),
		cmocka_unit_test_setup(addresses_are_the_guests, set_up),
		cmocka_unit_test_setup(bits_above_the_address, set_up),
		cmocka_unit_test_setup(what_is_announced, set_up),
		cmocka_unit_test_setup(the_guest_clears_what_it_has_read, set_up),
		cmocka_unit_test_setup(then_it_can_be_reported_again, set_up),
		cmocka_unit_test_setup(what_would_shut_it_down_ends_it, set_up),
		cmocka_unit_test_setup(a_guest_that_cannot_continue_is_not_informed, set_up),
		cmocka_unit_test_setup(what_is_not_lost_is_not_reported, set_up),
		cmocka_unit_test_setup(lamina_does_not_touch_it_again, set_up),
		cmocka_unit_test_setup(more_damaged_pages_than_the_list_holds, set_up),
		cmocka_unit_test_setup(during_a_delivery, set_up),
	};

	assert_int_equal(freed, 0);
	(void)lines_shown;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
