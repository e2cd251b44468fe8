/* SPDX-License-Identifier: MIT */
/* A failed VM entry told in words: each kind of failure, and each rule of the guest state. */
/* link: vmx/check.c vmx/state.c tests/unit/fake_vmcs.c core/vm_log.c lib/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/cpufeature.h"
#include "arch/x86.h"
#include "core/control.h"
#include "core/emulate.h"
#include "lib/log.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/vmx.h"

struct vmx_caps vmx_caps;
struct cpu_features cpu_features = { .physical_address_bits = 40, .linear_address_bits = 48 };
const u32 vmx_live_msrs[LIVE_MSRS];

static struct vm vm = { .name = "web" };
static struct vcpu_vmx vmx = { .vcpu = { .vm = &vm } };
static struct vcpu *const vcpu = &vmx.vcpu;
static char said[4096];

static void listen(struct log_console *console, const char *text, size_t length)
{
	size_t n = strlen(said);

	assert_true(n + length < sizeof(said));
	memcpy(said + n, text, length);
}

static struct log_console console = { .write = listen };

/* What vmx/state.c needs and these tests do not. */
u64 control_cr4_allowed(const struct vcpu *v) { return 0; }
void emulate_advance(struct vcpu *v, unsigned length) {}
void vmx_flush_tlb(const struct vcpu *v) {}
int rdmsr_safe(u32 msr, u64 *value) { return -EFAULT; }
int wrmsr_safe(u32 msr, u64 value) { return -EFAULT; }

static void set_segment(enum vcpu_segment index, u16 selector, u64 base, u32 limit, u32 rights)
{
	FAKE(guest_selector(index)) = selector;
	FAKE(guest_base(index)) = base;
	FAKE(guest_limit(index)) = limit;
	FAKE(guest_access_rights(index)) = rights;
}

/* A 64-bit guest at CPL 0 that no rule objects to. */
static void valid_state(void)
{
	fake_vmcs_clear();
	memset(said, 0, sizeof(said));
	vmx_caps = (struct vmx_caps){
		.pin = PIN_VIRTUAL_NMI,
		.cr0_fixed0 = CR0_PG | CR0_NE | CR0_PE,
		.cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = CR4_VMXE,
		.cr4_fixed1 = 0x3fffff,
	};
	vmx.efer = EFER_LME | EFER_LMA;
	FAKE(GUEST_CR0) = CR0_PE | CR0_NE | CR0_ET | CR0_PG;
	FAKE(GUEST_CR4) = CR4_PAE | CR4_VMXE;
	FAKE(GUEST_CR3) = 0x1000;
	FAKE(GUEST_DR7) = 0x400;
	FAKE(GUEST_RIP) = 0xffffffff81000000;
	FAKE(GUEST_RFLAGS) = RFLAGS_FIXED;
	FAKE(VMCS_LINK_POINTER) = ~0ull;
	FAKE(ENTRY_CONTROLS) = ENTRY_IA32E_GUEST;
	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		set_segment(i, 0x10, 0, 0xffffffff, 0xc093);
	set_segment(SEG_CS, 0x8, 0, 0xffffffff, 0xa09b);
	set_segment(SEG_LDTR, 0, 0, 0, ACCESS_RIGHTS_UNUSABLE);
	set_segment(SEG_TR, 0x40, 0xffff800000001000, 0x67, 0x8b);
}

/* Flat real mode, as an unrestricted guest has it after a reset. */
static void real_mode(void)
{
	vmx.efer = 0;
	FAKE(GUEST_CR0) = CR0_NE | CR0_ET;
	FAKE(GUEST_CR4) = CR4_VMXE;
	FAKE(GUEST_RIP) = 0xfff0;
	FAKE(ENTRY_CONTROLS) = 0;
	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		set_segment(i, 0, 0, 0xffff, 0x93);
	set_segment(SEG_CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
	set_segment(SEG_TR, 0, 0, 0xffff, 0x8b);
}

static void virtual_8086_mode(void)
{
	real_mode();
	FAKE(GUEST_CR0) |= CR0_PE;
	FAKE(GUEST_RFLAGS) = RFLAGS_FIXED | RFLAGS_VM;
	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		set_segment(i, 0x1000, 0x10000, 0xffff, 0xf3);
}

static void explain(u64 qualification)
{
	memset(said, 0, sizeof(said));
	vcpu->failure = (struct failure_record){
		.kind = ENTRY_INVALID_STATE, .reason = 0x80000021, .qualification = qualification,
	};
	vmx_explain_failure(vcpu);
}

static void assert_said(const char *words)
{
	if (!strstr(said, words))
		fail_msg("expected \"%s\" in: %s", words, said);
}

static void valid_states_break_no_rule(void **state)
{
	void (*const modes[])(void) = { valid_state, real_mode, virtual_8086_mode };

	valid_state();
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		modes[i]();
		explain(0);
		assert_said("a rule that Lamina does not check");
	}
}

/* The form that people search for: VM, vCPU, kind, reason, words. */
static void whole_line(void **state)
{
	valid_state();
	FAKE(ENTRY_INTERRUPTION_INFO) = INTERRUPTION_VALID | 0x30;
	explain(0);
	assert_said("web] error: vcpu 0: VM entry failed: invalid guest state (reason 0x80000021, "
		    "qualification 0): RFLAGS.IF must be 1 to inject an external interrupt\n");
}

struct field_value {
	u32 encoding;
	u64 value;
};

#define F(field, value) { (field).encoding, value }
#define RIGHTS(segment, value) F(guest_access_rights(segment), value)

static void broken_rules(void **state)
{
	const u32 irq = INTERRUPTION_VALID | 0x30, nmi = INTERRUPTION_VALID | 2 << 8 | 2;
	const u64 on = RFLAGS_FIXED | RFLAGS_IF;
	const struct {
		const char *words;
		struct field_value fields[3];
	} cases[] = {
		{ "no external interrupt may be injected in the shadow",
		  { F(GUEST_RFLAGS, on), F(GUEST_INTERRUPTIBILITY, 1),
		    F(ENTRY_INTERRUPTION_INFO, irq) } },
		{ "no NMI may be injected in the shadow of MOV SS",
		  { F(ENTRY_INTERRUPTION_INFO, nmi), F(GUEST_INTERRUPTIBILITY, 2) } },
		{ "no NMI may be injected while NMIs are blocked",
		  { F(ENTRY_INTERRUPTION_INFO, nmi), F(GUEST_INTERRUPTIBILITY, 8) } },
		{ "exclude each other",
		  { F(GUEST_RFLAGS, on), F(GUEST_INTERRUPTIBILITY, 3) } },
		{ "RFLAGS.IF must be 1 in the shadow of STI", { F(GUEST_INTERRUPTIBILITY, 1) } },
		{ "activity state must be 0 to 3", { F(GUEST_ACTIVITY, 4) } },
		{ "activity state must be active",
		  { F(GUEST_ACTIVITY, 1), F(GUEST_INTERRUPTIBILITY, 2) } },
		{ "pending debug exceptions must have BS",
		  { F(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF),
		    F(GUEST_INTERRUPTIBILITY, 2) } },
		{ "CR0.PG needs CR0.PE", { F(GUEST_CR0, CR0_PG | CR0_NE) } },
		{ "CR0 must have the bits", { F(GUEST_CR0, CR0_PE | CR0_PG) } },
		{ "CR0 must have the bits", { F(GUEST_CR0, 0x180000021) } },
		{ "CR4 must have the bits", { F(GUEST_CR4, CR4_PAE) } },
		{ "CR4 must have the bits", { F(GUEST_CR4, CR4_PAE | CR4_VMXE | BIT(30)) } },
		{ "IA-32e mode needs CR0.PG and CR4.PAE", { F(GUEST_CR0, CR0_PE | CR0_NE) } },
		{ "IA-32e mode needs CR0.PG and CR4.PAE", { F(GUEST_CR4, CR4_VMXE) } },
		{ "CR3 must not exceed", { F(GUEST_CR3, 1ull << 40) } },
		{ "DR7 bits 63:32", { F(GUEST_DR7, 1ull << 32) } },
		{ "RFLAGS must have its reserved bits", { F(GUEST_RFLAGS, 0) } },
		{ "RFLAGS must have its reserved bits", { F(GUEST_RFLAGS, 0x8002) } },
		{ "RFLAGS.VM must be 0", { F(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_VM) } },
		{ "RIP must be canonical", { F(GUEST_RIP, 1ull << 47) } },
		{ "EFER.LMA must equal", { F(ENTRY_CONTROLS, 0) } },
		{ "CS must be usable", { RIGHTS(SEG_CS, 0x1a09b) } },
		{ "CS must be usable", { RIGHTS(SEG_CS, 0xa01b) } },
		{ "CS must be an accessed code segment", { RIGHTS(SEG_CS, 0xa09a) } },
		{ "CS.D must be 0", { RIGHTS(SEG_CS, 0xe09b) } },
		{ "CS.DPL must fit SS.DPL", { RIGHTS(SEG_CS, 0xa0fb) } },
		{ "SS must be an accessed, writable", { RIGHTS(SEG_SS, 0xc091) } },
		{ "DS, ES, FS and GS must be", { RIGHTS(SEG_DS, 0xc092) } },
		{ "DS, ES, FS and GS must be", { RIGHTS(SEG_FS, 0xc013) } },
		{ "DS, ES, FS and GS must be", { RIGHTS(SEG_GS, 0xc099) } },
		{ "granularity must fit", { F(guest_limit(SEG_ES), 0xfffff000) } },
		{ "granularity must fit", { RIGHTS(SEG_ES, 0x4093) } },
		{ "TR must be a present busy TSS", { RIGHTS(SEG_TR, 0x83) } },
		{ "TR must be a present busy TSS", { RIGHTS(SEG_TR, 0x89) } },
		{ "LDTR must be", { RIGHTS(SEG_LDTR, 0x83) } },
		{ "bases must be canonical", { F(guest_base(SEG_FS), 1ull << 48) } },
		{ "bases must be canonical", { F(guest_base(SEG_CS), 1ull << 32) } },
		{ "bases must be canonical", { F(GUEST_IDTR_BASE, 1ull << 48) } },
		{ "link pointer must be all ones", { F(VMCS_LINK_POINTER, 0) } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		valid_state();
		for (unsigned j = 0; j < 3 && cases[i].fields[j].encoding; j++)
			fake_vmcs[cases[i].fields[j].encoding] = cases[i].fields[j].value;
		explain(0);
		assert_said(cases[i].words);
	}
}

static void broken_rules_outside_long_mode(void **state)
{
	valid_state();
	real_mode();
	FAKE(GUEST_RIP) = 1ull << 32;
	explain(0);
	assert_said("RIP bits 63:32");

	real_mode();
	FAKE(GUEST_CR4) |= CR4_PCIDE;
	explain(0);
	assert_said("CR4.PCIDE must be 0");

	real_mode();
	set_segment(SEG_SS, 0, 0, 0xffff, 0xf3);
	set_segment(SEG_CS, 0, 0, 0xffff, 0xfb);
	explain(0);
	assert_said("SS.DPL must be 0 in real mode");

	virtual_8086_mode();
	set_segment(SEG_DS, 0x1000, 0x20000, 0xffff, 0xf3);
	explain(0);
	assert_said("virtual-8086 segments must have");

	valid_state();
	real_mode();
	FAKE(GUEST_CR0) |= CR0_PE | CR0_PG;
	vmx.efer = EFER_LME;
	explain(0);
	assert_said("EFER.LME must equal EFER.LMA");
}

/* For some rules the processor says itself which one it was. */
static void qualification_tells(void **state)
{
	valid_state();
	explain(2);
	assert_said("PDPTE");
	explain(3);
	assert_said("in the shadow of STI");
	explain(4);
	assert_said("link pointer");
}

static void other_failures(void **state)
{
	static const struct {
		struct failure_record failure;
		const char *words;
	} cases[] = {
		{ { .kind = ENTRY_VMFAIL_INVALID }, "VMfailInvalid: there is no current VMCS" },
		{ { .kind = ENTRY_VMFAIL_VALID, .instruction_error = 7 },
		  "VMfailValid: VM entry with invalid control fields (VM-instruction error 7)" },
		{ { .kind = ENTRY_VMFAIL_VALID, .instruction_error = 14 },
		  "unknown error (VM-instruction error 14)" },
		{ { .kind = ENTRY_VMFAIL_VALID, .instruction_error = ~0u }, "unknown error" },
		{ { .kind = ENTRY_MSR_LOADING, .reason = 0x80000022, .qualification = 3 },
		  "MSR loading (reason 0x80000022): entry 3 of the list is refused" },
		{ { .kind = ENTRY_MACHINE_CHECK, .reason = 0x80000029 },
		  "machine check during VM entry (reason 0x80000029)" },
		{ { .kind = ENTRY_UNKNOWN, .reason = 0x80000031 },
		  "reason 0x80000031 has no name" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(said, 0, sizeof(said));
		vcpu->failure = cases[i].failure;
		vmx_explain_failure(vcpu);
		assert_said("vcpu 0: VM entry failed: ");
		assert_said(cases[i].words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_states_break_no_rule),
		cmocka_unit_test(whole_line),
		cmocka_unit_test(broken_rules),
		cmocka_unit_test(broken_rules_outside_long_mode),
		cmocka_unit_test(qualification_tells),
		cmocka_unit_test(other_failures),
	};

	log_add_console(&console);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
