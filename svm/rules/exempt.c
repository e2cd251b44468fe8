/* SPDX-License-Identifier: MIT */
/*
 * What the manual says of a VMCB that no rule here checks, and why. In a file of its own: the image
 * does without it.
 */
#include "svm/rules/rules.h"

const struct rule_exemption svm_exemptions[] = {
	{ "guest.efer.long-mode", "Canonicalization and Consistency Checks",
	  "a processor without long mode does not run Lamina, nor is there one with SVM" },
	{ "guest.u-cet.reserved", "Canonicalization and Consistency Checks",
	  "only of SEV-ES guests, whose state is encrypted" },
	{ "guest.pdpe.reserved", "VMRUN Instruction",
	  "PDPEs are read at VMRUN only without nested paging, and Lamina's VMs have it" },
	{ "control.event.reserved", "Event Injection",
	  "EVENTINJ[30:12] should be 0, the manual says, and names no check" },
	{ "control.vintr.reserved", "VMCB Layout",
	  "reserved bits of controls should be 0, the manual says, and names no check" },
	{ "control.avic", "AVIC Memory Data Structures", "Lamina's VMs have no AVIC" },
	{ "control.sev", "Enabling SEV", "Lamina's VMs are not encrypted" },
	{ "control.sev-es", "Encrypted State", "Lamina's VMs are not encrypted" },
	{ "control.sev-snp", "VMRUN Checks", "Lamina's VMs are not encrypted" },
};
const unsigned svm_exemption_count = ARRAY_SIZE(svm_exemptions);
