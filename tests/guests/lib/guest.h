/* SPDX-License-Identifier: MIT */
/*
 * The library of the test guests: text on COM1, checks, traps that can be expected, and a
 * PC's ports, MSRs and interrupt controllers. A guest is one main(); when it returns, the
 * result is printed and written to the debug-exit port 0xf4 (0 = all checks passed).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned long ulong;	/* as wide as a register */

#define BIT(n)		(1ull << (n))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

int main(void);
#ifdef GUEST				/* the folder's name, given to its main.c */
const char guest_name[] = GUEST;
#else
extern const char guest_name[];
#endif

/* report.c: output and the verdict */
void print(const char *text);
void print_hex(u64 value);
void print_dec(u32 value);
bool check(bool ok, const char *name);				/* PASS or FAIL name */
bool check_eq(u64 got, u64 expected, const char *name);		/* FAIL prints both values */
bool check_range(u64 got, u64 low, u64 high, const char *name);
u32 failures(void);						/* of checks, so far */
void skip(const char *name, const char *why);
void debug_exit(u8 status) __attribute__((noreturn));
void verdict(void) __attribute__((noreturn));

/* start.c: boot protocol and command line */
extern u32 boot_magic, boot_info;
#define BOOT_MB1	0x2badb002u
#define BOOT_MB2	0x36d76289u
const char *boot_cmdline(void);
bool cmdline_number(const char *key, u32 *value);		/* "key=123" or "key=0x7b" */

/* trap.c: exceptions and interrupts */
struct regs {
#ifdef __x86_64__
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
#endif
	ulong di, si, bp, unused, bx, dx, cx, ax;
	ulong vector, error;
	ulong ip, cs, flags, sp, ss;	/* 32 bit: sp and ss only when coming from ring 3 */
};

struct trap {
	u32 vector;			/* NO_TRAP: none since the last TRY() */
	u32 error;
	ulong ip, cr2;
};

struct gate {
	u16 offset0, selector;
	u8 ist, type;			/* type: present, DPL, gate type */
	u16 offset16;
#ifdef __x86_64__
	u32 offset32, reserved;
#endif
} __attribute__((packed));

enum {
	DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, UD = 6, NM = 7, DF = 8, NP = 11, SS = 12, GP = 13,
	PF = 14, NO_TRAP = 256
};
enum { CODE32 = 0x08, DATA = 0x10, CODE64 = 0x18, USER_CODE32 = 0x2b, USER_DATA = 0x33,
	USER_CODE64 = 0x3b, TSS = 0x40, SPARE = 0x50 };

typedef void (*trap_handler)(struct regs *regs);
extern volatile struct trap trap;
extern ulong trap_resume;
extern struct gate idt[256];
extern u64 gdt[16];
extern u8 tss[128], stack_top[];
extern u64 pml4[512], pd[2048];		/* 64-bit guests only: 2 MiB pages up to 4 GiB */
void trap_init(void);
void trap_on(u32 vector, trap_handler handler);			/* NULL: unexpected again */
/*
 * The same for an external interrupt. One that comes while IF is clear is not handed to the handler, so that no
 * count of interrupts is wrong for it; a check at the end of the guest fails. With "twice=1" that is a SKIP: QEMU
 * delivers an interrupt twice at times, see DELIVERED_TWICE in tests/matrix.py.
 */
void interrupt_on(u32 vector, trap_handler handler);
void interrupts_verdict(void);
void gate_set(u32 vector, ulong entry, u16 selector, u8 type, u8 ist);

/*
 * TRY("insn", : outputs : inputs : clobbers) runs one instruction; if it traps, execution
 * continues after it. Yields the vector or NO_TRAP; the details are in `trap`.
 */
#ifdef __x86_64__
#define SET_LONG	"movq "
#else
#define SET_LONG	"movl "
#endif
#define TRY(insn, ...) ({						\
	trap.vector = NO_TRAP;						\
	asm volatile(SET_LONG "$99f, trap_resume\n\t"			\
		     insn "\n99:\t" SET_LONG "$0, trap_resume" __VA_ARGS__);	\
	trap.vector;							\
})

/* pc.c: the machine around the CPU */
void pic_init(u16 mask);		/* vectors 0x20-0x2f; a set bit masks the IRQ */
void pic_eoi(u8 irq);
void pit_periodic(u16 divisor);		/* channel 0, mode 2 */
void pit_oneshot(u16 count);		/* channel 0, mode 0 */
u64 tsc_per_ms(void);			/* measured once against PIT channel 2 */
/*
 * How long to wait for what must happen: only a fault takes so long. In QEMU the time of a guest is the build machine's,
 * which may give the CPU that is waited for no turn for seconds.
 */
#define EVENT_MS	60000
void delay_us(u32 us);
u32 pci_read(u32 bdf, u32 reg);
#define PIT_HZ		1193182u

#define PORT_IO(suffix, type)								\
static inline void out##suffix(u16 port, type v)					\
{											\
	asm volatile("out" #suffix " %0, %1" : : "a"(v), "Nd"(port));			\
}											\
static inline type in##suffix(u16 port)							\
{											\
	type v;										\
											\
	asm volatile("in" #suffix " %1, %0" : "=a"(v) : "Nd"(port));			\
	return v;									\
}
PORT_IO(b, u8)
PORT_IO(w, u16)
PORT_IO(l, u32)

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (u64)hi << 32 | lo;
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u32 try_rdmsr(u32 msr, u64 *v)
{
	u32 lo = 0, hi = 0;
	u32 vector = TRY("rdmsr", : "+a"(lo), "+d"(hi) : "c"(msr) : "memory");

	*v = (u64)hi << 32 | lo;
	return vector;
}

static inline u32 try_wrmsr(u32 msr, u64 v)
{
	return TRY("wrmsr", : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

struct cpuid {
	u32 a, b, c, d;
};

static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
		     : "a"(leaf), "c"(subleaf));
	return r;
}

/*
 * Some checks depend on what runs the guest. QEMU's TCG announces itself as a hypervisor but is the
 * bare machine here; what it does not implement is skipped there by name. A real hypervisor gets
 * no such skips, and must also do more than bare machines do (raise #GP for each unknown MSR, for one).
 */
static inline bool qemu_tcg(void)
{
	struct cpuid r = cpuid(0x40000000, 0);

	return (cpuid(1, 0).c & BIT(31)) && r.b == 0x54474354 && r.c == 0x43544743;
}

static inline bool hypervisor_present(void)
{
	return (cpuid(1, 0).c & BIT(31)) && !qemu_tcg();
}

static inline bool vendor_amd(void) { return cpuid(0, 0).c == 0x444d4163; }

static inline void cli(void) { asm volatile("cli" : : : "memory"); }
static inline void sti(void) { asm volatile("sti" : : : "memory"); }
static inline void pause(void) { asm volatile("pause" : : : "memory"); }
/* Sleeps until one interrupt has been served; IF is off before and after. */
static inline void wait_irq(void) { asm volatile("sti; hlt; cli" : : : "memory"); }

#define READ_CR(n) ({ ulong v_; asm volatile("mov %%cr" #n ", %0" : "=r"(v_) : : "memory"); v_; })
#define WRITE_CR(n, v) asm volatile("mov %0, %%cr" #n : : "r"((ulong)(v)) : "memory")

#define LAPIC		0xfee00000ul
#define IOAPIC		0xfec00000ul
static inline u32 mmio_read(ulong a) { return *(volatile u32 *)a; }
static inline void mmio_write(ulong a, u32 v) { *(volatile u32 *)a = v; }
static inline u32 lapic_read(u32 reg) { return mmio_read(LAPIC + reg); }
static inline void lapic_write(u32 reg, u32 v) { mmio_write(LAPIC + reg, v); }

static inline u32 ioapic_read(u32 reg)
{
	mmio_write(IOAPIC, reg);
	return mmio_read(IOAPIC + 0x10);
}

static inline void ioapic_write(u32 reg, u32 v)
{
	mmio_write(IOAPIC, reg);
	mmio_write(IOAPIC + 0x10, v);
}
