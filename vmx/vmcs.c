/* SPDX-License-Identifier: MIT */
/* Writing a list of VMCS fields, and the panic of an access that the processor refuses. */
#include "vmx/vmcs.h"

#include "arch/fault/panic.h"

void vmcs_write_list(const struct vmcs_setting *settings, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		vmcs_write_encoded(settings[i].encoding, settings[i].value);
}

/* The instruction error; 0 after VMfailInvalid, which leaves no VMCS to read it from. */
static u32 instruction_error(void)
{
	u64 error;

	return vmread(INSTRUCTION_ERROR.encoding, &error) ? (u32)error : 0;
}

void vmcs_read_failed(u32 encoding)
{
	panic("VMREAD of VMCS field 0x%x failed, VM-instruction error %u", encoding,
	      instruction_error());
}

void vmcs_write_failed(u32 encoding, u64 value)
{
	panic("VMWRITE of 0x%llx to VMCS field 0x%x failed, VM-instruction error %u",
	      (unsigned long long)value, encoding, instruction_error());
}
