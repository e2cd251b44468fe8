/* SPDX-License-Identifier: MIT */
/* What is made of VMX's capability MSRs: controls, replacements, and the words where it ends. */
/* link: core/cpu/capability.c lib/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* For the functions that its options call, and for what they leave behind. */
#include "vmx/caps.c"

#define TRUE_CONTROLS BIT_ULL(55)

struct cpu_features cpu_features;

void speculation_init(void) { }	/* it has a test of its own */
void ept_init(void) { }		/* likewise */

static u64 withheld;

int option_choice(struct str_view value, const char *words) { return -EINVAL; }

void cpuid_withhold(enum guest_feature feature) { withheld |= BIT_ULL(feature); }

static u64 msrs[0x500];
static bool unreadable[0x500];
static char said[16384];

static void listen(struct log_console *console, const char *text, size_t length)
{
	size_t n = strlen(said);

	assert_true(n + length < sizeof(said));
	memcpy(said + n, text, length);
}

static struct log_console console = { .write = listen };

int rdmsr_safe(u32 msr, u64 *value)
{
	assert_true(msr < ARRAY_SIZE(msrs));
	if (unreadable[msr])
		return -EFAULT;
	*value = msrs[msr];
	return 0;
}

static u64 controls(u32 must, u32 may)
{
	return (u64)(may | must) << 32 | must;
}

/* A processor that has everything, with the reserved bits that are fixed to 1 on real ones. */
static int setup(void **state)
{
	memset(msrs, 0, sizeof(msrs));
	memset(unreadable, 0, sizeof(unreadable));
	memset(said, 0, sizeof(said));
	memset(&hidden, 0, sizeof(hidden));
	capability_hides_apic = capability_hides_all_but_tpr = false;
	cpu_features = (struct cpu_features){
		.vmx = true, .tsc_deadline = true, .x2apic = true, .invariant_tsc = true,
	};
	msrs[0x3a] = 5;
	msrs[MSR_VMX_BASIC] = TRUE_CONTROLS | 0x1234;
	msrs[MSR_VMX_MISC] = 0x75;	/* with activity states above bit 4 */
	msrs[MSR_VMX_SECONDARY] = controls(0, ~0u);
	msrs[MSR_VMX_EPT_VPID] = ~0ull;
	msrs[MSR_VMX_TRUE_PIN] = controls(0x16, 0x7f);
	msrs[MSR_VMX_TRUE_PRIMARY] = controls(0x04006172, ~0u);
	msrs[MSR_VMX_TRUE_EXIT] = controls(0x36dfb, ~0u);
	msrs[MSR_VMX_TRUE_ENTRY] = controls(0x11fb, ~0u);
	msrs[MSR_VMX_PIN] = controls(0x16, 0x7f);
	msrs[MSR_VMX_PRIMARY] = controls(0x0401e172, ~0u);
	msrs[MSR_VMX_EXIT] = controls(0x36dff, ~0u);
	msrs[MSR_VMX_ENTRY] = controls(0x11ff, ~0u);
	return 0;
}

static void assert_said(const char *words)
{
	if (!strstr(said, words))
		fail_msg("expected \"%s\" in: %s", words, said);
}

static void take_away(u32 msr, u32 bits)
{
	msrs[msr] &= ~((u64)bits << 32);
}

static void everything(void **state)
{
	assert_int_equal(vmx_probe(), 0);
	assert_int_equal(vmx_caps.revision, 0x1234);
	assert_int_equal(vmx_caps.timer_shift, 0x15);
	/* Fixed bits stay, wanted ones are set, all others are not. */
	assert_int_equal(vmx_caps.pin, 0x7f & (0x16 | BIT(0) | BIT(3) | BIT(5) | BIT(6)));
	assert_int_equal(vmx_caps.primary & 0x04006172, 0x04006172);
	assert_int_equal(vmx_caps.secondary, BIT(1) | BIT(3) | BIT(5) | BIT(6) | BIT(7) | BIT(12) |
					     BIT(10) | BIT(15) | BIT(20) | BIT(31));
	assert_true(vmx_has_preemption_timer() && vmx_has_virtual_nmis() && vmx_has_vpid());
	assert_true(vmx_switches_efer() && vmx_switches_pat());
	assert_false(strstr(said, "missing"));
	assert_false(strstr(said, "error"));
}

/* A window would exit immediately, and the guest's mode is not known yet. */
static void on_demand_controls_start_off(void **state)
{
	assert_int_equal(vmx_probe(), 0);
	assert_int_equal(vmx_caps.primary & (PRIMARY_INTERRUPT_WINDOW | PRIMARY_NMI_WINDOW), 0);
	assert_int_equal(vmx_caps.entry & ENTRY_IA32E_GUEST, 0);
}

/* The older MSRs fix the CR3 exits to 1; where the newer ones exist, they are off. */
static void true_controls_turn_cr3_exits_off(void **state)
{
	const u32 cr3 = PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE;

	assert_int_equal(vmx_probe(), 0);
	assert_int_equal(vmx_caps.primary & cr3, 0);
	msrs[MSR_VMX_BASIC] &= ~TRUE_CONTROLS;
	assert_int_equal(vmx_probe(), 0);
	assert_int_equal(vmx_caps.primary & cr3, cr3);
	assert_said("true controls                      missing: guest CR3 accesses exit");
}

static void optional_ones_are_replaced(void **state)
{
	static const struct {
		u32 msr, bits;
		const char *words;
	} cases[] = {
		{ MSR_VMX_TRUE_PIN, BIT(5), "virtual NMIs                       missing: " },
		{ MSR_VMX_TRUE_PIN, BIT(6), "preemption timer                   missing: self-" },
		{ MSR_VMX_SECONDARY, BIT(10), "PAUSE-loop exiting                 missing: " },
		{ MSR_VMX_SECONDARY, BIT(31), "notification exits                 missing: an instruction without end" },
		{ MSR_VMX_SECONDARY, BIT(5), "virtual processor identifiers      missing: " },
		{ MSR_VMX_TRUE_EXIT, BIT(21), "host EFER in the VMCS              missing: " },
		{ MSR_VMX_TRUE_ENTRY, BIT(14), "guest PAT in the VMCS              missing: " },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		take_away(cases[i].msr, cases[i].bits);
		assert_int_equal(vmx_probe(), 0);
		assert_said(cases[i].words);
	}
	setup(state);
	take_away(MSR_VMX_TRUE_PIN, BIT(6));
	assert_int_equal(vmx_probe(), 0);
	assert_false(vmx_has_preemption_timer());
	assert_said("forced exits by                    self-IPI");
}

/* Loaded on entry and not on exit, the host would run with the guest's. */
/* SDM, "Definitions of Secondary Processor-Based VM-Execution Controls": without it the instruction raises #UD. */
static void instructions_without_a_control_are_withheld(void **state)
{
	setup(state);
	withheld = 0;
	assert_int_equal(vmx_probe(), 0);
	assert_int_equal(withheld, 0);
	take_away(MSR_VMX_SECONDARY, BIT(12));
	assert_int_equal(vmx_probe(), 0);
	assert_int_equal(withheld, BIT_ULL(FEATURE_INVPCID));
	setup(state);
	withheld = 0;
	take_away(MSR_VMX_SECONDARY, BIT(3));
	assert_int_equal(vmx_probe(), 0);
	assert_int_equal(withheld, BIT_ULL(FEATURE_RDTSCP));
}

static void halves_are_dropped(void **state)
{
	take_away(MSR_VMX_TRUE_EXIT, EXIT_LOAD_EFER | EXIT_SAVE_PAT);
	assert_int_equal(vmx_probe(), 0);
	assert_int_equal(vmx_caps.entry & (ENTRY_LOAD_EFER | ENTRY_LOAD_PAT), 0);
	assert_int_equal(vmx_caps.exit & (EXIT_LOAD_EFER | EXIT_SAVE_PAT | EXIT_LOAD_PAT), 0);

	setup(state);
	msrs[MSR_VMX_EPT_VPID] &= ~EPT_INVVPID;
	assert_int_equal(vmx_probe(), 0);
	assert_false(vmx_has_vpid());

	/* VPIDs that are used again need INVVPID of all contexts: bit 42. That of one can be replaced by it. */
	setup(state);
	msrs[MSR_VMX_EPT_VPID] &= ~BIT_ULL(42);
	assert_int_equal(vmx_probe(), 0);
	assert_false(vmx_has_vpid());
	setup(state);
	msrs[MSR_VMX_EPT_VPID] &= ~EPT_INVVPID_SINGLE;
	assert_int_equal(vmx_probe(), 0);
	assert_true(vmx_has_vpid());
}

static void required_ones_are_named(void **state)
{
	static const struct {
		u32 msr, bits;
		const char *words;
	} cases[] = {
		{ MSR_VMX_SECONDARY, BIT(1), "has VMX but no EPT" },
		{ MSR_VMX_SECONDARY, BIT(7), "has VMX but no unrestricted guest" },
		{ MSR_VMX_TRUE_PRIMARY, BIT(31), "has VMX but no secondary controls" },
		{ MSR_VMX_TRUE_PRIMARY, BIT(28), "has VMX but no MSR bitmaps" },
		{ MSR_VMX_TRUE_PRIMARY, BIT(2), "has VMX but no interrupt-window exiting" },
		{ MSR_VMX_TRUE_PIN, BIT(0), "has VMX but no external-interrupt exiting" },
		{ MSR_VMX_TRUE_EXIT, BIT(9), "has VMX but no 64-bit host" },
		{ MSR_VMX_TRUE_ENTRY, BIT(9), "has VMX but no 64-bit guests" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		/* Not fixed to 1 either. */
		msrs[cases[i].msr] &= ~(u64)cases[i].bits;
		take_away(cases[i].msr, cases[i].bits);
		assert_int_equal(vmx_probe(), -ENODEV);
		assert_said(cases[i].words);
		assert_said("MISSING, required");
	}
	setup(state);
	msrs[MSR_VMX_EPT_VPID] &= ~EPT_WALK_4;
	assert_int_equal(vmx_probe(), -ENODEV);
	assert_said("has VMX but no 4-level EPT");
}

/* An MSR that the processor does not announce may raise #GP when read. */
static void unannounced_msrs_are_not_read(void **state)
{
	take_away(MSR_VMX_TRUE_PRIMARY, PRIMARY_SECONDARY);
	unreadable[MSR_VMX_SECONDARY] = unreadable[MSR_VMX_EPT_VPID] = true;
	assert_int_equal(vmx_probe(), -ENODEV);
	assert_int_equal(vmx_caps.secondary, 0);
	assert_false(strstr(said, "cannot be read"));

	setup(state);
	msrs[MSR_VMX_BASIC] &= ~TRUE_CONTROLS;
	for (u32 msr = MSR_VMX_TRUE_PIN; msr <= MSR_VMX_TRUE_ENTRY; msr++)
		unreadable[msr] = true;
	assert_int_equal(vmx_probe(), 0);
	assert_false(strstr(said, "cannot be read"));

	setup(state);
	unreadable[MSR_VMX_TRUE_PIN] = true;
	assert_int_equal(vmx_probe(), -ENODEV);
	assert_said("MSR 0x48d cannot be read");
	assert_int_equal(vmx_caps.pin, 0);
}

static void firmware_lock(void **state)
{
	msrs[0x3a] = 1;
	assert_int_equal(vmx_probe(), -ENODEV);
	assert_said("IA32_FEATURE_CONTROL               locked, VMX off");
	assert_said("VMX is locked off by the firmware (IA32_FEATURE_CONTROL = 0x1): enable");

	/* On inside SMX operation only, which is not where Lamina runs. */
	setup(state);
	msrs[0x3a] = 3;
	assert_int_equal(vmx_probe(), -ENODEV);

	setup(state);
	msrs[0x3a] = 0;
	assert_int_equal(vmx_probe(), 0);
	assert_said("not locked, VMX off, Lamina switches it on and locks it");
}

/* Of the errata's processors, model and stepping are both meant; the neighbours count right. */
static void timers_with_an_erratum(void **state)
{
	static const struct {
		enum cpu_vendor vendor;
		u32 family, model, stepping;
		bool wrong;
	} cases[] = {
		{ CPU_VENDOR_INTEL, 6, 0x2e, 6, true }, { CPU_VENDOR_INTEL, 6, 0x25, 2, true },
		{ CPU_VENDOR_INTEL, 6, 0x25, 5, true }, { CPU_VENDOR_INTEL, 6, 0x3a, 8, true },
		{ CPU_VENDOR_INTEL, 6, 0x2e, 5, false }, { CPU_VENDOR_INTEL, 6, 0x25, 3, false },
		{ CPU_VENDOR_INTEL, 6, 0x2c, 2, false }, { CPU_VENDOR_INTEL, 6, 0x3a, 9, false },
		{ CPU_VENDOR_INTEL, 15, 0x25, 2, false }, { CPU_VENDOR_AMD, 6, 0x25, 2, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		cpu_features.vendor = cases[i].vendor;
		cpu_features.family = cases[i].family;
		cpu_features.model = cases[i].model;
		cpu_features.stepping = cases[i].stepping;
		assert_int_equal(vmx_probe(), 0);
		assert_int_equal(vmx_has_preemption_timer(), !cases[i].wrong);
		assert_int_equal(!!strstr(said, "does not keep time"), cases[i].wrong);
	}
}

/* The reserved bits that are fixed to 1, and those that the manual gives what Lamina asks for. */
static void exactly_these_controls(void **state)
{
	assert_int_equal(vmx_probe(), 0);
	assert_int_equal(vmx_caps.pin, 0x16 | BIT(0) | BIT(3) | BIT(5) | BIT(6));
	assert_int_equal(vmx_caps.primary, 0x04006172 | BIT(3) | BIT(7) | BIT(10) | BIT(11) | BIT(19) | BIT(20) |
					   BIT(24) | BIT(28) | BIT(29) | BIT(31));
	assert_int_equal(vmx_caps.exit, 0x36dfb | BIT(2) | BIT(9) | BIT(18) | BIT(19) | BIT(21) | BIT(22));
	assert_int_equal(vmx_caps.entry, 0x11fb | BIT(2) | BIT(14) | BIT(15));
	assert_int_equal(vmx_caps.ept_vpid, ~0ull);
}

/* SDM, "Processor-Based VM-Execution Controls": 21; "Definitions of Secondary ...": 0, 4, 8, 9. */
static void what_is_used_of_apic_virtualization(void **state)
{
	const u32 page = BIT(0), x2apic = BIT(4), registers = BIT(8), delivery = BIT(9), all = page | x2apic | registers | delivery;
	const struct {
		enum { NOTHING, ALL_BUT_TPR, ALL } hidden;	/* apicv=auto, tpr, off */
		u32 missing_primary, missing_secondary;
		enum apic_hardware apic;
		u32 secondary;
	} cases[] = {
		{ NOTHING, 0, 0, APIC_BY_HARDWARE, all },
		{ NOTHING, 0, page, APIC_BY_HARDWARE, all & ~page },
		{ NOTHING, 0, x2apic, APIC_BY_HARDWARE, all & ~x2apic },
		{ NOTHING, 0, registers, APIC_TPR, 0 },
		{ NOTHING, 0, delivery, APIC_TPR, 0 },
		{ NOTHING, 0, registers | delivery, APIC_TPR, 0 },
		{ NOTHING, 0, all, APIC_TPR, 0 },
		{ NOTHING, BIT(21), 0, APIC_BY_SOFTWARE, 0 },
		{ ALL_BUT_TPR, 0, 0, APIC_TPR, 0 },
		{ ALL_BUT_TPR, BIT(21), 0, APIC_BY_SOFTWARE, 0 },
		{ ALL, 0, 0, APIC_BY_SOFTWARE, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		capability_hides_all_but_tpr = cases[i].hidden != NOTHING;
		capability_hides_apic = cases[i].hidden == ALL;
		msrs[MSR_VMX_TRUE_PRIMARY] &= ~((u64)cases[i].missing_primary << 32);
		msrs[MSR_VMX_SECONDARY] &= ~((u64)cases[i].missing_secondary << 32);
		assert_int_equal(vmx_probe(), 0);
		assert_int_equal(vmx_caps.apic, cases[i].apic);
		assert_int_equal(vmx_caps.apic_secondary, cases[i].secondary);
		/* A VMCS has them only where its VM uses them. */
		assert_int_equal(vmx_caps.secondary & all, 0);
		assert_int_equal(vmx_caps.primary & BIT(21), 0);
		assert_int_equal(vmx_caps.primary >> 19 & 3, 3);
	}
}

/* SDM, "Basic VMX Information", "Miscellaneous Data": bit 31 and what is above bit 4 mean something else. */
static void fields_of_the_capability_msrs(void **state)
{
	msrs[MSR_VMX_BASIC] = ~0ull;
	msrs[MSR_VMX_MISC] = ~0ull;
	msrs[MSR_VMX_CR0_FIXED0] = 0x80000021;
	msrs[MSR_VMX_CR0_FIXED1] = 0xffffffff;
	msrs[MSR_VMX_CR4_FIXED0] = 0x2000;
	msrs[MSR_VMX_CR4_FIXED1] = 0x3727ff;
	assert_int_equal(vmx_probe(), 0);
	assert_int_equal(vmx_caps.revision, 0x7fffffff);
	assert_int_equal(vmx_caps.timer_shift, 31);
	assert_int_equal(vmx_caps.cr0_fixed0, 0x80000021);
	assert_int_equal(vmx_caps.cr0_fixed1, 0xffffffff);
	assert_int_equal(vmx_caps.cr4_fixed0, 0x2000);
	assert_int_equal(vmx_caps.cr4_fixed1, 0x3727ff);
}

static void the_log_has_what_was_found(void **state)
{
	assert_int_equal(vmx_probe(), 0);
	assert_said("capabilities: Intel VMX, VMCS revision 0x1234");
	assert_said("IA32_FEATURE_CONTROL               locked, VMX on");
	assert_said("preemption timer's unit            2097152 TSC ticks");
	assert_said("forced exits by                    preemption timer = 0");
	assert_said("true controls                      found");
	assert_said("TSC deadline timer                 found");
	assert_said("x2APIC                             found");
	assert_said("invariant TSC                      found");

	setup(state);
	cpu_features = (struct cpu_features){ .vmx = true };
	take_away(MSR_VMX_TRUE_PIN, BIT(6));
	assert_int_equal(vmx_probe(), 0);
	assert_said("TSC deadline timer                 missing: calibrated one-shot timer");
	assert_said("x2APIC                             missing: xAPIC");
	assert_said("invariant TSC                      missing: TSC is taken to be constant");
	assert_false(strstr(said, "preemption timer's unit"));
}

/* VMCS shadowing needs VMWRITE to exit information; no VMCS has it on by itself. */
static void vmcs_shadowing(void **state)
{
	msrs[MSR_VMX_MISC] |= BIT(29);
	assert_int_equal(vmx_probe(), 0);
	assert_true(vmx_caps.shadowing);
	assert_int_equal(vmx_caps.secondary & BIT(14), 0);
	setup(state);
	assert_int_equal(vmx_probe(), 0);
	assert_false(vmx_caps.shadowing);
	msrs[MSR_VMX_MISC] |= BIT(29);
	take_away(MSR_VMX_SECONDARY, BIT(14));
	assert_int_equal(vmx_probe(), 0);
	assert_false(vmx_caps.shadowing);
	setup(state);
	msrs[MSR_VMX_MISC] |= BIT(29);
	assert_int_equal(set_noshadow((struct str_view){ 0 }), 0);
	assert_int_equal(vmx_probe(), 0);
	assert_false(vmx_caps.shadowing);
}

/* Each takes away one thing, as if the processor lacked it, and nothing else. */
static void options_hide_capabilities(void **state)
{
	static const struct {
		int (*set)(struct str_view value);
		u32 pin, primary, secondary, exit, entry;	/* what is missing or more than without it */
	} options[] = {
		{ set_nopreempt, .pin = BIT(6), .exit = BIT(22) }, { set_novnmi, .pin = BIT(5) }, { set_novpid, .secondary = BIT(5) },
		{ set_noefer, .exit = BIT(21), .entry = BIT(15) },
		{ set_notrue, .primary = BIT(15) | BIT(16) },
	};
	struct vmx_caps all;

	assert_int_equal(vmx_probe(), 0);
	all = vmx_caps;
	for (unsigned i = 0; i < ARRAY_SIZE(options); i++) {
		setup(state);
		assert_int_equal(options[i].set((struct str_view){ 0 }), 0);
		assert_int_equal(vmx_probe(), 0);
		assert_int_equal(vmx_caps.pin ^ all.pin, options[i].pin);
		assert_int_equal(vmx_caps.primary ^ all.primary, options[i].primary);
		assert_int_equal(vmx_caps.secondary ^ all.secondary, options[i].secondary);
		assert_int_equal(vmx_caps.exit ^ all.exit, options[i].exit);
		assert_int_equal(vmx_caps.entry ^ all.entry, options[i].entry);
		assert_said("missing: ");
	}
}

/* A half that loads on entry only, or on exit only, is dropped with the other one. */
static void each_half_is_dropped(void **state)
{
	static const struct {
		u32 msr, bit;
		u32 exit, entry;	/* what goes */
	} cases[] = {
		{ MSR_VMX_TRUE_EXIT, EXIT_LOAD_EFER, EXIT_LOAD_EFER, ENTRY_LOAD_EFER },
		{ MSR_VMX_TRUE_ENTRY, ENTRY_LOAD_EFER, EXIT_LOAD_EFER, ENTRY_LOAD_EFER },
		{ MSR_VMX_TRUE_EXIT, EXIT_SAVE_PAT, EXIT_SAVE_PAT | EXIT_LOAD_PAT, ENTRY_LOAD_PAT },
		{ MSR_VMX_TRUE_EXIT, EXIT_LOAD_PAT, EXIT_SAVE_PAT | EXIT_LOAD_PAT, ENTRY_LOAD_PAT },
		{ MSR_VMX_TRUE_ENTRY, ENTRY_LOAD_PAT, EXIT_SAVE_PAT | EXIT_LOAD_PAT, ENTRY_LOAD_PAT },
	};
	struct vmx_caps all;

	assert_int_equal(vmx_probe(), 0);
	all = vmx_caps;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		take_away(cases[i].msr, cases[i].bit);
		assert_int_equal(vmx_probe(), 0);
		assert_int_equal(vmx_caps.exit, all.exit & ~cases[i].exit);
		assert_int_equal(vmx_caps.entry, all.entry & ~cases[i].entry);
	}
}

/* In the order in which they are looked at: what is missing of EPT is named last. */
static void the_first_missing_one_is_named(void **state)
{
	static const u64 ept[] = { EPT_WALK_4, EPT_WRITE_BACK, EPT_INVEPT };
	static const char *const names[] = { "4-level EPT", "write-back EPT structures", "INVEPT" };

	for (unsigned i = 0; i < ARRAY_SIZE(ept); i++) {
		setup(state);
		msrs[MSR_VMX_EPT_VPID] &= ~ept[i];
		assert_int_equal(vmx_probe(), -ENODEV);
		assert_said("has VMX but no ");
		assert_said(names[i]);
	}
	setup(state);
	msrs[MSR_VMX_EPT_VPID] &= ~(EPT_WALK_4 | EPT_INVEPT);
	take_away(MSR_VMX_SECONDARY, BIT(7));
	take_away(MSR_VMX_TRUE_PRIMARY, BIT(28) | BIT(7));
	assert_int_equal(vmx_probe(), -ENODEV);
	assert_said("has VMX but no HLT exiting; ");
}

/* Without EPT there is no MSR that says what it can do. */
static void ept_is_not_asked_for_where_it_is_missing(void **state)
{
	take_away(MSR_VMX_SECONDARY, BIT(1));
	unreadable[MSR_VMX_EPT_VPID] = true;
	assert_int_equal(vmx_probe(), -ENODEV);
	assert_int_equal(vmx_caps.ept_vpid, 0);
	assert_false(strstr(said, "cannot be read"));
	assert_false(vmx_has_vpid());
}

static void no_vmx(void **state)
{
	cpu_features.vmx = false;
	assert_int_equal(vmx_probe(), -ENODEV);
	assert_said("this processor has no VMX");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(everything, setup),
		cmocka_unit_test_setup(on_demand_controls_start_off, setup),
		cmocka_unit_test_setup(true_controls_turn_cr3_exits_off, setup),
		cmocka_unit_test_setup(optional_ones_are_replaced, setup),
		cmocka_unit_test_setup(instructions_without_a_control_are_withheld, setup),
		cmocka_unit_test_setup(halves_are_dropped, setup),
		cmocka_unit_test_setup(required_ones_are_named, setup),
		cmocka_unit_test_setup(unannounced_msrs_are_not_read, setup),
		cmocka_unit_test_setup(firmware_lock, setup),
		cmocka_unit_test_setup(no_vmx, setup),
		cmocka_unit_test_setup(timers_with_an_erratum, setup),
		cmocka_unit_test_setup(exactly_these_controls, setup),
		cmocka_unit_test_setup(what_is_used_of_apic_virtualization, setup),
		cmocka_unit_test_setup(fields_of_the_capability_msrs, setup),
		cmocka_unit_test_setup(the_log_has_what_was_found, setup),
		cmocka_unit_test_setup(options_hide_capabilities, setup),
		cmocka_unit_test_setup(vmcs_shadowing, setup),
		cmocka_unit_test_setup(each_half_is_dropped, setup),
		cmocka_unit_test_setup(the_first_missing_one_is_named, setup),
		cmocka_unit_test_setup(ept_is_not_asked_for_where_it_is_missing, setup),
	};

	log_add_console(&console);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
