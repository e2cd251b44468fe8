/* SPDX-License-Identifier: MIT */
/*
 * The emulator compared with this machine's processor: random instructions run on both, natively on a
 * buffer at the address of the emulator's device memory; all registers, flags and memory must be equal.
 * Then random bytes, under the sanitizers.
 */
/* link: core/emulate/watch.c */
/* link: core/emulate/native.c core/emulate/native_rules.c core/emulate/saved_state.c core/emulate/by_hand.c */
/* link: arch/fault/native_run.asm */
/* link: tests/unit/fake_native.c */
/* link: core/emulate/emulate.c core/emulate/mmio.c core/emulate/string.c core/emulate/alu.c */
/* link: core/emulate/operand.c core/emulate/gwalk.c core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c lib/insn.c */
/* link: lib/insn_tables.c tests/unit/fake_vcpu.c */
#include "fake_native.h"
#include "fake_vcpu.h"

#include <string.h>
#include <sys/mman.h>

#include "core/emulate/emulate.h"

#define ROUNDS	    4000	/* of each form */
#define NATIVE_ROUNDS 300	/* which take many signals each */
#define FUZZ_ROUNDS 100000

#define STATUS_FLAGS (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* --- running an instruction natively --- */

/* Fixed addresses below 2 GiB, which the thunk can access without a register. */
#define CODE  0x100000
#define STATE 0x101000
#define XSTR(x) STR(x)
#define STR(x)	#x

struct native_state {
	u64 regs[16];	/* in and out, in the encoding's order */
	u64 rflags;
	u64 host_rsp;
};

/*
 * Input and output: STATE. The instruction is written over the NOPs before each run; nothing uses the
 * stack while RSP has the instruction's value.
 */
__asm__(
	".pushsection .text\n"
	".set state, " XSTR(STATE) "\n"
	"thunk:\n"
	"push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"mov %rsp, state + 17 * 8\n"
	"pushq state + 16 * 8\n popfq\n"
	"mov state + 0 * 8, %rax\n mov state + 1 * 8, %rcx\n mov state + 2 * 8, %rdx\n"
	"mov state + 3 * 8, %rbx\n mov state + 4 * 8, %rsp\n mov state + 5 * 8, %rbp\n"
	"mov state + 6 * 8, %rsi\n mov state + 7 * 8, %rdi\n mov state + 8 * 8, %r8\n"
	"mov state + 9 * 8, %r9\n mov state + 10 * 8, %r10\n mov state + 11 * 8, %r11\n"
	"mov state + 12 * 8, %r12\n mov state + 13 * 8, %r13\n mov state + 14 * 8, %r14\n"
	"mov state + 15 * 8, %r15\n"
	"thunk_instruction:\n"
	".fill 15, 1, 0x90\n"
	"mov %rax, state + 0 * 8\n mov %rcx, state + 1 * 8\n mov %rdx, state + 2 * 8\n"
	"mov %rbx, state + 3 * 8\n mov %rsp, state + 4 * 8\n mov %rbp, state + 5 * 8\n"
	"mov %rsi, state + 6 * 8\n mov %rdi, state + 7 * 8\n mov %r8, state + 8 * 8\n"
	"mov %r9, state + 9 * 8\n mov %r10, state + 10 * 8\n mov %r11, state + 11 * 8\n"
	"mov %r12, state + 12 * 8\n mov %r13, state + 13 * 8\n mov %r14, state + 14 * 8\n"
	"mov %r15, state + 15 * 8\n"
	"mov state + 17 * 8, %rsp\n"
	"pushfq\n popq state + 16 * 8\n"
	"cld\n"
	"pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
	"ret\n"
	"thunk_end:\n"
	".popsection\n");

extern const u8 thunk[], thunk_instruction[], thunk_end[];

static u8 *native_memory;
static struct native_state *native;

static u64 instruction_address(void)
{
	return CODE + (u64)(thunk_instruction - thunk);
}

static void *map_at(u64 address, size_t size, int protection)
{
	void *memory = mmap((void *)address, size, protection,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	assert_ptr_equal(memory, (void *)address);
	return memory;
}

/* --- x87 and vector registers: both runs begin with the same --- */

#define VECTORS 832	/* bytes of XSAVE's standard format with AVX */

static u8 initial[VECTORS] __attribute__((aligned(64))), after_native[VECTORS] __attribute__((aligned(64)));

/* The x87's pointers are the emulator's own business: the native run is at another address. */
static bool vectors_equal(void)
{
	for (unsigned i = 0; i < 416; i++) {
		bool pointer = i >= 6 && i < 24, unused = i >= 28 && i < 32;
		bool above_x87 = i >= 32 && i < 160 && (i & 15) >= 10;

		if (!pointer && !unused && !above_x87 && after_native[i] != fake_vectors[i])
			return false;
	}
	return !memcmp(after_native + 576, fake_vectors + 576, VECTORS - 576);
}

static void run_natively(const u8 *bytes, unsigned length)
{
	u8 *at = (u8 *)instruction_address();
	u32 mxcsr = 0x1f80;

	memset(at, 0x90, INSN_MAX_LENGTH);
	memcpy(at, bytes, length);
	memcpy(after_native, initial, VECTORS);
	__asm__ volatile("fninit; xrstor64 (%0)" : : "r"(after_native), "a"(7), "d"(0) : "memory");
	((void (*)(void))CODE)();
	__asm__ volatile("xsave64 (%0); fninit; vzeroall; ldmxcsr %1"
			 : : "r"(after_native), "m"(mxcsr), "a"(7), "d"(0) : "memory");
}

/* --- the emulator's machine --- */

#define PML4 0x2000
#define PDPT 0x3000

/* 64-bit mode, the first 4 GiB mapped to themselves. */
static void enter_long_mode(void)
{
	fake_long_mode();
	fake.controls[CTL_CR3] = PML4;
	*(u64 *)(fake.ram + PML4) = PDPT | PTE_PRESENT | PTE_WRITE | PTE_USER;
	for (u64 i = 0; i < 4; i++)
		*(u64 *)(fake.ram + PDPT + 8 * i) =
			GIB(i) | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_LARGE;
}

static int setup(void **state)
{
	fake_machine_create();
	enter_long_mode();
	native_memory = map_at(FAKE_MMIO, FAKE_MMIO_SIZE, PROT_READ | PROT_WRITE);
	map_at(CODE, 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC);
	memcpy((void *)CODE, thunk, (size_t)(thunk_end - thunk));
	native = (void *)STATE;
	return 0;
}

static int teardown(void **state)
{
	munmap(native_memory, FAKE_MMIO_SIZE);
	munmap((void *)CODE, 0x2000);
	fake_machine_destroy();
	return 0;
}

/* --- making an instruction --- */

enum {
	LOCKABLE   = BIT(0),
	BIT_STRING = BIT(1),	/* the bit number in the register reaches beyond the operand */
	BYTE_FORM  = BIT(2),	/* the opcode's width bit is clear */
	NO_16	   = BIT(3),
	IMMEDIATE_8 = BIT(4), IMMEDIATE_Z = BIT(5),
	STRING	   = BIT(6),
	MOFFS	   = BIT(7),
	ACCUMULATOR = BIT(8),	/* make a comparison with rAX likely to be equal */
	VECTOR	   = BIT(9),	/* with `prefix` before the opcode; no 66 that selects a size */
	VEX	   = BIT(10),	/* the opcode's first byte is the map, the second W, vvvv, L and pp */
	ALIGNED	   = BIT(11),	/* to 32 bytes */
};

struct form {
	const char *name;
	u8 opcode[3], opcode_length;
	s8 digit;		/* -1: a register */
	u16 flags;
	u8 prefix;
};

#define ALU(name, n)									\
	{ name " m8, r8", { (n) }, 1, -1, LOCKABLE | BYTE_FORM },			\
	{ name " m, r", { (n) + 1 }, 1, -1, LOCKABLE },					\
	{ name " r8, m8", { (n) + 2 }, 1, -1, BYTE_FORM },				\
	{ name " r, m", { (n) + 3 }, 1, -1, 0 },					\
	{ name " m8, imm8", { 0x80 }, 1, (n) >> 3, LOCKABLE | BYTE_FORM | IMMEDIATE_8 },	\
	{ name " m, imm", { 0x81 }, 1, (n) >> 3, LOCKABLE | IMMEDIATE_Z },		\
	{ name " m, imm8", { 0x83 }, 1, (n) >> 3, LOCKABLE | IMMEDIATE_8 }
#define COMPARE(name, n)								\
	{ name " m8, r8", { (n) }, 1, -1, BYTE_FORM },					\
	{ name " m, r", { (n) + 1 }, 1, -1, 0 },					\
	{ name " r8, m8", { (n) + 2 }, 1, -1, BYTE_FORM },				\
	{ name " r, m", { (n) + 3 }, 1, -1, 0 },					\
	{ name " m8, imm8", { 0x80 }, 1, (n) >> 3, BYTE_FORM | IMMEDIATE_8 },		\
	{ name " m, imm", { 0x81 }, 1, (n) >> 3, IMMEDIATE_Z },				\
	{ name " m, imm8", { 0x83 }, 1, (n) >> 3, IMMEDIATE_8 }
#define BIT_TEST(name, n, digit, flags)							\
	{ name " m, r", { 0x0f, (n) }, 2, -1, (flags) | BIT_STRING },			\
	{ name " m, imm8", { 0x0f, 0xba }, 2, (digit), (flags) | IMMEDIATE_8 }
#define STRINGS(name, n)								\
	{ name "b", { (n) }, 1, -1, BYTE_FORM | STRING },				\
	{ name, { (n) + 1 }, 1, -1, STRING }

static const struct form forms[] = {
	ALU("ADD", 0x00), ALU("OR", 0x08), ALU("ADC", 0x10), ALU("SBB", 0x18),
	ALU("AND", 0x20), ALU("SUB", 0x28), ALU("XOR", 0x30), COMPARE("CMP", 0x38),
	{ "MOVSXD r, m", { 0x63 }, 1, -1, NO_16 },
	{ "TEST m8, r8", { 0x84 }, 1, -1, BYTE_FORM },
	{ "TEST m, r", { 0x85 }, 1, -1, 0 },
	{ "TEST m8, imm8", { 0xf6 }, 1, 0, BYTE_FORM | IMMEDIATE_8 },
	{ "TEST m, imm", { 0xf7 }, 1, 1, IMMEDIATE_Z },
	{ "XCHG m8, r8", { 0x86 }, 1, -1, LOCKABLE | BYTE_FORM },
	{ "XCHG m, r", { 0x87 }, 1, -1, LOCKABLE },
	{ "MOV m8, r8", { 0x88 }, 1, -1, BYTE_FORM },
	{ "MOV m, r", { 0x89 }, 1, -1, 0 },
	{ "MOV r8, m8", { 0x8a }, 1, -1, BYTE_FORM },
	{ "MOV r, m", { 0x8b }, 1, -1, 0 },
	{ "MOV AL, moffs", { 0xa0 }, 1, -1, BYTE_FORM | MOFFS },
	{ "MOV rAX, moffs", { 0xa1 }, 1, -1, MOFFS },
	{ "MOV moffs, AL", { 0xa2 }, 1, -1, BYTE_FORM | MOFFS },
	{ "MOV moffs, rAX", { 0xa3 }, 1, -1, MOFFS },
	{ "MOV m8, imm8", { 0xc6 }, 1, 0, BYTE_FORM | IMMEDIATE_8 },
	{ "MOV m, imm", { 0xc7 }, 1, 0, IMMEDIATE_Z },
	{ "NOT m8", { 0xf6 }, 1, 2, LOCKABLE | BYTE_FORM },
	{ "NOT m", { 0xf7 }, 1, 2, LOCKABLE },
	{ "NEG m8", { 0xf6 }, 1, 3, LOCKABLE | BYTE_FORM },
	{ "NEG m", { 0xf7 }, 1, 3, LOCKABLE },
	{ "INC m8", { 0xfe }, 1, 0, LOCKABLE | BYTE_FORM },
	{ "INC m", { 0xff }, 1, 0, LOCKABLE },
	{ "DEC m8", { 0xfe }, 1, 1, LOCKABLE | BYTE_FORM },
	{ "DEC m", { 0xff }, 1, 1, LOCKABLE },
	BIT_TEST("BT", 0xa3, 4, 0), BIT_TEST("BTS", 0xab, 5, LOCKABLE),
	BIT_TEST("BTR", 0xb3, 6, LOCKABLE), BIT_TEST("BTC", 0xbb, 7, LOCKABLE),
	{ "CMPXCHG m8, r8", { 0x0f, 0xb0 }, 2, -1, LOCKABLE | BYTE_FORM | ACCUMULATOR },
	{ "CMPXCHG m, r", { 0x0f, 0xb1 }, 2, -1, LOCKABLE | ACCUMULATOR },
	{ "MOVZX r, m8", { 0x0f, 0xb6 }, 2, -1, 0 },
	{ "MOVZX r, m16", { 0x0f, 0xb7 }, 2, -1, 0 },
	{ "MOVSX r, m8", { 0x0f, 0xbe }, 2, -1, 0 },
	{ "MOVSX r, m16", { 0x0f, 0xbf }, 2, -1, 0 },
	{ "XADD m8, r8", { 0x0f, 0xc0 }, 2, -1, LOCKABLE | BYTE_FORM },
	{ "XADD m, r", { 0x0f, 0xc1 }, 2, -1, LOCKABLE },
	{ "MOVNTI m, r", { 0x0f, 0xc3 }, 2, -1, NO_16 },
	{ "MOVBE r, m", { 0x0f, 0x38, 0xf0 }, 3, -1, 0 },
	{ "MOVBE m, r", { 0x0f, 0x38, 0xf1 }, 3, -1, 0 },
	STRINGS("MOVS", 0xa4), STRINGS("CMPS", 0xa6), STRINGS("STOS", 0xaa),
	STRINGS("LODS", 0xac), STRINGS("SCAS", 0xae),
};

/* Those that the emulator has the processor execute: core/emulate/native_rules.c. */
static const struct form native_forms[] = {
	{ "IMUL r, m", { 0x0f, 0xaf }, 2, -1, 0 },
	{ "IMUL r, m, imm8", { 0x6b }, 1, -1, IMMEDIATE_8 },
	{ "IMUL r, m, imm", { 0x69 }, 1, -1, IMMEDIATE_Z },
	{ "MUL m8", { 0xf6 }, 1, 4, BYTE_FORM }, { "MUL m", { 0xf7 }, 1, 4, 0 },
	{ "IMUL m8", { 0xf6 }, 1, 5, BYTE_FORM }, { "IMUL m", { 0xf7 }, 1, 5, 0 },
	{ "ROL m8, 1", { 0xd0 }, 1, 0, BYTE_FORM }, { "RCR m, 1", { 0xd1 }, 1, 3, 0 },
	{ "SHL m8, imm8", { 0xc0 }, 1, 4, BYTE_FORM | IMMEDIATE_8 }, { "SAR m, imm8", { 0xc1 }, 1, 7, IMMEDIATE_8 },
	{ "RCL m8, CL", { 0xd2 }, 1, 2, BYTE_FORM }, { "SHR m, CL", { 0xd3 }, 1, 5, 0 },
	{ "SHLD m, r, imm8", { 0x0f, 0xa4 }, 2, -1, IMMEDIATE_8 | NO_16 },
	{ "SHRD m, r, CL", { 0x0f, 0xad }, 2, -1, NO_16 },
	{ "CMOVB r, m", { 0x0f, 0x42 }, 2, -1, 0 }, { "CMOVG r, m", { 0x0f, 0x4f }, 2, -1, 0 },
	{ "SETNZ m8", { 0x0f, 0x95 }, 2, -1, BYTE_FORM }, { "SETL m8", { 0x0f, 0x9c }, 2, -1, BYTE_FORM },
	{ "BSF r, m", { 0x0f, 0xbc }, 2, -1, 0 }, { "BSR r, m", { 0x0f, 0xbd }, 2, -1, 0 },
	{ "POPCNT r, m", { 0x0f, 0xb8 }, 2, -1, VECTOR, 0xf3 }, { "TZCNT r, m", { 0x0f, 0xbc }, 2, -1, VECTOR, 0xf3 },
	{ "CRC32 r, m8", { 0x0f, 0x38, 0xf0 }, 3, -1, VECTOR, 0xf2 },
	{ "CRC32 r, m", { 0x0f, 0x38, 0xf1 }, 3, -1, VECTOR, 0xf2 },
	{ "ADCX r, m", { 0x0f, 0x38, 0xf6 }, 3, -1, VECTOR, 0x66 },
	{ "ADOX r, m", { 0x0f, 0x38, 0xf6 }, 3, -1, VECTOR, 0xf3 },
	{ "CMPXCHG8B", { 0x0f, 0xc7 }, 2, 1, ALIGNED | NO_16 | LOCKABLE },
	{ "MOVAPS xmm, m", { 0x0f, 0x28 }, 2, -1, VECTOR | ALIGNED },
	{ "MOVAPS m, xmm", { 0x0f, 0x29 }, 2, -1, VECTOR | ALIGNED },
	{ "MOVDQU xmm, m", { 0x0f, 0x6f }, 2, -1, VECTOR, 0xf3 },
	{ "MOVDQU m, xmm", { 0x0f, 0x7f }, 2, -1, VECTOR, 0xf3 },
	{ "MOVNTDQ m, xmm", { 0x0f, 0xe7 }, 2, -1, VECTOR | ALIGNED, 0x66 },
	{ "MOVD xmm, m", { 0x0f, 0x6e }, 2, -1, VECTOR, 0x66 },
	{ "MOVD m, xmm", { 0x0f, 0x7e }, 2, -1, VECTOR, 0x66 },
	{ "MOVQ xmm, m", { 0x0f, 0x7e }, 2, -1, VECTOR, 0xf3 },
	{ "MOVQ m, xmm", { 0x0f, 0xd6 }, 2, -1, VECTOR, 0x66 },
	{ "MOVQ mm, m", { 0x0f, 0x6f }, 2, -1, VECTOR }, { "MOVQ m, mm", { 0x0f, 0x7f }, 2, -1, VECTOR },
	{ "MOVSS xmm, m", { 0x0f, 0x10 }, 2, -1, VECTOR, 0xf3 },
	{ "MOVSD m, xmm", { 0x0f, 0x11 }, 2, -1, VECTOR, 0xf2 },
	{ "MOVHPS xmm, m", { 0x0f, 0x16 }, 2, -1, VECTOR }, { "MOVLPD m, xmm", { 0x0f, 0x13 }, 2, -1, VECTOR, 0x66 },
	{ "ADDPS xmm, m", { 0x0f, 0x58 }, 2, -1, VECTOR | ALIGNED },
	{ "MULSD xmm, m", { 0x0f, 0x59 }, 2, -1, VECTOR, 0xf2 },
	{ "CVTSI2SD xmm, m", { 0x0f, 0x2a }, 2, -1, VECTOR, 0xf2 },
	{ "CVTTSD2SI r, m", { 0x0f, 0x2c }, 2, -1, VECTOR, 0xf2 },
	{ "COMISD xmm, m", { 0x0f, 0x2f }, 2, -1, VECTOR, 0x66 },
	{ "PADDB xmm, m", { 0x0f, 0xfc }, 2, -1, VECTOR | ALIGNED, 0x66 },
	{ "PINSRW xmm, m, imm8", { 0x0f, 0xc4 }, 2, -1, VECTOR | IMMEDIATE_8, 0x66 },
	{ "SHUFPS xmm, m, imm8", { 0x0f, 0xc6 }, 2, -1, VECTOR | ALIGNED | IMMEDIATE_8 },
	{ "PSHUFB xmm, m", { 0x0f, 0x38, 0x00 }, 3, -1, VECTOR | ALIGNED, 0x66 },
	{ "PMOVZXBW xmm, m", { 0x0f, 0x38, 0x30 }, 3, -1, VECTOR, 0x66 },
	{ "PEXTRB m, xmm, imm8", { 0x0f, 0x3a, 0x14 }, 3, -1, VECTOR | IMMEDIATE_8, 0x66 },
	{ "PCMPISTRI xmm, m, imm8", { 0x0f, 0x3a, 0x63 }, 3, -1, VECTOR | IMMEDIATE_8, 0x66 },
	{ "STMXCSR m", { 0x0f, 0xae }, 2, 3, VECTOR },
	{ "FLD m32", { 0xd9 }, 1, 0, NO_16 },
	{ "FLD m64", { 0xdd }, 1, 0, NO_16 },
	{ "FILD m32", { 0xdb }, 1, 0, NO_16 },
	{ "FADD m64", { 0xdc }, 1, 0, NO_16 },
	{ "FICOM m16", { 0xde }, 1, 2, NO_16 },
	{ "FILD m64", { 0xdf }, 1, 5, NO_16 },
	{ "FLD m80", { 0xdb }, 1, 5, NO_16 },
	{ "FSTP m80", { 0xdb }, 1, 7, NO_16 },
	{ "FSTP m64", { 0xdd }, 1, 3, NO_16 },
	{ "FIST m16", { 0xdf }, 1, 2, NO_16 },
	{ "FBSTP m80", { 0xdf }, 1, 6, NO_16 },
	{ "FISTTP m32", { 0xdb }, 1, 1, NO_16 },
	{ "FNSTCW m", { 0xd9 }, 1, 7, NO_16 }, { "FNSTSW m", { 0xdd }, 1, 7, NO_16 },
	{ "VMOVUPS ymm, m", { 1, 0x7c, 0x10 }, 3, -1, VECTOR | VEX },
	{ "VMOVUPS m, ymm", { 1, 0x7c, 0x11 }, 3, -1, VECTOR | VEX },
	{ "VMOVDQA m, xmm", { 1, 0x79, 0x7f }, 3, -1, VECTOR | VEX | ALIGNED },
	{ "VADDPD ymm, ymm, m", { 1, 0x35, 0x58 }, 3, -1, VECTOR | VEX },
	{ "VMULSS xmm, xmm, m", { 1, 0x62, 0x59 }, 3, -1, VECTOR | VEX },
	{ "VBROADCASTSS ymm, m", { 2, 0x7d, 0x18 }, 3, -1, VECTOR | VEX },
	{ "VPBROADCASTB ymm, m", { 2, 0x7d, 0x78 }, 3, -1, VECTOR | VEX },
	{ "VFMADD231PS ymm, ymm, m", { 2, 0x2d, 0xb8 }, 3, -1, VECTOR | VEX },
	{ "VMASKMOVPS m, ymm, ymm", { 2, 0x2d, 0x2e }, 3, -1, VECTOR | VEX },
	{ "VPMASKMOVQ ymm, ymm, m", { 2, 0xad, 0x8c }, 3, -1, VECTOR | VEX },
	{ "VEXTRACTI128 m, ymm, imm8", { 3, 0x7d, 0x39 }, 3, -1, VECTOR | VEX | IMMEDIATE_8 },
	{ "VCVTPS2PH m, ymm, imm8", { 3, 0x7d, 0x1d }, 3, -1, VECTOR | VEX | IMMEDIATE_8 },
	{ "ANDN r, r, m", { 2, 0x18, 0xf2 }, 3, -1, VECTOR | VEX },
	{ "ANDN r, RSP, m", { 2, 0x58, 0xf2 }, 3, -1, VECTOR | VEX },
	{ "BLSR r, m", { 2, 0xe0, 0xf3 }, 3, 1, VECTOR | VEX },
	{ "BZHI r, m, RSP", { 2, 0x58, 0xf5 }, 3, -1, VECTOR | VEX },
	{ "MULX r, r, m", { 2, 0xb3, 0xf6 }, 3, -1, VECTOR | VEX },
	{ "SARX r, m, r", { 2, 0x22, 0xf7 }, 3, -1, VECTOR | VEX },
	{ "PDEP r, RSP, m", { 2, 0xdb, 0xf5 }, 3, -1, VECTOR | VEX },
	{ "RORX r, m, imm8", { 3, 0x7b, 0xf0 }, 3, -1, VECTOR | VEX | IMMEDIATE_8 },
};

struct trial {
	u64 seed;
	const struct form *form;
	u8 bytes[24];
	unsigned length, size;		/* of the instruction, of the operand */
	bool narrow_address;
	u64 regs[16], rflags;
	u64 address;			/* of the operand */
};

static u64 random_below(struct trial *t, u64 bound)
{
	return fake_random(&t->seed) % bound;
}

static void put(struct trial *t, u64 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		t->bytes[t->length++] = (u8)(value >> (8 * i));
}

/* An address in the buffer, often just before the end of a page, with room for bit numbers and REP. */
static u64 random_target(struct trial *t)
{
	if (random_below(t, 4) == 0)
		return FAKE_MMIO + 0x4000 + PAGE_SIZE * random_below(t, 8) - random_below(t, 8);
	return FAKE_MMIO + 0x4000 + random_below(t, 0x8000);
}

/* Values at the limits of each size find more errors than random numbers. */
static u64 random_value(struct trial *t)
{
	static const u64 special[] = {
		0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
		0x7fffffffffffffffull, 0x8000000000000000ull, ~0ull,
	};

	if (random_below(t, 3) == 0)
		return special[random_below(t, ARRAY_SIZE(special))];
	return fake_random(&t->seed);
}

/* Set a register that is part of the address; with 32-bit addresses its upper half is garbage. */
static void set_address_reg(struct trial *t, unsigned reg, u64 value)
{
	t->regs[reg] = t->narrow_address ? (value & 0xffffffff) | random_value(t) << 32 : value;
}

static void put_prefixes(struct trial *t, u8 *rex)
{
	u16 flags = t->form->flags;
	bool lock = (flags & LOCKABLE) && random_below(t, 4) == 0;
	bool word = !(flags & (NO_16 | VECTOR)) && random_below(t, 3) == 0;

	t->narrow_address = random_below(t, 4) == 0;
	if (t->narrow_address)
		put(t, 0x67, 1);
	if (word)
		put(t, 0x66, 1);
	if (lock)
		put(t, 0xf0, 1);
	if ((flags & STRING) && random_below(t, 4))
		put(t, random_below(t, 2) ? 0xf3 : 0xf2, 1);
	if (t->form->prefix)
		put(t, t->form->prefix, 1);
	*rex = random_below(t, 2) ? 0x40 | (u8)random_below(t, 16) : 0;
	if (flags & VEX) {
		put(t, 0xc4, 1);
		put(t, (~(u32)*rex << 5 & 0xe0) | t->form->opcode[0], 1);
		put(t, t->form->opcode[1], 1);
	} else if (*rex) {
		put(t, *rex, 1);
	}
	t->size = flags & BYTE_FORM ? 1 : *rex & 8 ? 8 : word ? 2 : 4;
}

/* Encode the operand, and set its base register so that the address is t->address. */
static void put_operand(struct trial *t, u8 rex, unsigned immediate_size)
{
	unsigned reg = t->form->digit >= 0 ? (unsigned)t->form->digit : random_below(t, 8);
	unsigned mod = random_below(t, 3), rm = random_below(t, 8);
	unsigned base = rm | (rex & 1) << 3;
	s64 displacement = mod == 0 ? 0 : mod == 1 ? (s8)random_value(t) : (s32)random_value(t);
	u64 rest = t->address - (u64)displacement;

	put(t, mod << 6 | reg << 3 | rm, 1);
	if (rm == 4) {
		unsigned scale = random_below(t, 4), field = random_below(t, 8);
		unsigned low = random_below(t, 8);
		unsigned index = field | (rex & 2) << 2;
		u64 value = random_value(t);

		put(t, scale << 6 | field << 3 | low, 1);
		base = low | (rex & 1) << 3;
		if (mod == 0 && low == 5) {	/* no base: a displacement of 32 bits */
			if (index != 4) {
				set_address_reg(t, index, 16);
				rest -= 16 << scale;
			}
			put(t, rest, 4);
			return;
		}
		if (index == base && index != 4) {	/* one register twice, one value for both */
			unsigned factor = 1 + (1 << scale);

			displacement = (s32)(t->address % factor);
			t->bytes[t->length - 2] = (u8)(0x80 | reg << 3 | rm);
			put(t, (u64)displacement, 4);
			set_address_reg(t, base, t->address / factor);
			return;
		}
		if (index != 4) {
			t->regs[index] = value;
			rest -= value << scale;
		}
	} else if (mod == 0 && rm == 5) {	/* relative to the next instruction */
		u64 next = instruction_address() + t->length + 4 + immediate_size;

		put(t, t->address - next, 4);
		return;
	}
	set_address_reg(t, base, rest);
	put(t, (u64)displacement, mod == 0 ? 0 : mod == 1 ? 1 : 4);
}

/* Choose a bit number that stays within the buffer, and add to the address what it adds. */
static void aim_bit_string(struct trial *t, unsigned reg)
{
	s64 bit = (s64)random_below(t, 0x10000) - 0x8000;
	u64 mask = t->size == 8 ? ~0ull : (1ull << (8 * t->size)) - 1;

	t->regs[reg] = ((u64)bit & mask) | (random_value(t) & ~mask);
	t->address += (u64)((bit >> (t->size == 8 ? 6 : t->size == 4 ? 5 : 4)) * t->size);
}

static bool uses_register_for_address(const struct trial *t, const struct insn *insn, unsigned reg)
{
	return insn->base == reg || insn->index == reg;
}

static void make_string(struct trial *t)
{
	set_address_reg(t, REG_RSI, random_target(t));
	set_address_reg(t, REG_RDI, random_target(t));
	if (random_below(t, 3) == 0)
		t->regs[REG_RDI] = t->regs[REG_RSI];
	t->regs[REG_RCX] = random_below(t, 40);
	t->address = t->regs[REG_RDI] & 0xffffffff;
}

/* False: this combination cannot be tried. */
static bool make_trial(struct trial *t)
{
	const struct form *form = t->form;
	unsigned immediate_size;
	struct insn insn;
	u8 rex;

	t->length = 0;
	for (unsigned i = 0; i < 16; i++)
		t->regs[i] = random_value(t);
	t->rflags = RFLAGS_FIXED | RFLAGS_IF | (fake_random(&t->seed) & (STATUS_FLAGS | RFLAGS_DF));
	t->address = random_target(t);
	if (form->flags & ALIGNED)
		t->address &= ~31ull;
	if ((form->flags & (VECTOR | ALIGNED)) == VECTOR && random_below(t, 2))
		t->address |= 1;
	put_prefixes(t, &rex);
	immediate_size = form->flags & IMMEDIATE_8 ? 1 :
			 form->flags & IMMEDIATE_Z ? MIN(t->size, 4u) : 0;
	for (unsigned i = form->flags & VEX ? 2 : 0; i < form->opcode_length; i++)
		put(t, form->opcode[i], 1);
	if (form->flags & STRING)
		make_string(t);
	else if (form->flags & MOFFS)
		put(t, t->address, t->narrow_address ? 4 : 8);
	else
		put_operand(t, rex, immediate_size);
	put(t, random_value(t), immediate_size);

	if (t->length > INSN_MAX_LENGTH || insn_decode(t->bytes, t->length, INSN_MODE_64, &insn))
		return false;
	assert_int_equal(insn.length, t->length);
	if (form->flags & BIT_STRING) {
		if (uses_register_for_address(t, &insn, insn.modrm_reg))
			return false;
		aim_bit_string(t, insn.modrm_reg);
	}
	if ((form->flags & ACCUMULATOR) && random_below(t, 2) &&
	    !uses_register_for_address(t, &insn, REG_RAX))
		memcpy(&t->regs[REG_RAX], native_memory + (t->address - FAKE_MMIO), 8);
	return true;
}

/* --- both runs --- */

static void fill_memory(struct trial *t)
{
	bool few_values = t->form->flags & STRING;

	for (u64 i = 0; i < FAKE_MMIO_SIZE; i += 8) {
		u64 value = random_value(t);

		/* Long runs of equal values, so that comparisons repeat for some time. */
		if (few_values)
			value = random_below(t, 8) ? 0 : 1ull << random_below(t, 64);
		memcpy(native_memory + i, &value, 8);
	}
}

/* Which access the processor reports: for vector instructions it matters. Their names say if memory comes first. */
static enum tdp_access reported_access(const struct trial *t)
{
	const char *operand = strchr(t->form->name, ' ');

	if (!(t->form->flags & VECTOR))
		return t->seed & 1 ? TDP_WRITE : TDP_READ;
	return operand && operand[1] == 'm' && (operand[2] == ',' || !operand[2]) ? TDP_WRITE : TDP_READ;
}

static void emulate(const struct trial *t)
{
	const struct tdp_fault fault = {
		.gpa = t->address,
		.access = reported_access(t),
		.what = "test",
	};

	memcpy(fake.ram + instruction_address(), t->bytes, t->length);
	memcpy(fake.vcpu.regs, t->regs, sizeof(t->regs));
	vcpu_reg_write(&fake.vcpu, REG_RIP, instruction_address());
	vcpu_reg_write(&fake.vcpu, REG_RFLAGS, t->rflags);
	fake_forget();
	emulate_mmio(&fake.vcpu, &fault);
}

/* All exceptions masked, some x87 registers in use. */
static void vectors_fill(struct trial *t)
{
	u16 *control = (u16 *)initial;
	u32 mxcsr = 0x1f80;

	for (unsigned i = 32; i < VECTORS; i++)
		initial[i] = (u8)fake_random(&t->seed);
	memset(initial, 0, 32);
	memset(initial + 416, 0, 160);
	control[0] = 0x37f;
	control[2] = 0xf0;
	control[1] = 4 << 11;
	memcpy(initial + 24, &mxcsr, sizeof(mxcsr));
	initial[512] = 7;
}

static void describe(const struct trial *t)
{
	print_message("%s:", t->form->name);
	for (unsigned i = 0; i < t->length; i++)
		print_message(" %02x", t->bytes[i]);
	print_message(" operand at %#llx, flags %#llx\n", (unsigned long long)t->address,
		      (unsigned long long)t->rflags);
}

static void compare(const struct trial *t)
{
	const u64 flags = STATUS_FLAGS | RFLAGS_DF;
	bool same = vectors_equal() && !fake.ended && !fake.faulted && fake.instructions_done == 1;

	same = same && vcpu_reg_read(&fake.vcpu, REG_RIP) == instruction_address() + t->length;
	same = same && !((native->rflags ^ vcpu_rflags(&fake.vcpu)) & flags);
	for (unsigned i = 0; i < 16; i++)
		same = same && native->regs[i] == fake.vcpu.regs[i];
	same = same && !memcmp(native_memory, fake.mmio, FAKE_MMIO_SIZE);
	if (same)
		return;
	describe(t);
	print_message("%s\n", fake.ended ? fake.words : fake.faulted ? "a fault was raised" : "");
	for (unsigned i = 0; i < 16; i++)
		print_message("register %2u: %016llx, natively %016llx, emulated %016llx\n", i,
			      (unsigned long long)t->regs[i], (unsigned long long)native->regs[i],
			      (unsigned long long)fake.vcpu.regs[i]);
	fail_msg("flags natively %#llx, emulated %#llx", (unsigned long long)native->rflags,
		 (unsigned long long)vcpu_rflags(&fake.vcpu));
}

static void try_form(struct trial *t, const struct form *form, unsigned rounds)
{
	unsigned trials = 0;

	t->form = form;
	for (unsigned round = 0; round < rounds; round++) {
		if (round % 256 == 0) {
			fill_memory(t);
			memcpy(fake.mmio, native_memory, FAKE_MMIO_SIZE);
		}
		if (!make_trial(t))
			continue;
		if (round % 16 == 0)
			vectors_fill(t);
		memcpy(fake_vectors, initial, VECTORS);
		emulate(t);
		memcpy(native->regs, t->regs, sizeof(t->regs));
		native->rflags = t->rflags;
		run_natively(t->bytes, t->length);
		compare(t);
		trials++;
	}
	assert_true(trials > rounds / 2);
}

static void test_every_form(void **state)
{
	struct trial t = { .seed = 0x2545f4914f6cdd1dull };

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++)
		try_form(&t, &forms[i], ROUNDS);
}

static void test_every_native_form(void **state)
{
	struct trial t = { .seed = 0x9e3779b97f4a7c15ull };

	for (unsigned i = 0; i < ARRAY_SIZE(native_forms); i++)
		try_form(&t, &native_forms[i], NATIVE_ROUNDS);
}

/* --- garbage --- */

/* Whatever the bytes are, the instruction completes, faults, or ends the VM with a message. */
static void test_random_bytes(void **state)
{
	struct trial t = { .seed = 0x853c49e6748fea9bull, .form = &forms[0] };
	static void (*const modes[])(void) = { enter_long_mode, fake_real_mode };

	for (unsigned round = 0; round < FUZZ_ROUNDS; round++) {
		unsigned mode = round % 4;
		u64 at = 0x8000 + random_below(&t, 16);
		const struct tdp_fault fault = {
			.gpa = random_value(&t), .access = random_below(&t, 2),
		};
		const struct io_exit io = {
			.port = (u16)random_value(&t), .size = (u8)(1 << random_below(&t, 3)),
			.in = random_below(&t, 2),
		};

		if (mode < ARRAY_SIZE(modes))
			modes[mode]();
		else
			fake_protected_mode(mode & 1);
		for (unsigned i = 0; i < INSN_MAX_LENGTH; i++)
			fake.ram[at + i] = (u8)fake_random(&t.seed);
		if (random_below(&t, 2)) {	/* an opcode that is emulated */
			const struct form *form = &forms[random_below(&t, ARRAY_SIZE(forms))];

			memcpy(fake.ram + at + random_below(&t, 3), form->opcode,
			       form->opcode_length);
		}
		for (unsigned i = 0; i < 16; i++)
			fake.vcpu.regs[i] =
				random_below(&t, 2) ? random_target(&t) : random_value(&t);
		vcpu_reg_write(&fake.vcpu, REG_RIP, at);
		vcpu_reg_write(&fake.vcpu, REG_RFLAGS,
			       (fake_random(&t.seed) & 0x3d7fd7) | RFLAGS_FIXED);
		fake_forget();
		fake.vm.state = VM_RUNNING;
		if (round & 4)
			emulate_string_io(&fake.vcpu, &io);
		else
			emulate_mmio(&fake.vcpu, &fault);
		assert_true(fake.instructions_done + fake.faulted + fake.ended <= 1);
		assert_true(fake.mmio_reads + fake.mmio_writes <= 6 * 1024);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_form, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_native_form, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_bytes, setup, teardown),
	};

	return cmocka_run_group_tests_name("emulate (native)", tests, NULL, NULL);
}
