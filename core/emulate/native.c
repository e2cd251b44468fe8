/* SPDX-License-Identifier: MIT */
/* Instructions that the processor executes on a copy of their memory operand. */
#include "core/emulate/native.h"

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/native.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/emulate/gwalk.h"
#include "core/emulate/native_rules.h"
#include "core/emulate/operand.h"
#include "core/emulate/saved_state.h"
#include "core/emulate/watch.h"
#include "core/exit.h"
#include "core/io.h"
#include "core/mem/guest_mem.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "lib/string.h"

#define STATUS_FLAGS 0x8d5ull
/* Larger operands are saved states. What of such a one is not RAM reads as all ones, and is lost when it is written. */
#define MOST_BYTES 64
/*
 * The operand memory holds, from its start, two arrays as large as the operand can be: what was there before, and
 * which bytes are to be written.
 */
#define LARGEST 2752U	/* the state of AVX-512 and PKRU in Intel's layout, whole units of 64 bytes */
_Static_assert(3 * LARGEST <= NATIVE_MEMORY, "operand and two arrays");

struct trial {
	struct vcpu *vcpu;
	struct insn insn;	/* with the displacement that the instruction means */
	const u8 *bytes;
	struct native_kind kind;
	enum insn_mode mode;
	struct native_code code;
	bool stores, loads;
	unsigned size;		/* of the operand; 0: not known */
	unsigned known;		/* bytes of a saved state that say how large it is, read from the guest: known_bytes() */
	enum state_kept kept;
	struct guest_span span;
	struct native_regs regs;
	struct fpu_state fpu;	/* before the instruction; image NULL: general registers only */
};

/* --- the vector registers --- */

static int save_vectors(struct trial *t)
{
	if (t->kind.class == NATIVE_INTEGER)
		return 0;
	t->fpu.image = pages_alloc(fpu_image_order());
	if (!t->fpu.image)
		return -ENOMEM;
	fpu_copy(&t->fpu);
	return 0;
}

static void restore_vectors(struct trial *t)
{
	if (t->fpu.image)
		fpu_put_back(&t->fpu);
}

static void forget_vectors(struct trial *t)
{
	if (t->fpu.image)
		pages_free(t->fpu.image, fpu_image_order());
}

/* --- one run --- */

static void load_registers(struct trial *t)
{
	for (unsigned i = 0; i < ARRAY_SIZE(t->regs.gpr); i++)
		t->regs.gpr[i] = vcpu_reg_read(t->vcpu, i);
	t->regs.rflags = vcpu_rflags(t->vcpu);
	if (t->code.stand_in != INSN_NO_REGISTER)
		t->regs.gpr[t->code.stand_in] = t->regs.gpr[REG_RSP];
}

static void store_registers(struct trial *t)
{
	u64 rflags = vcpu_rflags(t->vcpu), value;

	for (unsigned i = 0; i < ARRAY_SIZE(t->regs.gpr); i++) {
		unsigned reg = i == t->code.stand_in ? REG_RSP : i;

		value = t->regs.gpr[i];
		if (i != REG_RSP && !(t->kind.di && i == REG_RDI) && value != vcpu_reg_read(t->vcpu, reg))
			vcpu_reg_write(t->vcpu, reg, value);
	}
	if ((rflags ^ t->regs.rflags) & STATUS_FLAGS)
		vcpu_reg_write(t->vcpu, REG_RFLAGS, (rflags & ~STATUS_FLAGS) | (t->regs.rflags & STATUS_FLAGS));
}

/* Execute it with an operand of `size` bytes before the end of the operand memory. */
static int run(struct trial *t, unsigned size, struct native_fault *fault)
{
	u64 operand = (u64)native_memory_end() - size;

	load_registers(t);
	if (t->kind.di)
		t->regs.gpr[REG_RDI] = operand;
	native_aim(&t->code, &t->insn, &t->kind, native_code_address(), operand);
	return native_run(t->code.bytes, t->code.length, &t->regs, fault);
}

/* --- what the instruction's operand is --- */

/*
 * An EVEX displacement of one byte counts in units that depend on the opcode: an access behind the end of the operand
 * memory says in which.
 */
static bool scale_displacement(struct trial *t)
{
	struct native_regs regs = { .gpr[REG_RAX] = (u64)native_memory_end() };
	struct native_fault fault;
	struct native_code code;

	if (!t->insn.evex || t->insn.modrm_mod != 1)
		return true;
	native_rewrite_for_scale(&t->insn, t->bytes, &code);
	if (!native_run(code.bytes, code.length, &regs, &fault) || fault.vector != X86_PF)
		return false;
	t->insn.displacement *= (s64)(fault.address - (u64)native_memory_end());
	return true;
}

/* The operand, before the end of the operand memory. */
static u8 *operand_bytes(unsigned size)
{
	return native_memory_end() - size;
}

/* What was there before, and how a saved state begins. */
static u8 *known_bytes(void)
{
	return native_memory_end() - NATIVE_MEMORY;
}

/* A page fault behind the end: the operand is larger. So is one that is not aligned yet. */
static bool is_too_small(const struct trial *t, const struct native_fault *fault)
{
	return fault->vector == X86_PF || (fault->vector == X86_GP && !t->known);
}

static unsigned next_size(unsigned size)
{
	static const u8 sizes[] = { 1, 2, 4, 8, 10, 14, 16, 28, 32, 64, 94, 108 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (sizes[i] > size)
			return sizes[i];
	}
	return size < STATE_LEGACY_BYTES ? STATE_LEGACY_BYTES : size + STATE_HEADER_BYTES;
}

/* The smallest size with which it does not run into the unmapped page. 0: none. */
static unsigned try_sizes(struct trial *t, struct native_fault *fault)
{
	for (unsigned size = t->known ? t->known : 1; size <= LARGEST; size = next_size(size)) {
		/*
		 * What is not valid in the larger ones shall fault, as ones do. A small one is valid as zeros, or raises
		 * something else than what says "too small".
		 */
		memset(operand_bytes(size), size <= MOST_BYTES ? 0 : 0xff, size);
		memcpy(operand_bytes(size), known_bytes(), t->known);
		if (!run(t, size, fault))
			return size;
		if (!is_too_small(t, fault))
			return t->known ? 0 : size;
	}
	return 0;
}

/* The same. What it has done to the registers is undone: XRSTOR may have loaded some before it faulted. */
static unsigned find_size(struct trial *t, struct native_fault *fault)
{
	unsigned size = try_sizes(t, fault);

	restore_vectors(t);
	return size;
}

static int map(struct trial *t)
{
	u64 offset = operand_offset(t->vcpu, &t->insn, 0);
	u32 access = (t->stores ? PF_WRITE : 0) | gwalk_privilege(t->vcpu);
	struct guest_fault fault;
	gva_t gva;
	int error;

	error = gwalk_linear(t->vcpu, (enum vcpu_segment)t->insn.segment, offset, t->size, access, &gva, &fault);
	if (!error)
		error = gwalk_span(t->vcpu, gva, t->size, access, &t->span, &fault);
	if (error)
		guest_fault_raise(t->vcpu, &fault);
	else
		watch_memory(t->vcpu, gva, t->size, access);
	return error;
}

/* --- its content --- */

/* The largest access that `size` bytes at `gpa` begin with: a power of two, aligned. */
static unsigned piece(gpa_t gpa, unsigned size)
{
	unsigned bytes = 8;

	while (bytes > size || gpa & (bytes - 1))
		bytes /= 2;
	return bytes;
}

static void read_part(struct trial *t, gpa_t gpa, u8 *to, unsigned size)
{
	while (size) {
		unsigned bytes = piece(gpa, size);
		u64 value = ~0ull;

		if (guest_read(t->vcpu->vm, gpa, &value, bytes) && t->size <= MOST_BYTES)
			value = mmio_read(t->vcpu, gpa, bytes);
		memcpy(to, &value, bytes);
		gpa += bytes;
		to += bytes;
		size -= bytes;
	}
}

/* Write those bytes whose mask is not 0. */
static void write_part(struct trial *t, gpa_t gpa, const u8 *from, const u8 *mask, unsigned size)
{
	while (size) {
		unsigned bytes = piece(gpa, size), set = 0;
		u64 value = 0;

		for (unsigned i = 0; i < bytes; i++)
			set += !!mask[i];
		while (set && set < bytes) {	/* halve it until it is wholly written or not at all */
			bytes /= 2;
			set = 0;
			for (unsigned i = 0; i < bytes; i++)
				set += !!mask[i];
		}
		memcpy(&value, from, bytes);
		if (set && guest_write(t->vcpu->vm, gpa, &value, bytes) && t->size <= MOST_BYTES)
			mmio_write(t->vcpu, gpa, bytes, value);
		gpa += bytes;
		from += bytes;
		mask += bytes;
		size -= bytes;
	}
}

static void read_operand(struct trial *t, u8 *to)
{
	read_part(t, t->span.gpa[0], to, t->span.size[0]);
	read_part(t, t->span.gpa[1], to + t->span.size[0], t->span.size[1]);
}

/*
 * XRSTOR accesses as much as the header says; FXRSTOR's MXCSR may be invalid. So that is read first, and once. -EFAULT:
 * a fault was raised.
 */
static int read_header(struct trial *t)
{
	if (t->kind.class != NATIVE_STATE || t->kind.stores)
		return 0;
	t->size = t->insn.digit == 1 ? STATE_LEGACY_BYTES : STATE_HEADER + STATE_HEADER_BYTES;
	if (map(t))
		return -EFAULT;
	read_operand(t, known_bytes());
	t->known = t->size;
	return 0;
}

static void write_operand(struct trial *t, const u8 *mask)
{
	const u8 *operand = operand_bytes(t->size);

	write_part(t, t->span.gpa[0], operand, mask, t->span.size[0]);
	write_part(t, t->span.gpa[1], operand + t->span.size[0], mask + t->span.size[0], t->span.size[1]);
}

/* --- the instruction --- */

/*
 * SDM, "Interrupt 19": without CR4.OSXMMEXCPT a vector instruction's exception is #UD. So is an operand that is larger than
 * all that a guest's processor has.
 */
static void raise(struct vcpu *vcpu, const struct native_fault *fault)
{
	u8 vector = fault->vector;

	if (vector == X86_PF || (vector == X86_XM && !(vcpu->ops->control_get(vcpu, CTL_CR4) & CR4_OSXMMEXCPT)))
		vector = X86_UD;
	if (vector == X86_GP || vector == X86_SS || vector == X86_AC)
		event_raise_error(vcpu, vector, 0);
	else
		event_raise(vcpu, vector);
}

/* XSAVE and XSAVEOPT change bits of XSTATE_BV in memory. `zeros`: what has become of it where it was zero. */
static void merge_bitmap(struct trial *t, u64 zeros, u8 *mask)
{
	u8 *operand = operand_bytes(t->size);
	u64 ones, bitmap;

	memcpy(&ones, operand + STATE_HEADER, sizeof(ones));
	read_operand(t, known_bytes());
	memcpy(&bitmap, known_bytes() + STATE_HEADER, sizeof(bitmap));
	bitmap = saved_state_bitmap(t->kept, zeros, ones, bitmap);
	memcpy(operand + STATE_HEADER, &bitmap, sizeof(bitmap));
	memset(mask + STATE_HEADER, (zeros ^ ones) != ~0ull, sizeof(bitmap));
}

/*
 * Vector instructions may write a part of their operand only, as a mask says; saved states have gaps; and an x87
 * instruction with an unmasked exception may write nothing at all: SDM, "x87 FPU Exception Conditions". Those bytes are
 * written that are the same after two runs with different contents before them. Of all these only x87 instructions
 * change registers when they store.
 */
static int store_in_part(struct trial *t, u8 *mask, struct native_fault *fault)
{
	u8 *operand = operand_bytes(t->size), *first = mask;
	u64 bitmap = 0;

	memset(operand, 0, t->size);
	if (run(t, t->size, fault))
		return -EFAULT;
	memcpy(first, operand, t->size);
	if (t->kind.class == NATIVE_X87)
		restore_vectors(t);
	memset(operand, 0xff, t->size);
	if (run(t, t->size, fault))
		return -EFAULT;
	if (t->size > STATE_HEADER)
		memcpy(&bitmap, first + STATE_HEADER, sizeof(bitmap));
	for (unsigned i = 0; i < t->size; i++)
		mask[i] = first[i] == operand[i];
	if (t->size > STATE_HEADER)
		merge_bitmap(t, bitmap, mask);
	saved_state_spare(t->kept, mask, t->size);
	return 0;
}

static u16 selector(struct vcpu *vcpu, enum vcpu_segment number)
{
	struct segment segment;

	vcpu->ops->segment_get(vcpu, number, &segment);
	return segment.selector;
}

/*
 * SDM, "x87 FPU Instruction and Operand (Data) Pointers": an instruction that is no control instruction has left
 * its own address and selectors, Lamina's. Put the guest's there, of which this way of doing it can hold 32 bits.
 */
static void set_x87_pointers(struct trial *t)
{
	struct {
		u32 control, status, tag, ip, cs_opcode, dp, ds;
	} environment;
	bool control = (t->insn.opcode == 0xd9 && t->insn.digit >= 4) || (t->insn.opcode == 0xdd && t->insn.digit >= 4);

	if (t->kind.class != NATIVE_X87 || control)
		return;
	__asm__ volatile("fnstenv %0" : "=m"(environment));
	environment.cs_opcode = (environment.cs_opcode & ~0xffffu) | selector(t->vcpu, SEG_CS);
	environment.ds = (environment.ds & ~0xffffu) | selector(t->vcpu, (enum vcpu_segment)t->insn.segment);
	environment.ip = (u32)vcpu_reg_read(t->vcpu, REG_RIP);
	environment.dp = (u32)operand_offset(t->vcpu, &t->insn, 0);
	__asm__ volatile("fldenv %0" : : "m"(environment));
}

static bool any_byte(const u8 *mask, unsigned size)
{
	while (size && !mask[size - 1])
		size--;
	return size;
}

/* FXRSTOR and XRSTOR have loaded more registers than the guest's instruction loads. */
static void restore_kept(struct trial *t)
{
	u8 *registers = known_bytes();

	if (t->kept == STATE_KEEPS_NONE)
		return;
	saved_state_take(t->kept, t->fpu.image, registers);
	fpu_copy(&t->fpu);
	saved_state_put(t->kept, t->fpu.image, registers);
	restore_vectors(t);
}

/* -EFAULT: with *fault. -EAGAIN: it writes what was only read at the exit, so it is another instruction. */
static int load_or_change(struct trial *t, struct native_fault *fault)
{
	u8 *operand = operand_bytes(t->size), *before = known_bytes();

	if (t->loads)
		read_operand(t, operand);
	memcpy(operand, before, t->known);
	memcpy(before, operand, t->size);
	if (run(t, t->size, fault))
		return -EFAULT;
	if (!t->stores && memcmp(before, operand, t->size)) {
		restore_vectors(t);
		return -EAGAIN;
	}
	if (t->kind.class == NATIVE_STATE)
		restore_kept(t);
	return 0;
}

static int execute(struct trial *t, u8 *mask, struct native_fault *fault)
{
	if (t->stores && t->kind.class != NATIVE_INTEGER) {
		if (store_in_part(t, mask, fault))
			return -EFAULT;
		if (any_byte(mask, t->size) || t->kind.class != NATIVE_VECTOR)
			return 0;
		/* Nothing is written: because of its mask, or because it is a load, where there was a store at the exit. */
		restore_vectors(t);
		t->stores = false;
		t->loads = true;
	}
	memset(mask, 1, t->size);
	return load_or_change(t, fault);
}

/* Its size is known, registers and memory are as before. */
static int carry_out(struct trial *t)
{
	u8 *mask = known_bytes() + LARGEST;
	struct native_fault fault;
	int error;

	if (map(t))
		return -EFAULT;
	error = execute(t, mask, &fault);
	if (error == -EAGAIN)
		emulate_look_again(t->vcpu);
	else if (error)
		raise(t->vcpu, &fault);
	if (error)
		return error;
	set_x87_pointers(t);
	if (t->stores)
		write_operand(t, mask);
	store_registers(t);
	return 0;
}

static void attempt(struct trial *t)
{
	struct native_fault fault = { .vector = X86_UD };

	if (!scale_displacement(t)) {
		event_raise(t->vcpu, X86_UD);
		return;
	}
	native_rewrite(&t->insn, t->bytes, &t->kind, t->mode, &t->code);
	if (read_header(t))
		return;
	t->size = find_size(t, &fault);
	if (!t->size)
		raise(t->vcpu, &fault);
	else if (!carry_out(t))
		emulate_advance(t->vcpu, t->insn.length);
}

static enum state_kept kept_by(const struct trial *t)
{
	bool fxsave = t->kind.class == NATIVE_STATE && t->insn.digit < 2;

	if (t->kind.class != NATIVE_STATE)
		return STATE_KEEPS_NONE;
	if (t->mode != INSN_MODE_64)
		return STATE_KEEPS_HIGH;
	return fxsave && !gwalk_privilege(t->vcpu) && t->vcpu->ops->control_get(t->vcpu, CTL_EFER) & EFER_FFXSR ?
	       STATE_KEEPS_XMM : STATE_KEEPS_NONE;
}

/*
 * Does the guest's CR0 enable the instruction? The processor has seen to that for the one that exited, but with
 * Lamina's CR0 another one could reach the registers of a process that the guest has not switched yet. SDM, "Control
 * Registers": TS and EM; "Instruction Set Reference": AVX, XSAVE and XRSTOR ignore EM.
 */
static bool is_enabled(const struct trial *t)
{
	bool ignores_em = t->insn.vex || (t->kind.class == NATIVE_STATE && t->insn.digit >= 4);
	u64 bits = ignores_em ? CR0_TS : CR0_TS | CR0_EM;

	return t->kind.class == NATIVE_INTEGER || !(t->vcpu->ops->control_get(t->vcpu, CTL_CR0) & bits);
}

bool emulate_native(struct vcpu *vcpu, const struct insn *insn, const u8 *bytes, const struct tdp_fault *fault)
{
	struct trial t = {
		.vcpu = vcpu, .insn = *insn, .bytes = bytes, .kind = native_kind(insn, bytes), .mode = emulate_mode(vcpu),
	};

	if (t.kind.class == NATIVE_NONE)
		return false;
	/* Another CPU of the guest has changed the code: the processor raises what is to be raised. */
	if (!is_enabled(&t)) {
		emulate_look_again(vcpu);
		return true;
	}
	if (native_prepare() || save_vectors(&t)) {
		exit_unexpected(vcpu, "no memory is left to execute an instruction on memory of Lamina's");
		return true;
	}
	if (t.kind.di)
		t.insn.base = REG_RDI;
	t.stores = t.kind.class == NATIVE_VECTOR ? fault->access == TDP_WRITE : t.kind.stores;
	t.loads = t.kind.class == NATIVE_VECTOR ? !t.stores : t.kind.loads;
	t.kept = kept_by(&t);
	attempt(&t);
	forget_vectors(&t);
	return true;
}
