/* SPDX-License-Identifier: MIT */
/*
 * Exits under SVM: which handler each exit code reaches and with which operands, and how an instruction
 * that exited is stepped over. The rest of Lamina writes into a diary what it is called for.
 * AMD APM vol. 2, "SVM Intercept Exit Codes", "IOIO Intercepts", "Nested Table Walk", "Decode Assists".
 */
/* link: svm/exit.c core/vm_log.c lib/log.c lib/string.c */
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
#include "lib/log.h"
#include "svm/length.h"
#include "svm/nested/nested.h"
#include "svm/svm.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

struct svm_features svm_features;

static char diary[256];
static struct vm vm;
static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;
static int unprefixed_reg;		/* what the bytes of a MOV to or from a CR say */
static u64 unprefixed_next;
static unsigned decoded_length;		/* 0: fetching the instruction raises a fault */

static void __printf(1, 2) note(const char *format, ...)
{
	size_t used = strlen(diary);
	va_list args;

	va_start(args, format);
	vsnprintf(diary + used, sizeof(diary) - used, format, args);
	va_end(args);
}

/* --- the rest of Lamina --- */

#define HANDLER(function, text) void function(struct vcpu *v) { assert_ptr_equal(v, vcpu); note(text); }
HANDLER(exit_cpuid, "cpuid")
HANDLER(exit_rdmsr, "rdmsr")
HANDLER(exit_wrmsr, "wrmsr")
HANDLER(exit_hlt, "hlt")
HANDLER(exit_xsetbv, "xsetbv")
HANDLER(exit_vmcall, "vmcall")
HANDLER(exit_pause, "pause")
HANDLER(exit_invalid_opcode, "#UD")
HANDLER(nsvm_handle_vmrun, "vmrun")
HANDLER(nsvm_handle_vmload, "vmload")
HANDLER(nsvm_handle_vmsave, "vmsave")
HANDLER(nsvm_handle_stgi, "stgi")
HANDLER(nsvm_handle_clgi, "clgi")
HANDLER(nsvm_handle_invlpga, "invlpga")
HANDLER(exit_wbinvd, "wbinvd")
HANDLER(exit_rdpmc, "rdpmc")
HANDLER(exit_fpu_error, "fpu")
HANDLER(exit_triple_fault, "triple fault")
HANDLER(exit_cr_decode, "decode")
HANDLER(svm_handle_vintr, "window")
HANDLER(svm_handle_intr, "interrupt")
HANDLER(svm_handle_iret, "iret")
HANDLER(svm_handle_debug, "debug")
HANDLER(svm_handle_fault, "fault")
HANDLER(svm_handle_task_switch, "task switch")
HANDLER(svm_end_step, "end of step;")

void exit_io_watched(struct vcpu *v, u16 port, unsigned size, bool in)
{
	note("watched %s %x size %u", in ? "in" : "out", port, size);
}

void exit_io(struct vcpu *v, u16 port, unsigned size, bool in)
{
	note("%s %x size %u", in ? "in" : "out", port, size);
}

void emulate_string_io(struct vcpu *v, const struct io_exit *io)
{
	note("%s%s %x size %u", io->rep ? "rep " : "", io->in ? "ins" : "outs", io->port, io->size);
}

void exit_tdp_fault(struct vcpu *v, const struct tdp_fault *fault)
{
	static const char *const accesses[] = { "read", "write", "fetch" };

	assert_string_equal(fault->what, "nested page fault");
	note("%s%s %llx%s", fault->watched ? "watched " : "", accesses[fault->access], (ull)fault->gpa,
	     fault->walk ? " in a walk" : "");
}

void exit_mov_to_cr(struct vcpu *v, unsigned cr, unsigned reg) { note("to cr%u from %u", cr, reg); }
void exit_mov_from_cr(struct vcpu *v, unsigned cr, unsigned reg) { note("from cr%u to %u", cr, reg); }
void event_raise(struct vcpu *v, u8 vector) { note("raise %u", vector); }
void event_raise_error(struct vcpu *v, u8 vector, u32 code) { note("raise %u(%u)", vector, code); }
void event_raise_debug(struct vcpu *v, u64 bits) { note("trap %llx", (ull)bits); }
void emulate_advance(struct vcpu *v, unsigned length) { note("advance %u;", length); }
void *vm_alloc(struct vm *v, size_t size) { return NULL; }

void exit_unexpected(struct vcpu *v, const char *format, ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	note("%s", text);
}

int emulate_fetch(struct vcpu *v, struct insn *insn)
{
	if (!decoded_length)
		return -EFAULT;
	*insn = (struct insn){ .length = (u8)decoded_length };
	return 0;
}

int svm_unprefixed_mov_cr(const struct vcpu_svm *s, unsigned cr)
{
	note("bytes of cr%u: ", cr);
	return unprefixed_reg;
}

u64 svm_unprefixed_next_rip(const struct vcpu_svm *s) { return unprefixed_next; }

static void fetch(struct vcpu *v, enum vcpu_reg reg)
{
	assert_int_equal(reg, REG_RFLAGS);
	vcpu->regs[REG_RFLAGS] = vmcb.save.rflags;
	vcpu->regs_available |= BIT(REG_RFLAGS);
}

static const struct vcpu_ops ops = { .reg_fetch = fetch, .skip_instruction = svm_skip_instruction };

static void keep(struct log_console *console, const char *text, size_t length)
{
	note("%.*s", (int)length, text);
}

static struct log_console console = { .write = keep };

static int set_up_group(void **state)
{
	log_add_console(&console);
	return 0;
}

static int set_up(void **state)
{
	memset(diary, 0, sizeof(diary));
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	svm.vmcb = &vmcb;
	vcpu->vm = &vm;
	vcpu->ops = &ops;
	svm_features = (struct svm_features){ .nrip_save = true, .decode_assists = true };
	unprefixed_reg = -ENOENT;
	unprefixed_next = 0;
	decoded_length = 0;
	return 0;
}

/* --- handlers --- */

static void exit_with(u64 code, u64 info1, u64 info2)
{
	diary[0] = '\0';
	vmcb.control.exit_code = vcpu->exit_reason = code;
	vmcb.control.exit_info1 = info1;
	vmcb.control.exit_info2 = info2;
	vcpu->exit_index = svm_exit_index(code);
	svm_handle_exit(vcpu);
}

/* By the exit code's number in the manual. Exits with operands have tests of their own. */
static const struct {
	u64 code;
	const char *name, *call;
} simple[] = {
	{ 0x40, "#DE", "fault" },		/* these exit during a step only */
	{ 0x41, "#DB", "debug" },
	{ 0x45, "#BR", "fault" },
	{ 0x46, "#UD", "fault" },
	{ 0x47, "#NM", "fault" },
	{ 0x4a, "#TS", "fault" },
	{ 0x4b, "#NP", "fault" },
	{ 0x4c, "#SS", "fault" },
	{ 0x4d, "#GP", "fault" },
	{ 0x4e, "#PF", "fault" },
	{ 0x50, "#MF", "fault" },
	{ 0x51, "#AC", "raise 17(0)" },
	{ 0x52, "#MC", "" },			/* served by svm_vcpu_run() */
	{ 0x53, "#XM", "fault" },
	{ 0x60, "external interrupt", "interrupt" },
	{ 0x61, "NMI", "" },
	{ 0x62, "SMI", "" },
	{ 0x64, "interrupt window", "window" },
	{ 0x6f, "RDPMC", "rdpmc" },
	{ 0x72, "CPUID", "cpuid" },
	{ 0x74, "IRET", "iret" },
	{ 0x76, "INVD", "wbinvd" },
	{ 0x77, "PAUSE", "pause" },
	{ 0x78, "HLT", "hlt" },
	{ 0x7a, "INVLPGA", "invlpga" },
	{ 0x7d, "task switch", "task switch" },
	{ 0x7e, "floating-point error", "fpu" },
	{ 0x7f, "shutdown", "triple fault" },
	{ 0x80, "VMRUN", "vmrun" },
	{ 0x81, "VMMCALL", "vmcall" },
	{ 0x82, "VMLOAD", "vmload" },
	{ 0x83, "VMSAVE", "vmsave" },
	{ 0x84, "STGI", "stgi" },
	{ 0x85, "CLGI", "clgi" },
	{ 0x86, "SKINIT", "#UD" },
	{ 0x89, "WBINVD", "wbinvd" },
	{ 0x8a, "MONITOR", "#UD" },
	{ 0x8b, "MWAIT", "#UD" },
	{ 0x8c, "MWAIT", "#UD" },
	{ 0x8d, "XSETBV", "xsetbv" },
	{ 0x8e, "RDPRU", "#UD" },
};

static void each_exit_reaches_its_handler(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(simple); i++) {
		exit_with(simple[i].code, 0, 0);
		assert_string_equal(diary, simple[i].call);
		assert_string_equal(svm_exit_name((u8)simple[i].code), simple[i].name);
	}
}

/* A frozen processor waits for the interrupt, which a shadow would hold back for ever. */
static void a_floating_point_error_ends_the_shadow(void **state)
{
	vmcb.control.int_state = 3;
	exit_with(0x7e, 0, 0);
	assert_int_equal(vmcb.control.int_state, 2);
	vmcb.control.int_state = 0;
}

static const struct {
	u64 code;
	const char *name;
} with_operands[] = {
	{ 0x00, "CR0 read" }, { 0x03, "CR3 read" }, { 0x04, "CR4 read" }, { 0x08, "CR8 read" },
	{ 0x10, "CR0 write" }, { 0x13, "CR3 write" }, { 0x14, "CR4 write" }, { 0x18, "CR8 write" },
	{ 0x63, "INIT" }, { 0x65, "CR0 selective write" }, { 0x7b, "port I/O" }, { 0x7c, "MSR" }, { 0x88, "ICEBP" },
};

static bool is_known(u64 code)
{
	for (unsigned i = 0; i < ARRAY_SIZE(simple); i++) {
		if (simple[i].code == code)
			return true;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(with_operands); i++) {
		if (with_operands[i].code == code)
			return true;
	}
	return false;
}

static void exits_that_were_not_asked_for_end_the_vm(void **state)
{
	char expected[128];

	for (u64 code = 0; code < 0xf0; code++) {
		if (is_known(code))
			continue;
		exit_with(code, 0x12, 0x3456789abcd);
		snprintf(expected, sizeof(expected),
			 "exit code 0x%llx was not asked for (EXITINFO1 0x12, EXITINFO2 0x3456789abcd)", (ull)code);
		assert_string_equal(diary, expected);
	}
}

/* A guest that is a hypervisor may ask for any exit of its own guest. APM vol. 2, "SVM Intercept Exit Codes" */
static void each_exit_code_has_a_name(void **state)
{
	static const struct {
		u8 first, last;
	} unused[] = {
		/* Registers and vectors that there are not. Traps after writes; INVLPGB and its kin, which Lamina's guests lack. */
		{ 0x01, 0x01 }, { 0x05, 0x07 }, { 0x09, 0x0f }, { 0x11, 0x11 }, { 0x15, 0x17 }, { 0x19, 0x1f },
		{ 0x42, 0x42 }, { 0x49, 0x49 }, { 0x4f, 0x4f }, { 0x54, 0x54 }, { 0x56, 0x5d }, { 0x5f, 0x5f }, { 0x8f, 0xef },
	};
	unsigned at = 0;

	for (unsigned code = 0; code < 0xf0; code++) {
		while (at < ARRAY_SIZE(unused) - 1 && code > unused[at].last)
			at++;
		assert_int_equal(!svm_exit_name((u8)code), code >= unused[at].first && code <= unused[at].last);
	}
}

static void exits_beyond_the_index_have_names(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(with_operands); i++)
		assert_string_equal(svm_exit_name((u8)with_operands[i].code), with_operands[i].name);
	assert_string_equal(svm_exit_name(svm_exit_index(0x400)), "nested page fault");
	assert_string_equal(svm_exit_name(svm_exit_index(0x403)), "unknown exit code");
	assert_string_equal(svm_exit_name(svm_exit_index(0xf0)), "unknown exit code");
	assert_null(svm_exit_name(svm_exit_index(0xef)));
	assert_string_equal(svm_exit_name(svm_exit_index(~0ull)), "invalid guest state");
	exit_with(0xf0, 0, 0);
	assert_string_equal(diary, "exit code 0xf0 was not asked for (EXITINFO1 0x0, EXITINFO2 0x0)");
}

static void an_init_is_reported_once_and_ignored(void **state)
{
	exit_with(VMEXIT_INIT, 0, 0);
	assert_non_null(strstr(diary, "an INIT signal reached the processor: ignored"));
	diary[0] = '\0';
	svm_handle_exit(vcpu);
	assert_string_equal(diary, "");
	assert_int_equal(vm.state, VM_CREATED);
}

/* "IOIO Intercepts": port 31:16, sizes 6:4 in bytes, REP 3, string 2, IN 0. */
static void ports(void **state)
{
	static const struct {
		u64 info;
		const char *call;
	} rows[] = {
		{ 0x03f80011, "in 3f8 size 1" },
		{ 0x00600010, "out 60 size 1" },
		{ 0xffff0021, "in ffff size 2" },
		{ 0x0cf80040, "out cf8 size 4" },
		{ 0x00809e10, "out 80 size 1" },		/* segment and address size: of strings */
		{ 0xffffffff00800010, "out 80 size 1" },
		{ 0x00800018, "out 80 size 1" },		/* REP without a string instruction */
		{ 0x01f00025, "ins 1f0 size 2" },
		{ 0x01f0002d, "rep ins 1f0 size 2" },
		{ 0x80000014, "outs 8000 size 1" },
		{ 0x0070004c, "rep outs 70 size 4" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		exit_with(0x7b, rows[i].info, 0);
		assert_string_equal(diary, rows[i].call);
	}
}

/* L0, G0 to L3, G3 of DR7: with any of them the slow way is taken, which looks at breakpoints. */
static void breakpoints(void **state)
{
	for (unsigned bit = 0; bit < 11; bit++) {
		vmcb.save.dr7 = BIT(bit);
		exit_with(0x7b, 0x03f80011, 0);
		assert_string_equal(diary, bit < 8 ? "watched in 3f8 size 1" : "in 3f8 size 1");
		exit_with(0x7b, 0x01f00025, 0);
		assert_string_equal(diary, "ins 1f0 size 2");
		exit_with(0x400, BIT_ULL(32) | 6, 0xfee00000);
		assert_string_equal(diary, bit < 8 ? "watched write fee00000" : "write fee00000");
	}
	vmcb.save.dr7 = 0x400;
}

static void msrs(void **state)
{
	exit_with(0x7c, 0, 0);
	assert_string_equal(diary, "rdmsr");
	exit_with(0x7c, 1, 0);
	assert_string_equal(diary, "wrmsr");
}

/* A page-fault error code, with bit 33 for a walk of the guest's tables; the address is in EXITINFO2. */
static void nested_page_faults(void **state)
{
	static const struct {
		u64 info;
		const char *call;
	} rows[] = {
		{ BIT_ULL(32) | 4, "read fee00000" },
		{ BIT_ULL(32) | 6, "write fee00000" },
		{ BIT_ULL(32) | 7, "write fee00000" },
		{ BIT_ULL(32) | 0x14, "fetch fee00000" },
		{ BIT_ULL(33) | 6, "write fee00000 in a walk" },
		{ BIT_ULL(33) | 0xc, "read fee00000 in a walk" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		exit_with(0x400, rows[i].info, 0xfee00000);
		assert_string_equal(diary, rows[i].call);
	}
}

/* "Decode Assists": bit 63 for a MOV, with the general register in 3:0. */
static void control_registers_with_decode_assists(void **state)
{
	static const struct {
		u64 code, info;
		const char *call;
	} rows[] = {
		{ 0x00, BIT_ULL(63) | 3, "from cr0 to 3" },
		{ 0x03, BIT_ULL(63) | 0xf0, "from cr3 to 0" },
		{ 0x04, BIT_ULL(63) | 15, "from cr4 to 15" },
		{ 0x08, BIT_ULL(63), "from cr8 to 0" },
		{ 0x10, BIT_ULL(63) | 7, "to cr0 from 7" },
		{ 0x13, BIT_ULL(63) | 8, "to cr3 from 8" },
		{ 0x14, BIT_ULL(63) | 1, "to cr4 from 1" },
		{ 0x18, BIT_ULL(63) | 2, "to cr8 from 2" },
		{ 0x10, 7, "bytes of cr0: decode" },		/* CLTS, LMSW */
		{ 0x65, BIT_ULL(63) | 7, "bytes of cr0: decode" }, /* reports nothing in EXITINFO1 */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		exit_with(rows[i].code, rows[i].info, 0);
		assert_string_equal(diary, rows[i].call);
	}
}

static void control_registers_by_the_bytes(void **state)
{
	svm_features.decode_assists = false;
	exit_with(0x14, BIT_ULL(63) | 7, 0);
	assert_string_equal(diary, "bytes of cr4: decode");
	unprefixed_reg = 0;
	exit_with(0x18, BIT_ULL(63) | 7, 0);
	assert_string_equal(diary, "bytes of cr8: to cr8 from 0");
	unprefixed_reg = 9;
	exit_with(0x03, 0, 0);
	assert_string_equal(diary, "bytes of cr3: from cr3 to 9");
	svm_features.decode_assists = true;
	exit_with(0x65, 0, 0);
	assert_string_equal(diary, "bytes of cr0: to cr0 from 9");
}

/* INT1 is over when its #DB is delivered; where it cannot be fetched, that fault is delivered alone. */
static void icebp_raises_db_behind_it(void **state)
{
	vmcb.control.next_rip = 0x1001;
	vcpu->exit_rip = vmcb.save.rip = 0x1000;
	exit_with(0x88, 0, 0);
	assert_string_equal(diary, "raise 1");
	assert_int_equal(vmcb.save.rip, 0x1001);
	vmcb.control.next_rip = 0;
	exit_with(0x88, 0, 0);
	assert_string_equal(diary, "");
}

/* --- stepping over an instruction --- */

static void at(u64 rip, u64 next)
{
	set_up(NULL);
	vcpu->exit_rip = vmcb.save.rip = rip;
	vmcb.control.next_rip = next;
	vmcb.control.int_state = INT_SHADOW | BIT(1);
	vmcb.save.rflags = RFLAGS_FIXED;
}

static void skipping_moves_rip_and_ends_the_shadow(void **state)
{
	at(0xffffffff81000000, 0xffffffff81000003);
	vcpu->regs_available = BIT(REG_RIP) | BIT(REG_RFLAGS);
	assert_int_equal(svm_skip_instruction(vcpu), 0);
	assert_int_equal(vmcb.save.rip, 0xffffffff81000003);
	assert_int_equal(vcpu->regs[REG_RIP], 0xffffffff81000003);
	assert_int_equal(vmcb.control.int_state, BIT(1));
	assert_int_equal(vcpu->regs_available, BIT(REG_RIP) | BIT(REG_RFLAGS));
	assert_int_equal(vmcb.save.rflags, RFLAGS_FIXED);
	assert_string_equal(diary, "");
}

static void a_known_length_needs_no_next_rip(void **state)
{
	at(0x1000, 0);
	svm_step_over(vcpu, 5);
	assert_int_equal(vmcb.save.rip, 0x1005);
	assert_int_equal(vcpu->regs[REG_RIP], 0x1005);
}

/* A completed instruction clears RF, which a nested page fault saves set. */
static void skipping_clears_rf(void **state)
{
	at(0x1000, 0x1003);
	vmcb.save.rflags = RFLAGS_FIXED | RFLAGS_RF | RFLAGS_IF;
	vcpu->regs_available = BIT(REG_RIP) | BIT(REG_RFLAGS);
	assert_int_equal(svm_skip_instruction(vcpu), 0);
	assert_int_equal(vmcb.save.rflags, RFLAGS_FIXED | RFLAGS_IF);
	assert_int_equal(vcpu->regs_available, BIT(REG_RIP));
	assert_int_equal(vmcb.save.rip, 0x1003);
}

/* Single-stepping, registers to store, RIP across 4 GiB: core/emulate/emulate.c does it. */
static void the_slow_path_advances_instead(void **state)
{
	static const struct {
		u64 rip, rflags;
		u32 dirty;
		const char *call;
	} rows[] = {
		{ 0x1000, RFLAGS_TF, 0, "advance 3;" },
		{ 0x1000, 0, BIT(REG_RSP), "advance 3;" },
		{ 0xfffffffd, 0, 0, "advance 3;" },
		{ 0xfffffffc, 0, 0, "" },
		{ 0x2ffffffff, 0, 0, "advance 3;" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		at(rows[i].rip, rows[i].rip + 3);
		vmcb.save.rflags |= rows[i].rflags;
		vcpu->regs_dirty = rows[i].dirty;
		assert_int_equal(svm_skip_instruction(vcpu), 0);
		assert_string_equal(diary, rows[i].call);
		assert_int_equal(vmcb.save.rip, rows[i].rip + (*rows[i].call ? 0 : 3));
	}
}

static void without_a_next_rip_the_instruction_is_decoded(void **state)
{
	at(0x1000, 0);
	decoded_length = 7;
	assert_int_equal(svm_skip_instruction(vcpu), 0);
	assert_string_equal(diary, "advance 7;");
	diary[0] = '\0';
	decoded_length = 0;
	assert_int_equal(svm_skip_instruction(vcpu), -EFAULT);
	assert_string_equal(diary, "");
	svm_features.nrip_save = false;
	unprefixed_next = 0x1002;
	assert_int_equal(svm_skip_instruction(vcpu), 0);
	assert_int_equal(vmcb.save.rip, 0x1002);
}

/* TF is the guest's own, or set for a step of Lamina's, which ends with the instruction. */
static void a_completed_instruction_traps_where_the_guest_steps(void **state)
{
	static const struct {
		u64 rflags;
		bool stepping, guest_tf;
		const char *call;
	} rows[] = {
		{ 0, false, false, "" },
		{ 0, false, true, "" },
		{ RFLAGS_TF, false, false, "trap 4000" },
		{ RFLAGS_TF, true, false, "end of step;" },
		{ RFLAGS_TF, true, true, "end of step;trap 4000" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		at(0x1000, 0);
		vmcb.save.rflags = RFLAGS_FIXED | rows[i].rflags;
		svm.stepping = rows[i].stepping;
		svm.guest_tf = rows[i].guest_tf;
		svm_instruction_done(vcpu);
		assert_string_equal(diary, rows[i].call);
		assert_int_equal(vmcb.control.int_state, BIT(1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_exit_reaches_its_handler, set_up),
		cmocka_unit_test_setup(a_floating_point_error_ends_the_shadow, set_up),
		cmocka_unit_test_setup(exits_that_were_not_asked_for_end_the_vm, set_up),
		cmocka_unit_test_setup(each_exit_code_has_a_name, set_up),
		cmocka_unit_test_setup(exits_beyond_the_index_have_names, set_up),
		cmocka_unit_test_setup(an_init_is_reported_once_and_ignored, set_up),
		cmocka_unit_test_setup(ports, set_up),
		cmocka_unit_test_setup(breakpoints, set_up),
		cmocka_unit_test_setup(msrs, set_up),
		cmocka_unit_test_setup(nested_page_faults, set_up),
		cmocka_unit_test_setup(control_registers_with_decode_assists, set_up),
		cmocka_unit_test_setup(control_registers_by_the_bytes, set_up),
		cmocka_unit_test_setup(icebp_raises_db_behind_it, set_up),
		cmocka_unit_test_setup(skipping_moves_rip_and_ends_the_shadow, set_up),
		cmocka_unit_test_setup(a_known_length_needs_no_next_rip, set_up),
		cmocka_unit_test_setup(skipping_clears_rf, set_up),
		cmocka_unit_test_setup(the_slow_path_advances_instead, set_up),
		cmocka_unit_test_setup(without_a_next_rip_the_instruction_is_decoded, set_up),
		cmocka_unit_test_setup(a_completed_instruction_traps_where_the_guest_steps, set_up),
	};

	return cmocka_run_group_tests(tests, set_up_group, NULL);
}
