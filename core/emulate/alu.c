/* SPDX-License-Identifier: MIT */
/* Arithmetic of emulated instructions. Intel SDM, "Status Flags". */
#include "core/emulate/alu.h"

#include "arch/cpu/x86.h"
#include "core/emulate/operand.h"
#include "lib/bits.h"

#define IN_AH	  (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF | RFLAGS_CF)
#define ALL_FLAGS (IN_AH | RFLAGS_OF)

/* CF is the only flag that is an input. LAHF and SETO read all six status flags without the stack that PUSHF uses. */
#define EXECUTE(instruction)						\
	__asm__("btl $0, %k[flags]\n\t" instruction "\n\t"		\
		"lahf\n\t"						\
		"seto %%al"						\
		: "=&a"(ax), [a] "+q"(a)				\
		: [b] "q"(b), [flags] "r"(*flags)			\
		: "cc")

#define DEFINE_ALU(name, byte, word, dword, qword)			\
	static u64 alu_##name(unsigned size, u64 a, u64 b, u64 *flags)	\
	{								\
		u32 ax;							\
									\
		switch (size) {						\
		case 1:							\
			EXECUTE(byte);					\
			break;						\
		case 2:							\
			EXECUTE(word);					\
			break;						\
		case 4:							\
			EXECUTE(dword);					\
			break;						\
		default:						\
			EXECUTE(qword);					\
			break;						\
		}							\
		*flags = (ax >> 8 & IN_AH) | (ax & 1 ? RFLAGS_OF : 0);	\
		return a;						\
	}

#define DEFINE_BINARY(name)						\
	DEFINE_ALU(name, #name "b %b[b], %b[a]", #name "w %w[b], %w[a]", \
		   #name "l %k[b], %k[a]", #name "q %q[b], %q[a]")
#define DEFINE_UNARY(name)						\
	DEFINE_ALU(name, #name "b %b[a]", #name "w %w[a]", #name "l %k[a]", #name "q %q[a]")
#define DEFINE_BIT_TEST(name)						\
	DEFINE_ALU(name, "ud2", #name "w %w[b], %w[a]",			\
		   #name "l %k[b], %k[a]", #name "q %q[b], %q[a]")

DEFINE_BINARY(add)
DEFINE_BINARY(or)
DEFINE_BINARY(adc)
DEFINE_BINARY(sbb)
DEFINE_BINARY(and)
DEFINE_BINARY(sub)
DEFINE_BINARY(xor)
DEFINE_BINARY(cmp)
DEFINE_BINARY(test)
DEFINE_UNARY(inc)
DEFINE_UNARY(dec)
DEFINE_UNARY(not)
DEFINE_UNARY(neg)
DEFINE_BIT_TEST(bt)
DEFINE_BIT_TEST(bts)
DEFINE_BIT_TEST(btr)
DEFINE_BIT_TEST(btc)

static const struct {
	u64 (*execute)(unsigned size, u64 a, u64 b, u64 *flags);
	u64 flags;	/* those that it changes */
} operations[ALU_OPERATIONS] = {
	[ALU_ADD] = { alu_add, ALL_FLAGS },
	[ALU_OR] = { alu_or, ALL_FLAGS },
	[ALU_ADC] = { alu_adc, ALL_FLAGS },
	[ALU_SBB] = { alu_sbb, ALL_FLAGS },
	[ALU_AND] = { alu_and, ALL_FLAGS },
	[ALU_SUB] = { alu_sub, ALL_FLAGS },
	[ALU_XOR] = { alu_xor, ALL_FLAGS },
	[ALU_CMP] = { alu_cmp, ALL_FLAGS },
	[ALU_TEST] = { alu_test, ALL_FLAGS },
	[ALU_INC] = { alu_inc, ALL_FLAGS & ~RFLAGS_CF },
	[ALU_DEC] = { alu_dec, ALL_FLAGS & ~RFLAGS_CF },
	[ALU_NOT] = { alu_not, 0 },
	[ALU_NEG] = { alu_neg, ALL_FLAGS },
	[ALU_BT] = { alu_bt, RFLAGS_CF },
	[ALU_BTS] = { alu_bts, RFLAGS_CF },
	[ALU_BTR] = { alu_btr, RFLAGS_CF },
	[ALU_BTC] = { alu_btc, RFLAGS_CF },
};

u64 alu_execute(enum alu_operation operation, unsigned size, u64 a, u64 b, u64 *rflags)
{
	u64 flags = *rflags, changed = operations[operation].flags;

	a = operations[operation].execute(size, a, b, &flags);
	*rflags = (*rflags & ~changed) | (flags & changed);
	return a & size_mask(size);
}
