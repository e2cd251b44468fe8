/* SPDX-License-Identifier: MIT */
/*
 * From L2 to L1: what is saved, reported and loaded, and in which order. Each letter of the diary is a step: g guest
 * state saved, t timer stopped, s MSRs stored, 1 vmcs01 current, n NMI blocking, c control register, l MSRs loaded, f
 * flush, e enlightened VMCS written, w shadow VMCS written, L L2 left without an exit, E the VM ends. Intel SDM, "VM Exits", "VM-Entry Failures During or After Loading
 * Guest State".
 */
/* link: vmx/nested/exit.c vmx/vmcs.c tests/unit/fake_vmcs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/speculation.h"
#include "core/mem/guest_mem.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/nested/nested.h"

struct vmx_caps vmx_caps;
struct cpu_features cpu_features;

static struct vm vm;
static struct vcpu_vmx vmx;
static struct nested_vmx nested;
static struct vmcs12 vmcs12;
static struct vcpu *const vcpu = &vmx.vcpu;
static char diary[64];
static u64 controls[CTL_XCR0 + 1];
static struct segment segments[SEG_COUNT];
static u64 pdptes[4];
static bool store_fails;
static u32 load_fails;
static bool nmi_blocked;
static u32 abort_indicator;

static void note(char step) { diary[strlen(diary)] = step; }

/* --- the rest of Lamina --- */

void panic(const char *format, ...) { fail_msg("panic"); __builtin_unreachable(); }
bool speculation_off(void) { return false; }
u8 cpuid_physical_bits(const struct vcpu *v) { return 40; }
void vm_end(struct vm *v, enum vm_end end, const char *format, ...) { note('E'); assert_int_equal(end, VM_END_TRIPLE_FAULT); }
void vmx_store_dirty_regs(struct vcpu *v) { v->regs_dirty = 0; }
void vmx_flush_tlb(const struct vcpu *v) { note('f'); }
void vmx_end_shadow(void) { }
void vmx_nmi_in_service(struct vcpu *v, bool on) { note('n'); nmi_blocked = on; }
void vmx_segment_set(struct vcpu *v, enum vcpu_segment index, const struct segment *s) { segments[index] = *s; }
void vmx_table_set(struct vcpu *v, bool idt, const struct descriptor_table *table) { assert_int_equal(table->limit, 0xffff); }
static u64 pat;
int vmx_msr_get(struct vcpu *v, u32 msr, u64 *value) { *value = pat; return 0; }
int vmx_msr_set(struct vcpu *v, u32 msr, u64 value) { pat = value; return 0; }
u64 vmx_control_get(struct vcpu *v, enum vcpu_control control) { return controls[control]; }
void nested_save_guest(struct vcpu *v) { note('g'); }
void nested_stop_timer(struct vcpu *v) { note('t'); }
void nested_vmx_leave(struct vcpu *v) { note('L'); }
void nested_evmcs_store(struct vcpu *v) { note('e'); }
void nested_shadowing_write(struct vcpu *v) { note('w'); }

void nested_use_vmcs01(struct vcpu *v)
{
	note('1');
	/* Registers of L1 as they were at its VMLAUNCH. */
	FAKE(GUEST_CR3) = 0x3000;
	FAKE(GUEST_INTERRUPTIBILITY) = 0;
}

void vmx_control_set(struct vcpu *v, enum vcpu_control control, u64 value)
{
	note('c');
	controls[control] = value;
}

int nested_store_msrs(struct vcpu *v, gpa_t list, u32 count)
{
	note('s');
	return store_fails ? -EINVAL : 0;
}

u32 nested_load_msrs(struct vcpu *v, gpa_t list, u32 count)
{
	note('l');
	return load_fails;
}

int guest_read(const struct vm *v, gpa_t gpa, void *to, u64 size)
{
	assert_int_equal(gpa, 0x5020);
	memcpy(to, pdptes, size);
	return 0;
}

int guest_write(const struct vm *v, gpa_t gpa, const void *from, u64 size)
{
	assert_int_equal(gpa, 0x40004);
	memcpy(&abort_indicator, from, size);
	return 0;
}

static u64 l2_control(struct vcpu *v, enum vcpu_control control) { return control == CTL_CR0 ? 0x12 : 0x34; }

#define HOST_STATE (CR0_PE | CR0_NE | CR0_PG)

static int setup(void **state)
{
	static const struct vcpu_ops ops = { .control_get = l2_control };

	memset(&vmx, 0, sizeof(vmx));
	memset(&nested, 0, sizeof(nested));
	memset(&vmcs12, 0, sizeof(vmcs12));
	memset(diary, 0, sizeof(diary));
	memset(controls, 0, sizeof(controls));
	memset(pdptes, 0, sizeof(pdptes));
	pat = 0x66;
	store_fails = nmi_blocked = false;
	load_fails = abort_indicator = 0;
	fake_vmcs_clear();
	vcpu->vm = &vm;
	vcpu->ops = &ops;
	vcpu->l2_runs = true;
	vmx.nested = &nested;
	nested.vmcs12 = &vmcs12;
	nested.current_ptr = 0x40000;
	controls[CTL_CR0] = HOST_STATE | CR0_ET | CR0_CD;
	controls[CTL_CR4] = CR4_PAE | CR4_VMXE;
	controls[CTL_EFER] = EFER_LMA | EFER_LME;
	vmcs12_writen(&vmcs12, HOST_CR0, HOST_STATE);
	vmcs12_writen(&vmcs12, HOST_CR3, 0x3000);
	vmcs12_writen(&vmcs12, HOST_CR4, CR4_PAE | CR4_VMXE);
	vmcs12_writen(&vmcs12, HOST_RIP, 0x1111);
	vmcs12_writen(&vmcs12, HOST_RSP, 0x2222);
	vmcs12_write16(&vmcs12, HOST_CS_SELECTOR, 0x18);
	vmcs12_write16(&vmcs12, HOST_TR_SELECTOR, 0x40);
	vmcs12_write32(&vmcs12, EXIT_CONTROLS, EXIT_HOST_64BIT);
	vmcs12_write32(&vmcs12, PIN_BASED_CONTROLS, PIN_NMI | PIN_VIRTUAL_NMI);
	vmcs12_write32(&vmcs12, ENTRY_INTERRUPTION_INFO, INTERRUPTION_VALID | 0x30);
	return 0;
}

/*
 * What L1 has at its host's state already is not written again: no control register, no flush but for the missing
 * VPID.
 */
static void an_exit_takes_these_steps(void **state)
{
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0x77);
	assert_string_equal(diary, "gts1wnfl");
	assert_int_equal(vmcs12_read32(&vmcs12, EXIT_REASON), EXIT_REASON_CPUID);
	assert_int_equal(vmcs12_readn(&vmcs12, EXIT_QUALIFICATION), 0x77);
	assert_int_equal(vmcs12_read32(&vmcs12, ENTRY_INTERRUPTION_INFO), 0x30);	/* no longer valid */
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_CR0), 0x12);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_CR4), 0x34);
	assert_int_equal(vcpu->regs[REG_RIP], 0x1111);
	assert_int_equal(vcpu->regs[REG_RSP], 0x2222);
	assert_int_equal(vcpu->regs[REG_RFLAGS], RFLAGS_FIXED);
	assert_int_equal(vcpu->regs_dirty, REGS_LAZY);
	assert_int_equal(FAKE(GUEST_DR7), 0x400);
	assert_true(vcpu->requests & REQ_EVENT);
	assert_false(nmi_blocked);
}

/* S28: all fields come from one place, so that none is an earlier exit's. */
static void every_field_is_written(void **state)
{
	const struct nested_exit exit = {
		.reason.full = 0x1c000030, .qualification = 1, .interruption_info = 2, .interruption_error = 3,
		.vectoring_info = 4, .vectoring_error = 5, .instruction_length = 6, .instruction_info = 7, .linear_address = 8,
		.physical_address = 9,
	};

	nested_vmx_exit(vcpu, &exit);
	assert_int_equal(vmcs12_read32(&vmcs12, EXIT_REASON), 0x1c000030);	/* with its modifiers */
	assert_int_equal(vmcs12_readn(&vmcs12, EXIT_QUALIFICATION), 1);
	assert_int_equal(vmcs12_read32(&vmcs12, EXIT_INTERRUPTION_INFO), 2);
	assert_int_equal(vmcs12_read32(&vmcs12, EXIT_INTERRUPTION_ERROR), 3);
	assert_int_equal(vmcs12_read32(&vmcs12, IDT_VECTORING_INFO), 4);
	assert_int_equal(vmcs12_read32(&vmcs12, IDT_VECTORING_ERROR), 5);
	assert_int_equal(vmcs12_read32(&vmcs12, EXIT_INSTRUCTION_LENGTH), 6);
	assert_int_equal(vmcs12_read32(&vmcs12, EXIT_INSTRUCTION_INFO), 7);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_LINEAR_ADDRESS), 8);
	assert_int_equal(vmcs12_read64(&vmcs12, GUEST_PHYSICAL_ADDRESS), 9);
	FAKE(GUEST_ACTIVITY) = ACTIVITY_SHUTDOWN;
	nested_exit_for(vcpu, EXIT_REASON_TRIPLE_FAULT, 0);
	assert_int_equal(FAKE(GUEST_ACTIVITY), ACTIVITY_ACTIVE);	/* S16: for the next entry */
	assert_int_equal(vmcs12_read32(&vmcs12, IDT_VECTORING_INFO), 0);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_LINEAR_ADDRESS), 0);
}

static void the_processors_exit_is_reflected_in_full(void **state)
{
	vcpu->exit_reason = 0x10000025;
	vmx.qualification = 0x1234;
	vmx.vectoring_info = 0x80000306;
	FAKE(EXIT_INTERRUPTION_INFO) = 0x80000b0e;
	FAKE(EXIT_INSTRUCTION_LENGTH) = 3;
	vcpu->events.reinject.type = EVENT_EXCEPTION;
	nested_reflect(vcpu);
	assert_int_equal(vmcs12_read32(&vmcs12, EXIT_REASON), 0x10000025);
	assert_int_equal(vmcs12_read32(&vmcs12, IDT_VECTORING_INFO), 0x80000306);
	assert_int_equal(vmcs12_read32(&vmcs12, EXIT_INTERRUPTION_INFO), 0x80000b0e);
	assert_int_equal(vmcs12_read32(&vmcs12, EXIT_INSTRUCTION_LENGTH), 3);
	assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);	/* it is L1's to inject again */
}

/* Only reason and qualification; no guest state, no store list, and the event stays valid. */
static void a_failed_entry_writes_little(void **state)
{
	vmcs12_write32(&vmcs12, IDT_VECTORING_INFO, 0x99);
	vcpu->l2_runs = false;
	FAKE(GUEST_CR3) = 0x3000;
	nested_fail_entry(vcpu, 0x80000021, 4);
	assert_string_equal(diary, "wfl");
	assert_int_equal(vmcs12_read32(&vmcs12, EXIT_REASON), 0x80000021);
	assert_int_equal(vmcs12_readn(&vmcs12, EXIT_QUALIFICATION), 4);
	assert_int_equal(vmcs12_read32(&vmcs12, IDT_VECTORING_INFO), 0x99);
	assert_int_equal(vmcs12_read32(&vmcs12, ENTRY_INTERRUPTION_INFO), INTERRUPTION_VALID | 0x30);
	assert_int_equal(vcpu->regs[REG_RIP], 0x1111);
	memset(diary, 0, sizeof(diary));
	vcpu->l2_runs = true;			/* an MSR of the list was refused, or the processor has refused */
	nested_fail_entry(vcpu, 0x80000022, 3);
	assert_string_equal(diary, "Lwfl");
}

/* After all that the exit reports, but for the MSRs, which are in lists of their own. */
static void an_enlightened_vmcs_is_written(void **state)
{
	nested.enlightened = true;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_string_equal(diary, "gtes1wnfl");
	memset(diary, 0, sizeof(diary));
	vcpu->l2_runs = false;
	nested_fail_entry(vcpu, 0x80000021, 0);
	assert_string_equal(diary, "ewfl");
}

static void control_registers_change_where_the_host_differs(void **state)
{
	vmcs12_writen(&vmcs12, HOST_CR0, HOST_STATE | CR0_TS | CR0_NW | BIT_ULL(40));
	vmcs12_writen(&vmcs12, HOST_CR3, 0x4000);
	vmcs12_writen(&vmcs12, HOST_CR4, CR4_VMXE | CR4_PGE);
	vmcs12_write64(&vmcs12, HOST_EFER, EFER_LMA | EFER_LME | EFER_NXE);
	vmcs12_write32(&vmcs12, EXIT_CONTROLS, EXIT_HOST_64BIT | EXIT_LOAD_EFER);
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_string_equal(diary, "gts1wnccccfl");
	assert_int_equal(controls[CTL_CR0], HOST_STATE | CR0_TS | CR0_ET | CR0_CD);	/* ET, CD, NW, 63:32 stay */
	assert_int_equal(controls[CTL_CR3], 0x4000);
	assert_int_equal(controls[CTL_CR4], CR4_VMXE | CR4_PGE | CR4_PAE);
	assert_int_equal(controls[CTL_EFER], EFER_LMA | EFER_LME | EFER_NXE);
}

static void a_vpid_spares_the_flush(void **state)
{
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, PRIMARY_SECONDARY);
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, SECONDARY_VPID);
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_string_equal(diary, "gts1wnl");
}

static void segments_are_the_hosts(void **state)
{
	vmcs12_write16(&vmcs12, HOST_GS_SELECTOR, 0x10);
	vmcs12_writen(&vmcs12, HOST_GS_BASE, 0x7777);
	vmcs12_writen(&vmcs12, HOST_TR_BASE, 0x8888);
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_true(segments[SEG_CS].l && !segments[SEG_CS].db && segments[SEG_CS].type == 11 && segments[SEG_CS].g);
	assert_int_equal(segments[SEG_CS].selector, 0x18);
	assert_true(segments[SEG_DS].unusable && segments[SEG_LDTR].unusable && !segments[SEG_GS].unusable);
	assert_int_equal(segments[SEG_GS].base, 0x7777);
	assert_int_equal(segments[SEG_TR].base, 0x8888);
	assert_int_equal(segments[SEG_TR].limit, 0x67);
	assert_int_equal(segments[SEG_TR].type, 11);
}

/* SDM, "Updating Non-Register State" */
static void an_nmi_blocks_nmis(void **state)
{
	const struct nested_exit nmi = { .interruption_info = INTERRUPTION_VALID | INTERRUPTION_NMI << 8 | X86_NMI };

	vmx_caps.pin = PIN_VIRTUAL_NMI;
	nested_vmx_exit(vcpu, &nmi);
	assert_true(nmi_blocked);
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_false(nmi_blocked);
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_NMI;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_false(nmi_blocked);		/* those are virtual */
	vmcs12_write32(&vmcs12, PIN_BASED_CONTROLS, PIN_NMI);
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_NMI;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_true(nmi_blocked);		/* one state for both levels */
	/* Without the processor's virtual NMIs its bit is the host's. */
	vmx_caps.pin = 0;
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_NMI;
	vmx.nmi_blocked = false;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_false(nmi_blocked);
	vmx.nmi_blocked = true;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_true(nmi_blocked);
}

/* SDM, "Loading Host Control Registers, Debug Registers, MSRs": what no control loads stays as L2 had it. */
static void msrs_stay_unless_they_are_loaded(void **state)
{
	vmx.vmcs.efer = EFER_LMA | EFER_LME | EFER_NXE | EFER_SCE;
	pat = 0x77;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_int_equal(controls[CTL_EFER], EFER_LMA | EFER_LME | EFER_NXE | EFER_SCE);
	assert_int_equal(pat, 0x77);
	vmx.vmcs.efer = EFER_SCE;		/* a guest of 32 bits */
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_int_equal(controls[CTL_EFER], EFER_LMA | EFER_LME | EFER_SCE);
	vmcs12_write32(&vmcs12, EXIT_CONTROLS, EXIT_HOST_64BIT | EXIT_LOAD_PAT | EXIT_LOAD_EFER);
	vmcs12_write64(&vmcs12, HOST_PAT, 0x88);
	vmcs12_write64(&vmcs12, HOST_EFER, EFER_LMA | EFER_LME);
	pat = 0x77;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_int_equal(controls[CTL_EFER], EFER_LMA | EFER_LME);
	assert_int_equal(pat, 0x88);
}

static void halted_and_mode_are_saved(void **state)
{
	nested.l2.halted = true;
	vcpu->activity = VCPU_HALTED;
	vmx.vmcs.entry_controls = ENTRY_IA32E_GUEST;
	vmx.vmcs.efer = EFER_LMA;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_int_equal(vmcs12_read32(&vmcs12, GUEST_ACTIVITY), ACTIVITY_HLT);
	assert_int_equal(vcpu->activity, VCPU_RUNNING);
	assert_true(vmcs12_read32(&vmcs12, ENTRY_CONTROLS) & ENTRY_IA32E_GUEST);
	assert_int_equal(vmcs12_read64(&vmcs12, GUEST_EFER), 0);	/* not asked for */
	vmcs12_write32(&vmcs12, EXIT_CONTROLS, EXIT_HOST_64BIT | EXIT_SAVE_EFER | EXIT_SAVE_PAT | EXIT_SAVE_DEBUG);
	FAKE(GUEST_DR7) = 0x402;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_int_equal(vmcs12_read32(&vmcs12, GUEST_ACTIVITY), ACTIVITY_ACTIVE);
	assert_int_equal(vmcs12_read64(&vmcs12, GUEST_EFER), EFER_LMA);
	assert_int_equal(vmcs12_read64(&vmcs12, GUEST_PAT), 0x66);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_DR7), 0x402);
}

/* SDM, "VMX Aborts": the indicator is written to L1's region. */
static void lists_that_fail_abort(void **state)
{
	store_fails = true;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_string_equal(diary, "gts1wnE");
	assert_int_equal(abort_indicator, 1);
	setup(state);
	load_fails = 2;
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_non_null(strchr(diary, 'E'));
	assert_int_equal(abort_indicator, 4);
	setup(state);
	vmcs12_write32(&vmcs12, EXIT_CONTROLS, 0);	/* a host with PAE paging */
	vmcs12_writen(&vmcs12, HOST_CR3, 0x5020);
	pdptes[1] = 1 | BIT_ULL(40);
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_int_equal(abort_indicator, 2);
	setup(state);
	vmcs12_write32(&vmcs12, EXIT_CONTROLS, 0);
	vmcs12_writen(&vmcs12, HOST_CR3, 0x5020);
	pdptes[1] = BIT_ULL(40);			/* not present */
	nested_exit_for(vcpu, EXIT_REASON_CPUID, 0);
	assert_int_equal(abort_indicator, 0);
	assert_true(vcpu->pdptes[1] == BIT_ULL(40));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_exit_takes_these_steps, setup),
		cmocka_unit_test_setup(every_field_is_written, setup),
		cmocka_unit_test_setup(the_processors_exit_is_reflected_in_full, setup),
		cmocka_unit_test_setup(a_failed_entry_writes_little, setup),
		cmocka_unit_test_setup(an_enlightened_vmcs_is_written, setup),
		cmocka_unit_test_setup(control_registers_change_where_the_host_differs, setup),
		cmocka_unit_test_setup(a_vpid_spares_the_flush, setup),
		cmocka_unit_test_setup(segments_are_the_hosts, setup),
		cmocka_unit_test_setup(an_nmi_blocks_nmis, setup),
		cmocka_unit_test_setup(msrs_stay_unless_they_are_loaded, setup),
		cmocka_unit_test_setup(halted_and_mode_are_saved, setup),
		cmocka_unit_test_setup(lists_that_fail_abort, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
