/* SPDX-License-Identifier: MIT */
/*
 * Exits of VMX by basic reason, translated into neutral calls. Intel SDM, "VMX Basic Exit Reasons",
 * "Exit Qualification".
 */
/* link: vmx/exit.c core/vm_log.c lib/log.c tests/unit/fake_vmcs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "core/emulate/emulate.h"
#include "core/exit.h"
#include "core/mem/tdp.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/vmx.h"

struct vmx_caps vmx_caps;
static struct vm vm;
static struct vcpu_vmx vmx;
static struct vcpu *const vcpu = &vmx.vcpu;
static char call[256];		/* the neutral calls that came of an exit, with their arguments */

static void record(const char *format, ...)
{
	size_t used = strlen(call);
	va_list args;

	va_start(args, format);
	vsnprintf(call + used, sizeof(call) - used, format, args);
	va_end(args);
}

/* --- the rest of Lamina --- */

void exit_cpuid(struct vcpu *v) { record("cpuid"); }
void exit_rdmsr(struct vcpu *v) { record("rdmsr"); }
void exit_wrmsr(struct vcpu *v) { record("wrmsr"); }
void exit_hlt(struct vcpu *v) { record("hlt"); }
void exit_xsetbv(struct vcpu *v) { record("xsetbv"); }
void exit_vmcall(struct vcpu *v) { record("vmcall"); }
void exit_invalid_opcode(struct vcpu *v) { record("#UD"); }
void exit_wbinvd(struct vcpu *v) { record("wbinvd"); }
void exit_rdpmc(struct vcpu *v) { record("rdpmc"); }
void exit_rdtsc(struct vcpu *v, bool rdtscp) { record(rdtscp ? "rdtscp" : "rdtsc"); }
void exit_triple_fault(struct vcpu *v) { record("triple fault"); }
void exit_mov_to_cr(struct vcpu *v, unsigned cr, unsigned reg) { record("mov cr%u, %u", cr, reg); }
void exit_mov_from_cr(struct vcpu *v, unsigned cr, unsigned reg) { record("mov %u, cr%u", reg, cr); }
void exit_clts(struct vcpu *v) { record("clts"); }
void exit_lmsw(struct vcpu *v, u16 value) { record("lmsw 0x%x", value); }
void event_raise_error(struct vcpu *v, u8 vector, u32 code) { record("raise %u error 0x%x", vector, code); }
void event_raise_debug(struct vcpu *v, u64 bits) { record("raise #DB 0x%llx", (ull)bits); }
void vmx_end_shadow(void) { record("end shadow, "); }
void vmx_nmi_window(struct vcpu *v, bool on) { record("NMI window %s", on ? "on" : "off"); }

int vmx_skip_instruction(struct vcpu *v)
{
	record("skip, ");
	return 0;
}

void exit_io(struct vcpu *v, u16 port, unsigned size, bool in)
{
	record("%s 0x%x, %u", in ? "in" : "out", port, size);
}

void emulate_string_io(struct vcpu *v, const struct io_exit *io)
{
	record("%s%s 0x%x, %u", io->rep ? "rep " : "", io->in ? "ins" : "outs", io->port, io->size);
}

void exit_tdp_fault(struct vcpu *v, const struct tdp_fault *fault)
{
	static const char *const accesses[] = { "read", "write", "fetch" };

	record("%s 0x%llx%s: %s", accesses[fault->access], (ull)fault->gpa, fault->walk ? " in a walk" : "", fault->what);
}

void exit_unexpected(struct vcpu *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(call, sizeof(call), format, args);
	va_end(args);
}

u64 tdp_entry(const struct vm *v, gpa_t gpa, int *level)
{
	assert_ptr_equal(v, &vm);
	*level = 2;
	return gpa | 0x33;
}

static int setup(void **state)
{
	fake_vmcs_clear();
	memset(&vmx, 0, sizeof(vmx));
	memset(call, 0, sizeof(call));
	vcpu->vm = &vm;
	return 0;
}

static const char *after_exit(u32 reason, u64 qualification)
{
	vcpu->exit_reason = reason;
	vcpu->exit_index = (u8)reason;
	vmx.qualification = qualification;
	memset(call, 0, sizeof(call));
	vmx_handle_exit(vcpu);
	return call;
}

/* "Basic Exit Reasons": every one that has a number, and what comes of it without a qualification. */
static const struct {
	u16 reason;
	const char *call, *name;	/* no call: it is not expected */
} reasons[] = {
	{ 1, NULL, "external interrupt" }, { 2, "triple fault", "triple fault" },
	{ 3, "INIT signal: something outside resets this processor", "INIT signal" },
	{ 4, "start-up IPI on a processor that runs already", "start-up IPI" },
	{ 5, NULL, "I/O SMI" }, { 6, NULL, "other SMI" }, { 7, "", "interrupt window" },
	{ 8, "NMI window on", "NMI window" }, { 10, "cpuid", "CPUID" }, { 11, "#UD", "GETSEC" },
	{ 12, "hlt", "HLT" }, { 13, "wbinvd", "INVD" }, { 14, NULL, "INVLPG" }, { 15, "rdpmc", "RDPMC" },
	{ 16, "rdtsc", "RDTSC" }, { 17, NULL, "RSM" }, { 18, "vmcall", "VMCALL" }, { 19, "#UD", "VMCLEAR" },
	{ 20, "#UD", "VMLAUNCH" }, { 21, "#UD", "VMPTRLD" }, { 22, "#UD", "VMPTRST" }, { 23, "#UD", "VMREAD" },
	{ 24, "#UD", "VMRESUME" }, { 25, "#UD", "VMWRITE" }, { 26, "#UD", "VMXOFF" }, { 27, "#UD", "VMXON" },
	{ 29, NULL, "MOV DR" }, { 31, "rdmsr", "RDMSR" }, { 32, "wrmsr", "WRMSR" },
	{ 33, NULL, "VM-entry failure: invalid guest state" }, { 34, NULL, "VM-entry failure: MSR loading" },
	{ 36, "#UD", "MWAIT" }, { 37, NULL, "monitor trap flag" }, { 39, "#UD", "MONITOR" }, { 40, NULL, "PAUSE" },
	{ 41, NULL, "VM-entry failure: machine check" }, { 43, NULL, "TPR below threshold" },
	{ 44, NULL, "APIC access" }, { 45, NULL, "virtualized EOI" }, { 46, NULL, "GDTR or IDTR access" },
	{ 47, NULL, "LDTR or TR access" }, { 50, "#UD", "INVEPT" }, { 51, "rdtscp", "RDTSCP" },
	{ 52, NULL, "preemption timer" }, { 53, "#UD", "INVVPID" }, { 54, "wbinvd", "WBINVD" },
	{ 55, "xsetbv", "XSETBV" }, { 56, NULL, "APIC write" }, { 57, NULL, "RDRAND" }, { 58, NULL, "INVPCID" },
	{ 59, "#UD", "VMFUNC" }, { 60, "#UD", "ENCLS" }, { 61, NULL, "RDSEED" },
	{ 62, NULL, "page-modification log full" }, { 63, NULL, "XSAVES" }, { 64, NULL, "XRSTORS" },
	{ 65, "#UD", "PCONFIG" }, { 66, NULL, "sub-page permissions" }, { 67, "#UD", "UMWAIT" },
	{ 68, "#UD", "TPAUSE" }, { 69, "#UD", "LOADIWKEY" }, { 70, "#UD", "ENCLV" },
	{ 72, NULL, "ENQCMD PASID translation" }, { 73, NULL, "ENQCMDS PASID translation" },
	{ 74, NULL, "bus lock" }, { 75, NULL, "notification window" }, { 76, "#UD", "SEAMCALL" },
	{ 77, "#UD", "TDCALL" },
};

static void each_reason(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
		char unexpected[128];

		setup(state);
		snprintf(unexpected, sizeof(unexpected), "unexpected VM exit: %s (reason 0x%x, qualification 0x1234)",
			 reasons[i].name, reasons[i].reason);
		assert_string_equal(after_exit(reasons[i].reason, 0x1234), reasons[i].call ?: unexpected);
		assert_string_equal(vmx_exit_name((u8)reasons[i].reason), reasons[i].name);
	}
}

static void reasons_that_the_manual_does_not_have(void **state)
{
	static const u32 unknown[] = { 35, 38, 42, 71, 78, 200, 0x4e };

	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_null(vmx_exit_name((u8)unknown[i]));
		assert_non_null(strstr(after_exit(unknown[i], 0), "unexpected VM exit: unknown (reason 0x"));
	}
}

/* Bits above the basic reason change nothing about who handles it, and all are reported. */
static void modifiers_are_kept(void **state)
{
	assert_string_equal(after_exit(BIT(27) | 10, 0), "cpuid");
	vcpu->exit_index = 40;
	vcpu->exit_reason = BIT(26) | 40;
	vmx_handle_exit(vcpu);
	assert_non_null(strstr(call, "PAUSE (reason 0x4000028, "));
}

/* --- exceptions and windows --- */

static const char *after_exception(u32 info, u64 qualification)
{
	fake_vmcs[0x4404] = info;
	return after_exit(0, qualification);
}

static void exceptions(void **state)
{
	assert_string_equal(after_exception(0x80000202, 0), "");		/* NMI: served */
	assert_string_equal(after_exception(0x80000312, 0), "");		/* #MC: likewise */
	assert_string_equal(after_exception(0x80000b11, 0), "raise 17 error 0x0");
	assert_string_equal(after_exception(0x80000b0e, 0), "exit for exception 14, which is the guest's own");
	assert_string_equal(after_exception(0x80000306, 0), "exit for exception 6, which is the guest's own");
}

/* Only the bits that DR6 has; ICEBP is a trap behind its instruction. */
static void debug_exceptions(void **state)
{
	assert_string_equal(after_exception(0x80000301, 0x4000), "end shadow, raise #DB 0x4000");
	assert_string_equal(after_exception(0x80000301, ~0ull), "end shadow, raise #DB 0x600f");
	assert_string_equal(after_exception(0x80000501, 0), "skip, end shadow, raise #DB 0x0");
	assert_string_equal(vmx_exit_name(0), "exception or NMI");
}

static void windows_choose_anew(void **state)
{
	after_exit(7, 0);
	assert_int_equal(vcpu->requests, REQ_EVENT);
	vcpu->requests = 0;
	after_exit(8, 0);
	assert_int_equal(vcpu->requests, REQ_EVENT);
}

/* --- exits with a qualification --- */

static void task_switches(void **state)
{
	assert_string_equal(after_exit(9, 0x00000028), "hardware task switch by CALL to TSS 0x28 is not emulated");
	assert_string_equal(after_exit(9, 0x40000028), "hardware task switch by IRET to TSS 0x28 is not emulated");
	assert_string_equal(after_exit(9, 0x8000fff8), "hardware task switch by JMP to TSS 0xfff8 is not emulated");
	assert_string_equal(after_exit(9, 0xc0000030),
			    "hardware task switch by a task gate in the IDT to TSS 0x30 is not emulated");
	assert_string_equal(vmx_exit_name(9), "task switch");
}

/* Number, access type in bits 5:4, general register in 11:8, LMSW's source in 31:16. */
static void control_register_accesses(void **state)
{
	assert_string_equal(after_exit(28, 0x000), "mov cr0, 0");
	assert_string_equal(after_exit(28, 0xf03), "mov cr3, 15");
	assert_string_equal(after_exit(28, 0x704), "mov cr4, 7");
	assert_string_equal(after_exit(28, 0x208), "mov cr8, 2");
	assert_string_equal(after_exit(28, 0x813), "mov 8, cr3");
	assert_string_equal(after_exit(28, 0x118), "mov 1, cr8");
	assert_string_equal(after_exit(28, 0x020), "clts");
	assert_string_equal(after_exit(28, 0xabcd0030), "lmsw 0xabcd");
	assert_string_equal(vmx_exit_name(28), "control-register access");
}

/* Size less one in bits 2:0, direction 3, string 4, REP 5, port in 31:16. */
static void port_accesses(void **state)
{
	assert_string_equal(after_exit(30, 0x03f80008), "in 0x3f8, 1");
	assert_string_equal(after_exit(30, 0x03f80000), "out 0x3f8, 1");
	assert_string_equal(after_exit(30, 0xffff0041), "out 0xffff, 2");	/* bit 6: an immediate */
	assert_string_equal(after_exit(30, 0x0cf8000b), "in 0xcf8, 4");
	assert_string_equal(after_exit(30, 0x01f00019), "ins 0x1f0, 2");
	assert_string_equal(after_exit(30, 0x01f0003b), "rep ins 0x1f0, 4");
	assert_string_equal(after_exit(30, 0x00e90010), "outs 0xe9, 1");
	assert_string_equal(after_exit(30, 0x00e90030), "rep outs 0xe9, 1");
	assert_string_equal(vmx_exit_name(30), "I/O instruction");
}

/* Read, write, fetch in bits 2:0; 7: there was a linear address, 8: its translation was over. */
static void ept_violations(void **state)
{
	fake_vmcs[0x2400] = 0xfee00300;
	assert_string_equal(after_exit(48, 0x181), "read 0xfee00300: EPT violation");
	assert_string_equal(after_exit(48, 0x182), "write 0xfee00300: EPT violation");
	assert_string_equal(after_exit(48, 0x184), "fetch 0xfee00300: EPT violation");
	assert_string_equal(after_exit(48, 0x183), "write 0xfee00300: EPT violation");	/* read and write */
	assert_string_equal(after_exit(48, 0x081), "read 0xfee00300 in a walk: EPT violation");
	assert_string_equal(after_exit(48, 0x001), "read 0xfee00300: EPT violation");	/* PDPTEs: no address */
	assert_string_equal(vmx_exit_name(48), "EPT violation");
}

static void ept_misconfigurations(void **state)
{
	fake_vmcs[0x2400] = 0x7000;
	assert_string_equal(after_exit(49, 0),
			    "EPT misconfiguration at guest-physical 0x7000: level 2 entry 0x7033");
	assert_string_equal(vmx_exit_name(49), "EPT misconfiguration");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_reason),
		TEST(reasons_that_the_manual_does_not_have),
		TEST(modifiers_are_kept),
		TEST(exceptions),
		TEST(debug_exceptions),
		TEST(windows_choose_anew),
		TEST(task_switches),
		TEST(control_register_accesses),
		TEST(port_accesses),
		TEST(ept_violations),
		TEST(ept_misconfigurations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
