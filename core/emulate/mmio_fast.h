/* SPDX-License-Identifier: MIT */
/*
 * Fast path for nearly all MMIO: MOV, MOVZX and MOVSX between memory and a general register, or from an
 * immediate to memory, in 32-bit and 64-bit code. It needs no decoder tables and raises no fault.
 * core/emulate/mmio.c handles everything else, and can handle these too. Intel SDM, "Instruction Format",
 * "ModR/M and SIB Bytes".
 *
 * Each vCPU remembers some instructions with all that they were decoded from: mode, address, the entries of the
 * guest's page tables, the bytes. At each exit all of that is compared anew, so a guest may change any of it at
 * any time. Inlined into the entry stub's part, core/emulate/mmio_stub.h, and into core/emulate/mmio_fast.c for
 * all others.
 */
#pragma once

#include "core/emulate/code.h"
#include "core/observe/trace_record.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/bits.h"

#define NO_REG REG_COUNT

/* The operand's address is displacement + base + (index << scale). */
struct fast_mov {
	union {
		u32 what;		/* the members below, as a trace record has them */
		struct {
			u8 kind;	/* TRACE_MMIO */
			u8 size;	/* of the access: 1, 2, 4, 8 */
			bool write;
		};
	};
	u8 length;		/* 0: none */
	u8 access;		/* 0: it reads, 1: it writes; else it uses RBP or R12 to R15, which core/guest_regs.inc calls kept */
	bool plain;		/* the other operand is all of a register, its low half, or such an immediate */
	u8 reg;			/* NO_REG: the immediate is stored */
	u8 high;		/* 8: AH, CH, DH, BH */
	u8 result;		/* bytes of the register that a load changes: 1, 2, 4, 8 */
	bool sign;		/* MOVSX */
	u8 base, index;		/* NO_REG: none */
	u8 scale;
	u16 modes;		/* of the code: mmio_modes() */
	u32 displacement;	/* of RIP-relative operands the low half of the address itself */
	s32 immediate;
};

#define MMIO_USES_KEPT 2

/* An instruction is remembered in one of the places of a set, which its address chooses. */
#define MMIO_SETS_LOG2 2
#define MMIO_PLACES    4

struct mmio_memory {
	struct remembered {
		gva_t gva;		/* of the instruction */
		struct code_path path;
		u8 bytes[INSN_MAX_LENGTH + 1];
		struct fast_mov mov;	/* length 0: nothing is remembered here */
	} places[1 << MMIO_SETS_LOG2][MMIO_PLACES];
	u32 learnt;			/* instructions: the next one takes the place of the set whose turn it is */
};

_Static_assert(sizeof(struct remembered) == 128, "two cache lines");

/* Functions begin at multiples of 16: mix the address' bits. */
static inline struct remembered *mmio_set_of(const struct vcpu *vcpu, gva_t gva)
{
	return vcpu->mmio_memory->places[(u32)gva * 0x9e3779b1u >> (32 - MMIO_SETS_LOG2)];
}

/* Where it is remembered, perhaps in another mode or with other tables. NULL: nowhere. */
static inline struct remembered *mmio_place_of(const struct vcpu *vcpu, gva_t gva)
{
	struct remembered *place = mmio_set_of(vcpu, gva);

#pragma GCC unroll 4
	for (unsigned i = 0; i < MMIO_PLACES; i++)
		if (place[i].gva == gva)
			return &place[i];
	return NULL;
}

/* Two words that overlap cover INSN_MAX_LENGTH bytes. */
static inline bool mmio_same_bytes(const u8 *a, const u8 *b)
{
	u64 x[2], y[2];

	_Static_assert(INSN_MAX_LENGTH == 15, "two words, of which one byte is in both");
	__builtin_memcpy(&x[0], a, 8);
	__builtin_memcpy(&x[1], a + 7, 8);
	__builtin_memcpy(&y[0], b, 8);
	__builtin_memcpy(&y[1], b + 7, 8);
	return !((x[0] ^ y[0]) | (x[1] ^ y[1]));
}

static inline u16 mmio_modes(const struct code_view *view)
{
	return (u16)(view->mode | view->paging << 8);
}

/* The instruction at `rip`, which exited. NULL: it is not remembered, or something of it has changed. */
static __always_inline const struct fast_mov *mmio_recall(const struct vcpu *vcpu, const struct code_view *view, u64 rip)
{
	gva_t gva = code_address(view, rip);
	const struct remembered *place = likely(vcpu->mmio_memory) ? mmio_place_of(vcpu, gva) : NULL;

	return likely(place && place->mov.length && place->mov.modes == mmio_modes(view) &&
		      code_path_holds(vcpu->vm, view, gva, &place->path) &&
		      mmio_same_bytes(place->bytes, place->path.code)) ? &place->mov : NULL;
}

/*
 * Is this access to this address the instruction's? Only the low half of the operand's address is needed: the
 * offset in the page is compared with the address that the processor reports, and in 64-bit mode an
 * address-size prefix changes only the other half.
 */
static inline bool mmio_matches(const struct vcpu *vcpu, const struct fast_mov *mov, gpa_t gpa, bool write)
{
	unsigned offset = (unsigned)gpa & ~PAGE_MASK;
	u32 low = mov->displacement;

	if (likely(mov->base != NO_REG))
		low += (u32)vcpu->regs[mov->base];
	if (mov->index != NO_REG)
		low += (u32)vcpu->regs[mov->index] << mov->scale;
	return likely((low & ~PAGE_MASK) == offset && offset + mov->size <= PAGE_SIZE && mov->write == write);
}

/* Where MMIO may be: neither RAM nor above it. */
static inline bool mmio_is_possible(const struct vm *vm, gpa_t gpa)
{
	return likely(gpa >= vm->mem.low_size && gpa < GUEST_HIGH_RAM);
}

/* Of a part of a register, or a short immediate; to a part, or with its sign. */
u64 mmio_operand_part(const struct vcpu *vcpu, const struct fast_mov *mov);
void mmio_load_part(struct vcpu *vcpu, const struct fast_mov *mov, u64 value);

/* What is stored. */
static inline u64 mmio_operand(const struct vcpu *vcpu, const struct fast_mov *mov)
{
	u64 value;

	if (unlikely(!mov->plain))
		return mmio_operand_part(vcpu, mov);
	value = mov->reg == NO_REG ? (u64)(s64)mov->immediate : vcpu->regs[mov->reg];
	return likely(mov->size == 4) ? (u32)value : value;
}

/* `value`: no more than the access' bytes. */
static inline void mmio_load(struct vcpu *vcpu, const struct fast_mov *mov, u64 value)
{
	if (likely(mov->plain))
		vcpu->regs[mov->reg] = value;
	else
		mmio_load_part(vcpu, mov, value);
}
