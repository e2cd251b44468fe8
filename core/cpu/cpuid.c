/* SPDX-License-Identifier: MIT */
/*
 * What CPUID shows to a guest. The policy is the table below: for each leaf, the bits that are passed
 * through from the host and the bits that Lamina sets. All other bits are zero.
 * Intel SDM, "CPUID"; AMD APM vol. 3, "Obtaining Processor Information Via the CPUID Instruction".
 */
#include "core/cpu/cpuid.h"

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "core/cpu/control.h"
#include "core/cpu/pvclock.h"
#include "core/irqchip.h"
#include "core/nested.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/string.h"

#define ALL (~0u)
#define B(n) BIT(n)

/* Leaf 1 */
#define L1_ECX_PASS (B(0) /* SSE3 */ | B(1) /* PCLMULQDQ */ | B(9) /* SSSE3 */ | B(12) /* FMA */ |	\
		     B(13) /* CMPXCHG16B */ | B(17) /* PCID */ | B(19) /* SSE4.1 */ | B(20) /* SSE4.2 */ |			\
		     B(22) /* MOVBE */ | B(23) /* POPCNT */ | B(25) /* AES */ | B(26) /* XSAVE */ |	\
		     B(28) /* AVX */ | B(29) /* F16C */ | B(30) /* RDRAND */)
#define L1_ECX_OWN  (B(21) /* x2APIC */ | B(24) /* TSC deadline */ | B(31) /* hypervisor present */)
#define L1_EDX_PASS (B(0) /* FPU */ | B(1) /* VME */ | B(2) /* DE */ | B(3) /* PSE */ | B(4) /* TSC */ | \
		     B(5) /* MSR */ | B(6) /* PAE */ | B(8) /* CMPXCHG8B */ | B(11) /* SYSENTER */ |	\
		     B(13) /* PGE */ | B(15) /* CMOV */ | B(16) /* PAT */ | B(17) /* PSE-36 */ |	\
		     B(19) /* CLFLUSH */ | B(23) /* MMX */ | B(24) /* FXSR */ | B(25) /* SSE */ |	\
		     B(26) /* SSE2 */ | B(27) /* self-snoop */)
#define L1_EDX_OWN  (B(7) /* MCE */ | B(9) /* APIC */ | B(12) /* MTRR */ | B(14) /* MCA */)

/* Leaf 7. Not offered: what needs state that Lamina does not keep (MPX, PKU, CET, PT, TSX). */
#define L7_EBX_PASS (B(0) /* FSGSBASE */ | B(3) /* BMI1 */ | B(5) /* AVX2 */ | B(7) /* SMEP */ |	\
		     B(8) /* BMI2 */ | B(9) /* ERMS */ | B(10) /* INVPCID */ | B(16) /* AVX512F */ | B(17) /* AVX512DQ */ |	\
		     B(18) /* RDSEED */ | B(19) /* ADX */ | B(20) /* SMAP */ | B(21) /* AVX512IFMA */ |	\
		     B(23) /* CLFLUSHOPT */ | B(24) /* CLWB */ | B(28) /* AVX512CD */ | B(29) /* SHA */ | \
		     B(30) /* AVX512BW */ | B(31) /* AVX512VL */)
#define L7_EBX_OWN  B(1) /* TSC_ADJUST */
#define L7_ECX_PASS (B(1) /* AVX512VBMI */ | B(2) /* UMIP */ | B(6) /* AVX512VBMI2 */ | B(8) /* GFNI */ | \
		     B(9) /* VAES */ | B(10) /* VPCLMULQDQ */ | B(11) /* AVX512VNNI */ |		\
		     B(12) /* AVX512BITALG */ | B(14) /* AVX512VPOPCNTDQ */)
#define L7_EDX_PASS (B(4) /* FSRM */ | B(10) /* MD_CLEAR */ | B(26) /* IBRS, IBPB */ | B(27) /* STIBP */ | \
		     B(28) /* L1D_FLUSH */ | B(29) /* ARCH_CAPABILITIES */ | B(31) /* SSBD */)
#define L7_2_EDX_PASS 0x3f	/* more bits of SPEC_CTRL, and MCDT_NO */
#define L7_EBX_AVX512 (B(16) | B(17) | B(21) | B(28) | B(30) | B(31))
#define L7_ECX_AVX    (B(9) | B(10))
#define L7_ECX_AVX512 (B(1) | B(6) | B(11) | B(12) | B(14))

/* Leaf 80000001h. Not offered: SVM, MWAITX, OSVW, topology extensions, performance counters. */
#define X1_ECX_PASS (B(0) /* LAHF */ | B(5) /* ABM */ | B(6) /* SSE4A */ | B(7) /* misaligned SSE */ |	\
		     B(8) /* PREFETCHW */ | B(11) /* XOP */ | B(16) /* FMA4 */ | B(21) /* TBM */)
#define X1_ECX_AVX  (B(11) | B(16))
#define X1_EDX_PASS (L1_EDX_PASS | B(20) /* NX */ | B(22) /* MMX extensions */ | B(25) /* FFXSR */ |	\
		     B(26) /* 1 GiB pages */ | B(27) /* RDTSCP */ | B(29) /* long mode */ |		\
		     B(30) /* 3DNow extensions */ | B(31) /* 3DNow */ | B(11) /* SYSCALL */)

/* Leaf 80000008h EBX: CLZERO, and of speculation control what AMD does otherwise than leaf 7. Not VIRT_SPEC_CTRL. */
#define X8_EBX_PASS (B(0) | B(12) /* IBPB */ | B(14) /* IBRS */ | B(15) /* STIBP */ | B(16) /* IBRS always on */ | \
		     B(17) /* STIBP always on */ | B(18) /* IBRS preferred */ | B(19) /* IBRS: same mode */ |	\
		     B(24) /* SSBD */ | B(26) /* SSB_NO */ | B(28) /* PSFD */ | B(29) /* BTC_NO */ |		\
		     B(30) /* IBPB clears return predictions */)
/* Leaf 80000021h EAX */
#define X21_EAX_PASS (B(2) /* LFENCE serializes */ | B(6) /* null selectors clear the base */ | B(27) /* SBPB */ | \
		      B(28) /* IBPB_BRTYPE */ | B(29) /* SRSO_NO */ | B(30) /* SRSO_USER_KERNEL_NO */)

struct leaf_policy {
	u32 leaf, subleaf;
	struct cpuid_regs pass;	/* bits of the host's value */
	struct cpuid_regs own;	/* bits that are always set */
};

/* Leaves that need more than a mask have functions of their own: see cpuid_create(). Processors: topology_leaves(). */
static const struct leaf_policy policy[] = {
	{ 0x1, 0, .pass = { ALL, 0x0000ff00, L1_ECX_PASS, L1_EDX_PASS },
		  .own = { 0, 0, L1_ECX_OWN, L1_EDX_OWN } },
	{ 0x2, 0, .pass = { ALL, ALL, ALL, ALL } },			/* cache descriptors */
	{ 0x6, 0, .own = { B(2) /* ARAT: the APIC timer runs in every C-state */, 0, 0, 0 } },
	{ 0x7, 0, .pass = { 0, L7_EBX_PASS, L7_ECX_PASS, L7_EDX_PASS }, .own = { 0, L7_EBX_OWN, 0, 0 } },
	{ 0xd, 1, .pass = { B(0) /* XSAVEOPT */, 0, 0, 0 } },
	{ 0x80000001, 0, .pass = { ALL, 0, X1_ECX_PASS, X1_EDX_PASS } },
	{ 0x80000002, 0, .pass = { ALL, ALL, ALL, ALL } },		/* brand string */
	{ 0x80000003, 0, .pass = { ALL, ALL, ALL, ALL } },
	{ 0x80000004, 0, .pass = { ALL, ALL, ALL, ALL } },
	{ 0x80000005, 0, .pass = { ALL, ALL, ALL, ALL } },		/* AMD: L1 caches and TLBs */
	{ 0x80000006, 0, .pass = { ALL, ALL, ALL, ALL } },		/* L2 and L3 */
	{ 0x80000007, 0, .pass = { 0, B(0) | B(1) /* AMD: McaOverflowRecov, SUCCOR */, 0, 0 },
	  .own = { 0, 0, 0, B(8) /* invariant TSC */ } },
	{ 0x80000008, 0, .pass = { 0x0000ffff, X8_EBX_PASS, 0, 0 } },
	{ 0x7, 2, .pass = { 0, 0, 0, L7_2_EDX_PASS } },
	{ 0x80000021, 0, .pass = { X21_EAX_PASS, 0, 0, 0 } },
};

#define MAX_BASIC     0x16
#define OWN_LEAVES    0x10	/* from Lamina's first leaf to its last */
#define ENTRIES	      64

struct cpuid_table {
	struct cpuid_constants constants;	/* must stay first */
	u32 count;
	u64 features;	/* BIT(enum guest_feature) */
	u32 last_extended;
	u32 last_hypervisor;	/* the last leaf from 40000000h on; 0: none */
	u8 physical_bits;
	bool nx;	/* the host has it */
	struct {
		u32 leaf, subleaf;
		struct cpuid_regs regs;
	} entry[ENTRIES];
};

_Static_assert(sizeof(struct cpuid_table) <= PAGE_SIZE, "one page");

/* Leaves that depend on the subleaf: for all others ECX is ignored. */
static bool has_subleaves(u32 leaf)
{
	return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd;
}

static const struct cpuid_regs *find(const struct cpuid_table *table, u32 leaf, u32 subleaf)
{
	for (u32 i = 0; i < table->count; i++) {
		if (table->entry[i].leaf == leaf && table->entry[i].subleaf == subleaf)
			return &table->entry[i].regs;
	}
	return NULL;
}

static void add(struct cpuid_table *table, u32 leaf, u32 subleaf, struct cpuid_regs regs)
{
	if (table->count == ENTRIES)
		return;
	table->entry[table->count].leaf = leaf;
	table->entry[table->count].subleaf = subleaf;
	table->entry[table->count++].regs = regs;
}

/* The host's values, or zeros for a leaf that the host does not have. */
static struct cpuid_regs host_leaf(u32 leaf, u32 subleaf)
{
	u32 max = leaf >= 0x80000000 ? cpu_features.max_extended_leaf : cpu_features.max_leaf;

	return leaf <= max ? cpuid_count(leaf, subleaf) : (struct cpuid_regs){ 0 };
}

static void policy_leaves(struct cpuid_table *table)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policy); i++) {
		const struct leaf_policy *p = &policy[i];
		struct cpuid_regs host = host_leaf(p->leaf, p->subleaf);

		add(table, p->leaf, p->subleaf, (struct cpuid_regs){
			.eax = (host.eax & p->pass.eax) | p->own.eax,
			.ebx = (host.ebx & p->pass.ebx) | p->own.ebx,
			.ecx = (host.ecx & p->pass.ecx) | p->own.ecx,
			.edx = (host.edx & p->pass.edx) | p->own.edx,
		});
	}
}

/* Leaf 7 has subleaves 0 to 2 where the host has them, of which 1 is empty. */
static void subleaves_of_leaf_7(struct cpuid_table *table)
{
	struct cpuid_regs *l7 = (struct cpuid_regs *)find(table, 7, 0);
	struct cpuid_regs *l7_2 = (struct cpuid_regs *)find(table, 7, 2);

	if (host_leaf(7, 0).eax >= 2)
		l7->eax = 2;
	else
		l7_2->edx = 0;
}

/* Leaves 0 and 80000000h: the largest leaf in EAX, the host's vendor string in EBX, EDX, ECX. */
static void vendor_leaves(struct cpuid_table *table)
{
	struct cpuid_regs host = cpuid(0);

	add(table, 0, 0, (struct cpuid_regs){ MAX_BASIC, host.ebx, host.ecx, host.edx });
	host = cpuid(0x80000000);
	/* Of the leaves between the two there are none. */
	table->last_extended = host.eax >= 0x80000021 && cpu_features.vendor == CPU_VENDOR_AMD ? 0x80000021 : 0x80000008;
	add(table, 0x80000000, 0, (struct cpuid_regs){ table->last_extended, host.ebx, host.ecx, host.edx });
}

/* --- topology: each vCPU is a core with one thread, all cores are in one package --- */

/* Width of the APIC ids of n processors, whose ids are 0 to n - 1. */
static u32 id_bits(u32 n)
{
	return n > 1 ? 32 - (u32)__builtin_clz(n - 1) : 0;
}

/* Leaf 4, deterministic cache parameters: the package's processors share the caches from level 3 on. */
static void cache_leaves(struct cpuid_table *table, u32 vcpus)
{
	u32 ids = 1u << id_bits(vcpus);

	for (u32 i = 0; i < 8; i++) {
		struct cpuid_regs r = host_leaf(4, i);
		u32 level = r.eax >> 5 & 7;

		if (cpu_features.vendor != CPU_VENDOR_INTEL || !(r.eax & 0x1f))
			break;
		r.eax &= 0x00003fff;
		r.eax |= (level >= 3 ? ids - 1 : 0) << 14;	/* ids of threads that share the cache, less 1 */
		r.eax |= MIN(ids - 1, 63u) << 26;		/* ids of cores in the package, less 1 */
		add(table, 4, i, r);
	}
}

/* AMD repeats bits of leaf 1: APM vol. 3, "Extended Feature Identifiers". */
static void amd_mirrors(struct cpuid_table *table)
{
	struct cpuid_regs *x1 = (struct cpuid_regs *)find(table, 0x80000001, 0);

	if (cpu_features.vendor == CPU_VENDOR_AMD)
		x1->edx |= L1_EDX_OWN;
}

/*
 * AMD's processors without topology extensions: the number of cores in leaf 80000008h, and a bit which says that
 * several logical processors are cores and not threads. APM vol. 3, "Legacy Method".
 */
static void amd_cores(struct cpuid_table *table, u32 vcpus)
{
	struct cpuid_regs *x1 = (struct cpuid_regs *)find(table, 0x80000001, 0);
	struct cpuid_regs *x8 = (struct cpuid_regs *)find(table, 0x80000008, 0);

	if (cpu_features.vendor != CPU_VENDOR_AMD || vcpus == 1)
		return;
	x1->ecx |= B(1) /* CmpLegacy */;
	x8->ecx |= MIN(vcpus - 1, 255u) | id_bits(vcpus) << 12;
}

/* cpuid_guest() fills in the APIC ID. */
static void topology_leaves(struct cpuid_table *table, u32 vcpus)
{
	struct cpuid_regs *l1 = (struct cpuid_regs *)find(table, 1, 0);

	l1->ebx |= MIN(vcpus, 255u) << 16;
	if (vcpus > 1)
		l1->edx |= B(28) /* HTT: the field above is valid */;
	amd_cores(table, vcpus);
	add(table, 0xb, 0, (struct cpuid_regs){ 0, 1, 1 << 8, 0 });
	add(table, 0xb, 1, (struct cpuid_regs){ id_bits(vcpus), vcpus, 2 << 8 | 1, 0 });
}

/* Size of a standard-format XSAVE area for these components, from each one's offset and size in leaf 0Dh. */
static u32 xsave_size(const struct cpuid_table *table, u64 components)
{
	u32 size = 576;

	for (u32 i = 2; i < 63; i++) {
		const struct cpuid_regs *r = components & BIT_ULL(i) ? find(table, 0xd, i) : NULL;

		if (r)
			size = MAX(size, r->eax + r->ebx);
	}
	return size;
}

static void xsave_leaves(struct vcpu *vcpu)
{
	struct cpuid_table *table = vcpu->cpuid;
	u64 components = control_xcr0_allowed(vcpu);

	if (!cpuid_has(vcpu, FEATURE_XSAVE))
		return;
	for (u32 i = 2; i < 63; i++) {
		struct cpuid_regs r = host_leaf(0xd, i);

		if (components & BIT_ULL(i))
			add(table, 0xd, i, (struct cpuid_regs){ r.eax, r.ebx, 0, 0 });
	}
	/* EBX follows XCR0: cpuid_guest() fills it in. */
	add(table, 0xd, 0, (struct cpuid_regs){ (u32)components, 0, xsave_size(table, components),
						(u32)(components >> 32) });
}

/*
 * Leaf 15h: TSC frequency = crystal * numerator / denominator, as a ratio whose numerator a guest
 * can multiply by the crystal's kHz in 32 bits. Continued fractions find the closest such ratio.
 */
static struct cpuid_regs tsc_ratio(u64 tsc_hz)
{
	const u64 crystal = LAPIC_TIMER_HZ, limit = 0xffffffffull / (crystal / 1000);
	u64 n0 = 0, n1 = 1, d0 = 1, d1 = 0, a = tsc_hz, b = crystal;

	while (b) {
		u64 q = a / b, n2 = q * n1 + n0, d2 = q * d1 + d0, rest = a % b;

		if (n2 > limit || d2 > limit)
			break;
		n0 = n1;
		n1 = n2;
		d0 = d1;
		d1 = d2;
		a = b;
		b = rest;
	}
	return (struct cpuid_regs){ (u32)d1, (u32)n1, (u32)crystal, 0 };
}

static struct cpuid_regs base_frequency(u64 hz)
{
	u32 mhz = (u32)((hz + 500000) / 1000000) & 0xffff;

	return (struct cpuid_regs){ mhz, mhz, 100, 0 };
}

/* kHz of the TSC and of the APIC timer. */
static struct cpuid_regs frequencies(u64 hz)
{
	return (struct cpuid_regs){ (u32)(hz / 1000), LAPIC_TIMER_HZ / 1000, 0, 0 };
}

static void timing_leaves(struct cpuid_table *table)
{
	add(table, 0x15, 0, tsc_ratio(clock_tsc_hz()));
	add(table, 0x16, 0, base_frequency(clock_tsc_hz()));
}

/* "LaminaLamina", and the timing leaf of several hypervisors. */
static void own_leaves(struct cpuid_table *table, u32 base)
{
	add(table, base, 0, (struct cpuid_regs){ base + OWN_LEAVES, 0x696d614c, 0x614c616e, 0x616e696d });
	add(table, base + OWN_LEAVES, 0, frequencies(clock_tsc_hz()));
	table->last_hypervisor = base + OWN_LEAVES;
}

static void add_kvm_leaves(struct cpuid_table *table, u32 vcpus)
{
	for (u32 leaf = PVCLOCK_CPUID_BASE; leaf <= PVCLOCK_CPUID_MAX; leaf++)
		add(table, leaf, 0, pvclock_cpuid(leaf, vcpus));
	table->last_hypervisor = PVCLOCK_CPUID_MAX;
}

/* Hyper-V's, which the vendor fills in, then Lamina's: guests that know several hypervisors take the last that they know. */
static void evmcs_leaves(struct cpuid_table *table, u32 last)
{
	for (u32 leaf = 0x40000000; leaf <= last; leaf++)
		add(table, leaf, 0, (struct cpuid_regs){ 0 });
	own_leaves(table, 0x40000100);
}

/* KVM's leaves where KVM has them: EAX of the first is the number of the last. */
static void kvm_leaves(struct cpuid_table *table, u32 vcpus)
{
	const u32 moved = PVCLOCK_CPUID_BASE - 0x40000000;
	struct cpuid_regs first = pvclock_cpuid(PVCLOCK_CPUID_BASE, vcpus);

	first.eax = table->last_hypervisor = PVCLOCK_CPUID_MAX - moved;
	add(table, 0x40000000, 0, first);
	for (u32 leaf = PVCLOCK_CPUID_BASE + 1; leaf <= PVCLOCK_CPUID_MAX; leaf++)
		add(table, leaf - moved, 0, pvclock_cpuid(leaf, vcpus));
}

static void hypervisor_leaves(struct cpuid_table *table, const struct vm *vm)
{
	const struct vm_config *config = vm->config;
	struct cpuid_regs *l1 = (struct cpuid_regs *)find(table, 1, 0);

	switch (config->hypervisor) {
	case HYPERVISOR_NONE:
		l1->ecx &= ~B(31);
		break;
	case HYPERVISOR_KVM:
		kvm_leaves(table, config->vcpus);
		break;
	case HYPERVISOR_HYPERV:
		evmcs_leaves(table, vm->ops->evmcs_leaf);
		break;
	case HYPERVISOR_LAMINA:
		own_leaves(table, 0x40000000);
		add_kvm_leaves(table, config->vcpus);
		break;
	}
}

/*
 * The physical width is the processor's, as its checks of reserved bits are. Only addresses below 2^48, which nested
 * tables of four levels can map, lead anywhere: EAX[23:16] says so. APM vol. 3, "GuestPhysAddrSize".
 */
static void set_address_sizes(struct cpuid_table *table)
{
	struct cpuid_regs *r = (struct cpuid_regs *)find(table, 0x80000008, 0);
	u32 physical = r->eax & 0xff, linear = r->eax >> 8 & 0xff;

	table->physical_bits = (u8)(physical ? MIN(physical, 52u) : 36);
	r->eax = table->physical_bits | MIN(MAX(linear, 32u), 48u) << 8 | (physical > 48 ? 48u << 16 : 0);
}

/* AVX-512 needs all of its state components and AVX2, AVX needs its component, and both need XSAVE. */
static void drop_inconsistent(struct cpuid_table *table)
{
	struct cpuid_regs *l1 = (struct cpuid_regs *)find(table, 1, 0);
	struct cpuid_regs *l7 = (struct cpuid_regs *)find(table, 7, 0);
	struct cpuid_regs *x1 = (struct cpuid_regs *)find(table, 0x80000001, 0);
	const u32 needs_avx = B(12) | B(29);
	u64 host_xcr0 = 0;

	if (!cpu_features.xsave)
		l1->ecx &= ~B(26);
	if (l1->ecx & B(26)) {
		struct cpuid_regs d = host_leaf(0xd, 0);

		host_xcr0 = (u64)d.edx << 32 | d.eax;
	}
	if (!(host_xcr0 & B(2)))
		l1->ecx &= ~(B(28) | needs_avx);
	if (!(l1->ecx & B(28))) {
		l7->ebx &= ~B(5);
		l7->ecx &= ~L7_ECX_AVX;
		x1->ecx &= ~X1_ECX_AVX;
	}
	if ((host_xcr0 & 0xe0) != 0xe0 || !(l7->ebx & B(16)) || !(l7->ebx & B(5))) {
		l7->ebx &= ~L7_EBX_AVX512;
		l7->ecx &= ~L7_ECX_AVX512;
	}
}

static const struct {
	u32 leaf;
	u8 reg, bit, feature;
} feature_bits[] = {
	{ 1, EDX, 1, FEATURE_VME }, { 1, EDX, 2, FEATURE_DE }, { 1, EDX, 3, FEATURE_PSE },
	{ 1, EDX, 6, FEATURE_PAE }, { 1, EDX, 13, FEATURE_PGE }, { 1, EDX, 24, FEATURE_FXSR },
	{ 1, EDX, 25, FEATURE_SSE }, { 1, ECX, 17, FEATURE_PCID }, { 1, ECX, 21, FEATURE_X2APIC },
	{ 1, ECX, 24, FEATURE_TSC_DEADLINE }, { 1, ECX, 26, FEATURE_XSAVE },
	{ 1, ECX, 28, FEATURE_AVX }, { 7, EBX, 0, FEATURE_FSGSBASE },
	{ 7, EBX, 10, FEATURE_INVPCID }, { 7, EBX, 1, FEATURE_TSC_ADJUST }, { 7, EBX, 7, FEATURE_SMEP },
	{ 7, EBX, 16, FEATURE_AVX512 }, { 7, EBX, 20, FEATURE_SMAP }, { 7, ECX, 2, FEATURE_UMIP },
	{ 7, ECX, 3, FEATURE_PKU }, { 7, ECX, 16, FEATURE_LA57 },
	{ 0x80000001, EDX, 11, FEATURE_SYSCALL }, { 0x80000001, EDX, 20, FEATURE_NX },
	{ 0x80000001, EDX, 25, FEATURE_FFXSR }, { 0x80000001, EDX, 27, FEATURE_RDTSCP },
	{ 0x80000001, EDX, 29, FEATURE_LONG_MODE },
};

static u64 withheld;	/* BIT(enum guest_feature) */

void cpuid_withhold(enum guest_feature feature)
{
	withheld |= BIT_ULL(feature);
}

static void collect_features(struct cpuid_table *table)
{
	for (unsigned i = 0; i < ARRAY_SIZE(feature_bits); i++) {
		struct cpuid_regs *r = (struct cpuid_regs *)find(table, feature_bits[i].leaf, 0);
		u32 *const regs[] = { &r->eax, &r->ebx, &r->ecx, &r->edx };
		u32 *word = regs[feature_bits[i].reg];

		if (withheld & BIT_ULL(feature_bits[i].feature))
			*word &= ~BIT(feature_bits[i].bit);
		if (*word & BIT(feature_bits[i].bit))
			table->features |= BIT_ULL(feature_bits[i].feature);
	}
	table->nx = table->features & BIT_ULL(FEATURE_NX);
}

static void constant_leaves(struct cpuid_table *table)
{
	_Static_assert(MAX_BASIC < CPUID_CONSTANT_LEAVES, "a bit each");
	for (u32 leaf = 0; leaf <= MAX_BASIC; leaf++) {
		const struct cpuid_regs *found = find(table, leaf, 0);

		if (leaf == 1 || has_subleaves(leaf))
			continue;
		table->constants.leaves |= BIT(leaf);
		if (found)
			table->constants.regs[leaf] = *found;
	}
}

/* What the processor offers to hypervisors. */
static void nested_leaves(struct vcpu *vcpu)
{
	const struct vcpu_ops *ops = vcpu->vm->ops;
	struct cpuid_table *table = vcpu->cpuid;

	if (!nested_is_on(vcpu) || !ops->nested_cpuid)
		return;
	if (ops->nested_leaf)
		add(table, ops->nested_leaf, 0, (struct cpuid_regs){ 0 });
	if (ops->nested_leaf > table->last_extended) {
		table->last_extended = ops->nested_leaf;
		((struct cpuid_regs *)find(table, 0x80000000, 0))->eax = table->last_extended;
	}
	for (u32 i = 0; i < table->count; i++)
		ops->nested_cpuid(vcpu, table->entry[i].leaf, &table->entry[i].regs);
}

int cpuid_create(struct vcpu *vcpu)
{
	struct cpuid_table *table = page_alloc();

	if (!table)
		return -ENOMEM;
	vcpu->cpuid = table;
	vendor_leaves(table);
	policy_leaves(table);
	subleaves_of_leaf_7(table);
	drop_inconsistent(table);
	set_address_sizes(table);
	collect_features(table);
	cache_leaves(table, vcpu->vm->config->vcpus);
	topology_leaves(table, vcpu->vm->config->vcpus);
	amd_mirrors(table);
	xsave_leaves(vcpu);
	timing_leaves(table);
	hypervisor_leaves(table, vcpu->vm);
	nested_leaves(vcpu);
	constant_leaves(table);
	return 0;
}

static void set(struct cpuid_table *table, u32 leaf, struct cpuid_regs regs)
{
	struct cpuid_regs *found = (struct cpuid_regs *)find(table, leaf, 0);

	if (found)
		*found = regs;
}

/* The leaves themselves change: what the fast path has kept of them does not hold. */
static void empty_slots(struct cpuid_table *table)
{
	memset(table->constants.slots, 0, sizeof(table->constants.slots));
}

void cpuid_set_timing(struct vcpu *vcpu)
{
	set(vcpu->cpuid, 0x15, tsc_ratio(clock_tsc_hz()));
	set(vcpu->cpuid, 0x16, base_frequency(clock_tsc_hz()));
	set(vcpu->cpuid, 0x40000000 + OWN_LEAVES, frequencies(clock_tsc_hz()));
	set(vcpu->cpuid, 0x40000100 + OWN_LEAVES, frequencies(clock_tsc_hz()));
	constant_leaves(vcpu->cpuid);
	empty_slots(vcpu->cpuid);
}

void cpuid_destroy(struct vcpu *vcpu)
{
	if (vcpu->cpuid)
		page_free(vcpu->cpuid);
	vcpu->cpuid = NULL;
}

bool cpuid_has(const struct vcpu *vcpu, enum guest_feature feature)
{
	return vcpu->cpuid->features & BIT_ULL(feature);
}

u8 cpuid_physical_bits(const struct vcpu *vcpu)
{
	return vcpu->cpuid->physical_bits;
}

static void set_bits(u32 *word, u32 bits, bool on)
{
	*word = on ? *word | bits : *word & ~bits;
}

void cpuid_apic_enabled(struct vcpu *vcpu, bool enabled)
{
	struct cpuid_table *table = vcpu->cpuid;
	struct cpuid_regs *l1 = (struct cpuid_regs *)find(table, 1, 0);
	struct cpuid_regs *x1 = (struct cpuid_regs *)find(table, 0x80000001, 0);

	set_bits(&l1->edx, B(9), enabled);
	if (cpu_features.vendor == CPU_VENDOR_AMD)
		set_bits(&x1->edx, B(9), enabled);
	empty_slots(table);
}

void cpuid_misc_enable_changed(struct vcpu *vcpu, u64 misc_enable)
{
	struct cpuid_table *table = vcpu->cpuid;
	struct cpuid_regs *x1 = (struct cpuid_regs *)find(table, 0x80000001, 0);
	bool nx = table->nx && !(misc_enable & MISC_ENABLE_NO_XD);

	table->constants.regs[0].eax = misc_enable & MISC_ENABLE_LIMIT_CPUID ? 2 : MAX_BASIC;
	set_bits(&x1->edx, B(20), nx);
	table->features &= ~BIT_ULL(FEATURE_NX);
	table->features |= nx ? BIT_ULL(FEATURE_NX) : 0;
	empty_slots(table);
}

/* SDM: above the largest basic leaf, an Intel processor returns the values of that leaf; an AMD one zeros. */
static u32 effective_leaf(const struct cpuid_table *table, u32 leaf)
{
	bool basic = leaf <= MAX_BASIC;
	bool extended = leaf >= 0x80000000 && leaf <= table->last_extended;
	bool hypervisor = leaf >= 0x40000000 && leaf <= table->last_hypervisor;

	if (basic || extended || hypervisor || cpu_features.vendor != CPU_VENDOR_INTEL)
		return leaf;
	return MAX_BASIC;
}

static struct cpuid_regs compute(struct vcpu *vcpu, u32 leaf, u32 subleaf)
{
	const struct cpuid_regs *found = find(vcpu->cpuid, leaf, subleaf);
	struct cpuid_regs r = { 0 };

	if (found)
		r = *found;

	switch (leaf) {
	case 1:
		r.ebx |= vcpu->id << 24;	/* the low 8 bits: leaf 0Bh has all */
		if (vcpu->ops->control_get(vcpu, CTL_CR4) & CR4_OSXSAVE)
			r.ecx |= BIT(27);
		break;
	case 0xb:
		if (!found)
			r.ecx = subleaf & 0xff;
		r.edx = vcpu->id;
		break;
	case 0xd:
		if (found && subleaf == 0)
			r.ebx = xsave_size(vcpu->cpuid, vcpu->ops->control_get(vcpu, CTL_XCR0));
		break;
	}
	return r;
}

/* For the fast path, which has no exits of a guest's guest: its CR4 is another. `asked`: the leaf before effective_leaf(). */
static void fill_slot(struct vcpu *vcpu, u32 asked, u32 leaf, u32 subleaf, const struct cpuid_regs *regs)
{
	struct cpuid_slot *slot = &vcpu->cpuid->constants.slots[cpuid_slot_of(asked)];

	if (vcpu->l2_runs)
		return;
	*slot = (struct cpuid_slot){ .leaf = asked, .subleaf = subleaf, .mask = has_subleaves(leaf) ? ~0u : 0, .regs = *regs };
	if (leaf == 1) {
		slot->dependence = CPUID_ON_OSXSAVE;
		slot->state = vcpu->ops->control_get(vcpu, CTL_CR4) & CR4_OSXSAVE;
	} else if (leaf == 0xd && subleaf == 0 && cpu_features.xsave) {
		slot->dependence = CPUID_ON_XCR0;
		slot->state = vcpu->ops->control_get(vcpu, CTL_XCR0);
	}
}

struct cpuid_regs cpuid_guest(struct vcpu *vcpu, u32 leaf, u32 subleaf)
{
	const struct cpuid_regs *found = cpuid_constant(vcpu->cpuid, leaf);
	u32 effective = effective_leaf(vcpu->cpuid, leaf);
	struct cpuid_regs r;

	if (found)
		return *found;
	if (!has_subleaves(effective))
		subleaf = 0;
	r = compute(vcpu, effective, subleaf);
	fill_slot(vcpu, leaf, effective, subleaf, &r);
	return r;
}
