/* SPDX-License-Identifier: MIT */
/* The VMCS: the instructions that work on it, and the only accessors to its fields. */
#pragma once

#include "lib/types.h"
#include "vmx/vmcs_fields.h"

/* --- instructions. Each returns whether it succeeded: neither CF nor ZF is set. --- */

#ifdef LAMINA_HOST_TEST
/* A fake VMCS behind the accessors: tests/unit/test_vmx_*.c. */
u64 fake_vmread(u32 encoding, bool *fail);
void fake_vmwrite(u32 encoding, u64 value, bool *fail);

static inline bool vmread(u32 encoding, u64 *value)
{
	bool fail = false;

	*value = fake_vmread(encoding, &fail);
	return !fail;
}

static inline bool vmwrite(u32 encoding, u64 value)
{
	bool fail = false;

	fake_vmwrite(encoding, value, &fail);
	return !fail;
}
#else
static inline bool vmread(u32 encoding, u64 *value)
{
	bool done;

	__asm__ volatile("vmread %2, %0"
			 : "=r"(*value), "=@cca"(done)
			 : "r"((u64)encoding)
			 : "memory");
	return done;
}

static inline bool vmwrite(u32 encoding, u64 value)
{
	bool done;

	__asm__ volatile("vmwrite %1, %2"
			 : "=@cca"(done)
			 : "r"(value), "r"((u64)encoding)
			 : "memory");
	return done;
}
#endif

/* Unchecked: only where the field exists and a VMCS is current. */
static inline u64 vmread_sure(u32 encoding)
{
	u64 value;

	vmread(encoding, &value);
	return value;
}

static inline void vmwrite_sure(u32 encoding, u64 value)
{
	vmwrite(encoding, value);
}

static inline bool vmclear(hpa_t vmcs)
{
	bool done;

	__asm__ volatile("vmclear %1" : "=@cca"(done) : "m"(vmcs) : "memory");
	return done;
}

static inline bool vmptrld(hpa_t vmcs)
{
	bool done;

	__asm__ volatile("vmptrld %1" : "=@cca"(done) : "m"(vmcs) : "memory");
	return done;
}

/* --- accessors: on the current VMCS. A refused access is a defect of Lamina and panics. --- */

void vmcs_read_failed(u32 encoding) __noreturn;
void vmcs_write_failed(u32 encoding, u64 value) __noreturn;

static inline u64 vmcs_read_encoded(u32 encoding)
{
	u64 value;

	if (unlikely(!vmread(encoding, &value)))
		vmcs_read_failed(encoding);
	return value;
}

static inline void vmcs_write_encoded(u32 encoding, u64 value)
{
	if (unlikely(!vmwrite(encoding, value)))
		vmcs_write_failed(encoding, value);
}

#define VMCS_ACCESSORS(suffix, type)						\
	static inline type vmcs_read##suffix(struct vmcs_field##suffix field)	\
	{									\
		return (type)vmcs_read_encoded(field.encoding);			\
	}									\
	static inline void vmcs_write##suffix(struct vmcs_field##suffix field, type value) \
	{									\
		vmcs_write_encoded(field.encoding, value);			\
	}
VMCS_ACCESSORS(16, u16)
VMCS_ACCESSORS(32, u32)
VMCS_ACCESSORS(64, u64)
VMCS_ACCESSORS(n, u64)
#undef VMCS_ACCESSORS

/* An entry of a list for vmcs_write_list(): { vmcs_set32(GUEST_ACTIVITY, 0), ... }. */
struct vmcs_setting {
	u32 encoding;
	u64 value;
};

#define VMCS_SETTING(suffix, type) \
	static inline struct vmcs_setting vmcs_set##suffix(struct vmcs_field##suffix field, \
							   type value) \
	{ \
		return (struct vmcs_setting){ field.encoding, value }; \
	}
VMCS_SETTING(16, u16)
VMCS_SETTING(32, u32)
VMCS_SETTING(64, u64)
VMCS_SETTING(n, u64)
#undef VMCS_SETTING

void vmcs_write_list(const struct vmcs_setting *settings, unsigned count);
