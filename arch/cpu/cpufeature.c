/* SPDX-License-Identifier: MIT */
/*
 * Reading CPUID.
 * Intel SDM, "CPUID - CPU Identification"; AMD APM vol. 3, "CPUID Function Numbers".
 */
#include "arch/cpu/cpufeature.h"

#include "arch/cpu/cpu.h"
#include "lib/string.h"

#define XSAVE_LEAF 0xdu	/* hidden by firmware that limits the leaves for old systems */

struct cpu_features cpu_features;

static enum cpu_vendor vendor_of(const char *id)
{
	static const struct {
		const char *id;
		enum cpu_vendor vendor;
	} vendors[] = {
		{ "GenuineIntel", CPU_VENDOR_INTEL },
		{ "CentaurHauls", CPU_VENDOR_INTEL },
		{ "  Shanghai  ", CPU_VENDOR_INTEL },
		{ "AuthenticAMD", CPU_VENDOR_AMD },
		{ "HygonGenuine", CPU_VENDOR_AMD },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(vendors); i++)
		if (strcmp(id, vendors[i].id) == 0)
			return vendors[i].vendor;
	return CPU_VENDOR_UNKNOWN;
}

static void read_identity(struct cpu_features *f)
{
	struct cpuid_regs r = cpuid(0);

	f->max_leaf = r.eax;
	memcpy(f->vendor_id, &r.ebx, 4);
	memcpy(f->vendor_id + 4, &r.edx, 4);
	memcpy(f->vendor_id + 8, &r.ecx, 4);
	f->vendor = vendor_of(f->vendor_id);
	f->max_extended_leaf = cpuid(0x80000000).eax;

	r = cpuid(1);
	f->stepping = r.eax & 0xf;
	f->model = r.eax >> 4 & 0xf;
	f->family = r.eax >> 8 & 0xf;
	if (f->family == 6 || f->family == 15)
		f->model |= r.eax >> 12 & 0xf0;
	if (f->family == 15)
		f->family += r.eax >> 20 & 0xff;
}

static void read_brand(struct cpu_features *f)
{
	char text[sizeof(f->brand)] = "";
	const char *start = text;

	if (f->max_extended_leaf >= 0x80000004) {
		for (u32 i = 0; i < 3; i++) {
			struct cpuid_regs r = cpuid(0x80000002 + i);

			memcpy(text + 16 * i, &r, 16);
		}
	}
	while (*start == ' ')
		start++;
	str_copy(f->brand, start, sizeof(f->brand));
	for (size_t n = strlen(f->brand); n > 0 && f->brand[n - 1] == ' '; n--)
		f->brand[n - 1] = '\0';
}

static void read_bits(struct cpu_features *f)
{
	struct cpuid_regs one = cpuid(1);
	struct cpuid_regs extended = cpuid(0x80000001);
	struct cpuid_regs seven = { 0 };

	if (f->max_leaf >= 7)
		seven = cpuid(7);
	f->vmx = one.ecx & BIT(5);
	f->x2apic = one.ecx & BIT(21);
	f->tsc_deadline = one.ecx & BIT(24);
	f->xsave = one.ecx & BIT(26) && f->max_leaf >= XSAVE_LEAF;
	f->hypervisor = one.ecx & BIT(31);
	f->mce = (one.edx & (BIT(7) | BIT(14))) == (BIT(7) | BIT(14)); /* MCE and MCA */
	f->pat = one.edx & BIT(16);
	f->smep = seven.ebx & BIT(7);
	f->smap = seven.ebx & BIT(20);
	f->umip = seven.ecx & BIT(2);
	f->svm = extended.ecx & BIT(2);
	f->nx = extended.edx & BIT(20);
	f->pages_1g = extended.edx & BIT(26);
	f->rdtscp = extended.edx & BIT(27);
	if (f->max_extended_leaf >= 0x80000007)
		f->invariant_tsc = cpuid(0x80000007).edx & BIT(8);
}

/*
 * Intel SDM, "CPUID", leaf 07H: IBRS and IBPB, STIBP, SSBD each say that SPEC_CTRL is there. AMD has bits of its own:
 * APM vol. 3, "Extended Processor Capacity Parameters".
 */
static void read_speculation(struct cpu_features *f)
{
	u32 edx = f->max_leaf >= 7 ? cpuid(7).edx : 0, amd = 0;

	if (f->vendor == CPU_VENDOR_AMD && f->max_extended_leaf >= 0x80000008)
		amd = cpuid(0x80000008).ebx;
	f->spec_ctrl = (edx & (BIT(26) | BIT(27) | BIT(31))) || (amd & (BIT(14) | BIT(15) | BIT(24)));
	f->pred_cmd = (edx & BIT(26)) || (amd & BIT(12));
	f->flush_cmd = edx & BIT(28);
	f->arch_capabilities = edx & BIT(29);
}

static void read_xstate(struct cpu_features *f)
{
	struct cpuid_regs zero, one;

	if (!f->xsave)
		return;
	zero = cpuid_count(XSAVE_LEAF, 0);
	one = cpuid_count(XSAVE_LEAF, 1);
	f->xsaveopt = one.eax & BIT(0);
	f->xsaves = one.eax & BIT(3);
	f->xfd = one.eax & BIT(4);
	f->xstate = ((u64)zero.edx << 32 | zero.eax) & XSTATE_SWITCHED;
	f->xstate_size = XSTATE_LEGACY_SIZE;
	for (u32 i = 2; i < 63; i++) {
		struct cpuid_regs r;

		if (!(f->xstate & BIT_ULL(i)))
			continue;
		r = cpuid_count(XSAVE_LEAF, i);		/* EAX: size, EBX: offset */
		f->xstate_size = MAX(f->xstate_size, r.eax + r.ebx);
	}
}

static void read_address_sizes(struct cpu_features *f)
{
	struct cpuid_regs r = { .eax = 48 << 8 | 36 };

	if (f->max_extended_leaf >= 0x80000008)
		r = cpuid(0x80000008);
	f->physical_address_bits = r.eax & 0xff;
	f->linear_address_bits = r.eax >> 8 & 0xff;
}

void cpu_features_init(void)
{
	struct cpu_features *f = &cpu_features;

	read_identity(f);
	read_brand(f);
	read_bits(f);
	read_speculation(f);
	read_xstate(f);
	read_address_sizes(f);
}

/* The features that come with long mode: AMD APM vol. 1, "64-Bit Mode"; "Feature Detection". CMOV: boot/entry.asm. */
const char *cpu_features_missing(void)
{
	static const struct {
		u8 bit;
		char name[12];
	} needed[] = {
		{ 0, "x87 FPU" }, { 3, "PSE" }, { 4, "TSC" }, { 5, "MSR" }, { 6, "PAE" },
		{ 8, "CMPXCHG8B" }, { 13, "PGE" }, { 24, "FXSR" }, { 25, "SSE" }, { 26, "SSE2" },
	};
	u32 edx;

	if (!cpu_features.max_leaf)
		return "leaf 1";
	edx = cpuid(1).edx;
	for (unsigned i = 0; i < ARRAY_SIZE(needed); i++)
		if (!(edx & BIT(needed[i].bit)))
			return needed[i].name;
	return cpuid(0x80000001).edx & BIT(11) ? NULL : "SYSCALL";
}
