/* SPDX-License-Identifier: MIT */
/* The manual's rules of VM entry that the checker leaves out, each with the reason. */
#include "vmx/rules/rule.h"

#define SMM	"Lamina makes no entry from SMM: it has no dual-monitor treatment"
#define UNUSED	"Lamina never sets the control, and no dump tells what the processor allows"
#define EARLIER "VMLAUNCH and VMRESUME report it by an error number of its own"

#define TITLE_BASIC "Basic VM-Entry Checks"

const struct rule_exemption vmx_exemptions[] = {
	{ "basic.current-vmcs", TITLE_BASIC, EARLIER " (VMfailInvalid)" },
	{ "basic.mov-ss", TITLE_BASIC, EARLIER " (26)" },
	{ "basic.launch-state", TITLE_BASIC, EARLIER " (4, 5)" },
	{ "control.entry-to-smm", TITLE_ENTRY, SMM },
	{ "control.deactivate-dual-monitor", TITLE_ENTRY, SMM },
	{ "control.smm-exclusive", TITLE_ENTRY, SMM },
	{ "control.event.fred-nested", TITLE_ENTRY, UNUSED },
	{ "control.event.fred-vector", TITLE_ENTRY, UNUSED },
	{ "control.enclv", TITLE_EXECUTION, "the bitmaps of enclaves' instructions have no checks" },
	{ "control.seam", TITLE_EXECUTION, "for guests of a TDX module only" },
	{ "control.spec-ctrl-shadow", TITLE_EXECUTION, "the fields have no checks" },
	{ "host.uinv", TITLE_HOST, UNUSED },
	{ "host.fred", TITLE_HOST, UNUSED },
	{ "host.lam-sup", TITLE_HOST, "CR4's fixed bits cover it" },
	{ "guest.rtit", TITLE_REGISTERS, UNUSED ", and the valid bits depend on CPUID.14H" },
	{ "guest.lbr", TITLE_REGISTERS, UNUSED ", and the valid bits depend on CPUID.1CH" },
	{ "guest.uinv", TITLE_REGISTERS, UNUSED },
	{ "guest.fred", TITLE_REGISTERS, UNUSED },
	{ "guest.activity.smm", TITLE_NONREGISTER, SMM },
	{ "guest.interruptibility.smm", TITLE_NONREGISTER, SMM },
	{ "guest.link-pointer.smm", TITLE_NONREGISTER, SMM },
	{ "msr-load.count", TITLE_MSR_LOAD,
	  "a list that is too long is undefined behaviour, no failure" },
};
const unsigned vmx_exemption_count = ARRAY_SIZE(vmx_exemptions);
