/* SPDX-License-Identifier: MIT */
/* Rules of the manual's about VM entry that the checker leaves out, each with the reason. */
#include "vmx/rules/rule.h"

#define SMM	"Lamina makes no entry from SMM: it has no dual-monitor treatment"
#define LEGACY	"Lamina makes every entry in IA-32e mode"
#define UNUSED	"Lamina never sets the control, and no dump tells what the processor allows"
#define EARLIER "VMLAUNCH and VMRESUME report it by an error number of its own"

#define EXECUTION  "VM-Execution Control Fields"
#define ENTRY	   "VM-Entry Control Fields"
#define ADDRESS    "Checks Related to Address-Space Size"
#define REGISTERS  "Checks on Guest Control Registers, Debug Registers, and MSRs"
#define HOST	   "Checks on Host Control Registers, MSRs, and SSP"
#define NONREG	   "Checks on Guest Non-Register State"
#define BASIC	   "Basic VM-Entry Checks"
#define MSRS	   "Loading MSRs"

const struct rule_exemption vmx_exemptions[] = {
	{ "basic.current-vmcs", BASIC, EARLIER " (VMfailInvalid)" },
	{ "basic.mov-ss", BASIC, EARLIER " (26)" },
	{ "basic.launch-state", BASIC, EARLIER " (4, 5)" },
	{ "control.entry-to-smm", ENTRY, SMM },
	{ "control.deactivate-dual-monitor", ENTRY, SMM },
	{ "control.smm-exclusive", ENTRY, SMM },
	{ "control.event.fred-nested", ENTRY, UNUSED },
	{ "control.event.fred-vector", ENTRY, UNUSED },
	{ "control.enclv", EXECUTION, "the bitmaps of enclaves' instructions have no checks" },
	{ "control.seam", EXECUTION, "for guests of a TDX module only" },
	{ "control.spec-ctrl-shadow", EXECUTION, "the fields have no checks" },
	{ "host.uinv", HOST, UNUSED },
	{ "host.fred", HOST, UNUSED },
	{ "host.lam-sup", HOST, "CR4's fixed bits cover it" },
	{ "host.address-space.outside-ia32e-guest", ADDRESS, LEGACY },
	{ "host.address-space.outside-ia32e-host", ADDRESS, LEGACY },
	{ "guest.rtit", REGISTERS, UNUSED ", and the valid bits depend on CPUID.14H" },
	{ "guest.lbr", REGISTERS, UNUSED ", and the valid bits depend on CPUID.1CH" },
	{ "guest.uinv", REGISTERS, UNUSED },
	{ "guest.fred", REGISTERS, UNUSED },
	{ "guest.activity.smm", NONREG, SMM },
	{ "guest.interruptibility.smm", NONREG, SMM },
	{ "guest.link-pointer.smm", NONREG, SMM },
	{ "msr-load.count", MSRS, "a list that is too long is undefined behaviour, no failure" },
};
const unsigned vmx_exemption_count = ARRAY_SIZE(vmx_exemptions);
