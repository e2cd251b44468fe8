/* SPDX-License-Identifier: MIT */
/*
 * The guest's CPUID on processors that the test fakes: one with every feature, and ones that lack
 * some. SDM, "CPUID"; SDM vol. 1, "Managing State Using the XSAVE Feature Set".
 */
/* link: core/cpu/cpuid.c core/cpu/control.c core/vcpu.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/cpu/pvclock.h"
#include "core/mem/guest_mem.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define HZ 2399500000ull

struct cpu_features cpu_features;
static struct vm_config config;
static struct vm vm = { .config = &config };
static u64 cr4, xcr0;
static bool no_memory;

/* The processor. */
static u32 ecx_1, eax_7, ebx_7, ecx_7, addresses, last_extended;
static u64 host_xcr0;

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	/* SDM, "Processor Extended State Enumeration": sizes and offsets of AVX, opmask, ZMM_Hi256, Hi16_ZMM. */
	static const struct cpuid_regs states[] = {
		[2] = { 256, 576 }, [5] = { 64, 1088 }, [6] = { 512, 1152 }, [7] = { 1024, 1664 },
	};

	switch (leaf) {
	case 0:
		return (struct cpuid_regs){ 0x20, 1, 2, 3 };
	case 0x80000000:
		return (struct cpuid_regs){ last_extended, 4, 5, 6 };
	case 1:
		return (struct cpuid_regs){ ~0u, ~0u, ecx_1, ~0u };
	case 4:		/* three caches, with sharing in bits 25:14 and cores in 31:26 */
		return (struct cpuid_regs){ subleaf < 3 ? 0xfffffe21 + (subleaf << 5) : 0, subleaf, 7, 8 };
	case 7:
		return subleaf ? (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u } :
				 (struct cpuid_regs){ eax_7, ebx_7, ecx_7, ~0u };
	case 0xd:
		if (!subleaf)
			return (struct cpuid_regs){ (u32)host_xcr0, 9, 9, (u32)(host_xcr0 >> 32) };
		return subleaf < ARRAY_SIZE(states) && subleaf > 1 ? states[subleaf] :
								      (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
	case 0x80000008:
		return (struct cpuid_regs){ addresses, ~0u, ~0u, ~0u };
	default:
		return (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
	}
}

static u64 control_get(struct vcpu *v, enum vcpu_control control)
{
	assert_true(control == CTL_CR4 || control == CTL_XCR0);
	return control == CTL_CR4 ? cr4 : xcr0;
}

static const struct vcpu_ops ops = { .control_get = control_get };
static struct vcpu vcpu = { .vm = &vm, .ops = &ops };

u64 clock_tsc_hz(void) { return HZ; }
void *page_alloc(void) { return no_memory ? NULL : calloc(1, PAGE_SIZE); }
void page_free(void *page) { free(page); }
int guest_read(const struct vm *v, gpa_t gpa, void *to, u64 size) { fail(); return -1; }
void msr_reset(struct vcpu *v, bool init) { fail(); }
void startup_reset(struct vcpu *v) { fail(); }
struct cpuid_regs pvclock_cpuid(u32 leaf, u32 vcpus) { return (struct cpuid_regs){ leaf, vcpus, 2, 3 }; }

static struct cpuid_regs leaf(u32 number, u32 subleaf) { return cpuid_guest(&vcpu, number, subleaf); }

static void assert_leaf(u32 number, u32 subleaf, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	struct cpuid_regs r = leaf(number, subleaf);

	assert_int_equal(r.eax, eax);
	assert_int_equal(r.ebx, ebx);
	assert_int_equal(r.ecx, ecx);
	assert_int_equal(r.edx, edx);
}

/* With the processor and features that the test has set. */
static void create(void)
{
	cpuid_destroy(&vcpu);
	assert_null(vcpu.cpuid);
	assert_int_equal(cpuid_create(&vcpu), 0);
}

static int set_up(void **state)
{
	cpu_features = (struct cpu_features){
		.vendor = CPU_VENDOR_INTEL, .max_leaf = 0x20, .max_extended_leaf = 0x80000008, .xsave = true,
	};
	config.vcpus = 1;
	config.hypervisor = HYPERVISOR_LAMINA;
	ecx_1 = ebx_7 = ecx_7 = ~0u;
	eax_7 = 1;
	last_extended = 0x80000008;
	host_xcr0 = 0xe7;
	addresses = 0x3934;	/* 57 linear, 52 physical */
	cr4 = 0;
	xcr0 = 1;
	no_memory = false;
	vcpu.id = 0;
	create();
	return 0;
}

static int tear_down(void **state)
{
	cpuid_destroy(&vcpu);
	return 0;
}

static void names_and_ranges(void **state)
{
	assert_leaf(0, 0, 0x16, 1, 2, 3);
	assert_leaf(0x80000000, 0, 0x80000008, 4, 5, 6);
	assert_leaf(0x40000000, 0, 0x40000010, 0x696d614c, 0x614c616e, 0x616e696d);	/* "LaminaLamina" */
	assert_leaf(0x40000100, 0, 0x40000100, 1, 2, 3);	/* EBX: the number of vCPUs */
	assert_leaf(0x40000101, 0, 0x40000101, 1, 2, 3);
	assert_leaf(0x40000001, 0, 0, 0, 0, 0);
}

/*
 * Linux, Documentation/virt/kvm/x86/cpuid.rst: leaf 40000000h has the signature, and in EAX the last leaf. Where there is
 * no hypervisor its leaves are like all others above the last basic one.
 */
static void what_a_vm_says_about_its_hypervisor(void **state)
{
	static const struct vcpu_ops ops = { .evmcs_leaf = 0x4000000a };

	assert_int_equal(leaf(1, 0).ecx & BIT(31), BIT(31));
	config.hypervisor = HYPERVISOR_KVM;
	create();
	assert_leaf(0x40000000, 0, 0x40000001, 1, 2, 3);
	assert_leaf(0x40000001, 0, 0x40000101, 1, 2, 3);
	assert_leaf(0x40000002, 0, 2400, 2400, 100, 0);
	assert_leaf(0x40000010, 0, 2400, 2400, 100, 0);
	assert_leaf(0x40000100, 0, 2400, 2400, 100, 0);
	assert_int_equal(leaf(1, 0).ecx & BIT(31), BIT(31));
	/* The vendor's leaves, which it fills in where the VM is nested; then Lamina's, and no others. */
	config.hypervisor = HYPERVISOR_HYPERV;
	vcpu.vm->ops = &ops;
	create();
	assert_leaf(0x40000000, 0, 0, 0, 0, 0);
	assert_leaf(0x4000000a, 0, 0, 0, 0, 0);
	assert_leaf(0x40000100, 0, 0x40000110, 0x696d614c, 0x614c616e, 0x616e696d);
	assert_leaf(0x40000101, 0, 0, 0, 0, 0);
	assert_leaf(0x40000110, 0, 2399500, 25000, 0, 0);
	assert_leaf(0x40000111, 0, 2400, 2400, 100, 0);
	assert_int_equal(leaf(1, 0).ecx & BIT(31), BIT(31));
	config.hypervisor = HYPERVISOR_NONE;
	create();
	assert_int_equal(leaf(1, 0).ecx & BIT(31), 0);
	assert_leaf(0x40000000, 0, 2400, 2400, 100, 0);
	assert_leaf(0x40000101, 0, 2400, 2400, 100, 0);
	cpu_features.vendor = CPU_VENDOR_AMD;
	create();
	assert_leaf(0x40000000, 0, 0, 0, 0, 0);
	config.hypervisor = HYPERVISOR_LAMINA;
}

static void frequencies(void **state)
{
	assert_leaf(0x16, 0, 2400, 2400, 100, 0);	/* 2399.5 MHz, rounded */
	assert_leaf(0x40000010, 0, 2399500, 25000, 0, 0);
}

static void leaves_above_the_last(void **state)
{
	assert_leaf(0x17, 0, 2400, 2400, 100, 0);	/* Intel: as the last basic leaf */
	assert_leaf(0x3fffffff, 0, 2400, 2400, 100, 0);
	assert_leaf(0x40000102, 0, 2400, 2400, 100, 0);
	assert_leaf(0x80000009, 0, 2400, 2400, 100, 0);
	cpu_features.vendor = CPU_VENDOR_AMD;
	create();
	assert_leaf(0x17, 0, 0, 0, 0, 0);
	assert_leaf(0x80000009, 0, 0, 0, 0, 0);
}

static void leaves_that_the_host_lacks(void **state)
{
	cpu_features.max_leaf = 6;
	cpu_features.max_extended_leaf = 0x80000004;
	create();
	assert_leaf(7, 0, 0, 1 << 1 /* TSC_ADJUST */, 0, 0);
	assert_leaf(0x80000005, 0, 0, 0, 0, 0);
	assert_leaf(0x80000004, 0, ~0u, ~0u, ~0u, ~0u);
}

/* No cache is shared and there is one core: EAX bits 31:14 are zero. AMD has no leaf 4. */
static void caches(void **state)
{
	for (u32 i = 0; i < 3; i++)
		assert_leaf(4, i, (0xfffffe21 + (i << 5)) & 0x3fff, i, 7, 8);
	assert_leaf(4, 3, 0, 0, 0, 0);
	cpu_features.vendor = CPU_VENDOR_AMD;
	create();
	assert_leaf(4, 0, 0, 0, 0, 0);
}

/* One thread per core (level type 1), all cores in the package (type 2). */
static void topology(void **state)
{
	static const struct { u32 vcpus, bits; } cases[] = { { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 3 } };

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		config.vcpus = cases[i].vcpus;
		create();
		vcpu.id = 6;
		assert_leaf(0xb, 0, 0, 1, 0x100, 6);
		assert_leaf(0xb, 1, cases[i].bits, cases[i].vcpus, 0x201, 6);
		assert_leaf(0xb, 2, 0, 0, 2, 6);
	}
}

/*
 * SDM, "CPUID": the fields that say how many ids a package reserves are powers of two; leaf 1 has 8 bits for the
 * number of processors and for the id, leaf 4 has 6 for the cores (less 1) and 12 for those sharing a cache.
 */
static void processors_of_intel(void **state)
{
	static const struct { u32 vcpus, leaf_1, cores, sharing, bits; } cases[] = {
		{ 1, 1, 0, 0, 0 }, { 2, 2, 1, 1, 1 }, { 3, 3, 3, 3, 2 }, { 4, 4, 3, 3, 2 }, { 8, 8, 7, 7, 3 },
		{ 16, 16, 15, 15, 4 }, { 255, 255, 63, 255, 8 }, { 256, 255, 63, 255, 8 }, { 288, 255, 63, 511, 9 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpuid_regs r;

		config.vcpus = cases[i].vcpus;
		create();
		vcpu.id = cases[i].vcpus - 1;
		r = leaf(1, 0);
		assert_int_equal(r.ebx >> 16 & 0xff, cases[i].leaf_1);
		assert_int_equal(r.ebx >> 24, vcpu.id & 0xff);
		assert_int_equal(r.edx >> 28 & 1, cases[i].vcpus > 1);		/* HTT */
		for (u32 cache = 0; cache < 3; cache++) {
			u32 level = leaf(4, cache).eax >> 5 & 7;

			assert_int_equal(level, cache + 1);
			assert_int_equal(leaf(4, cache).eax >> 26, cases[i].cores);
			assert_int_equal(leaf(4, cache).eax >> 14 & 0xfff, level == 3 ? cases[i].sharing : 0);
		}
		assert_leaf(0xb, 0, 0, 1, 0x100, vcpu.id);
		assert_leaf(0xb, 1, cases[i].bits, cases[i].vcpus, 0x201, vcpu.id);
		assert_int_equal(leaf(0x80000008, 0).ecx, 0);
		assert_int_equal(leaf(0x80000001, 0).ecx & 2, 0);
		assert_int_equal(leaf(0x80000001, 0).edx & 0x5280, 0);
	}
	vcpu.id = 0;
}

/* APM vol. 3, "Multiple Processor Calculation": CmpLegacy, NC (less 1) and ApicIdSize. */
static void processors_of_amd(void **state)
{
	static const struct { u32 vcpus, size_and_count; } cases[] = {
		{ 1, 0 }, { 2, 0x1001 }, { 3, 0x2002 }, { 4, 0x2003 }, { 8, 0x3007 }, { 16, 0x400f },
		{ 255, 0x80fe }, { 256, 0x80ff }, { 288, 0x90ff },
	};

	cpu_features.vendor = CPU_VENDOR_AMD;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		config.vcpus = cases[i].vcpus;
		create();
		assert_int_equal(leaf(0x80000008, 0).ecx, cases[i].size_and_count);
		assert_int_equal(leaf(0x80000001, 0).ecx >> 1 & 1, cases[i].vcpus > 1);
		assert_int_equal(leaf(1, 0).edx >> 28 & 1, cases[i].vcpus > 1);
		assert_int_equal(leaf(0x80000001, 0).ecx & BIT(22), 0);	/* no topology extensions */
		/* The machine check exception, APIC, MTRRs and architecture: bits 7, 9, 12, 14, as in leaf 1. */
		assert_int_equal(leaf(0x80000001, 0).edx & 0x5280, 0x5280);
	}
}

static void widths_of_addresses(void **state)
{
	static const struct { u32 host, guest; } cases[] = {
		/* EAX[23:16]: what nested tables of four levels map, where the processor has more. */
		{ 0x3934, 0x303034 }, { 0x3030 | 0x31, 0x303031 }, { 0x3027, 0x3027 }, { 0x3030, 0x3030 }, { 0x2024, 0x2024 },
		{ 0x1e24, 0x2024 }, { 0x0000, 0x2024 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		addresses = cases[i].host;
		create();
		assert_int_equal(leaf(0x80000008, 0).eax, cases[i].guest);
		assert_int_equal(cpuid_physical_bits(&vcpu), cases[i].guest & 0xff);
	}
}

#define AVX	   BIT(28)
#define AVX2	   BIT(5)
#define AVX512F	   BIT(16)
#define AVX512_EBX (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
#define AVX512_ECX (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))

static void assert_vectors(bool avx, bool avx2, bool avx512)
{
	u32 one = leaf(1, 0).ecx, ebx = leaf(7, 0).ebx, ecx = leaf(7, 0).ecx, extended = leaf(0x80000001, 0).ecx;

	assert_int_equal(one & (AVX | BIT(12) | BIT(29)), avx ? AVX | BIT(12) | BIT(29) : 0);
	assert_int_equal(ecx & (BIT(9) | BIT(10)), avx ? BIT(9) | BIT(10) : 0);
	assert_int_equal(extended & (BIT(11) | BIT(16)), avx ? BIT(11) | BIT(16) : 0);
	assert_int_equal(ebx & AVX2, avx2 ? AVX2 : 0);
	assert_int_equal(ebx & AVX512_EBX, avx512 ? AVX512_EBX : 0);
	assert_int_equal(ecx & AVX512_ECX, avx512 ? AVX512_ECX : 0);
	assert_int_equal(cpuid_has(&vcpu, FEATURE_AVX), avx);
	assert_int_equal(cpuid_has(&vcpu, FEATURE_AVX512), avx512);
}

static void vectors_need_their_state_and_each_other(void **state)
{
	assert_vectors(true, true, true);
	for (unsigned bit = 5; bit < 8; bit++) {	/* XCR0: all three of AVX-512's, or none */
		host_xcr0 = 0xe7 & ~(1u << bit);
		create();
		assert_vectors(true, true, false);
	}
	host_xcr0 = 0xe7;
	ebx_7 = ~AVX512F;
	create();
	assert_vectors(true, true, false);
	ebx_7 = ~AVX2;
	create();
	assert_vectors(true, false, false);
	ebx_7 = ~0u;
	host_xcr0 = 0xe3;	/* no AVX state */
	create();
	assert_vectors(false, false, false);
	host_xcr0 = 0xe7;
	cpu_features.xsave = false;
	create();
	assert_vectors(false, false, false);
	assert_int_equal(leaf(1, 0).ecx & BIT(26), 0);
	assert_leaf(0xd, 0, 0, 0, 0, 0);
}

static void xsave_areas(void **state)
{
	assert_leaf(0xd, 0, 0xe7, 576, 2688, 0);
	assert_leaf(0xd, 2, 256, 576, 0, 0);
	assert_leaf(0xd, 7, 1024, 1664, 0, 0);
	assert_leaf(0xd, 3, 0, 0, 0, 0);
	xcr0 = 7;
	assert_leaf(0xd, 0, 0xe7, 832, 2688, 0);
	host_xcr0 = 7;
	create();
	assert_leaf(0xd, 0, 7, 832, 832, 0);
	assert_leaf(0xd, 5, 0, 0, 0, 0);
}

/* Leaves that depend on the vCPU or on ECX are not among the constant ones; the others all are. */
static void constant_leaves(void **state)
{
	for (u32 number = 0; number < 40; number++) {
		const struct cpuid_regs *constant = cpuid_constant(vcpu.cpuid, number);
		struct cpuid_regs r = leaf(number, 0);

		if (number > 0x16 || number == 1 || number == 4 || number == 7 || number == 0xb || number == 0xd) {
			assert_null(constant);
			continue;
		}
		assert_non_null(constant);
		assert_memory_equal(constant, &r, sizeof(r));
	}
	assert_int_equal(cpuid_constant(vcpu.cpuid, 2)->eax, ~0u);
	assert_int_equal(cpuid_constant(vcpu.cpuid, 3)->eax, 0);
}

/* SDM, "Local APIC Status and Location"; APM vol. 3, "Extended Feature Identifiers": a copy of leaf 1's bit. */
static void the_apic_can_be_disabled(void **state)
{
	for (unsigned vendor = CPU_VENDOR_INTEL; vendor <= CPU_VENDOR_AMD; vendor++) {
		struct cpuid_regs one, extended;

		cpu_features.vendor = vendor;
		create();
		one = leaf(1, 0);
		extended = leaf(0x80000001, 0);
		assert_true(one.edx & BIT(9));
		cpuid_apic_enabled(&vcpu, false);
		assert_int_equal(leaf(1, 0).edx, one.edx & ~BIT(9));
		assert_int_equal(leaf(0x80000001, 0).edx, extended.edx & ~BIT(9));
		cpuid_apic_enabled(&vcpu, true);
		assert_int_equal(leaf(1, 0).edx, one.edx);
		assert_int_equal(leaf(0x80000001, 0).edx, extended.edx);
	}
}

/* SDM vol. 4, IA32_MISC_ENABLE: with bit 22 leaf 0 returns a maximum of 2; with bit 34 there is no NX. */
static void misc_enable_limits_leaves_and_hides_nx(void **state)
{
	struct cpuid_regs extended = leaf(0x80000001, 0);

	assert_true(cpuid_has(&vcpu, FEATURE_NX));
	cpuid_misc_enable_changed(&vcpu, 1ull << 22);
	assert_leaf(0, 0, 2, 1, 2, 3);
	assert_true(cpuid_has(&vcpu, FEATURE_NX));
	cpuid_misc_enable_changed(&vcpu, 1ull << 34);
	assert_leaf(0, 0, 0x16, 1, 2, 3);
	assert_int_equal(leaf(0x80000001, 0).edx, extended.edx & ~BIT(20));
	assert_false(cpuid_has(&vcpu, FEATURE_NX));
	assert_true(cpuid_has(&vcpu, FEATURE_LONG_MODE));
	cpuid_misc_enable_changed(&vcpu, 1);
	assert_int_equal(leaf(0x80000001, 0).edx, extended.edx);
	assert_true(cpuid_has(&vcpu, FEATURE_NX));
}

/* Process-context identifiers and INVPCID are the processor's: SDM, "Process-Context Identifiers (PCIDs)". */
static void pcids(void **state)
{
	assert_int_equal(leaf(1, 0).ecx & BIT(17), BIT(17));
	assert_int_equal(leaf(7, 0).ebx & BIT(10), BIT(10));
	assert_true(cpuid_has(&vcpu, FEATURE_PCID));
	assert_true(cpuid_has(&vcpu, FEATURE_INVPCID));
	ecx_1 = ~BIT(17);
	ebx_7 = ~BIT(10);
	create();
	assert_false(cpuid_has(&vcpu, FEATURE_PCID));
	assert_false(cpuid_has(&vcpu, FEATURE_INVPCID));
}

/*
 * What the processor has against speculation, and no more. SDM, "CPUID", leaf 07H: IBRS and IBPB (26), STIBP (27),
 * L1D_FLUSH (28), ARCH_CAPABILITIES (29), SSBD (31); subleaf 2 has more bits of SPEC_CTRL. APM vol. 3, leaf 80000008h
 * EBX: IBPB (12), IBRS (14), STIBP (15), always on (16, 17), preferred (18), same mode (19), SSBD (24), SSB_NO (26),
 * PSFD (28), BTC_NO (29), IBPB_RET (30). VIRT_SPEC_CTRL (25) would be Lamina's.
 */
static void speculation_control(void **state)
{
	assert_int_equal(leaf(7, 0).edx & 0xfc000000, 0xbc000000);
	assert_int_equal(leaf(7, 0).eax, 0);
	assert_leaf(7, 2, 0, 0, 0, 0);
	assert_int_equal(leaf(0x80000008, 0).ebx, 0x750fd001);
	eax_7 = 2;
	create();
	assert_int_equal(leaf(7, 0).eax, 2);
	assert_leaf(7, 1, 0, 0, 0, 0);
	assert_leaf(7, 2, 0, 0, 0, 0x3f);
	assert_leaf(7, 3, 0, 0, 0, 0);
}

/* APM vol. 3, "Extended Feature Identification 2": LFENCE (2), null selectors (6), SBPB, IBPB_BRTYPE, SRSO (27 to 30). */
static void leaf_80000021_of_amd(void **state)
{
	last_extended = cpu_features.max_extended_leaf = 0x80000026;
	create();
	assert_int_equal(leaf(0x80000000, 0).eax, 0x80000008);
	cpu_features.vendor = CPU_VENDOR_AMD;
	create();
	assert_leaf(0x80000000, 0, 0x80000021, 4, 5, 6);
	assert_leaf(0x80000021, 0, 0x78000044, 0, 0, 0);
	assert_leaf(0x80000009, 0, 0, 0, 0, 0);
	assert_leaf(0x80000020, 0, 0, 0, 0, 0);
	assert_leaf(0x80000022, 0, 0, 0, 0, 0);
	last_extended = cpu_features.max_extended_leaf = 0x80000020;
	create();
	assert_int_equal(leaf(0x80000000, 0).eax, 0x80000008);
}

/* The last one: what is withheld once is so for all guests. */
static void what_the_hardware_cannot_give(void **state)
{
	u32 ebx = leaf(7, 0).ebx;

	cpuid_withhold(FEATURE_INVPCID);
	create();
	assert_int_equal(leaf(7, 0).ebx, ebx & ~BIT(10));
	assert_false(cpuid_has(&vcpu, FEATURE_INVPCID));
	assert_true(cpuid_has(&vcpu, FEATURE_PCID));
}

static void out_of_memory(void **state)
{
	cpuid_destroy(&vcpu);
	no_memory = true;
	assert_int_equal(cpuid_create(&vcpu), -ENOMEM);
	cpuid_destroy(&vcpu);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_and_ranges),
		TEST(what_a_vm_says_about_its_hypervisor),
		TEST(frequencies),
		TEST(leaves_above_the_last),
		TEST(leaves_that_the_host_lacks),
		TEST(caches),
		TEST(topology),
		TEST(processors_of_intel),
		TEST(processors_of_amd),
		TEST(widths_of_addresses),
		TEST(vectors_need_their_state_and_each_other),
		TEST(xsave_areas),
		TEST(constant_leaves),
		TEST(the_apic_can_be_disabled),
		TEST(misc_enable_limits_leaves_and_hides_nx),
		TEST(pcids),
		TEST(speculation_control),
		TEST(leaf_80000021_of_amd),
		TEST(out_of_memory),
		TEST(what_the_hardware_cannot_give),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
