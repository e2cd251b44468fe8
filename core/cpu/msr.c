/* SPDX-License-Identifier: MIT */
/*
 * The guest's MSRs. The policy is the table at the end of this file; what is not in it raises #GP
 * and is logged once. Intel SDM vol. 4, "Model-Specific Registers (MSRs)"; AMD APM vol. 2, "MSRs".
 */
#include "core/cpu/msr.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/machine_check.h"
#include "core/cpu/paravirt.h"
#include "core/cpu/pvclock.h"
#include "core/cpu/speculation.h"
#include "core/irqchip.h"
#include "core/nested.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "lib/string.h"

#define MTRR_VARIABLE 8
#define MTRR_FIXED    11
#define MTRR_TYPE_UC  0
#define MTRR_TYPE_WB  6

/* Values of the host's processor that guests read. */
struct host_values {
	u64 microcode;		/* the revision, for the errata lists of guests */
	u64 de_cfg;
	u64 capabilities;	/* IA32_ARCH_CAPABILITIES, as far as guests see it */
	u64 frequency;		/* of the TSC, as a ratio to 100 MHz where Intel's MSRs have it */
};

struct msr_state {
	struct msr_shortcuts shortcuts;	/* must stay first */
	u64 mtrr_def_type;
	u64 mtrr_base[MTRR_VARIABLE], mtrr_mask[MTRR_VARIABLE];
	u64 mtrr_fixed[MTRR_FIXED];
	struct host_values host;
	u64 misc_enable;
	u64 pvclock_system;
};

/* Conditions under which an MSR exists. */
enum msr_present { ALWAYS, INTEL, AMD, AMD_LS_CFG, AMD_DE_CFG, WITH_RDTSCP, PARAVIRTUAL,
		   WITH_SPEC_CTRL, WITH_PRED_CMD, WITH_FLUSH_CMD, WITH_CAPABILITIES };
/* What the guest reaches without an exit. */
enum msr_passthrough { NO_PASSTHROUGH, DIRECT, DIRECT_WRITES };

struct msr_policy;
typedef int (*msr_access_t)(struct vcpu *vcpu, u32 msr, u64 *value);
typedef const u64 *(*msr_place_t)(struct vcpu *vcpu, const struct msr_policy *p, u32 msr);

struct msr_policy {
	u32 first, last;
	u8 present;
	u8 passthrough;		/* enum msr_passthrough */
	msr_place_t place;	/* address of its value if that is in memory; otherwise: */
	msr_access_t read;	/* NULL: #GP */
	msr_access_t write;	/* NULL: #GP */
	u64 constant;		/* for place_constant() */
};

static const struct msr_policy *find_policy(const struct vm *vm, u32 msr);

static bool canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16) == address;
}

/* --- held by the vendor's hardware state --- */

static int read_vendor(struct vcpu *vcpu, u32 msr, u64 *value)
{
	return vcpu->ops->msr_get(vcpu, msr, value) ? -EINVAL : 0;
}

static int write_vendor(struct vcpu *vcpu, u32 msr, u64 *value)
{
	return vcpu->ops->msr_set(vcpu, msr, *value) ? -EINVAL : 0;
}

static int write_address(struct vcpu *vcpu, u32 msr, u64 *value)
{
	return canonical(*value) ? write_vendor(vcpu, msr, value) : -EINVAL;
}

static int write_low_half(struct vcpu *vcpu, u32 msr, u64 *value)
{
	return *value >> 32 ? -EINVAL : write_vendor(vcpu, msr, value);
}

/* Eight memory types; 2 and 3 are reserved. */
static int write_pat(struct vcpu *vcpu, u32 msr, u64 *value)
{
	for (unsigned i = 0; i < 64; i += 8) {
		u8 type = (u8)(*value >> i);

		if (type > 7 || type == 2 || type == 3)
			return -EINVAL;
	}
	return write_vendor(vcpu, msr, value);
}

/* --- constants, and writes that change nothing --- */

static const u64 *place_constant(struct vcpu *vcpu __maybe_unused, const struct msr_policy *p,
				 u32 msr __maybe_unused)
{
	return &p->constant;
}

static int write_ignored(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct msr_policy *p = find_policy(vcpu->vm, msr);

	if (!p->place || *value != *p->place(vcpu, p, msr))
		vm_debug_once(vcpu->vm, ONCE_MSR_WRITE, msr, "WRMSR of 0x%llx to 0x%x changes nothing",
			      (unsigned long long)*value, msr);
	return 0;
}

/*
 * SDM, "IA32_DEBUGCTL MSR"; APM vol. 2, "Debug-Control MSR (DebugCtl)": what the processor's kind has never had raises
 * #GP. The rest is not offered, and reads 0, as on a processor whose last-branch records are absent.
 */
static int write_debugctl(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const u64 defined = cpu_features.vendor == CPU_VENDOR_AMD ? 0x3f : 0xffc3;

	if (*value & ~defined)
		return -EINVAL;
	if ((*value & DEBUGCTL_BTF) && vm_once(vcpu->vm, ONCE_MSR_WRITE, msr))
		vm_info(vcpu->vm, "the guest sets DEBUGCTL.BTF, to step from branch to branch: it does not have that, each "
			"instruction traps");
	else if (*value & ~DEBUGCTL_BTF)
		vm_debug_once(vcpu->vm, ONCE_MSR_WRITE, (u64)msr << 32, "WRMSR of 0x%llx to DEBUGCTL: it has no records of "
			      "branches", (unsigned long long)*value);
	return 0;
}

static const u64 *place_microcode(struct vcpu *vcpu, const struct msr_policy *p __maybe_unused,
				  u32 msr __maybe_unused)
{
	return &vcpu->msrs->host.microcode;
}

static const u64 *place_de_cfg(struct vcpu *vcpu, const struct msr_policy *p __maybe_unused, u32 msr __maybe_unused)
{
	return &vcpu->msrs->host.de_cfg;
}

static const u64 *place_frequency(struct vcpu *vcpu, const struct msr_policy *p __maybe_unused,
				  u32 msr __maybe_unused)
{
	return &vcpu->msrs->host.frequency;
}

/* --- speculation --- */

static const u64 *place_capabilities(struct vcpu *vcpu, const struct msr_policy *p __maybe_unused,
				     u32 msr __maybe_unused)
{
	return &vcpu->msrs->host.capabilities;
}

/* Of this CPU, on which the vCPU is loaded. The processor checks the bits. */
static int write_command(struct vcpu *vcpu __maybe_unused, u32 msr, u64 *value)
{
	return wrmsr_safe(msr, *value) ? -EINVAL : 0;
}

/* --- IA32_MISC_ENABLE: SDM vol. 4, "IA32 Architectural MSRs" --- */

#define MISC_ENABLE_FAST_STRINGS  BIT_ULL(0)
#define MISC_ENABLE_UNAVAILABLE	  (BIT_ULL(11) | BIT_ULL(12))	/* read-only: no branch trace store, no PEBS */
#define MISC_ENABLE_NO_XTPR	  BIT_ULL(23)
#define MISC_ENABLE_WRITABLE	  (MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_LIMIT_CPUID | MISC_ENABLE_NO_XTPR | \
				   MISC_ENABLE_NO_XD)

static const u64 *place_misc_enable(struct vcpu *vcpu, const struct msr_policy *p __maybe_unused,
				    u32 msr __maybe_unused)
{
	return &vcpu->msrs->misc_enable;
}

/* The other bits belong to features that CPUID does not show, or are read-only: a write leaves them alone. */
static int write_misc_enable(struct vcpu *vcpu, u32 msr __maybe_unused, u64 *value)
{
	vcpu->msrs->misc_enable = MISC_ENABLE_UNAVAILABLE | (*value & MISC_ENABLE_WRITABLE);
	cpuid_misc_enable_changed(vcpu, vcpu->msrs->misc_enable);
	return 0;
}

/* --- control registers that are accessed as MSRs --- */

static int read_efer(struct vcpu *vcpu, u32 msr __maybe_unused, u64 *value)
{
	*value = vcpu->ops->control_get(vcpu, CTL_EFER);
	return 0;
}

static int write_efer(struct vcpu *vcpu, u32 msr __maybe_unused, u64 *value)
{
	return control_write_efer(vcpu, *value);
}

/* --- time --- */

static void set_tsc_offset(struct vcpu *vcpu, u64 offset)
{
	vcpu->tsc_offset = offset;
	vcpu->ops->tsc_offset_changed(vcpu);
	vcpu->vm->irqchip->tsc_changed(vcpu);
	pvclock_write_system(vcpu, vcpu->msrs->pvclock_system);
}

static int read_tsc(struct vcpu *vcpu, u32 msr __maybe_unused, u64 *value)
{
	*value = vcpu_guest_tsc(vcpu, rdtsc());
	return 0;
}

/* SDM, "Time-Stamp Counter Adjustment": a write to either moves both by the same amount. */
static int write_tsc(struct vcpu *vcpu, u32 msr __maybe_unused, u64 *value)
{
	u64 delta = *value - vcpu_guest_tsc(vcpu, rdtsc());

	vcpu->tsc_adjust += delta;
	set_tsc_offset(vcpu, vcpu->tsc_offset + delta);
	return 0;
}

static const u64 *place_tsc_adjust(struct vcpu *vcpu, const struct msr_policy *p __maybe_unused,
				   u32 msr __maybe_unused)
{
	return &vcpu->tsc_adjust;
}

static int write_tsc_adjust(struct vcpu *vcpu, u32 msr __maybe_unused, u64 *value)
{
	u64 delta = *value - vcpu->tsc_adjust;

	vcpu->tsc_adjust = *value;
	set_tsc_offset(vcpu, vcpu->tsc_offset + delta);
	return 0;
}

static int write_pvclock_wall(struct vcpu *vcpu, u32 msr __maybe_unused, u64 *value)
{
	return pvclock_write_wall(vcpu, *value);
}

static int write_pvclock_system(struct vcpu *vcpu, u32 msr __maybe_unused, u64 *value)
{
	int error = pvclock_write_system(vcpu, *value);

	if (!error)
		vcpu->msrs->pvclock_system = *value;
	return error;
}

static const u64 *place_pvclock_system(struct vcpu *vcpu, const struct msr_policy *p __maybe_unused,
				       u32 msr __maybe_unused)
{
	return &vcpu->msrs->pvclock_system;
}

static const u64 *place_steal_time(struct vcpu *vcpu, const struct msr_policy *p __maybe_unused,
				   u32 msr __maybe_unused)
{
	return &vcpu->steal_time.msr;
}

static int write_steal_time(struct vcpu *vcpu, u32 msr __maybe_unused, u64 *value)
{
	return steal_time_write(vcpu, *value);
}

/* --- the local APIC's base --- */

static const u64 *place_apic_base(struct vcpu *vcpu, const struct msr_policy *p __maybe_unused, u32 msr __maybe_unused)
{
	return vcpu->vm->irqchip->apic_base(vcpu->vlapic);
}

static int write_apic_base(struct vcpu *vcpu, u32 msr, u64 *value)
{
	int error = vcpu->vm->irqchip->msr_write(vcpu->vlapic, msr, *value);

	if (!error)
		cpuid_apic_enabled(vcpu, *value & APIC_BASE_ENABLE);
	return error;
}

/* --- MTRRs: only stored and read back. Guest memory is write-back unless the guest's PAT says otherwise --- */

static bool mtrr_type_valid(u8 type)
{
	return type == 0 || type == 1 || (type >= 4 && type <= 6);
}

static u64 *mtrr_slot(struct msr_state *msrs, u32 msr)
{
	if (msr == MSR_MTRR_DEF_TYPE)
		return &msrs->mtrr_def_type;
	if (msr >= MSR_MTRR_PHYSBASE(0) && msr <= MSR_MTRR_PHYSMASK(MTRR_VARIABLE - 1)) {
		u32 i = (msr - MSR_MTRR_PHYSBASE(0)) / 2;

		return msr & 1 ? &msrs->mtrr_mask[i] : &msrs->mtrr_base[i];
	}
	if (msr == MSR_MTRR_FIX64K)
		return &msrs->mtrr_fixed[0];
	if (msr == MSR_MTRR_FIX16K_80000 || msr == MSR_MTRR_FIX16K_A0000)
		return &msrs->mtrr_fixed[1 + msr - MSR_MTRR_FIX16K_80000];
	return &msrs->mtrr_fixed[3 + msr - MSR_MTRR_FIX4K(0)];
}

static const u64 *place_mtrr(struct vcpu *vcpu, const struct msr_policy *p __maybe_unused, u32 msr)
{
	return mtrr_slot(vcpu->msrs, msr);
}

static int write_mtrr_fixed(struct vcpu *vcpu, u32 msr, u64 *value)
{
	for (unsigned i = 0; i < 64; i += 8) {
		if (!mtrr_type_valid((u8)(*value >> i)))
			return -EINVAL;
	}
	*mtrr_slot(vcpu->msrs, msr) = *value;
	return 0;
}

static int write_mtrr_variable(struct vcpu *vcpu, u32 msr, u64 *value)
{
	u64 beyond = ~0ull << cpuid_physical_bits(vcpu);
	bool mask = msr & 1;

	if (*value & (beyond | (mask ? 0x7ff : 0xf00)))
		return -EINVAL;
	if (!mask && !mtrr_type_valid((u8)*value))
		return -EINVAL;
	*mtrr_slot(vcpu->msrs, msr) = *value;
	return 0;
}

static int write_mtrr_def_type(struct vcpu *vcpu, u32 msr, u64 *value)
{
	if ((*value & ~0xcffull) || !mtrr_type_valid((u8)*value))
		return -EINVAL;
	*mtrr_slot(vcpu->msrs, msr) = *value;
	return 0;
}

/* --- the policy --- */

#define CANONICAL_ONLY	.read = read_vendor, .write = write_address
#define CONSTANT(v)	.place = place_constant, .constant = (v)
#define IGNORED		.write = write_ignored

static const struct msr_policy policy[] = {
	/* System calls, segments: hardware switches them, and checks what is written. */
	{ MSR_SYSENTER_CS, MSR_SYSENTER_CS, .passthrough = DIRECT, .read = read_vendor, .write = write_vendor },
	{ MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, .passthrough = DIRECT, CANONICAL_ONLY },
	{ MSR_STAR, MSR_STAR, .passthrough = DIRECT, .read = read_vendor, .write = write_vendor },
	{ MSR_LSTAR, MSR_CSTAR, .passthrough = DIRECT, CANONICAL_ONLY },
	{ MSR_SYSCALL_MASK, MSR_SYSCALL_MASK, .passthrough = DIRECT, .read = read_vendor, .write = write_low_half },
	{ MSR_FS_BASE, MSR_KERNEL_GS_BASE, .passthrough = DIRECT, CANONICAL_ONLY },
	{ MSR_TSC_AUX, MSR_TSC_AUX, WITH_RDTSCP, .passthrough = DIRECT, .read = read_vendor, .write = write_low_half },

	{ MSR_EFER, MSR_EFER, .read = read_efer, .write = write_efer },
	{ MSR_PAT, MSR_PAT, .read = read_vendor, .write = write_pat },
	{ MSR_TSC, MSR_TSC, .read = read_tsc, .write = write_tsc },
	{ MSR_TSC_ADJUST, MSR_TSC_ADJUST, .place = place_tsc_adjust, .write = write_tsc_adjust },

	{ MSR_PVCLOCK_WALL, MSR_PVCLOCK_WALL, PARAVIRTUAL, .place = place_constant, .write = write_pvclock_wall },
	{ MSR_PVCLOCK_SYSTEM, MSR_PVCLOCK_SYSTEM, PARAVIRTUAL, .place = place_pvclock_system, .write = write_pvclock_system },

	{ MSR_MTRR_CAP, MSR_MTRR_CAP, CONSTANT(MTRR_VARIABLE | BIT(8) /* fixed */ | BIT(10) /* WC */) },
	{ MSR_MTRR_PHYSBASE(0), MSR_MTRR_PHYSMASK(MTRR_VARIABLE - 1), .place = place_mtrr, .write = write_mtrr_variable },
	{ MSR_MTRR_FIX64K, MSR_MTRR_FIX64K, .place = place_mtrr, .write = write_mtrr_fixed },
	{ MSR_MTRR_FIX16K_80000, MSR_MTRR_FIX16K_A0000, .place = place_mtrr, .write = write_mtrr_fixed },
	{ MSR_MTRR_FIX4K(0), MSR_MTRR_FIX4K(7), .place = place_mtrr, .write = write_mtrr_fixed },
	{ MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, .place = place_mtrr, .write = write_mtrr_def_type },

	/* As far as the processor has them, it checks what is written. */
	{ MSR_SPEC_CTRL, MSR_SPEC_CTRL, WITH_SPEC_CTRL, DIRECT, .read = read_vendor, .write = write_vendor },
	{ MSR_PRED_CMD, MSR_PRED_CMD, WITH_PRED_CMD, DIRECT_WRITES, .write = write_command },
	{ MSR_FLUSH_CMD, MSR_FLUSH_CMD, WITH_FLUSH_CMD, DIRECT_WRITES, .write = write_command },
	{ MSR_ARCH_CAPABILITIES, MSR_ARCH_CAPABILITIES, WITH_CAPABILITIES, .place = place_capabilities },

	{ MSR_APIC_BASE, MSR_APIC_BASE, .place = place_apic_base, .write = write_apic_base },
	{ MSR_STEAL_TIME, MSR_STEAL_TIME, PARAVIRTUAL, .place = place_steal_time, .write = write_steal_time },

	{ MSR_MCG_CAP, MSR_MCG_CAP, .read = machine_check_read },
	{ MSR_MCG_STATUS, MSR_MCG_STATUS, .read = machine_check_read, .write = machine_check_write },
	{ MSR_MC_CTL(0), MSR_MC_MISC(0), .read = machine_check_read, .write = machine_check_write },

	/* No debug features; CPUID has no bit that could say so. */
	{ MSR_DEBUGCTL, MSR_DEBUGCTL, CONSTANT(0), .write = write_debugctl },
	{ 0x1db, 0x1de, CONSTANT(0) },					/* last branch, last interrupt */
	{ MSR_BIOS_SIGN_ID, MSR_BIOS_SIGN_ID, .place = place_microcode, IGNORED },

	{ MSR_MISC_ENABLE, MSR_MISC_ENABLE, INTEL, .place = place_misc_enable, .write = write_misc_enable },
	{ MSR_PLATFORM_ID, MSR_PLATFORM_ID, INTEL, CONSTANT(0) },

	/*
	 * What operating systems access without asking CPUID, as the processor's vendor or family implies it. One with
	 * nothing behind it reads as 0, and a write changes nothing, which the log says at debug level. Performance
	 * counters are cleared by small kernels; Linux takes one that does not keep its value as unusable.
	 */
	{ 0x2a, 0x2a, INTEL, CONSTANT(0), IGNORED },			/* EBL_CR_POWERON: BSDs on family 6 */
	{ 0x79, 0x79, INTEL, IGNORED },					/* BIOS_UPDT_TRIG: the revision stays */
	{ 0xc1, 0xc4, INTEL, CONSTANT(0), IGNORED },			/* PMC0 to PMC3 */
	{ 0xce, 0xce, INTEL, .place = place_frequency },		/* PLATFORM_INFO */
	{ 0x186, 0x189, INTEL, CONSTANT(0), IGNORED },			/* PERFEVTSEL0 to PERFEVTSEL3 */
	{ 0x198, 0x198, INTEL, .place = place_frequency },		/* PERF_STATUS */
	{ 0x199, 0x199, INTEL, CONSTANT(0), IGNORED },			/* PERF_CTL */
	{ 0x606, 0x606, INTEL, CONSTANT(0) },				/* RAPL_POWER_UNIT: no energy counters */
	{ 0x611, 0x611, INTEL, CONSTANT(0) },				/* PKG_ENERGY_STATUS */
	{ 0x619, 0x619, INTEL, CONSTANT(0) },				/* DRAM_ENERGY_STATUS */
	{ 0x639, 0x639, INTEL, CONSTANT(0) },				/* PP0_ENERGY_STATUS */
	{ 0x641, 0x641, INTEL, CONSTANT(0) },				/* PP1_ENERGY_STATUS */

	{ 0xc0010000, 0xc0010007, AMD, CONSTANT(0), IGNORED },		/* PERFEVTSEL0 to 3, PMC0 to PMC3 */
	{ 0xc0010010, 0xc0010010, AMD, CONSTANT(0), IGNORED },		/* SYSCFG: Linux, Xen, for the MTRRs */
	{ 0xc0010015, 0xc0010015, AMD, CONSTANT(BIT(24)), IGNORED },	/* HWCR: TSC counts at P0 frequency */
	{ 0xc001001a, 0xc001001a, AMD, CONSTANT(0), IGNORED },		/* TOP_MEM */
	{ 0xc001001d, 0xc001001d, AMD, CONSTANT(0), IGNORED },		/* TOP_MEM2: Linux, Xen, for the MTRRs */
	{ 0xc001001f, 0xc001001f, AMD, CONSTANT(0), IGNORED },		/* NB_CFG: Linux, BSDs, Xen on family 10h */
	{ 0xc0010020, 0xc0010020, AMD, IGNORED },			/* PATCH_LOADER: the revision stays */
	{ 0xc0010044, 0xc0010044, AMD, CONSTANT(0), IGNORED },		/* MC0_CTL_MASK: FreeBSD on family 10h */
	{ 0xc0010055, 0xc0010055, AMD, CONSTANT(0), IGNORED },		/* INT_PENDING: no C1E */
	{ 0xc0010058, 0xc0010058, AMD, CONSTANT(0), IGNORED },		/* MMIO_CONF_BASE: Linux */
	/* P-states, none of them defined: OpenBSD and NetBSD look for the TSC's frequency because of HWCR. */
	{ 0xc0010061, 0xc001006b, AMD, CONSTANT(0), IGNORED },
	{ 0xc0010070, 0xc0010071, AMD, CONSTANT(0), IGNORED },		/* COFVID_CTL, COFVID_STATUS */
	{ 0xc0011020, 0xc0011020, AMD_LS_CFG, CONSTANT(0), IGNORED },
	{ 0xc0011021, 0xc0011023, AMD, CONSTANT(0), IGNORED },		/* IC_CFG (NetBSD), DC_CFG, BU_CFG */
	{ MSR_AMD_DE_CFG, MSR_AMD_DE_CFG, AMD_DE_CFG, .place = place_de_cfg, IGNORED },	/* OpenBSD, Linux */
	{ 0xc001102a, 0xc001102a, AMD, CONSTANT(0), IGNORED },		/* BU_CFG2: Linux, FreeBSD on family 10h */
	{ 0xc001102c, 0xc001102c, AMD, CONSTANT(0), IGNORED },		/* EX_CFG */
	{ 0x413, 0x413, AMD, CONSTANT(0), IGNORED },			/* MC4_MISC, no thresholds: Xen, where there is SVM */
};

/*
 * From family 15h to Hygon's 18h a bit of LS_CFG disables the speculative store bypass. Linux takes a register that
 * can be read for one that can be written, and reports the bypass as disabled: it must find none.
 */
static bool has_ls_cfg(void)
{
	return cpu_features.vendor == CPU_VENDOR_AMD && (cpu_features.family < 0x15 || cpu_features.family > 0x18);
}

/* AMD, "Software Techniques for Managing Speculation on AMD Processors", mitigation G-2 */
static bool has_de_cfg(void)
{
	return cpu_features.vendor == CPU_VENDOR_AMD && cpu_features.family >= 0x10 && cpu_features.family != 0x11;
}

static bool present(const struct vm *vm, const struct msr_policy *p)
{
	if (likely(p->present == ALWAYS))
		return true;
	switch (p->present) {
	case INTEL:
		return cpu_features.vendor == CPU_VENDOR_INTEL;
	case AMD:
		return cpu_features.vendor == CPU_VENDOR_AMD;
	case AMD_LS_CFG:
		return has_ls_cfg();
	case AMD_DE_CFG:
		return has_de_cfg();
	case WITH_RDTSCP:
		return cpu_features.rdtscp;
	case WITH_SPEC_CTRL:
		return cpu_features.spec_ctrl;
	case WITH_PRED_CMD:
		return cpu_features.pred_cmd;
	case WITH_FLUSH_CMD:
		return cpu_features.flush_cmd;
	case WITH_CAPABILITIES:
		return cpu_features.arch_capabilities;
	case PARAVIRTUAL:
		return hypervisor_is_paravirtual(vm->config->hypervisor);
	default:
		return true;
	}
}

static const struct msr_policy *find_policy(const struct vm *vm, u32 msr)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policy); i++) {
		if (msr >= policy[i].first && msr <= policy[i].last)
			return present(vm, &policy[i]) ? &policy[i] : NULL;
	}
	return NULL;
}

/* What a hypervisor needs. The policy has none of these MSRs. */
static int nested_msr_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct vcpu_ops *ops = vcpu->vm->ops;

	return nested_is_on(vcpu) && ops->nested_msr_read ? ops->nested_msr_read(vcpu, msr, value) : -ENOENT;
}

static int nested_msr_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	const struct vcpu_ops *ops = vcpu->vm->ops;

	return nested_is_on(vcpu) && ops->nested_msr_write ? ops->nested_msr_write(vcpu, msr, value) : -ENOENT;
}

int msr_guest_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct msr_policy *p;
	int error;

	if (msr_is_apic(msr))
		return vcpu->vm->irqchip->msr_read(vcpu->vlapic, msr, value);
	p = find_policy(vcpu->vm, msr);
	if (p && p->place) {
		const u64 *place = p->place(vcpu, p, msr);

		msr_add_shortcut(&vcpu->msrs->shortcuts, msr, place);
		*value = *place;
		return 0;
	}
	if (p && p->read)
		return p->read(vcpu, msr, value);
	error = nested_msr_read(vcpu, msr, value);
	if (error == -ENOENT && vm_once(vcpu->vm, ONCE_MSR_READ, msr))
		vm_info(vcpu->vm, "RDMSR of 0x%x, which this machine does not have, raises #GP", msr);
	return error ? -EINVAL : 0;
}

int msr_guest_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	const struct msr_policy *p;
	int error;

	if (msr_is_apic(msr))
		return vcpu->vm->irqchip->msr_write(vcpu->vlapic, msr, value);
	p = find_policy(vcpu->vm, msr);
	if (p && p->write)
		return p->write(vcpu, msr, &value);
	error = nested_msr_write(vcpu, msr, value);
	if (error == -ENOENT && vm_once(vcpu->vm, ONCE_MSR_WRITE, msr))
		vm_info(vcpu->vm, "WRMSR to 0x%x, which this machine does not have, raises #GP", msr);
	return error ? -EINVAL : 0;
}

void msr_apply_passthrough(struct vm *vm)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policy); i++) {
		for (u32 msr = policy[i].first; policy[i].passthrough && msr <= policy[i].last; msr++) {
			if (present(vm, &policy[i]))
				vm->ops->vm_msr_passthrough(vm, msr, policy[i].passthrough == DIRECT, true);
		}
	}
}

/* AMD's MSR always holds the revision; on Intel, write zero and execute CPUID first. */
static u64 host_microcode(void)
{
	u64 revision = 0;

	if (cpu_features.vendor == CPU_VENDOR_INTEL) {
		if (wrmsr_safe(MSR_BIOS_SIGN_ID, 0))
			return 0;
		cpuid(1);
	}
	return rdmsr_safe(MSR_BIOS_SIGN_ID, &revision) ? 0 : revision;
}

/* Bits 15:8 of PLATFORM_INFO and PERF_STATUS, as all processors since Sandy Bridge have them. */
static u64 frequency_ratio(void)
{
	return MIN((clock_tsc_hz() + 50000000) / 100000000, 255ull) << 8;
}

int msr_create(struct vcpu *vcpu)
{
	struct msr_state *msrs;

	_Static_assert(sizeof(struct msr_state) <= PAGE_SIZE, "one page");
	vcpu->msrs = msrs = page_alloc();
	if (!msrs)
		return -ENOMEM;
	msrs->host.microcode = host_microcode();
	msrs->host.capabilities = cpu_features.arch_capabilities ? speculation_guest_capabilities() : 0;
	msrs->host.frequency = frequency_ratio();
	if (has_de_cfg() && rdmsr_safe(MSR_AMD_DE_CFG, &msrs->host.de_cfg))
		msrs->host.de_cfg = 0;
	return 0;
}

void msr_destroy(struct vcpu *vcpu)
{
	if (vcpu->msrs)
		page_free(vcpu->msrs);
	vcpu->msrs = NULL;
}

/* As firmware would set them: write-back by default, the VGA range and 3 GiB to 4 GiB uncached. */
void msr_reset(struct vcpu *vcpu, bool init)
{
	struct msr_state *msrs = vcpu->msrs;
	struct host_values host = msrs->host;
	u64 physical = (1ull << cpuid_physical_bits(vcpu)) - 1;

	/* The memory behind them may have another use by the time at which the guest starts the processor again. */
	msrs->pvclock_system = 0;
	vcpu->steal_time = (struct steal_time){ .stolen = init ? vcpu->steal_time.stolen : 0 };
	if (init)
		return;
	memset(msrs, 0, sizeof(*msrs));
	msrs->host = host;
	write_misc_enable(vcpu, MSR_MISC_ENABLE, &(u64){ MISC_ENABLE_FAST_STRINGS });
	cpuid_apic_enabled(vcpu, true);
	for (unsigned i = 0; i < MTRR_FIXED; i++)
		msrs->mtrr_fixed[i] = 0x0606060606060606ull;
	*mtrr_slot(msrs, MSR_MTRR_FIX16K_A0000) = 0;
	msrs->mtrr_base[0] = GUEST_LOW_RAM_END | MTRR_TYPE_UC;
	msrs->mtrr_mask[0] = (~(GIB(1) - 1) & physical) | BIT(11);
	msrs->mtrr_def_type = BIT(11) /* enabled */ | BIT(10) /* fixed ones too */ | MTRR_TYPE_WB;
}
