/* SPDX-License-Identifier: MIT */
/* The report of a failed VM entry: each kind of failure, and the rules that explain it. */
/* link: vmx/check.c vmx/entry_state.c vmx/rules/rules.c vmx/rules/rule.c vmx/rules/controls.c vmx/rules/host.c */
/* link: vmx/rules/guest.c vmx/rules/segments.c vmx/rules/nonregister.c vmx/rules/msr.c */
/* link: core/observe/entry_rule.c tests/unit/fake_vmcs.c core/vm_log.c lib/log.c lib/string.c */
/* cflags: -Wno-missing-field-initializers */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "lib/log.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/vmx.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

struct vmx_caps vmx_caps;
struct cpu_features cpu_features = { .physical_address_bits = 40, .linear_address_bits = 48 };

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

/* A processor that allows every control and has true controls. */
int rdmsr_safe(u32 msr, u64 *value)
{
	static const struct {
		u32 msr;
		u64 value;
	} capabilities[] = {
		{ MSR_VMX_BASIC, 1ull << 55 | 0x2b }, { MSR_VMX_MISC, 7 << 6 | 4 << 16 },
		{ MSR_VMX_PIN, 0x7full << 32 | 0x16 }, { MSR_VMX_TRUE_PIN, 0x7full << 32 },
		{ MSR_VMX_TRUE_PRIMARY, 0xffffffffull << 32 },
		{ MSR_VMX_TRUE_EXIT, 0xffffffffull << 32 },
		{ MSR_VMX_TRUE_ENTRY, 0xffffffffull << 32 },
		{ MSR_VMX_SECONDARY, 0xffffffffull << 32 },
		{ MSR_VMX_EPT_VPID, EPT_WALK_4 | EPT_WRITE_BACK },
		{ MSR_VMX_CR0_FIXED0, CR0_PG | CR0_NE | CR0_PE },
		{ MSR_VMX_CR0_FIXED1, 0xffffffff },
		{ MSR_VMX_CR4_FIXED0, CR4_VMXE }, { MSR_VMX_CR4_FIXED1, 0x3fffff },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (capabilities[i].msr == msr) {
			*value = capabilities[i].value;
			return 0;
		}
	return -EFAULT;
}

static unsigned stored;

void vmx_store_dirty_regs(struct vcpu *v) { stored++; }

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
	FAKE(PIN_BASED_CONTROLS) = PIN_NMI | PIN_VIRTUAL_NMI;
	FAKE(PRIMARY_CONTROLS) = PRIMARY_SECONDARY;
	FAKE(SECONDARY_CONTROLS) = SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST;
	FAKE(EPT_POINTER) = 0x1000 | 3 << 3 | 6;
	FAKE(EXIT_CONTROLS) = EXIT_HOST_64BIT;
	FAKE(HOST_CR0) = CR0_PG | CR0_NE | CR0_PE;
	FAKE(HOST_CR4) = CR4_VMXE | CR4_PAE;
	FAKE(HOST_CS_SELECTOR) = 8;
	FAKE(HOST_TR_SELECTOR) = 0x40;
	FAKE(GUEST_EFER) = EFER_LME | EFER_LMA;
	FAKE(GUEST_CR0) = CR0_PE | CR0_NE | CR0_ET | CR0_PG;
	FAKE(GUEST_CR4) = CR4_PAE | CR4_VMXE;
	FAKE(GUEST_CR3) = 0x1000;
	FAKE(GUEST_DR7) = 0x400;
	FAKE(GUEST_RIP) = 0xffffffff81000000;
	FAKE(GUEST_RFLAGS) = RFLAGS_FIXED;
	FAKE(VMCS_LINK_POINTER) = ~0ull;
	FAKE(ENTRY_CONTROLS) = ENTRY_IA32E_GUEST | ENTRY_LOAD_EFER;
	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		set_segment(i, 0x10, 0, 0xffffffff, 0xc093);
	set_segment(SEG_CS, 0x8, 0, 0xffffffff, 0xa09b);
	set_segment(SEG_LDTR, 0, 0, 0, ACCESS_RIGHTS_UNUSABLE);
	set_segment(SEG_TR, 0x40, 0xffff800000001000, 0x67, 0x8b);
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

static void unexplained(void **state)
{
	valid_state();
	explain(0);
	assert_said("invalid guest state (reason 0x80000021): no rule that Lamina knows is broken");
}

/* The form that people search for: VM, vCPU, kind, reason, rule, words, values, title. */
static void whole_line(void **state)
{
	valid_state();
	FAKE(ENTRY_INTERRUPTION_INFO) = INTERRUPTION_VALID | 0x30;
	explain(0);
	assert_said("web] error: vcpu 0: VM entry failed: invalid guest state (reason 0x80000021): "
		    "guest.rflags.if-for-extint: "
		    "RFLAGS.IF must be 1 to inject an external interrupt "
		    "(RFLAGS 0x2, VM-entry interruption information 0x80000030) "
		    "[SDM, \"Checks on Guest RIP, RFLAGS, and SSP\"]\n");
}

/* The processor stops at the first broken rule; the report names all of them. */
static void every_broken_rule_has_a_line(void **state)
{
	valid_state();
	FAKE(GUEST_RFLAGS) = 0;
	FAKE(guest_access_rights(SEG_DS)) = 0xc092;
	explain(0);
	assert_said("guest.rflags.reserved");
	assert_said("guest.data.type");
}

/* The true controls decide, not those for older software. */
static void true_controls(void **state)
{
	valid_state();
	FAKE(PIN_BASED_CONTROLS) = 0;
	explain(0);
	assert_said("no rule that Lamina knows");
}

static void refused_fields(void **state)
{
	valid_state();
	FAKE(EPT_POINTER) = 0x1000;
	vcpu->failure = (struct failure_record){
		.kind = ENTRY_VMFAIL_VALID, .instruction_error = 7,
	};
	vmx_explain_failure(vcpu);
	assert_said("VMfailValid: VM entry with invalid control fields (VM-instruction error 7): "
		    "control.ept-pointer.memory-type: ");
	assert_said("[SDM, \"VM-Execution Control Fields\"]\n");

	valid_state();
	FAKE(HOST_CS_SELECTOR) = 0;
	vcpu->failure.instruction_error = 8;
	vmx_explain_failure(vcpu);
	assert_said("VMfailValid: VM entry with invalid host-state fields (VM-instruction error 8): "
		    "host.cs.null: must not be 0 (host CS 0x0) ");
}

static void refused_msr(void **state)
{
	struct vmx_msr_entry list[2] = { { .index = MSR_EFER, .value = 2 } };

	valid_state();
	FAKE(ENTRY_MSR_LOAD_COUNT) = 1;
	vmx.efer_lists = list;
	vcpu->failure = (struct failure_record){
		.kind = ENTRY_MSR_LOADING, .reason = 0x80000022, .qualification = 1,
	};
	vmx_explain_failure(vcpu);
	assert_said("MSR loading (reason 0x80000022): entry 1 of the list is refused: "
		    "msr-load.efer: WRMSR refuses the value: reserved bits must be 0 "
		    "(MSR 0xc0000080, value 0x2) [SDM, \"Loading MSRs\"]\n");
	vmx.efer_lists = NULL;
}

/* For some rules the processor reports which one was broken. */
static void qualification_tells(void **state)
{
	valid_state();
	explain(2);
	assert_said("PDPTE");
	explain(3);
	assert_said("while STI blocks");
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
		{ { .kind = ENTRY_VMFAIL_VALID, .instruction_error = 5 },
		  "VMfailValid: VMRESUME with non-launched VMCS (VM-instruction error 5)" },
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

/* SDM, "VM-Instruction Error Numbers": 1 to 28, but 14, 21 and 27. */
static void each_instruction_error_has_a_name(void **state)
{
	for (u32 error = 0; error < 40; error++) {
		bool known = error >= 1 && error <= 28 && error != 14 && error != 21 && error != 27;

		valid_state();
		vcpu->failure = (struct failure_record){ .kind = ENTRY_VMFAIL_VALID, .instruction_error = error };
		vmx_explain_failure(vcpu);
		assert_said("VMfailValid: ");
		assert_int_equal(!!strstr(said, "unknown error"), !known);
		/* Only invalid fields are explained by rules. */
		assert_int_equal(!!strstr(said, "no rule that Lamina knows"), error == 7 || error == 8);
	}
}

static void an_entry_that_succeeded_needs_no_words(void **state)
{
	valid_state();
	vcpu->failure = (struct failure_record){ .kind = ENTRY_OK };
	vmx_explain_failure(vcpu);
	assert_string_equal(said, "");
}

/* The qualification is the number of the MSR's entry, from 1 to the count. */
static void which_entry_of_the_msr_list(void **state)
{
	struct vmx_msr_entry list[3] = { { .index = MSR_FS_BASE }, { .index = 0x808 }, { .index = 0x9b } };
	static const char *const explained[] = { NULL, "msr-load.fs-gs-base", "msr-load.x2apic", NULL };

	for (u64 number = 0; number < ARRAY_SIZE(explained); number++) {
		valid_state();
		FAKE(ENTRY_MSR_LOAD_COUNT) = 2;
		vmx.efer_lists = list;
		vcpu->failure = (struct failure_record){
			.kind = ENTRY_MSR_LOADING, .reason = 0x80000022, .qualification = number,
		};
		vmx_explain_failure(vcpu);
		assert_said("of the list is refused");
		if (explained[number])
			assert_said(explained[number]);
		assert_int_equal(!!strstr(said, "msr-load."), !!explained[number]);
	}
	vmx.efer_lists = NULL;
}

static unsigned lines_said(void)
{
	unsigned lines = 0;

	for (const char *c = said; *c; c++)
		lines += *c == '\n';
	return lines;
}

/* One line for each broken rule, or one that says what is known; never both. */
static void a_failure_is_reported_once(void **state)
{
	struct vmx_msr_entry list[1] = { { .index = MSR_FS_BASE } };
	const struct failure_record failures[] = {
		{ .kind = ENTRY_INVALID_STATE, .reason = 0x80000021 },
		{ .kind = ENTRY_VMFAIL_VALID, .instruction_error = 7 },
		{ .kind = ENTRY_VMFAIL_VALID, .instruction_error = 5 },
		{ .kind = ENTRY_VMFAIL_INVALID },
		{ .kind = ENTRY_MSR_LOADING, .reason = 0x80000022, .qualification = 1 },
		{ .kind = ENTRY_MSR_LOADING, .reason = 0x80000022, .qualification = 2 },
		{ .kind = ENTRY_MACHINE_CHECK, .reason = 0x80000029 },
		{ .kind = ENTRY_UNKNOWN, .reason = 0x80000031 },
	};

	vmx.efer_lists = list;
	for (unsigned broken = 0; broken < 2; broken++)
		for (unsigned i = 0; i < ARRAY_SIZE(failures); i++) {
			valid_state();
			FAKE(ENTRY_MSR_LOAD_COUNT) = 1;
			FAKE(GUEST_RFLAGS) = broken ? 0 : RFLAGS_FIXED;
			vcpu->failure = failures[i];
			vmx_explain_failure(vcpu);
			assert_int_equal(lines_said(), 1);
		}
	vmx.efer_lists = NULL;
}

/* Others than 2, 3 and 4 have no meaning; and where a rule is broken, it says more. */
static void other_qualifications_tell_nothing(void **state)
{
	static const u64 others[] = { 0, 1, 5, 1ull << 32 | 2 };

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		valid_state();
		explain(others[i]);
		assert_said("no rule that Lamina knows is broken; the state follows");
	}
	valid_state();
	FAKE(GUEST_RFLAGS) = 0;
	explain(2);
	assert_said("guest.rflags.reserved");
	assert_false(strstr(said, "exit qualification"));
}

/* --- before each entry --- */

static unsigned heard;

static void hear(void *context, const struct violation *violation)
{
	assert_ptr_equal(context, &heard);
	heard++;
}

static unsigned check_next(void)
{
	unsigned broken;

	heard = 0;
	broken = vmx_check_next_entry(vcpu, hear, &heard);
	assert_int_equal(broken, heard);
	return broken;
}

/* A state that has passed is not checked again; one that has not is, every time. */
static void each_entry_is_judged(void **state)
{
	valid_state();
	stored = 0;
	assert_int_equal(check_next(), 0);
	assert_int_equal(check_next(), 0);
	assert_int_equal(stored, 2);
	FAKE(GUEST_RIP) = 0xffffffff81000123;
	FAKE(GUEST_RFLAGS) = RFLAGS_FIXED | RFLAGS_ZF;
	assert_int_equal(check_next(), 0);

	FAKE(GUEST_RIP) = 1ull << 62;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(check_next(), 1);
	FAKE(GUEST_RIP) = 0xffffffff81000123;
	assert_int_equal(check_next(), 0);
	FAKE(ENTRY_INTERRUPTION_INFO) = INTERRUPTION_VALID | 0x30;	/* with IF clear */
	assert_int_equal(check_next(), 1);
	FAKE(GUEST_RFLAGS) |= RFLAGS_IF;
	assert_int_equal(check_next(), 0);
	FAKE(GUEST_RFLAGS) &= ~RFLAGS_IF;
	assert_int_equal(check_next(), 1);
	FAKE(HOST_CR0) = 0;
	assert_true(check_next() > 1);
}

/* Which VMCS is current is a part of the state: the link pointer must be another one's. */
static void another_vmcs_is_another_state(void **state)
{
	valid_state();
	FAKE(VMCS_LINK_POINTER) = 0x5000;
	vmx.vmcs.page = phys_to_virt(0x6000);
	assert_int_equal(check_next(), 0);
	vmx.vmcs.page = phys_to_virt(0x5000);
	assert_int_equal(check_next(), 1);
	vmx.vmcs.page = phys_to_virt(0x6000);
	assert_int_equal(check_next(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unexplained),
		cmocka_unit_test(whole_line),
		cmocka_unit_test(every_broken_rule_has_a_line),
		cmocka_unit_test(true_controls),
		cmocka_unit_test(refused_fields),
		cmocka_unit_test(refused_msr),
		cmocka_unit_test(qualification_tells),
		cmocka_unit_test(other_failures),
		cmocka_unit_test(each_entry_is_judged),
		cmocka_unit_test(each_instruction_error_has_a_name),
		cmocka_unit_test(an_entry_that_succeeded_needs_no_words),
		cmocka_unit_test(which_entry_of_the_msr_list),
		cmocka_unit_test(a_failure_is_reported_once),
		cmocka_unit_test(other_qualifications_tell_nothing),
		cmocka_unit_test(another_vmcs_is_another_state),
	};

	log_add_console(&console);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
