/* SPDX-License-Identifier: MIT */
/*
 * Exits of SVM, translated into neutral calls; stepping over instructions; events in and out. AMD APM
 * vol. 2, "SVM Intercept Exit Codes", "Event Injection", "EXITINTINFO Pseudo-Code", "Virtual Interrupts".
 */
/* link: svm/exit.c svm/events.c core/vm_log.c lib/log.c tests/unit/fake_cpu.c */
#include <stdio.h>

#include "svm_fixture.h"

#include "core/emulate/emulate.h"
#include "core/exit.h"
#include "svm/length.h"

struct svm_features svm_features;
static char call[256];		/* the neutral call that came of an exit, with its arguments */
static struct insn decoded;
static int fetch_error, mov_cr;
static u64 next_rip;

#define RECORD(...) ((void)snprintf(call, sizeof(call), __VA_ARGS__))

/* --- the rest of Lamina --- */

void exit_cpuid(struct vcpu *v) { RECORD("cpuid"); }
void exit_rdmsr(struct vcpu *v) { RECORD("rdmsr"); }
void exit_wrmsr(struct vcpu *v) { RECORD("wrmsr"); }
void exit_hlt(struct vcpu *v) { RECORD("hlt"); }
void exit_xsetbv(struct vcpu *v) { RECORD("xsetbv"); }
void exit_vmcall(struct vcpu *v) { RECORD("vmcall"); }
void exit_invalid_opcode(struct vcpu *v) { RECORD("#UD"); }
void exit_wbinvd(struct vcpu *v) { RECORD("wbinvd"); }
void exit_rdpmc(struct vcpu *v) { RECORD("rdpmc"); }
void exit_triple_fault(struct vcpu *v) { RECORD("triple fault"); }
void exit_cr_decode(struct vcpu *v) { RECORD("decode the access to a control register"); }
void event_raise(struct vcpu *v, u8 vector) { RECORD("raise %u", vector); }
void event_raise_error(struct vcpu *v, u8 vector, u32 code) { RECORD("raise %u error 0x%x", vector, code); }
void event_raise_debug(struct vcpu *v, u64 bits) { RECORD("raise #DB 0x%llx", (ull)bits); }
void exit_mov_to_cr(struct vcpu *v, unsigned cr, unsigned reg) { RECORD("mov cr%u, %u", cr, reg); }
void exit_mov_from_cr(struct vcpu *v, unsigned cr, unsigned reg) { RECORD("mov %u, cr%u", reg, cr); }

void exit_io(struct vcpu *v, u16 port, unsigned size, bool in)
{
	RECORD("%s 0x%x, %u", in ? "in" : "out", port, size);
}

void emulate_string_io(struct vcpu *v, const struct io_exit *io)
{
	RECORD("%s%s 0x%x, %u", io->rep ? "rep " : "", io->in ? "ins" : "outs", io->port, io->size);
}

void exit_tdp_fault(struct vcpu *v, const struct tdp_fault *fault)
{
	static const char *const accesses[] = { "read", "write", "fetch" };

	RECORD("%s 0x%llx%s: %s", accesses[fault->access], (ull)fault->gpa, fault->walk ? " in a walk" : "", fault->what);
}

void exit_unexpected(struct vcpu *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(call, sizeof(call), format, args);
	va_end(args);
}

int svm_unprefixed_mov_cr(const struct vcpu_svm *s, unsigned cr)
{
	return mov_cr < 0 || cr != (unsigned)mov_cr / 16 ? -ENOENT : mov_cr % 16;
}

int emulate_fetch(struct vcpu *v, struct insn *insn)
{
	*insn = decoded;
	return fetch_error;
}

void emulate_advance(struct vcpu *v, unsigned length) { RECORD("advance %u", length); }
u64 svm_unprefixed_next_rip(const struct vcpu_svm *s) { return next_rip; }
void svm_control_set(struct vcpu *v, enum vcpu_control control, u64 value)
{
	assert_int_equal(control, CTL_DR6);
	vmcb.save.dr6 = value;
}

static void reg_fetch(struct vcpu *v, enum vcpu_reg reg)
{
	assert_int_equal(reg, REG_RFLAGS);
	v->regs[reg] = vmcb.save.rflags;
	v->regs_available |= BIT(reg);
}

static int setup(void **state)
{
	static const struct vcpu_ops ops = { .reg_fetch = reg_fetch };

	svm_fixture_reset(state);
	memset(&svm_features, 0, sizeof(svm_features));
	vcpu->ops = &ops;
	memset(call, 0, sizeof(call));
	fetch_error = 0;
	decoded = (struct insn){ .length = 7 };
	mov_cr = -1;
	next_rip = 0;
	vcpu->exit_rip = vmcb.save.rip = 0x1000;
	return 0;
}

static const char *after_exit(u64 code, u64 info1, u64 info2)
{
	vmcb.control.exit_code = vcpu->exit_reason = code;
	vcpu->exit_index = svm_exit_index(code);
	vmcb.control.exit_info1 = info1;
	vmcb.control.exit_info2 = info2;
	memset(call, 0, sizeof(call));
	svm_handle_exit(vcpu);
	return call;
}

/* --- which exit is what --- */

static const struct {
	u64 code;
	const char *call, *name;
} codes[] = {
	{ 0x51, "raise 17 error 0x0", "#AC" }, { 0x52, "", "#MC" }, { 0x60, "", "external interrupt" },
	{ 0x61, "", "NMI" }, { 0x62, "", "SMI" }, { 0x63, "", "INIT" }, { 0x64, "", "interrupt window" },
	{ 0x6f, "rdpmc", "RDPMC" }, { 0x72, "cpuid", "CPUID" }, { 0x74, "", "IRET" }, { 0x76, "wbinvd", "INVD" },
	{ 0x78, "hlt", "HLT" }, { 0x7a, "#UD", "INVLPGA" }, { 0x7f, "triple fault", "shutdown" },
	{ 0x80, "#UD", "VMRUN" }, { 0x81, "vmcall", "VMMCALL" }, { 0x82, "#UD", "VMLOAD" },
	{ 0x83, "#UD", "VMSAVE" }, { 0x84, "#UD", "STGI" }, { 0x85, "#UD", "CLGI" }, { 0x86, "#UD", "SKINIT" },
	{ 0x89, "wbinvd", "WBINVD" }, { 0x8a, "#UD", "MONITOR" }, { 0x8b, "#UD", "MWAIT" },
	{ 0x8c, "#UD", "MWAIT" }, { 0x8d, "xsetbv", "XSETBV" }, { 0x8e, "#UD", "RDPRU" },
};

static void exits_without_arguments(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		setup(state);
		assert_string_equal(after_exit(codes[i].code, 0, 0), codes[i].call);
		assert_string_equal(svm_exit_name(svm_exit_index(codes[i].code)), codes[i].name);
	}
}

static void every_exit_that_is_handled_has_a_name(void **state)
{
	for (u64 code = 0; code < 0xf0; code++) {
		setup(state);
		after_exit(code, 0, 0);
		assert_int_equal(strstr(call, "was not asked for") == NULL, svm_exit_name((u8)code) != NULL);
	}
	assert_string_equal(svm_exit_name(svm_exit_index(0x400)), "nested page fault");
	assert_string_equal(svm_exit_name(svm_exit_index(0x403)), "unknown exit code");
	assert_string_equal(svm_exit_name(svm_exit_index(~0ull)), "invalid guest state");
}

static void an_exit_that_was_not_asked_for(void **state)
{
	assert_string_equal(after_exit(0x6e, 0x12, 0x34),
			    "exit code 0x6e was not asked for (EXITINFO1 0x12, EXITINFO2 0x34)");
	assert_string_equal(after_exit(0x500000001, 1, 2),
			    "exit code 0x500000001 was not asked for (EXITINFO1 0x1, EXITINFO2 0x2)");
}

static void msr_exits(void **state)
{
	assert_string_equal(after_exit(0x7c, 0, 0), "rdmsr");
	assert_string_equal(after_exit(0x7c, 1, 0), "wrmsr");
}

/* "IOIO Intercepts": type, string, REP, size in three bits, port in the upper half. */
static void io_exits(void **state)
{
	assert_string_equal(after_exit(0x7b, 0x03f80011, 0), "in 0x3f8, 1");
	assert_string_equal(after_exit(0x7b, 0x03f80010, 0), "out 0x3f8, 1");
	assert_string_equal(after_exit(0x7b, 0xffff0021, 0), "in 0xffff, 2");
	assert_string_equal(after_exit(0x7b, 0x0cf80040, 0), "out 0xcf8, 4");
	assert_string_equal(after_exit(0x7b, 0x01f00025, 0), "ins 0x1f0, 2");
	assert_string_equal(after_exit(0x7b, 0x01f0002d, 0), "rep ins 0x1f0, 2");
	assert_string_equal(after_exit(0x7b, 0x00e90014, 0), "outs 0xe9, 1");
	assert_string_equal(after_exit(0x7b, 0x00e9004c, 0), "rep outs 0xe9, 4");
}

/* "Nested versus Guest Page Faults": the error code of a page fault, bit 33 for the guest's tables. */
static void nested_page_faults(void **state)
{
	assert_string_equal(after_exit(0x400, 0x100000004, 0xfee00020), "read 0xfee00020: nested page fault");
	assert_string_equal(after_exit(0x400, 0x100000006, 0x1000), "write 0x1000: nested page fault");
	assert_string_equal(after_exit(0x400, 0x100000014, 0x2000), "fetch 0x2000: nested page fault");
	assert_string_equal(after_exit(0x400, 0x200000006, 0x3000), "write 0x3000 in a walk: nested page fault");
	assert_string_equal(after_exit(0x400, 0x200000004, 0x4000), "read 0x4000 in a walk: nested page fault");
}

/* With decode assists EXITINFO1 names the register; without, the instruction's bytes do. */
static void control_register_exits(void **state)
{
	svm_features.decode_assists = true;
	assert_string_equal(after_exit(0x10, BIT_ULL(63) | 3, 0), "mov cr0, 3");
	assert_string_equal(after_exit(0x13, BIT_ULL(63) | 15, 0), "mov cr3, 15");
	assert_string_equal(after_exit(0x18, BIT_ULL(63) | 8, 0), "mov cr8, 8");
	assert_string_equal(after_exit(0x04, BIT_ULL(63) | 9, 0), "mov 9, cr4");
	assert_string_equal(after_exit(0x00, BIT_ULL(63) | 0, 0), "mov 0, cr0");
	assert_string_equal(after_exit(0x10, 3, 0), "decode the access to a control register");	/* CLTS, LMSW */

	mov_cr = 0 * 16 + 6;		/* MOV CR0, RSI: the selective intercept gives no register */
	assert_string_equal(after_exit(0x65, BIT_ULL(63) | 3, 0), "mov cr0, 6");

	svm_features.decode_assists = false;
	mov_cr = 4 * 16 + 11;
	assert_string_equal(after_exit(0x14, BIT_ULL(63) | 3, 0), "mov cr4, 11");
	assert_string_equal(after_exit(0x04, 0, 0), "mov 11, cr4");
	mov_cr = 8 * 16 + 0;
	assert_string_equal(after_exit(0x08, 0, 0), "mov 0, cr8");
	assert_string_equal(after_exit(0x18, 0, 0), "mov cr8, 0");
	assert_string_equal(after_exit(0x13, 0, 0), "decode the access to a control register");
	mov_cr = -1;
	assert_string_equal(after_exit(0x03, 0, 0), "decode the access to a control register");
}

/* INT1 is a trap: #DB with RIP behind it. */
static void icebp_raises_debug_behind_it(void **state)
{
	next_rip = 0x1001;
	assert_string_equal(after_exit(0x88, 0, 0), "raise 1");
	assert_int_equal(vmcb.save.rip, 0x1001);

	setup(state);
	fetch_error = -EFAULT;		/* a fault was raised in its place */
	assert_string_equal(after_exit(0x88, 0, 0), "");
	assert_string_equal(svm_exit_name(0x88), "ICEBP");
}

/* --- stepping over --- */

static void a_step_moves_rip_and_ends_the_shadow(void **state)
{
	vmcb.control.int_state = 3;
	svm_step_over(vcpu, 5);
	assert_int_equal(vmcb.save.rip, 0x1005);
	assert_int_equal(vcpu->regs[REG_RIP], 0x1005);
	assert_int_equal(vmcb.control.int_state, 2);		/* the other bit is the processor's */
	assert_string_equal(call, "");
}

/* Where something has to happen at the instruction's end, emulate_advance() does it. */
static void the_slow_path(void **state)
{
	vmcb.save.rflags = RFLAGS_TF;
	svm_step_over(vcpu, 3);
	assert_string_equal(call, "advance 3");
	assert_int_equal(vmcb.save.rip, 0x1000);

	setup(state);
	vcpu->regs_dirty = BIT(REG_RSP);
	svm_step_over(vcpu, 4);
	assert_string_equal(call, "advance 4");

	setup(state);
	vcpu->exit_rip = 0xfffffffe;
	svm_step_over(vcpu, 2);
	assert_string_equal(call, "advance 2");			/* 100000000h, or 0 in 32-bit code */

	setup(state);
	vcpu->exit_rip = 0xfffffffd;
	svm_step_over(vcpu, 2);
	assert_string_equal(call, "");
	assert_int_equal(vmcb.save.rip, 0xffffffff);
}

static void the_resume_flag_ends_with_the_instruction(void **state)
{
	vmcb.save.rflags = RFLAGS_RF | RFLAGS_IF | 2;
	vcpu->regs_available = BIT(REG_RFLAGS) | BIT(REG_RSP);
	svm_step_over(vcpu, 1);
	assert_int_equal(vmcb.save.rflags, RFLAGS_IF | 2);
	assert_int_equal(vcpu->regs_available, BIT(REG_RSP));	/* what was read before is old */

	setup(state);
	vmcb.save.rflags = RFLAGS_IF | 2;
	vcpu->regs_available = BIT(REG_RFLAGS);
	svm_step_over(vcpu, 1);
	assert_int_equal(vcpu->regs_available, BIT(REG_RFLAGS));
}

static void an_instruction_is_skipped(void **state)
{
	next_rip = 0x1002;
	svm_features.nrip_save = false;
	assert_int_equal(svm_skip_instruction(vcpu), 0);
	assert_int_equal(vmcb.save.rip, 0x1002);
	assert_string_equal(call, "");

	setup(state);			/* its length is known only by decoding */
	assert_int_equal(svm_skip_instruction(vcpu), 0);
	assert_string_equal(call, "advance 7");

	setup(state);
	fetch_error = -EFAULT;
	assert_int_equal(svm_skip_instruction(vcpu), -EFAULT);
	assert_string_equal(call, "");
}

static void the_end_of_an_emulated_instruction(void **state)
{
	vmcb.control.int_state = 3;
	svm_instruction_done(vcpu);
	assert_int_equal(vmcb.control.int_state, 2);
	assert_string_equal(call, "");

	setup(state);
	vmcb.save.rflags = RFLAGS_TF;
	svm_instruction_done(vcpu);
	assert_string_equal(call, "raise #DB 0x4000");		/* DR6.BS */
}

/* TF of a step of Lamina's own is no trap of the guest's. */
static void the_end_of_a_step(void **state)
{
	for (unsigned guest_tf = 0; guest_tf < 2; guest_tf++) {
		setup(state);
		vmcb.save.rflags = 2 | (guest_tf ? RFLAGS_TF : 0);
		svm_nmi_window(vcpu, true);
		assert_true(svm.stepping);
		assert_int_equal(vcpu->regs[REG_RFLAGS], 2 | RFLAGS_TF);
		assert_int_equal(vcpu->regs_dirty, BIT(REG_RFLAGS));
		vcpu->events.nmi_window = true;
		svm_instruction_done(vcpu);
		assert_false(svm.stepping);
		assert_false(vcpu->events.nmi_window);
		assert_int_equal(vcpu->regs[REG_RFLAGS], 2 | (guest_tf ? RFLAGS_TF : 0));
		assert_string_equal(call, guest_tf ? "raise #DB 0x4000" : "");
		assert_int_equal(vcpu->requests, REQ_EVENT);
	}
}

/* --- events --- */

static void injected_events(void **state)
{
	static const struct {
		struct event event;
		u64 field;
	} cases[] = {
		{ { .type = EVENT_INTERRUPT, .vector = 0x30 }, 0x80000030 },
		{ { .type = EVENT_NMI, .vector = 2 }, 0x80000202 },
		{ { .type = EVENT_EXCEPTION, .vector = 6 }, 0x80000306 },
		{ { .type = EVENT_EXCEPTION, .vector = 14, .has_error_code = true, .error_code = 0xf000000b },
		  0xf000000b80000b0e },
		{ { .type = EVENT_SOFT_INTERRUPT, .vector = 0x80 }, 0x80000480 },
		{ { .type = EVENT_SOFT_EXCEPTION, .vector = 3 }, 0x80000303 },
		{ { .type = EVENT_PRIVILEGED_EXCEPTION, .vector = 1 }, 0x80000301 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		bool nmi = cases[i].event.type == EVENT_NMI;

		setup(state);
		svm_inject(vcpu, &cases[i].event);
		assert_int_equal(vmcb_field(0xa8, 8), cases[i].field);
		assert_int_equal(svm.nmi_masked, nmi);
		assert_int_equal(vmcb.control.intercept_misc1, nmi ? BIT(20) : 0);	/* IRET ends it */
		assert_int_equal(dirtied(), nmi ? BIT(0) : 0);
	}
}

/* INT n, INT3 and INTO run again by themselves; a shutdown says nothing of what came before. */
static void interrupted_deliveries(void **state)
{
	static const struct {
		u64 info, code;
		struct event event;
	} cases[] = {
		{ 0x80000030, 0x400, { .type = EVENT_INTERRUPT, .vector = 0x30 } },
		{ 0x80000202, 0x400, { .type = EVENT_NMI, .vector = 2 } },
		{ 0x80000306, 0x400, { .type = EVENT_EXCEPTION, .vector = 6 } },
		{ 0x1234000080000b0d, 0x400,
		  { .type = EVENT_EXCEPTION, .vector = 13, .has_error_code = true, .error_code = 0x12340000 } },
		{ 0x80000303, 0x400, { .vector = 3 } }, { 0x80000304, 0x400, { .vector = 4 } },
		{ 0x8000031f, 0x400, { .type = EVENT_EXCEPTION, .vector = 31 } },
		{ 0x80000320, 0x400, { .vector = 32 } }, { 0x80000480, 0x400, { .vector = 0x80 } },
		{ 0x80000030, 0x7f, { .vector = 0x30 } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		vmcb.control.exit_int_info = cases[i].info;
		vmcb.control.exit_code = cases[i].code;
		svm_events_after_exit(vcpu);
		assert_int_equal(vcpu->events.reinject.type, cases[i].event.type);
		assert_int_equal(vcpu->events.reinject.vector, cases[i].event.vector);
		assert_int_equal(vcpu->events.reinject.has_error_code, cases[i].event.has_error_code);
		assert_int_equal(vcpu->events.reinject.error_code, cases[i].event.error_code);
		assert_int_equal(vcpu->requests, REQ_EVENT);
	}
	setup(state);
	vmcb.control.exit_int_info = 0x30;		/* not valid */
	vcpu->events.reinject.type = EVENT_NMI;
	svm_events_after_exit(vcpu);
	assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
	assert_int_equal(vcpu->requests, 0);
}

static void what_blocks_events(void **state)
{
	static const struct {
		u64 rflags, shadow;
		bool in_nmi, irq, nmi;
	} cases[] = {
		{ RFLAGS_IF, 0, false, false, false }, { 0, 0, false, true, false },
		{ RFLAGS_IF, 1, false, true, true }, { RFLAGS_IF, 0, true, false, true },
		{ RFLAGS_IF, 2, false, false, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		vmcb.save.rflags = cases[i].rflags;
		vmcb.control.int_state = cases[i].shadow;
		svm.nmi_masked = cases[i].in_nmi;
		assert_int_equal(svm_interrupt_blocked(vcpu), cases[i].irq);
		assert_int_equal(svm_nmi_blocked(vcpu), cases[i].nmi);
	}
}

/* A virtual interrupt of the highest priority that ignores the TPR, and its intercept. */
static void the_interrupt_window(void **state)
{
	vmcb.control.int_control = BIT_ULL(24) | 5;
	vmcb.control.intercept_misc1 = BIT(18);
	svm_interrupt_window(vcpu, true);
	assert_int_equal(vmcb_field(0x60, 8), BIT_ULL(24) | 5 | BIT_ULL(8) | 15ull << 16 | BIT_ULL(20));
	assert_int_equal(vmcb_field(0x0c, 4), BIT(18) | BIT(4));
	assert_int_equal(dirtied(), BIT(3) | BIT(0));

	vmcb.control.clean = CLEAN_ALL;
	vcpu->events.irq_window = true;
	after_exit(0x64, 0, 0);
	assert_int_equal(vmcb_field(0x60, 8), BIT_ULL(24) | 5);
	assert_int_equal(vmcb_field(0x0c, 4), BIT(18));
	assert_int_equal(dirtied(), BIT(3) | BIT(0));
	assert_false(vcpu->events.irq_window);
	assert_int_equal(vcpu->requests, REQ_EVENT);
}

/* From the injection of an NMI to the end of its IRET, which exits before it runs. */
static void an_nmi_handler_ends_with_its_iret(void **state)
{
	svm_inject(vcpu, &(struct event){ .type = EVENT_NMI, .vector = 2 });
	vmcb.control.clean = CLEAN_ALL;
	vcpu->events.nmi_window = true;
	after_exit(0x74, 0, 0);
	assert_int_equal(vmcb.control.intercept_misc1, 0);
	assert_int_equal(dirtied(), BIT(0));
	assert_true(svm.iret_pending);
	assert_true(svm.nmi_masked);
	assert_false(vcpu->events.nmi_window);		/* to be decided anew */
	assert_int_equal(vcpu->requests, REQ_EVENT);

	vcpu->requests = 0;
	svm_events_after_exit(vcpu);			/* an exit before it has run */
	assert_true(svm.nmi_masked);
	vcpu->exit_rip = 0x2000;
	svm_events_after_exit(vcpu);
	assert_false(svm.nmi_masked);
	assert_false(svm.iret_pending);
	assert_int_equal(vcpu->requests, REQ_EVENT);
}

/* SVM has none: step where one instruction is in the way, wait for the IRET where a handler is. */
static void the_nmi_window(void **state)
{
	svm.nmi_masked = true;
	svm_nmi_window(vcpu, true);
	assert_false(svm.stepping);
	svm.iret_pending = true;
	svm_nmi_window(vcpu, false);
	assert_false(svm.stepping);
	svm_nmi_window(vcpu, true);
	assert_true(svm.stepping);

	setup(state);
	vmcb.save.rflags = 2;
	vmcb.save.dr6 = 0xffff0ff1;
	svm_nmi_window(vcpu, true);
	assert_true(svm.stepping);
	assert_int_equal(svm.guest_dr6, 0xffff0ff1);
	vmcb.save.dr6 = 0;
	svm_nmi_window(vcpu, true);			/* a second time: what the guest had stays known */
	assert_int_equal(svm.guest_dr6, 0xffff0ff1);
	assert_false(svm.guest_tf);
}

static void the_trap_of_a_step_is_not_the_guests(void **state)
{
	static const struct {
		u64 rflags, news;	/* DR6 bits that the processor sets */
		bool guests;
	} cases[] = {
		{ 2, DR6_BS, false }, { 2 | RFLAGS_TF, DR6_BS, true }, { 2, DR6_BS | 1, true }, { 2, 8, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		vmcb.save.rflags = cases[i].rflags;
		vmcb.save.dr6 = 0xffff0ff0;
		svm_nmi_window(vcpu, true);
		vmcb.save.dr6 |= cases[i].news;
		after_exit(0x41, 0, 0);
		assert_string_equal(call, cases[i].guests ? "raise 1" : "");
		assert_int_equal(vmcb.save.dr6, 0xffff0ff0 | (cases[i].guests ? cases[i].news : 0));
		assert_false(svm.stepping);
	}
}

/* A breakpoint bit that was set before is not news. */
static void an_old_breakpoint_is_not_news(void **state)
{
	vmcb.save.rflags = 2;
	vmcb.save.dr6 = 0xffff0ff1;
	svm_nmi_window(vcpu, true);
	vmcb.save.dr6 = 0xffff4ff1;
	after_exit(0x41, 0, 0);
	assert_string_equal(call, "");
	assert_int_equal(vmcb.save.dr6, 0xffff0ff1);
}

static void a_debug_exception_without_a_step_is_the_guests(void **state)
{
	vmcb.save.dr6 = 0xffff0ff2;
	assert_string_equal(after_exit(0x41, 0, 0), "raise 1");
	assert_int_equal(vmcb.save.dr6, 0xffff0ff2);
	assert_string_equal(svm_exit_name(0x41), "#DB");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(exits_without_arguments),
		TEST(every_exit_that_is_handled_has_a_name),
		TEST(an_exit_that_was_not_asked_for),
		TEST(msr_exits),
		TEST(io_exits),
		TEST(nested_page_faults),
		TEST(control_register_exits),
		TEST(icebp_raises_debug_behind_it),
		TEST(a_step_moves_rip_and_ends_the_shadow),
		TEST(the_slow_path),
		TEST(the_resume_flag_ends_with_the_instruction),
		TEST(an_instruction_is_skipped),
		TEST(the_end_of_an_emulated_instruction),
		TEST(the_end_of_a_step),
		TEST(injected_events),
		TEST(interrupted_deliveries),
		TEST(what_blocks_events),
		TEST(the_interrupt_window),
		TEST(an_nmi_handler_ends_with_its_iret),
		TEST(the_nmi_window),
		TEST(the_trap_of_a_step_is_not_the_guests),
		TEST(an_old_breakpoint_is_not_news),
		TEST(a_debug_exception_without_a_step_is_the_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
