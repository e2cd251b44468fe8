/* SPDX-License-Identifier: MIT */
/*
 * The manual's rules for a VMCB that rules.c does not check, and why. In a file of its own, because the
 * image does not need it.
 */
#include "svm/rules/rules.h"

const struct rule_exemption svm_exemptions[] = {
	{ "guest.efer.long-mode", "Canonicalization and Consistency Checks",
	  "Lamina needs long mode, and no processor has SVM without it" },
	{ "guest.u-cet.reserved", "Canonicalization and Consistency Checks",
	  "concerns SEV-ES guests only, whose state is encrypted" },
	{ "guest.pdpe.reserved", "VMRUN Instruction",
	  "PDPEs are read at VMRUN only without nested paging, and Lamina's VMs have it" },
	{ "control.event.reserved", "Event Injection",
	  "the manual says that EVENTINJ[30:12] should be 0, and names no check" },
	{ "control.vintr.reserved", "VMCB Layout",
	  "the manual says that reserved bits of controls should be 0, and names no check" },
	{ "control.avic", "AVIC Memory Data Structures", "Lamina's VMs have no AVIC" },
	{ "control.sev", "Enabling SEV", "Lamina's VMs are not encrypted" },
	{ "control.sev-es", "Encrypted State", "Lamina's VMs are not encrypted" },
	{ "control.sev-snp", "VMRUN Checks", "Lamina's VMs are not encrypted" },
};
const unsigned svm_exemption_count = ARRAY_SIZE(svm_exemptions);
