/* SPDX-License-Identifier: MIT */
/* What reports show of a VMCS: the dump of a vCPU, and the panic of an access that the processor refuses. */
/* link: vmx/dump.c vmx/vmcs.c vmx/nested/vmcs12.c lib/string.c tests/unit/fake_cpu.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "tests/unit/fake_cpu.h"
#include "vmx/nested/nested.h"
#include "vmx/vmx.h"

#define LINES 64

struct vmx_caps vmx_caps;

static struct vm vm;
static struct vcpu_vmx vmx;
static struct vcpu *const vcpu = &vmx.vcpu;
static struct vmx_entry_state entry_state;

/* --- a VMCS in which fields may be missing --- */

static u64 vmcs[0x8000];
static bool missing[0x8000];

u64 fake_vmread(u32 encoding, bool *fail)
{
	*fail = missing[encoding];
	return *fail ? 0xbad : vmcs[encoding];
}

void fake_vmwrite(u32 encoding, u64 value, bool *fail)
{
	*fail = missing[encoding];
	if (!*fail)
		vmcs[encoding] = value;
}

void vmx_entry_state_read(struct vcpu *v, struct vmx_entry_state *s)
{
	assert_ptr_equal(v, vcpu);
	*s = entry_state;
}

static struct vmx_entry_state nested_state;

const struct vmx_entry_state *nested_entry_state(struct vcpu *v)
{
	assert_ptr_equal(v, vcpu);
	return &nested_state;
}

struct vmx_field_name vmx_field_name(unsigned index)
{
	struct vmx_field_name name;

	snprintf(name.text, sizeof(name.text), "f%u", index);
	return name;
}

/* --- the log --- */

static char lines[LINES][128];
static unsigned line_count;

const char *vm_name(const struct vm *v)
{
	assert_ptr_equal(v, &vm);
	return "guest";
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;
	int length;

	assert_int_equal(level, LOG_INFO);
	assert_string_equal(tag, "guest");
	assert_true(line_count < LINES);
	va_start(args, format);
	length = vsnprintf(lines[line_count++], sizeof(lines[0]), format, args);
	va_end(args);
	/* Two blanks, and at most 99 characters. */
	assert_true(length <= 2 + 99);
}

static jmp_buf panicked;
static char panic_text[128];

void panic(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(panic_text, sizeof(panic_text), format, args);
	va_end(args);
	longjmp(panicked, 1);
}

static int setup(void **state)
{
	memset(&vmx, 0, sizeof(vmx));
	memset(&entry_state, 0, sizeof(entry_state));
	memset(vmcs, 0, sizeof(vmcs));
	memset(missing, 0, sizeof(missing));
	memset(lines, 0, sizeof(lines));
	line_count = 0;
	vcpu->vm = &vm;
	return 0;
}

static void dump(void)
{
	fake_cpu_reset();
	fake_cpu.cr[2] = 0xc2;
	line_count = 0;
	vmx_dump(vcpu);
}

/* --- the dump --- */

/* RSP is the VMCS's. Lines end before the item that would make them longer than 99 characters. */
static void general_registers_come_first(void **state)
{
	for (unsigned i = REG_RAX; i <= REG_R15; i++)
		vcpu->regs[i] = i + 1;
	vcpu->id = 7;
	vcpu->exit_rip = 0x1234;
	dump();
	assert_int_equal(line_count, 3);
	assert_string_equal(lines[0], "vcpu 7, what is not listed is 0:");
	assert_string_equal(lines[1], "  RAX 0x1, RCX 0x2, RDX 0x3, RBX 0x4, RBP 0x6, RSI 0x7, RDI 0x8, "
				      "R8 0x9, R9 0xa, R10 0xb, R11 0xc");
	assert_string_equal(lines[2], "  R12 0xd, R13 0xe, R14 0xf, R15 0x10, CR2 0xc2, exit RIP 0x1234");
}

/* A line holds 99 characters: an item that makes it 99 is in it, one that makes it 100 is not. */
static void lines_hold_99_characters(void **state)
{
	for (unsigned extra = 0; extra < 2; extra++) {
		setup(state);
		/* RAX 11 characters, R8 and R9 6, the other 8 items 7, and 10 separators of 2: 99. */
		vcpu->regs[REG_RAX] = 0xfffff;
		vcpu->regs[REG_RCX] = extra ? 0xff : 0xf;
		dump();
		assert_int_equal(strlen(lines[1]), extra ? 2 + 91 : 2 + 99);
	}
}

static void exit_fields_are_listed_if_not_0(void **state)
{
	static const struct {
		u32 encoding;
		const char *line;
	} cases[] = {
		{ 0x4402, "  exit reason 0x2a" },
		{ 0x6400, "  exit qualification 0x2a" },
		{ 0x4404, "  VM-exit interruption information 0x2a" },
		{ 0x4406, "  VM-exit interruption error code 0x2a" },
		{ 0x440c, "  VM-exit instruction length 0x2a" },
		{ 0x4408, "  IDT-vectoring information 0x2a" },
		{ 0x440a, "  IDT-vectoring error code 0x2a" },
		{ 0x2400, "  guest-physical address 0x2a" },
		{ 0x640a, "  guest-linear address 0x2a" },
		{ 0x482e, "  preemption timer 0x2a" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		vmcs[cases[i].encoding] = 0x2a;
		dump();
		assert_string_equal(lines[line_count - 1], cases[i].line);
		missing[cases[i].encoding] = true;
		dump();
		assert_null(strstr(lines[line_count - 1], "0x2a"));
		assert_null(strstr(lines[line_count - 1], "0xbad"));
	}
}

/* What L1 has written without an exit. */
void nested_shadowing_read(struct vcpu *v)
{
	assert_false(v->l2_runs);
	vmcs12_writen(vmx.nested->vmcs12, EXIT_QUALIFICATION, 9);
}

/* Behind the VMCS, in lines of the same kind. */
static void the_vmcs_of_a_hypervisor_follows(void **state)
{
	struct vmcs12 vmcs12 = { .launched = 1 };
	struct nested_vmx nested = { .current_ptr = NO_VMCS, .vmcs12 = &vmcs12 };

	vmx.nested = &nested;
	vmcs[EXIT_REASON.encoding] = 0x1b;
	dump();
	assert_string_equal(lines[line_count - 1], "  exit reason 0x1b");
	nested.current_ptr = 0x5000;
	vmcs12_write32(&vmcs12, EXIT_REASON, 0x80000021);
	((u64 *)&nested_state)[3] = 0x77;
	dump();
	assert_string_equal(lines[line_count - 3],
			    "vcpu 0, VMCS of the guest's own guest at 0x5000, which does not run, what is not listed is 0:");
	assert_string_equal(lines[line_count - 2], "  exit reason 0x80000021, exit qualification 0x9");
	assert_string_equal(lines[line_count - 1], "  f3 0x77");
	vcpu->l2_runs = true;
	dump();
	assert_non_null(strstr(lines[line_count - 3], ", which runs,"));
}

/* Controls, host, guest, segments, processor: each begins a line. */
static void parts_of_the_entry_state_begin_lines(void **state)
{
	static const unsigned firsts[] = {
		VMX_FIELD(host_cr0), VMX_FIELD(cr0), VMX_FIRST_SEGMENT, VMX_FIRST_PROCESSOR,
	};
	u64 *fields = (u64 *)&entry_state;
	char expected[128];

	for (unsigned i = 0; i < ARRAY_SIZE(firsts); i++)
		fields[firsts[i] - 1] = fields[firsts[i]] = 1;
	fields[0] = fields[VMX_FIELDS - 1] = 2;
	dump();
	assert_int_equal(line_count, 3 + 5);
	snprintf(expected, sizeof(expected), "  f0 0x2, f%u 0x1", firsts[0] - 1);
	assert_string_equal(lines[3], expected);
	for (unsigned i = 0; i < ARRAY_SIZE(firsts); i++) {
		unsigned last = i + 1 < ARRAY_SIZE(firsts) ? firsts[i + 1] - 1 : (unsigned)VMX_FIELDS - 1;

		snprintf(expected, sizeof(expected), "  f%u 0x1, f%u 0x%u", firsts[i], last,
			 i + 1 < ARRAY_SIZE(firsts) ? 1 : 2);
		assert_string_equal(lines[4 + i], expected);
	}
}

static void the_exit_comes_before_the_entry_state(void **state)
{
	((u64 *)&entry_state)[0] = 1;
	vmcs[0x4402] = 2;
	dump();
	assert_int_equal(line_count, 5);
	assert_string_equal(lines[3], "  exit reason 0x2");
	assert_string_equal(lines[4], "  f0 0x1");
}

/* What the next entry will store is shown in place of what the VMCS still holds. */
static void changed_registers_are_shown(void **state)
{
	static const struct {
		enum vcpu_reg reg;
		unsigned field;
	} cases[] = {
		{ REG_RSP, VMX_FIELD(rsp) }, { REG_RIP, VMX_FIELD(rip) }, { REG_RFLAGS, VMX_FIELD(rflags) },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		char item[32];

		setup(state);
		vcpu->regs[cases[i].reg] = 0x5678;
		((u64 *)&entry_state)[cases[i].field] = 0x1111;
		dump();
		snprintf(item, sizeof(item), "  f%u 0x1111", cases[i].field);
		assert_string_equal(lines[line_count - 1], item);
		vcpu->regs_dirty = BIT(cases[i].reg);
		dump();
		snprintf(item, sizeof(item), "  f%u 0x5678", cases[i].field);
		assert_string_equal(lines[line_count - 1], item);
	}
}

/* --- accesses to the VMCS --- */

static void a_list_is_written_as_it_stands(void **state)
{
	const struct vmcs_setting list[] = {
		vmcs_set16(VPID, 5), vmcs_set64(EPT_POINTER, 0x123456789abcdef0),
		vmcs_set32(PIN_BASED_CONTROLS, 0xffffffff), vmcs_setn(GUEST_CR3, 0x1000),
	};

	vmcs[0x6804] = 0x77;
	vmcs_write_list(list, ARRAY_SIZE(list));
	assert_int_equal(vmcs_read16(VPID), 5);
	assert_int_equal(vmcs_read64(EPT_POINTER), 0x123456789abcdef0);
	assert_int_equal(vmcs_read32(PIN_BASED_CONTROLS), 0xffffffff);
	assert_int_equal(vmcs_readn(GUEST_CR3), 0x1000);
	assert_int_equal(vmcs[0x6804], 0x77);
}

static void a_refused_access_panics_with_its_error(void **state)
{
	vmcs[0x4400] = 12;
	missing[0x6802] = missing[0x2010] = true;
	if (!setjmp(panicked)) {
		vmcs_readn(GUEST_CR3);
		fail();
	}
	assert_string_equal(panic_text, "VMREAD of VMCS field 0x6802 failed, VM-instruction error 12");
	if (!setjmp(panicked)) {
		vmcs_write64(TSC_OFFSET, 0xabc);
		fail();
	}
	assert_string_equal(panic_text,
			    "VMWRITE of 0xabc to VMCS field 0x2010 failed, VM-instruction error 12");
	if (!setjmp(panicked)) {
		const struct vmcs_setting list[] = { vmcs_set64(TSC_OFFSET, 1) };

		vmcs_write_list(list, 1);
		fail();
	}
	assert_string_equal(panic_text, "VMWRITE of 0x1 to VMCS field 0x2010 failed, VM-instruction error 12");
}

/* VMfailInvalid: there is no current VMCS, and so no error number. */
static void without_a_vmcs_there_is_no_error_number(void **state)
{
	vmcs[0x4400] = 12;
	missing[0x4400] = missing[0x6802] = true;
	if (!setjmp(panicked)) {
		vmcs_readn(GUEST_CR3);
		fail();
	}
	assert_string_equal(panic_text, "VMREAD of VMCS field 0x6802 failed, VM-instruction error 0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(general_registers_come_first, setup),
		cmocka_unit_test_setup(lines_hold_99_characters, setup),
		cmocka_unit_test_setup(exit_fields_are_listed_if_not_0, setup),
		cmocka_unit_test_setup(the_vmcs_of_a_hypervisor_follows, setup),
		cmocka_unit_test_setup(parts_of_the_entry_state_begin_lines, setup),
		cmocka_unit_test_setup(the_exit_comes_before_the_entry_state, setup),
		cmocka_unit_test_setup(changed_registers_are_shown, setup),
		cmocka_unit_test_setup(a_list_is_written_as_it_stands, setup),
		cmocka_unit_test_setup(a_refused_access_panics_with_its_error, setup),
		cmocka_unit_test_setup(without_a_vmcs_there_is_no_error_number, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
