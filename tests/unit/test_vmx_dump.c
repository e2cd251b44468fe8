/* SPDX-License-Identifier: MIT */
/* The registers and the VMCS as text: everything that is not 0 is there, in lines of bounded length. */
/* link: vmx/dump.c vmx/rules/rules.c vmx/rules/rule.c vmx/rules/controls.c vmx/rules/host.c vmx/rules/guest.c */
/* link: vmx/rules/segments.c vmx/rules/nonregister.c vmx/rules/msr.c vmx/rules/exempt.c core/observe/entry_rule.c */
/* link: core/vm_log.c lib/log.c lib/string.c tests/unit/fake_vmcs.c tests/unit/fake_cpu.c */
/* cflags: -Wno-missing-field-initializers */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "fake_cpu.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/vmx.h"

static struct vm vm;
static struct vcpu_vmx vmx;
static struct vcpu *const vcpu = &vmx.vcpu;
static struct vmx_entry_state entry_state;
static char shown[32768];

void vmx_entry_state_read(struct vcpu *v, struct vmx_entry_state *s)
{
	assert_ptr_equal(v, vcpu);
	*s = entry_state;
}

static void show(struct log_console *console, const char *text, size_t length)
{
	size_t used = strlen(shown);

	assert_true(used + length < sizeof(shown));
	memcpy(shown + used, text, length);
	shown[used + length] = '\0';
}

/* An item ends with its line or with a comma. */
static bool is_shown(const char *name, u64 value)
{
	char text[128];

	for (unsigned i = 0; i < 2; i++) {
		snprintf(text, sizeof(text), "%s 0x%llx%s", name, (ull)value, i ? ", " : "\n");
		if (strstr(shown, text))
			return true;
	}
	return false;
}

static void expect_shown(const char *name, u64 value)
{
	if (!is_shown(name, value))
		fail_msg("\"%s 0x%llx\" is not in:\n%s", name, (ull)value, shown);
}

static int setup(void **state)
{
	static struct log_console console = { .write = show };
	static bool added;

	if (!added)
		log_add_console(&console);
	added = true;
	fake_cpu_reset();
	fake_vmcs_clear();
	memset(&vmx, 0, sizeof(vmx));
	memset(&entry_state, 0, sizeof(entry_state));
	memset(shown, 0, sizeof(shown));
	vcpu->vm = &vm;
	vcpu->id = 4;
	return 0;
}

static void registers(void **state)
{
	static const char *const names[] = { "RAX", "RCX", "RDX", "RBX", NULL, "RBP", "RSI", "RDI",
					     "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15" };

	for (unsigned reg = 0; reg < 16; reg++)
		vcpu->regs[reg] = 0x1111111111111100 + reg;
	fake_cpu.cr[2] = 0xabc123;
	vcpu->exit_rip = 0x7c00;
	vmx_dump(vcpu);
	assert_non_null(strstr(shown, "vcpu 4, what is not listed is 0:\n"));
	for (unsigned reg = 0; reg < 16; reg++) {
		if (names[reg])
			expect_shown(names[reg], 0x1111111111111100 + reg);
	}
	assert_null(strstr(shown, "0x1111111111111104"));	/* RSP is in the VMCS */
	expect_shown("CR2", 0xabc123);
	expect_shown("exit RIP", 0x7c00);
}

static void every_field_of_the_entry(void **state)
{
	u64 *fields = (u64 *)&entry_state;

	for (unsigned i = 0; i < VMX_FIELDS; i++)
		fields[i] = 0x1234500000000000 + i;
	vmx_dump(vcpu);
	for (unsigned i = 0; i < VMX_FIELDS; i++)
		expect_shown(vmx_field_name(i).text, 0x1234500000000000 + i);
}

/* Parts of the VMCS begin on lines of their own. */
static void parts_are_kept_apart(void **state)
{
	static const unsigned first[] = { VMX_FIELD(host_cr0), VMX_FIELD(cr0), VMX_FIRST_SEGMENT, VMX_FIRST_PROCESSOR };

	for (unsigned i = 0; i < ARRAY_SIZE(first); i++) {
		char text[64];

		setup(state);
		((u64 *)&entry_state)[first[i] - 1] = 1;
		((u64 *)&entry_state)[first[i]] = 2;
		vmx_dump(vcpu);
		snprintf(text, sizeof(text), "]   %s 0x2\n", vmx_field_name(first[i]).text);
		if (!strstr(shown, text))
			fail_msg("\"%s\" is not in:\n%s", text, shown);
	}
}

static void what_is_0_is_left_out(void **state)
{
	vcpu->exit_rip = 1;		/* the general registers are shown in any case */
	vmx_dump(vcpu);
	for (unsigned i = 0; i < VMX_FIELDS; i++)
		assert_false(is_shown(vmx_field_name(i).text, 0));
	assert_false(is_shown("exit reason", 0));
}

static void registers_that_wait_to_be_stored(void **state)
{
	entry_state.rsp = 1;
	entry_state.rip = 2;
	entry_state.rflags = 3;
	vcpu->regs[REG_RSP] = 0x11;
	vcpu->regs[REG_RIP] = 0x12;
	vcpu->regs[REG_RFLAGS] = 0x13;
	for (u32 dirty = 0; dirty < 8; dirty++) {
		memset(shown, 0, sizeof(shown));
		vcpu->regs_dirty = (dirty & 1 ? BIT(REG_RSP) : 0) | (dirty & 2 ? BIT(REG_RIP) : 0) |
				   (dirty & 4 ? BIT(REG_RFLAGS) : 0);
		vmx_dump(vcpu);
		expect_shown(vmx_field_name(VMX_FIELD(rsp)).text, dirty & 1 ? 0x11 : 1);
		expect_shown(vmx_field_name(VMX_FIELD(rip)).text, dirty & 2 ? 0x12 : 2);
		expect_shown(vmx_field_name(VMX_FIELD(rflags)).text, dirty & 4 ? 0x13 : 3);
	}
}

/* Encodings: Intel SDM, "Field Encoding in VMCS". */
static void fields_of_the_exit(void **state)
{
	static const struct {
		u32 encoding;
		const char *name;
	} fields[] = {
		{ 0x4402, "exit reason" }, { 0x6400, "exit qualification" },
		{ 0x4404, "VM-exit interruption information" }, { 0x4406, "VM-exit interruption error code" },
		{ 0x440c, "VM-exit instruction length" }, { 0x4408, "IDT-vectoring information" },
		{ 0x440a, "IDT-vectoring error code" }, { 0x2400, "guest-physical address" },
		{ 0x640a, "guest-linear address" }, { 0x482e, "preemption timer" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		fake_vmcs[fields[i].encoding] = 0x700 + i;
	vmx_dump(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		expect_shown(fields[i].name, 0x700 + i);
}

/* Items go on in the next line: none is cut. */
static void lines_are_bounded(void **state)
{
	memset(&entry_state, 0xff, sizeof(entry_state));
	for (unsigned reg = 0; reg < 16; reg++)
		vcpu->regs[reg] = ~0ull;
	vmx_dump(vcpu);
	for (const char *line = shown, *end; (end = strchr(line, '\n')); line = end + 1) {
		const char *text = strstr(line, "] ") + 2;

		assert_true(end - text <= 2 + 99);
		assert_true(end - text >= 3);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(registers),
		TEST(every_field_of_the_entry),
		TEST(parts_are_kept_apart),
		TEST(what_is_0_is_left_out),
		TEST(registers_that_wait_to_be_stored),
		TEST(fields_of_the_exit),
		TEST(lines_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
