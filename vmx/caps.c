/* SPDX-License-Identifier: MIT */
/*
 * Which VMX features this processor has, and the VMCS's controls that follow from them.
 * Intel SDM, "VMX Capability Reporting Facility", "Algorithms for Determining VMX Capabilities".
 */
#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "core/cpu/capability.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/speculation.h"
#include "lib/log.h"
#include "vmx/vmx.h"

struct vmx_caps vmx_caps;

/* Options that hide features which some processors lack, to test what replaces them. */
static struct {
	bool preemption_timer, virtual_nmis, vpid, efer, true_controls, shadowing;
} hidden;

#define DEFINE_HIDE_OPTION(id, name, help, member)				\
	static int set_##id(struct str_view value __maybe_unused)		\
	{									\
		hidden.member = true;						\
		return 0;							\
	}									\
	DEFINE_OPTION(id, name, NULL, help, set_##id)

DEFINE_HIDE_OPTION(nopreempt, "vmx.nopreempt",
		   "do without the VMX preemption timer: forced exits by self-IPI",
		   preemption_timer);
DEFINE_HIDE_OPTION(novnmi, "vmx.novnmi", "do without virtual NMIs: NMI blocking in software",
		   virtual_nmis);
DEFINE_HIDE_OPTION(novpid, "vmx.novpid", "do without VPIDs: entries and exits flush the TLB", vpid);
DEFINE_HIDE_OPTION(noefer, "vmx.noefer", "do without EFER in the VMCS: by MSR lists", efer);
DEFINE_HIDE_OPTION(notrue, "vmx.notrue", "do without true controls: guest CR3 accesses exit",
		   true_controls);

DEFINE_HIDE_OPTION(noshadow, "vmx.noshadow", "do without VMCS shadowing: VMREAD and VMWRITE of guests that are hypervisors exit",
		   shadowing);
enum need {
	NEED_COMMON,	/* required, and on every processor: logged only if it is missing */
	NEED_ON_DEMAND,	/* as NEED_COMMON, but a new VMCS has it off */
	NEED_REQUIRED,
	NEED_OPTIONAL,
};

/* A wanted bit of a capability MSR: a control, or a feature of EPT. */
struct wish {
	u64 bit;
	enum need need;
	const char *name;
	const char *replacement;	/* if optional */
	const bool *hidden;		/* set by the option that hides it; may be NULL */
};

#define COMMON(bit_, name_)    { .bit = bit_, .need = NEED_COMMON, .name = name_ }
#define ON_DEMAND(bit_, name_) { .bit = bit_, .need = NEED_ON_DEMAND, .name = name_ }
#define REQUIRED(bit_, name_)  { .bit = bit_, .need = NEED_REQUIRED, .name = name_ }
#define OPTIONAL(bit_, name_, replacement_, hidden_) \
	{ \
		.bit = bit_, .need = NEED_OPTIONAL, .name = name_, .replacement = replacement_, \
		.hidden = hidden_ \
	}

static const struct wish pin_wishes[] = {
	COMMON(PIN_EXTERNAL_INTERRUPT, "external-interrupt exiting"),
	COMMON(PIN_NMI, "NMI exiting"),
	OPTIONAL(PIN_VIRTUAL_NMI, "virtual NMIs", "NMI blocking in software", &hidden.virtual_nmis),
	OPTIONAL(PIN_PREEMPTION_TIMER, "preemption timer", "self-IPI and local APIC timer",
		 &hidden.preemption_timer),
};

static const struct wish primary_wishes[] = {
	ON_DEMAND(PRIMARY_INTERRUPT_WINDOW, "interrupt-window exiting"),
	COMMON(PRIMARY_TSC_OFFSET, "TSC offsetting"),
	COMMON(PRIMARY_HLT, "HLT exiting"),
	COMMON(PRIMARY_MWAIT, "MWAIT exiting"),
	COMMON(PRIMARY_MONITOR, "MONITOR exiting"),
	COMMON(PRIMARY_RDPMC, "RDPMC exiting"),
	COMMON(PRIMARY_CR8_LOAD, "CR8-load exiting"),
	COMMON(PRIMARY_CR8_STORE, "CR8-store exiting"),
	COMMON(PRIMARY_UNCONDITIONAL_IO, "unconditional I/O exiting"),
	OPTIONAL(PRIMARY_TPR_SHADOW, "TPR shadow", "accesses to CR8 exit", &capability_hides_apic),
	REQUIRED(PRIMARY_MSR_BITMAP, "MSR bitmaps"),
	REQUIRED(PRIMARY_SECONDARY, "secondary controls"),
};

static const struct wish secondary_wishes[] = {
	REQUIRED(SECONDARY_EPT, "EPT (extended page tables)"),
	REQUIRED(SECONDARY_UNRESTRICTED_GUEST, "unrestricted guest"),
	OPTIONAL(SECONDARY_VPID, "virtual processor identifiers",
		 "TLB is flushed by entry and exit", &hidden.vpid),
	OPTIONAL(SECONDARY_WBINVD, "WBINVD exiting", "WBINVD flushes the real caches", NULL),
	OPTIONAL(SECONDARY_RDTSCP, "RDTSCP for guests", "raises #UD", NULL),
	OPTIONAL(SECONDARY_INVPCID, "INVPCID for guests", "raises #UD", NULL),
	OPTIONAL(SECONDARY_PAUSE_LOOP, "PAUSE-loop exiting", "spinning vCPUs use up their time slices", NULL),
	OPTIONAL(SECONDARY_XSAVES, "XSAVES for guests", "raises #UD", NULL),
	OPTIONAL(SECONDARY_ENCLS, "ENCLS exiting", "no SGX that would need it", NULL),
	OPTIONAL(SECONDARY_SHADOWING, "VMCS shadowing", "VMREAD and VMWRITE of guests exit", &hidden.shadowing),
	OPTIONAL(SECONDARY_APIC_REGISTERS, "APIC-register virtualization", "accesses to local APICs exit",
		 &capability_hides_all_but_tpr),
	OPTIONAL(SECONDARY_INTERRUPT_DELIVERY, "virtual-interrupt delivery", "interrupts are injected",
		 &capability_hides_all_but_tpr),
	OPTIONAL(SECONDARY_APIC_ACCESSES, "virtualization of the APIC's page", "its accesses exit",
		 &capability_hides_all_but_tpr),
	OPTIONAL(SECONDARY_X2APIC, "virtualization of x2APIC mode", "its accesses exit", &capability_hides_all_but_tpr),
	OPTIONAL(SECONDARY_NOTIFY, "notification exits", "an instruction without end keeps its CPU", NULL),
};

static const struct wish exit_wishes[] = {
	COMMON(EXIT_SAVE_DEBUG, "saving of debug controls"),
	COMMON(EXIT_HOST_64BIT, "64-bit host"),
	OPTIONAL(EXIT_LOAD_EFER, "host EFER in the VMCS", "MSR-load lists", &hidden.efer),
	OPTIONAL(EXIT_SAVE_PAT | EXIT_LOAD_PAT, "host PAT in the VMCS",
		 "EPT ignores the guest's PAT", NULL),
	OPTIONAL(EXIT_SAVE_PREEMPTION_TIMER, "saving of the preemption timer", "set again at each entry",
		 &hidden.preemption_timer),
};

static const struct wish entry_wishes[] = {
	COMMON(ENTRY_LOAD_DEBUG, "loading of debug controls"),
	ON_DEMAND(ENTRY_IA32E_GUEST, "64-bit guests"),
	OPTIONAL(ENTRY_LOAD_EFER, "guest EFER in the VMCS", "MSR-load lists", &hidden.efer),
	OPTIONAL(ENTRY_LOAD_PAT, "guest PAT in the VMCS", "EPT ignores the guest's PAT", NULL),
};

static const struct wish ept_wishes[] = {
	REQUIRED(EPT_WALK_4, "4-level EPT"),
	REQUIRED(EPT_WRITE_BACK, "write-back EPT structures"),
	REQUIRED(EPT_INVEPT, "INVEPT"),
	OPTIONAL(EPT_PAGES_2M, "2 MiB EPT pages", "4 KiB pages", NULL),
	OPTIONAL(EPT_PAGES_1G, "1 GiB EPT pages", "2 MiB pages", NULL),
};

static bool has(const struct wish *wish, u64 available)
{
	bool found = (available & wish->bit) == wish->bit && !(wish->hidden && *wish->hidden);

	switch (wish->need) {
	case NEED_REQUIRED:
		return capability_required(wish->name, found);
	case NEED_OPTIONAL:
		return capability_optional(wish->name, found, wish->replacement);
	default:
		return found || capability_required(wish->name, false);
	}
}

/* Set the wanted bits that are available. Returns the first required bit's name that is missing, or NULL. */
static const char *choose(const struct wish *wishes, unsigned count, u64 available, u64 *chosen)
{
	const char *missing = NULL;

	for (unsigned i = 0; i < count; i++) {
		const struct wish *wish = &wishes[i];

		if (has(wish, available))
			*chosen |= wish->need == NEED_ON_DEMAND ? 0 : wish->bit;
		else if (wish->need != NEED_OPTIONAL && !missing)
			missing = wish->name;
	}
	return missing;
}

/* An MSR that cannot be read counts as 0: it announces nothing. */
static u64 read_capability(u32 msr)
{
	u64 value = 0;

	if (rdmsr_safe(msr, &value))
		log_error("MSR 0x%x cannot be read although CPUID announces VMX", msr);
	return value;
}

/* Each set comes after the one that announces it: secondary controls after primary ones. */
static const struct control_set {
	const struct wish *wishes;
	unsigned count;
	u32 msr, true_msr;
	u32 *controls;
} control_sets[] = {
	{ pin_wishes, ARRAY_SIZE(pin_wishes), MSR_VMX_PIN, MSR_VMX_TRUE_PIN, &vmx_caps.pin },
	{ primary_wishes, ARRAY_SIZE(primary_wishes), MSR_VMX_PRIMARY, MSR_VMX_TRUE_PRIMARY,
	  &vmx_caps.primary },
	{ secondary_wishes, ARRAY_SIZE(secondary_wishes), MSR_VMX_SECONDARY, MSR_VMX_SECONDARY,
	  &vmx_caps.secondary },
	{ exit_wishes, ARRAY_SIZE(exit_wishes), MSR_VMX_EXIT, MSR_VMX_TRUE_EXIT, &vmx_caps.exit },
	{ entry_wishes, ARRAY_SIZE(entry_wishes), MSR_VMX_ENTRY, MSR_VMX_TRUE_ENTRY,
	  &vmx_caps.entry },
};

/* The capability MSR's low half has the controls that must be 1, its high half those that may be 1. */
static const char *adjust(const struct control_set *set, bool true_controls)
{
	bool absent = set->msr == MSR_VMX_SECONDARY && !(vmx_caps.primary & PRIMARY_SECONDARY);
	u64 capability = absent ? 0 : read_capability(true_controls ? set->true_msr : set->msr);
	u64 chosen = (u32)capability;
	const char *missing = choose(set->wishes, set->count, capability >> 32, &chosen);

	*set->controls = (u32)chosen;
	return missing;
}

/*
 * Errata "VMX-preemption timer does not count down at the rate specified": BA86, AAU65 and others.
 * Processors without unrestricted guests are not listed: Lamina does not run on them.
 */
static bool timer_counts_wrong(void)
{
	static const struct {
		u8 model, stepping;	/* of family 6 */
	} affected[] = { { 0x2e, 6 }, { 0x25, 2 }, { 0x25, 5 }, { 0x3a, 8 } };

	if (cpu_features.vendor != CPU_VENDOR_INTEL || cpu_features.family != 6)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(affected); i++)
		if (cpu_features.model == affected[i].model &&
		    cpu_features.stepping == affected[i].stepping)
			return true;
	return false;
}

/* Clear controls that are of no use without another one, which is missing. */
static void drop_halves(void)
{
	if ((vmx_caps.ept_vpid & (EPT_INVVPID | EPT_INVVPID_ALL)) != (EPT_INVVPID | EPT_INVVPID_ALL))
		vmx_caps.secondary &= ~(u32)SECONDARY_VPID;
	if (!vmx_has_preemption_timer())
		vmx_caps.exit &= ~(u32)EXIT_SAVE_PREEMPTION_TIMER;
	if (!vmx_switches_efer()) {
		vmx_caps.exit &= ~(u32)EXIT_LOAD_EFER;
		vmx_caps.entry &= ~(u32)ENTRY_LOAD_EFER;
	}
	if (!vmx_switches_pat()) {
		vmx_caps.exit &= ~(u32)(EXIT_SAVE_PAT | EXIT_LOAD_PAT);
		vmx_caps.entry &= ~(u32)ENTRY_LOAD_PAT;
	}
}

/*
 * The combinations that are used, the best one first. Registers without delivery would spare few exits: each write
 * still is one. The page and x2APIC mode are two ways to the same registers: each where there is the control for it.
 */
static const struct {
	u32 primary, secondary;		/* all of these */
	u32 optional;			/* and of these what there is */
	enum apic_hardware apic;
} apic_choices[] = {
	{ PRIMARY_TPR_SHADOW, SECONDARY_APIC_REGISTERS | SECONDARY_INTERRUPT_DELIVERY,
	  SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC, APIC_BY_HARDWARE },
	{ PRIMARY_TPR_SHADOW, 0, 0, APIC_TPR },
	{ 0, 0, 0, APIC_BY_SOFTWARE },
};

/* Their controls are for those VMs that use them. */
static void choose_apic(void)
{
	const u32 all = SECONDARY_APIC_REGISTERS | SECONDARY_INTERRUPT_DELIVERY | SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC;
	unsigned i = 0;

	while ((apic_choices[i].primary & ~vmx_caps.primary) || (apic_choices[i].secondary & ~vmx_caps.secondary))
		i++;
	vmx_caps.apic = apic_choices[i].apic;
	vmx_caps.apic_secondary = apic_choices[i].secondary | (apic_choices[i].optional & vmx_caps.secondary);
	vmx_caps.primary &= ~(u32)PRIMARY_TPR_SHADOW;
	vmx_caps.secondary &= ~all;
}

/* It is for guests that are hypervisors. L0 writes VM-exit information into shadow VMCSs. */
static void choose_shadowing(void)
{
	vmx_caps.shadowing = (vmx_caps.secondary & SECONDARY_SHADOWING) && (read_capability(MSR_VMX_MISC) & MISC_VMWRITE_ANY);
	vmx_caps.secondary &= ~(u32)SECONDARY_SHADOWING;
}

/* Instructions that raise #UD without their control: guests are not offered them. */
static void withhold_instructions(void)
{
	if (!(vmx_caps.secondary & SECONDARY_RDTSCP))
		cpuid_withhold(FEATURE_RDTSCP);
	if (!(vmx_caps.secondary & SECONDARY_INVPCID))
		cpuid_withhold(FEATURE_INVPCID);
}

/* Returns the name of what is missing, or NULL. */
static const char *read_controls(u64 basic)
{
	bool true_controls = (basic & BASIC_TRUE_CONTROLS) && !hidden.true_controls;
	const char *missing = NULL, *missing_ept = NULL;
	u64 features = 0;

	capability_optional("true controls", true_controls, "guest CR3 accesses exit");
	for (unsigned i = 0; i < ARRAY_SIZE(control_sets); i++) {
		const char *name = adjust(&control_sets[i], true_controls);

		missing = missing ? missing : name;
	}
	if (vmx_caps.secondary & SECONDARY_EPT) {
		vmx_caps.ept_vpid = read_capability(MSR_VMX_EPT_VPID);
		missing_ept = choose(ept_wishes, ARRAY_SIZE(ept_wishes), vmx_caps.ept_vpid,
				     &features);
	}
	drop_halves();
	choose_apic();
	choose_shadowing();
	withhold_instructions();
	return missing ? missing : missing_ept;
}

/* SDM, "Enabling and Entering VMX Operation": the firmware decides, and locks the decision. */
static int check_lock(void)
{
	u64 control = read_capability(MSR_FEATURE_CONTROL);
	bool locked = control & FEATURE_CONTROL_LOCKED, on = control & FEATURE_CONTROL_VMX;

	log_info("  %-34s %s, VMX %s", "IA32_FEATURE_CONTROL", locked ? "locked" : "not locked",
		 on ? "on" : locked ? "off" : "off, Lamina switches it on and locks it");
	if (!locked || on)
		return 0;
	log_error("VMX is locked off by the firmware (IA32_FEATURE_CONTROL = 0x%llx): "
		  "enable \"Intel Virtualization Technology\" in its set-up",
		  (unsigned long long)control);
	return -ENODEV;
}

int vmx_probe(void)
{
	const char *missing;
	u64 basic;

	if (!cpu_features.vmx) {
		log_error("this processor has no VMX: CPUID does not announce it");
		return -ENODEV;
	}
	basic = read_capability(MSR_VMX_BASIC);
	vmx_caps = (struct vmx_caps){
		.revision = basic & BASIC_REVISION,
		.timer_shift = read_capability(MSR_VMX_MISC) & MISC_TIMER_SHIFT,
		.cr0_fixed0 = read_capability(MSR_VMX_CR0_FIXED0),
		.cr0_fixed1 = read_capability(MSR_VMX_CR0_FIXED1),
		.cr4_fixed0 = read_capability(MSR_VMX_CR4_FIXED0),
		.cr4_fixed1 = read_capability(MSR_VMX_CR4_FIXED1),
	};

	log_info("capabilities: Intel VMX, VMCS revision 0x%x", vmx_caps.revision);
	if (check_lock())
		return -ENODEV;
	if (timer_counts_wrong()) {
		log_info("  this processor's preemption timer does not keep time (erratum)");
		hidden.preemption_timer = true;
	}
	missing = read_controls(basic);
	if (vmx_has_preemption_timer())
		log_info("  %-34s %u TSC ticks", "preemption timer's unit",
			 1u << vmx_caps.timer_shift);
	capability_optional("TSC deadline timer", cpu_features.tsc_deadline,
			    "calibrated one-shot timer");
	capability_optional("x2APIC", cpu_features.x2apic, "xAPIC");
	capability_optional("invariant TSC", cpu_features.invariant_tsc,
			    "TSC is taken to be constant");
	speculation_init();
	ept_init();
	log_info("  %-34s %s", "forced exits by",
		 vmx_has_preemption_timer() ? "preemption timer = 0"
					    : "self-IPI, seen pending before the entry");
	if (!missing)
		return 0;
	log_error("this processor has VMX but no %s; "
		  "Lamina runs guests with EPT, and as unrestricted guests only", missing);
	return -ENODEV;
}
