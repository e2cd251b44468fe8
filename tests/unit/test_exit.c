/* SPDX-License-Identifier: MIT */
/*
 * The handlers of exits: registers, the instruction pointer, the faults, and how a VM ends. SDM,
 * "Instruction Set Reference"; "Instructions That Cause VM Exits".
 */
/* link: core/exit.c core/emulate/tdp_fault.c core/vm_log.c lib/log.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/emulate/emulate.h"
#include "core/exit.h"
#include "core/io.h"
#include "core/observe/trace_record.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "home_cpu.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

#define FILLED 0xfedcba9876543210ull

static struct vm_config config;
static struct vm vm;
static struct vcpu vcpu;
static u64 cr0, cr2, cr3, cr4;
static bool code_64, wakes, refused, ram, fast;
static unsigned cpl, skips, dumps, traces, mmios;

static struct { bool raised, has_code; u8 vector; u32 code; } fault;
static struct { u32 leaf, subleaf; } asked;
static struct { u16 port; unsigned size; u64 value; } port;
static struct { u32 number; u64 value; unsigned writes; } msr;
static struct { int cr; u64 value; u32 index; } written;

/* --- what the handlers call --- */

static bool nmi_is_blocked;
static unsigned halts_for_good;
static bool nmi_blocked(struct vcpu *v) { return nmi_is_blocked; }
void halt_for_good(struct vcpu *v) { halts_for_good++; }
u64 paravirt_hypercall(struct vcpu *v) { return v->regs[REG_RAX] + 1; }
static int skip_instruction(struct vcpu *v) { skips++; return 0; }

/* The reports come before the line that says how the VM ended: the trace last. */
static void dump(struct vcpu *v)
{
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(traces, 0);
	dumps++;
}


static u64 control_get(struct vcpu *v, enum vcpu_control control)
{
	switch (control) {
	case CTL_CR0:
		return cr0;
	case CTL_CR2:
		return cr2;
	case CTL_CR3:
		return cr3;
	case CTL_CR4:
		return cr4;
	default:
		fail();
		return 0;
	}
}

static int executable_error;
static unsigned made_executable;

static int make_executable(struct vm *v, gpa_t gpa)
{
	assert_ptr_equal(v, &vm);
	assert_int_equal(gpa, 0x123456789);
	made_executable++;
	return executable_error;
}

static const struct vcpu_ops ops = { .skip_instruction = skip_instruction, .control_get = control_get, .dump = dump,
	.nmi_blocked = nmi_blocked };

static int fpu_line;

void vm_lock(struct vm *v) { assert_int_equal(fpu_line, -1); }
void vm_unlock(struct vm *v) { assert_int_equal(fpu_line, 1); }

void irq_line_set(struct vm *v, unsigned irq, bool level)
{
	assert_int_equal(irq, 13);
	fpu_line = level;
}

static u64 cr8_read(struct vcpu *v) { return 9; }
static const struct irqchip_ops irqchip = { .cr8_read = cr8_read };

void event_raise(struct vcpu *v, u8 vector)
{
	assert_false(fault.raised);
	fault.raised = true;
	fault.vector = vector;
}

void event_raise_error(struct vcpu *v, u8 vector, u32 code)
{
	event_raise(v, vector);
	fault.has_code = true;
	fault.code = code;
}

bool event_wakes(struct vcpu *v) { return wakes; }
bool vcpu_code_64(struct vcpu *v) { return code_64; }
unsigned vcpu_cpl(struct vcpu *v) { return cpl; }
u64 vcpu_guest_tsc(const struct vcpu *v, u64 host_tsc) { return host_tsc + v->tsc_offset; }
u64 test_tsc(void) { return 0x1122334400000000; }

struct cpuid_regs cpuid_guest(struct vcpu *v, u32 leaf, u32 subleaf)
{
	asked.leaf = leaf;
	asked.subleaf = subleaf;
	return (struct cpuid_regs){ 0xffffff01, 0xffffff02, 0xffffff03, 0xffffff04 };
}

u64 pio_read(struct vcpu *v, u16 number, unsigned size)
{
	port.port = number;
	port.size = size;
	return 0xa1b2c3d4 & ((2ull << (8 * size - 1)) - 1);
}

void pio_write(struct vcpu *v, u16 number, unsigned size, u64 value)
{
	port.port = number;
	port.size = size;
	port.value = value;
}

int msr_guest_read(struct vcpu *v, u32 number, u64 *value)
{
	msr.number = number;
	*value = msr.value;
	return refused ? -EINVAL : 0;
}

int msr_guest_write(struct vcpu *v, u32 number, u64 value)
{
	msr.number = number;
	msr.value = value;
	msr.writes++;
	return refused ? -EINVAL : 0;
}

static int control_write(int cr, u64 value)
{
	written.cr = cr;
	written.value = value;
	return refused ? -EINVAL : 0;
}

int control_write_cr0(struct vcpu *v, u64 value) { return control_write(0, value); }
int control_write_cr3(struct vcpu *v, u64 value) { return control_write(3, value); }
int control_write_cr4(struct vcpu *v, u64 value) { return control_write(4, value); }
int control_write_cr8(struct vcpu *v, u64 value) { return control_write(8, value); }

int control_write_xcr0(struct vcpu *v, u32 index, u64 value)
{
	written.index = index;
	return control_write(100, value);
}

void emulate_mmio(struct vcpu *v, const struct tdp_fault *f) { mmios++; }
bool emulate_mmio_fast(struct vcpu *v, const struct tdp_fault *f) { return fast; }
static bool explained;		/* another CPU has changed the tables */
static const struct guest_damage damage = { 0x123456000, 3, 4 }, *damage_there;
static unsigned damaged_accesses;

bool guest_mem_has(const struct vm *v, gpa_t gpa) { return ram; }
const struct guest_damage *guest_mem_damage_at(const struct vm *v, gpa_t gpa) { return damage_there; }

bool tdp_change_explains(const struct vm *v, gpa_t gpa, bool write)
{
	assert_int_equal(gpa, 0x123456789);
	return explained && !write;
}

void exit_damaged_memory(struct vcpu *v, gpa_t gpa, const struct guest_damage *d)
{
	assert_int_equal(gpa, 0x123456789);
	assert_ptr_equal(d, &damage);
	damaged_accesses++;
}
void trace_print(const struct vm *v, unsigned records)
{
	assert_int_equal(vm.state, VM_RUNNING);
	traces++;
}


/* --- the tests --- */

static int set_up(void **state)
{
	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&fault, 0, sizeof(fault));
	memset(&msr, 0, sizeof(msr));
	memset(&written, 0xff, sizeof(written));
	home_reset();
	vm.state = VM_RUNNING;
	config.hypervisor = HYPERVISOR_LAMINA;
	vm.config = &config;
	vm.irqchip = &irqchip;
	vcpu.vm = &vm;
	vcpu.cpu = &home;
	vcpu.ops = &ops;
	vcpu.regs_available = REGS_LAZY;
	for (unsigned i = 0; i < 16; i++)
		vcpu.regs[i] = FILLED + i;
	vcpu.regs[REG_RFLAGS] = RFLAGS_IF;
	cr0 = cr2 = cr3 = cr4 = 0;
	fpu_line = -1;
	code_64 = true;
	wakes = refused = ram = fast = false;
	cpl = skips = dumps = traces = mmios = 0;
	log_set_level(LOG_ERROR);
	return 0;
}

static void assert_skipped(void)
{
	assert_int_equal(skips, 1);
	assert_false(fault.raised);
	skips = 0;
}

static void assert_fault(u8 vector, bool has_code)
{
	assert_int_equal(skips, 0);
	assert_true(fault.raised);
	assert_int_equal(fault.vector, vector);
	assert_int_equal(fault.has_code, has_code);
	assert_int_equal(fault.code, 0);
	memset(&fault, 0, sizeof(fault));
}

/* Upper halves are cleared, and ignored on the way in. */
static void cpuid_instruction(void **state)
{
	exit_cpuid(&vcpu);
	assert_int_equal(asked.leaf, (u32)(FILLED + REG_RAX));
	assert_int_equal(asked.subleaf, (u32)(FILLED + REG_RCX));
	assert_int_equal(vcpu.regs[REG_RAX], 0xffffff01);
	assert_int_equal(vcpu.regs[REG_RBX], 0xffffff02);
	assert_int_equal(vcpu.regs[REG_RCX], 0xffffff03);
	assert_int_equal(vcpu.regs[REG_RDX], 0xffffff04);
	assert_skipped();
}

static void in(void **state)
{
	exit_io(&vcpu, 0x60, 1, true);
	assert_int_equal(port.port, 0x60);
	assert_int_equal(vcpu.regs[REG_RAX], 0xfedcba98765432d4);
	assert_skipped();
	exit_io(&vcpu, 0x60, 2, true);
	assert_int_equal(vcpu.regs[REG_RAX], 0xfedcba987654c3d4);
	assert_skipped();
	exit_io(&vcpu, 0x60, 4, true);
	assert_int_equal(vcpu.regs[REG_RAX], 0xa1b2c3d4);
	assert_skipped();
}

static void out(void **state)
{
	static const u64 values[] = { [1] = 0x10, [2] = 0x3210, [4] = 0x76543210 };

	for (unsigned size = 1; size <= 4; size *= 2) {
		exit_io(&vcpu, 0x3f8, size, false);
		assert_int_equal(port.port, 0x3f8);
		assert_int_equal(port.size, size);
		assert_int_equal(port.value, values[size]);
		assert_int_equal(vcpu.regs[REG_RAX], FILLED);
		assert_skipped();
	}
}

static const struct trace_record *newest(void)
{
	return &home.trace.records[(home.trace.next - 1) % TRACE_RECORDS];
}

static void rdmsr_instruction(void **state)
{
	msr.value = 0x1122334455667788;
	exit_rdmsr(&vcpu);
	assert_int_equal(msr.number, (u32)(FILLED + REG_RCX));
	assert_int_equal(vcpu.regs[REG_RAX], 0x55667788);
	assert_int_equal(vcpu.regs[REG_RDX], 0x11223344);
	assert_skipped();
	assert_int_equal(newest()->access.kind, TRACE_MSR);
	assert_false(newest()->access.refused);
	assert_false(newest()->access.write);
	assert_int_equal(newest()->access.value, 0x1122334455667788);

	refused = true;
	msr.value = 5;
	exit_rdmsr(&vcpu);
	assert_int_equal(vcpu.regs[REG_RAX], 0x55667788);
	assert_int_equal(vcpu.regs[REG_RDX], 0x11223344);
	assert_fault(13, true);
	assert_true(newest()->access.refused);
}

static void wrmsr_instruction(void **state)
{
	exit_wrmsr(&vcpu);
	assert_int_equal(msr.number, (u32)(FILLED + REG_RCX));
	assert_int_equal(msr.value, 0x7654321276543210);
	assert_int_equal(msr.writes, 1);
	assert_skipped();
	assert_true(newest()->access.write);
	assert_false(newest()->access.refused);
	assert_int_equal(newest()->access.address, (u32)(FILLED + REG_RCX));
	refused = true;
	exit_wrmsr(&vcpu);
	assert_fault(13, true);
	assert_true(newest()->access.refused);
}

static void hlt(void **state)
{
	nmi_is_blocked = false;
	exit_hlt(&vcpu);
	assert_skipped();
	assert_int_equal(vcpu.activity, VCPU_HALTED);
	assert_true(vcpu.halt_if);
	assert_true(vcpu.halt_nmi);
	assert_int_equal(halts_for_good, 0);
}

static void hlt_with_interrupts_off(void **state)
{
	vcpu.regs[REG_RFLAGS] = 2;
	wakes = nmi_is_blocked = true;
	halts_for_good = 0;
	exit_hlt(&vcpu);
	assert_int_equal(vcpu.activity, VCPU_HALTED);
	assert_false(vcpu.halt_if);
	assert_false(vcpu.halt_nmi);
	assert_int_equal(halts_for_good, 0);
	vcpu.activity = VCPU_RUNNING;
	wakes = false;
	exit_hlt(&vcpu);
	assert_int_equal(halts_for_good, 1);
	assert_int_equal(vcpu.activity, VCPU_HALTED);
}

static void xsetbv(void **state)
{
	exit_xsetbv(&vcpu);		/* CR4.OSXSAVE is clear */
	assert_fault(6, false);
	cr4 = 1u << 18;
	cpl = 3;
	exit_xsetbv(&vcpu);
	assert_fault(13, true);
	assert_int_equal(written.cr, -1);
	cpl = 0;
	exit_xsetbv(&vcpu);
	assert_int_equal(written.cr, 100);
	assert_int_equal(written.index, (u32)(FILLED + REG_RCX));
	assert_int_equal(written.value, 0x7654321276543210);
	assert_skipped();
	refused = true;
	exit_xsetbv(&vcpu);
	assert_fault(13, true);
}

static void a_hypercalls_result_is_in_rax(void **state)
{
	exit_vmcall(&vcpu);
	assert_int_equal(vcpu.regs[REG_RAX], FILLED + REG_RAX + 1);
	assert_skipped();
}

/* SDM, "VMCALL": #UD outside of VMX operation; APM vol. 3, "VMMCALL": #UD if no hypervisor intercepts it. */
static void no_hypercall_without_a_hypervisor(void **state)
{
	config.hypervisor = HYPERVISOR_NONE;
	exit_vmcall(&vcpu);
	assert_fault(6, false);
}

static unsigned own_vmcalls;

static void own_vmcall(struct vcpu *v)
{
	own_vmcalls++;
}

/* A hypervisor's processor has the instruction, which without hypercalls is its own. */
static void a_hypercall_of_a_hypervisor(void **state)
{
	struct vcpu_ops with = ops;

	own_vmcalls = 0;
	with.nested_hypercall = own_vmcall;
	vcpu.ops = &with;
	config.hypervisor = HYPERVISOR_NONE;
	exit_vmcall(&vcpu);
	assert_fault(6, false);
	vm.l2_ops = &ops;
	exit_vmcall(&vcpu);
	assert_int_equal(own_vmcalls, 1);
	config.hypervisor = HYPERVISOR_LAMINA;
	exit_vmcall(&vcpu);
	assert_int_equal(own_vmcalls, 1);
	assert_skipped();
	vm.l2_ops = NULL;
}

/* SDM, "MS-DOS Compatibility Sub-Mode": IRQ 13, and the instruction is not over. */
static void a_floating_point_error_is_irq_13(void **state)
{
	exit_fpu_error(&vcpu);
	assert_int_equal(fpu_line, 1);
	assert_int_equal(skips, 0);
	assert_int_equal(vcpu.requests, REQ_RESCHED);
}

/* The exit comes before the PAUSE: without the step it would come again at once. */
static void a_spinning_guest_asks_for_the_scheduler(void **state)
{
	exit_pause(&vcpu);
	assert_skipped();
	assert_int_equal(vcpu.requests, REQ_RESCHED);
}

static void instructions_without_effect_or_use(void **state)
{
	exit_wbinvd(&vcpu);
	assert_skipped();
	exit_invalid_opcode(&vcpu);
	assert_fault(6, false);
	exit_rdpmc(&vcpu);
	assert_fault(13, true);
}

static void rdtsc_and_rdtscp(void **state)
{
	vcpu.tsc_offset = 0x55667788;
	exit_rdtsc(&vcpu, false);
	assert_int_equal(vcpu.regs[REG_RAX], 0x55667788);
	assert_int_equal(vcpu.regs[REG_RDX], 0x11223344);
	assert_int_equal(vcpu.regs[REG_RCX], FILLED + REG_RCX);
	assert_skipped();
	msr.value = 0x99;
	exit_rdtsc(&vcpu, true);
	assert_int_equal(msr.number, 0xc0000103);
	assert_int_equal(vcpu.regs[REG_RCX], 0x99);
	assert_skipped();
	refused = true;		/* no TSC_AUX, no RDTSCP */
	exit_rdtsc(&vcpu, true);
	assert_fault(6, false);
}

static void triple_fault(void **state)
{
	exit_triple_fault(&vcpu);
	assert_int_equal(vm.end, VM_END_TRIPLE_FAULT);
	assert_int_equal(dumps, 1);
}

static void accesses_without_ram_are_emulated(void **state)
{
	struct tdp_fault f = { .gpa = 0xfee00000, .access = TDP_WRITE, .what = "EPT violation" };

	fast = true;
	exit_tdp_fault(&vcpu, &f);
	assert_int_equal(mmios, 0);
	fast = false;
	exit_tdp_fault(&vcpu, &f);
	assert_int_equal(mmios, 1);
	f.access = TDP_READ;
	exit_tdp_fault(&vcpu, &f);
	assert_int_equal(mmios, 2);
	assert_int_equal(vm.state, VM_RUNNING);
}

/* RAM that is mapped without execute permission. */
static void code_in_ram_is_made_executable(void **state)
{
	static const struct {
		bool can;
		int error;
		bool ram, ends;
	} cases[] = {
		{ true, 0, true, false }, { true, -ENOMEM, true, true }, { true, -ENOENT, true, true },
		{ false, 0, true, true },
		{ true, -ENOENT, false, true },
	};
	const struct tdp_fault f = { 0x123456789, TDP_FETCH, false, "EPT violation" };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vcpu_ops with = ops;

		set_up(state);
		with.vm_make_executable = cases[i].can ? make_executable : NULL;
		vcpu.ops = &with;
		executable_error = cases[i].error;
		made_executable = 0;
		ram = cases[i].ram;
		exit_tdp_fault(&vcpu, &f);
		assert_int_equal(made_executable, cases[i].can);
		assert_int_equal(vm.state, cases[i].ends ? VM_ENDED : VM_RUNNING);
		assert_int_equal(mmios, 0);
		assert_int_equal(skips, 0);
	}
}

/* Whatever the access is; only a forbidden write is still one. */
static void what_has_changed_meanwhile_is_tried_again(void **state)
{
	struct tdp_fault f = { 0x123456789, TDP_READ, false, "EPT violation" };

	ram = explained = true;
	exit_tdp_fault(&vcpu, &f);
	f.walk = true;
	exit_tdp_fault(&vcpu, &f);
	ram = f.walk = false;
	f.access = TDP_FETCH;
	exit_tdp_fault(&vcpu, &f);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(mmios + skips + damaged_accesses, 0);
	ram = true;
	f.access = TDP_WRITE;
	exit_tdp_fault(&vcpu, &f);
	assert_int_equal(vm.end, VM_END_ERROR);
	explained = false;
}

static void damaged_memory_raises_a_machine_check(void **state)
{
	struct tdp_fault f = { 0x123456789, TDP_READ, false, "EPT violation" };

	ram = explained = true;
	damage_there = &damage;
	damaged_accesses = 0;
	exit_tdp_fault(&vcpu, &f);
	f.access = TDP_FETCH;
	exit_tdp_fault(&vcpu, &f);
	assert_int_equal(damaged_accesses, 2);
	assert_int_equal(mmios + skips, 0);
	assert_int_equal(vm.state, VM_RUNNING);
	explained = false;
	damage_there = NULL;
}

static void what_cannot_be_emulated_ends_the_vm(void **state)
{
	static const struct { bool ram, walk; enum tdp_access access; } cases[] = {
		{ true, false, TDP_READ }, { false, true, TDP_READ }, { false, false, TDP_FETCH },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct tdp_fault f = { 0x123456789, cases[i].access, cases[i].walk, "EPT violation" };

		set_up(state);
		ram = cases[i].ram;
		exit_tdp_fault(&vcpu, &f);
		assert_int_equal(mmios, 0);
		assert_int_equal(vm.end, VM_END_ERROR);
		assert_int_equal(dumps, 1);
		assert_int_equal(traces, 1);
	}
}

static void mov_to_control_registers(void **state)
{
	static const unsigned crs[] = { 0, 3, 4, 8 };

	for (unsigned i = 0; i < ARRAY_SIZE(crs); i++) {
		refused = false;
		code_64 = true;
		exit_mov_to_cr(&vcpu, crs[i], REG_RSI);
		assert_int_equal(written.cr, crs[i]);
		assert_int_equal(written.value, FILLED + REG_RSI);
		assert_skipped();
		code_64 = false;	/* 32 bits of the register */
		exit_mov_to_cr(&vcpu, crs[i], REG_RSI);
		assert_int_equal(written.value, (u32)(FILLED + REG_RSI));
		assert_skipped();
		refused = true;
		exit_mov_to_cr(&vcpu, crs[i], REG_RSI);
		assert_fault(13, true);
	}
}

static void mov_from_control_registers(void **state)
{
	static const unsigned crs[] = { 0, 2, 3, 4, 8 };
	const u64 values[] = { FILLED, FILLED + 2, FILLED + 3, FILLED + 4, 9 };

	cr0 = values[0];
	cr2 = values[1];
	cr3 = values[2];
	cr4 = values[3];
	for (unsigned i = 0; i < ARRAY_SIZE(crs); i++) {
		code_64 = true;
		exit_mov_from_cr(&vcpu, crs[i], REG_R9);
		assert_int_equal(vcpu.regs[REG_R9], values[i]);
		assert_skipped();
		code_64 = false;
		exit_mov_from_cr(&vcpu, crs[i], REG_R9);
		assert_int_equal(vcpu.regs[REG_R9], (u32)values[i]);
		assert_skipped();
	}
	vcpu.regs_dirty = 0;
	exit_mov_from_cr(&vcpu, 0, REG_RSP);	/* a register that the hardware keeps */
	assert_int_equal(vcpu.regs_dirty, BIT(REG_RSP));
}

static void registers_that_are_not_there(void **state)
{
	static const unsigned crs[] = { 1, 5, 6, 7, 9, 15 };

	for (unsigned i = 0; i < ARRAY_SIZE(crs); i++) {
		exit_mov_to_cr(&vcpu, crs[i], REG_RAX);
		assert_fault(6, false);
		exit_mov_from_cr(&vcpu, crs[i], REG_RAX);
		assert_fault(6, false);
	}
	exit_mov_to_cr(&vcpu, 2, REG_RAX);	/* hardware writes CR2 without an exit */
	assert_fault(6, false);
	assert_int_equal(vcpu.regs[REG_RAX], FILLED);
}

static void clts(void **state)
{
	cr0 = 0x8005003b;
	exit_clts(&vcpu);
	assert_int_equal(written.cr, 0);
	assert_int_equal(written.value, 0x80050033);	/* TS is bit 3 */
	assert_skipped();
}

/* Bits 3 to 0 change, but PE is not cleared. */
static void lmsw(void **state)
{
	cr0 = 0x80050031;
	exit_lmsw(&vcpu, 0xfffe);
	assert_int_equal(written.value, 0x8005003f);
	assert_skipped();
	cr0 = 0x3f;
	exit_lmsw(&vcpu, 0);
	assert_int_equal(written.value, 0x31);
	assert_skipped();
	cr0 = 0x30;
	exit_lmsw(&vcpu, 1);
	assert_int_equal(written.value, 0x31);
	assert_skipped();
	refused = true;
	exit_lmsw(&vcpu, 1);
	assert_fault(13, true);
}

static void an_unexpected_exit_ends_the_vm(void **state)
{
	exit_unexpected(&vcpu, "something %d", 5);
	assert_int_equal(vm.state, VM_ENDED);
	assert_int_equal(vm.end, VM_END_ERROR);
	assert_int_equal(dumps, 1);
	assert_int_equal(traces, 1);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cpuid_instruction),
		TEST(in),
		TEST(out),
		TEST(rdmsr_instruction),
		TEST(wrmsr_instruction),
		TEST(hlt),
		TEST(hlt_with_interrupts_off),
		TEST(xsetbv),
		TEST(a_hypercalls_result_is_in_rax), TEST(no_hypercall_without_a_hypervisor),
		TEST(a_hypercall_of_a_hypervisor),
		TEST(a_floating_point_error_is_irq_13),
		TEST(a_spinning_guest_asks_for_the_scheduler),
		TEST(instructions_without_effect_or_use),
		TEST(rdtsc_and_rdtscp),
		TEST(triple_fault),
		TEST(accesses_without_ram_are_emulated),
		TEST(code_in_ram_is_made_executable),
		TEST(what_has_changed_meanwhile_is_tried_again),
		TEST(damaged_memory_raises_a_machine_check),
		TEST(what_cannot_be_emulated_ends_the_vm),
		TEST(mov_to_control_registers),
		TEST(mov_from_control_registers),
		TEST(registers_that_are_not_there),
		TEST(clts),
		TEST(lmsw),
		TEST(an_unexpected_exit_ends_the_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
