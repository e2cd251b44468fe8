/* SPDX-License-Identifier: MIT */
/* The fake vCPU: see fake_vcpu.h. */
#include "fake_vcpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/cpu/cpufeature.h"
#include "core/cpu/cpuid.h"
#include "core/emulate/code.h"
#include "core/cpu/msr.h"
#include "core/exit.h"
#include "core/io.h"
#include "core/startup.h"
#include "core/vtimer.h"

struct fake_machine fake;
struct cpu_features cpu_features;

/* --- vendor operations --- */

static u64 control_get(struct vcpu *vcpu, enum vcpu_control control)
{
	return fake.controls[control];
}

static void control_set(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	fake.controls[control] = value;
}

static void segment_get(struct vcpu *vcpu, enum vcpu_segment index, struct segment *segment)
{
	*segment = fake.segments[index];
}

static void segment_set(struct vcpu *vcpu, enum vcpu_segment index, const struct segment *segment)
{
	fake.segments[index] = *segment;
}

static void table_get(struct vcpu *vcpu, bool idt, struct descriptor_table *table)
{
	*table = fake.tables[idt];
}

static void table_set(struct vcpu *vcpu, bool idt, const struct descriptor_table *table)
{
	fake.tables[idt] = *table;
}

static void instruction_done(struct vcpu *vcpu)
{
	fake.instructions_done++;
}

static void step_over(struct vcpu *vcpu, unsigned length)
{
	u64 rip = vcpu_reg_read(vcpu, REG_RIP) + length;

	vcpu_reg_write(vcpu, REG_RIP, fake.segments[SEG_CS].l ? rip : (u32)rip);
	fake.instructions_done++;
}

static void code_view(const struct vcpu *vcpu, struct code_view *view)
{
	bool long_mode = fake.controls[CTL_EFER] & EFER_LMA;

	*view = (struct code_view){
		.mode = fake.segments[SEG_CS].db ? INSN_MODE_32 : INSN_MODE_16,
		.paging = CODE_OTHER_PAGING,
		.cr3 = fake.controls[CTL_CR3],
		.cs_base = fake.segments[SEG_CS].base,
	};
	if (!(fake.controls[CTL_CR0] & CR0_PG))
		view->paging = CODE_UNPAGED;
	else if (long_mode && !(fake.controls[CTL_CR4] & CR4_LA57))
		view->paging = CODE_4_LEVEL;
	if (long_mode && fake.segments[SEG_CS].l) {
		view->mode = INSN_MODE_64;
		view->cs_base = 0;
	}
}

static void reg_fetch(struct vcpu *vcpu, enum vcpu_reg reg)
{
	fail_msg("register %d is there already", reg);
}

static const struct vcpu_ops operations = {
	.name = "fake",
	.reg_fetch = reg_fetch,
	.control_get = control_get,
	.control_set = control_set,
	.segment_get = segment_get,
	.segment_set = segment_set,
	.table_get = table_get,
	.table_set = table_set,
	.instruction_done = instruction_done,
	.step_over = step_over,
	.code_view = code_view,
};

/* --- set-up --- */

void fake_forget(void)
{
	fake.faulted = false;
	fake.vcpu.events.exception.type = EVENT_NONE;
	fake.vector = 0;
	fake.error_code = 0;
	fake.payload = 0;
	fake.instructions_done = 0;
	fake.ended = false;
	fake.words[0] = '\0';
	fake.mmio_reads = fake.mmio_writes = 0;
	fake.port_writes = 0;
	fake.vcpu.requests = 0;
}

void fake_machine_create(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.ram = calloc(1, FAKE_RAM_SIZE);
	fake.mmio = calloc(1, FAKE_MMIO_SIZE);
	assert_non_null(fake.ram);
	assert_non_null(fake.mmio);
	fake.physical_bits = 40;
	fake.vm.state = VM_RUNNING;
	fake.vm.mem.low_size = FAKE_RAM_SIZE;
	fake.vm.ops = &operations;
	fake.vcpu.vm = &fake.vm;
	fake.vcpu.ops = &operations;
	fake.vcpu.regs_available = REGS_LAZY;
	cpu_features.pages_1g = true;
	fake_real_mode();
}

void fake_machine_destroy(void)
{
	free(fake.ram);
	free(fake.mmio);
}

static void flat_segments(u32 limit, bool db)
{
	for (unsigned i = 0; i < SEG_COUNT; i++)
		fake.segments[i] = (struct segment){
			.limit = limit, .type = 3, .s = true, .present = true, .db = db,
		};
	fake.segments[SEG_CS].type = 11;
	vcpu_reg_write(&fake.vcpu, REG_RFLAGS, RFLAGS_FIXED);
	memset(fake.controls, 0, sizeof(fake.controls));
}

void fake_real_mode(void)
{
	flat_segments(0xffff, false);
}

void fake_protected_mode(bool code_32)
{
	flat_segments(0xffffffff, true);
	fake.segments[SEG_CS].db = code_32;
	fake.controls[CTL_CR0] = CR0_PE;
}

void fake_long_mode(void)
{
	flat_segments(0xffffffff, true);
	fake.segments[SEG_CS].db = false;
	fake.segments[SEG_CS].l = true;
	fake.controls[CTL_CR0] = CR0_PE | CR0_PG;
	fake.controls[CTL_CR4] = CR4_PAE;
	fake.controls[CTL_EFER] = EFER_LME | EFER_LMA;
}

void fake_set_cpl(unsigned cpl)
{
	fake.segments[SEG_SS].dpl = (u8)cpl;
	fake.segments[SEG_CS].dpl = (u8)cpl;
}

void expect_fault(const struct guest_fault *fault, u8 vector, u32 error_code, u64 address)
{
	assert_int_equal(fault->vector, vector);
	assert_int_equal(fault->error_code, error_code);
	if (vector == X86_PF)
		assert_int_equal(fault->address, address);
}

u64 fake_random(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* --- memory --- */

bool guest_is_ram(const struct vm *vm, gpa_t gpa, u64 size)
{
	return gpa < FAKE_RAM_SIZE && size <= FAKE_RAM_SIZE - gpa;
}

void *guest_ptr(const struct vm *vm, gpa_t gpa, u64 size)
{
	return guest_is_ram(vm, gpa, size) ? fake.ram + gpa : NULL;
}

void *guest_window(gpa_t gpa)
{
	assert_true(guest_is_ram(&fake.vm, gpa, INSN_MAX_LENGTH));
	return fake.ram + gpa;
}

int guest_read(const struct vm *vm, gpa_t gpa, void *to, u64 size)
{
	assert_true(size);
	if (!guest_is_ram(vm, gpa, size))
		return -EFAULT;
	memcpy(to, fake.ram + gpa, size);
	return 0;
}

int guest_write(const struct vm *vm, gpa_t gpa, const void *from, u64 size)
{
	assert_true(size);
	if (!guest_is_ram(vm, gpa, size))
		return -EFAULT;
	memcpy(fake.ram + gpa, from, size);
	return 0;
}

static bool is_power_of_two(unsigned size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static bool in_window(gpa_t gpa, unsigned size)
{
	return gpa >= FAKE_MMIO && gpa - FAKE_MMIO <= FAKE_MMIO_SIZE - size;
}

u64 mmio_read(struct vcpu *vcpu, gpa_t gpa, unsigned size)
{
	u64 value = ~0ull;

	assert_true(is_power_of_two(size));
	fake.mmio_reads++;
	fake.last_mmio_gpa = gpa;
	fake.last_mmio_size = size;
	if (fake.on_access)
		fake.on_access();
	if (in_window(gpa, size))
		memcpy(&value, fake.mmio + (gpa - FAKE_MMIO), size);
	return value;
}

void mmio_write(struct vcpu *vcpu, gpa_t gpa, unsigned size, u64 value)
{
	assert_true(is_power_of_two(size));
	assert_true(size == 8 || value >> (8 * size) == 0);
	fake.mmio_writes++;
	fake.last_mmio_gpa = gpa;
	fake.last_mmio_size = size;
	if (fake.on_access)
		fake.on_access();
	if (in_window(gpa, size))
		memcpy(fake.mmio + (gpa - FAKE_MMIO), &value, size);
}

/* --- ports --- */

u64 pio_read(struct vcpu *vcpu, u16 port, unsigned size)
{
	u64 value = 0;

	fake.port = port;
	fake.port_size = size;
	if (fake.on_access)
		fake.on_access();
	for (unsigned i = 0; i < size; i++)
		value |= (u64)fake.port_in++ << (8 * i);
	return value;
}

void pio_write(struct vcpu *vcpu, u16 port, unsigned size, u64 value)
{
	fake.port = port;
	fake.port_size = size;
	if (fake.on_access)
		fake.on_access();
	if (fake.port_writes < FAKE_PORT_LOG)
		fake.port_written[fake.port_writes] = (u32)value;
	fake.port_writes++;
}

void exit_io(struct vcpu *vcpu, u16 port, unsigned size, bool in)
{
	if (in)
		vcpu->regs[REG_RAX] = pio_read(vcpu, port, size);
	else
		pio_write(vcpu, port, size, vcpu->regs[REG_RAX]);
	fake.instructions_done++;
}

/* --- time --- */

u64 vtimer_now(void)
{
	return fake.now;
}

u64 vtimer_from_ns(u64 ns)
{
	return ns;
}

/* --- features --- */

bool cpuid_has(const struct vcpu *vcpu, enum guest_feature feature)
{
	return true;
}

u8 cpuid_physical_bits(const struct vcpu *vcpu)
{
	return fake.physical_bits;
}

/* --- breakpoints --- */

u64 read_breakpoint(unsigned n)
{
	return fake.breakpoints[n];
}

/* --- results --- */

static void raise(u8 vector, bool has_code, u32 error_code, u64 payload)
{
	fake.faulted = true;
	fake.vcpu.events.exception = (struct event){ .type = EVENT_EXCEPTION, .vector = vector };
	fake.vector = vector;
	fake.has_code = has_code;
	fake.error_code = error_code;
	fake.payload = payload;
}

void event_raise(struct vcpu *vcpu, u8 vector)
{
	raise(vector, false, 0, 0);
}

void event_raise_error(struct vcpu *vcpu, u8 vector, u32 error_code)
{
	raise(vector, true, error_code, 0);
}

void event_raise_page_fault(struct vcpu *vcpu, gva_t address, u32 error_code)
{
	raise(X86_PF, true, error_code, address);
}

void event_raise_debug(struct vcpu *vcpu, u64 dr6_bits)
{
	raise(X86_DB, false, 0, dr6_bits);
}

bool vm_once(struct vm *vm, enum once_kind kind, u64 index)
{
	return true;
}

const char *vm_name(const struct vm *vm)
{
	return "fake";
}

void log_line(enum log_level level, const char *subject, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fake.words, sizeof(fake.words), format, args);
	va_end(args);
}

void exit_unexpected(struct vcpu *vcpu, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(fake.words, sizeof(fake.words), format, args);
	va_end(args);
	fake.ended = true;
	fake.vm.state = VM_ENDED;
}

/* --- what vcpu_reset() needs: no test calls it here --- */

void msr_reset(struct vcpu *vcpu, bool init)
{
	fail_msg("the fake has no MSRs");
}

void startup_reset(struct vcpu *vcpu)
{
	fail_msg("the fake has one vCPU");
}
