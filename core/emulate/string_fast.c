/* SPDX-License-Identifier: MIT */
/*
 * INS and OUTS of bytes on the fast path: whatever may fault, or is unusual, is left to core/emulate/string.c.
 * Intel SDM, "String Operations", "4-Level Paging and 5-Level Paging".
 */
#include "core/emulate/string_fast.h"

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "core/emulate/gwalk.h"

#define TOP_SHIFT  39
#define GIB_SHIFT  30
#define LAST_SHIFT 12
#define LARGE_RESERVED ~0x1fffull	/* of the offset's bits in a large page's entry */

/*
 * The guest's tables allow the access, whatever CR0.WP and CR4.SMAP are, and have all accessed and dirty flags that it would set.
 * False: they may do so, too, but it takes core/emulate/gwalk.c to say. No address that gets through has reserved bits.
 */
static __always_inline bool walk(const struct vm *vm, const struct string_exit *string, gva_t gva, gpa_t *gpa)
{
	u64 needed = PTE_PRESENT | PTE_ACCESSED | (string->in ? PTE_WRITE : 0) | (string->user ? PTE_USER : 0);
	u64 entry = string->view.cr3, all = ~0ull, any = 0, offset;
	unsigned shift;

#pragma GCC unroll 4
	for (shift = TOP_SHIFT; shift >= LAST_SHIFT; shift -= 9) {
		gpa_t table = entry & PTE_ADDRESS;

		if (unlikely(!code_is_plain_ram(vm, table, PAGE_SIZE)))
			return false;
		entry = __atomic_load_n((const u64 *)guest_window(table) + (gva >> shift & 511), __ATOMIC_RELAXED);
		all &= entry;
		any |= entry;
		if (shift == LAST_SHIFT || entry & PTE_LARGE)
			break;
	}
	offset = (1ull << shift) - 1;
	*gpa = (entry & PTE_ADDRESS & ~offset) | (gva & offset);
	if (unlikely(shift >= GIB_SHIFT && (shift == TOP_SHIFT || !cpu_features.pages_1g)))
		return false;
	return !(shift > LAST_SHIFT && entry & offset & LARGE_RESERVED) && (all & (needed | PTE_USER)) == needed &&
	       (!string->in || entry & PTE_DIRTY) && (string->no_execute || !(any & PTE_NX));
}

/* The linear address, where nothing that is known of the segment forbids the access. False: core/emulate/gwalk_segment.c. */
static bool linear(struct vcpu *vcpu, const struct string_exit *string, u64 offset, unsigned n, gva_t *gva)
{
	struct segment segment;

	if (string->view.mode == INSN_MODE_64) {
		*gva = offset;
		return (u64)((s64)(offset << 16) >> 16) == offset;
	}
	vcpu->ops->segment_get(vcpu, string->in ? SEG_ES : SEG_DS, &segment);
	*gva = (u32)(segment.base + offset);
	return !segment.unusable && !(segment.type & (TYPE_CODE | TYPE_EXPAND_DOWN)) &&
	       (!string->in || segment.type & TYPE_WRITABLE) && offset + n - 1 <= segment.limit;
}

/* Where the memory of up to *n iterations is, in one page of RAM; *n is how many lie there. */
static __always_inline bool find(struct vcpu *vcpu, const struct string_exit *string, u64 offset, unsigned *n, gpa_t *gpa)
{
	gva_t gva;

	if (vcpu->vm->mem.damaged_count || !linear(vcpu, string, offset, *n, &gva))
		return false;
	*gpa = gva;
	*n = MIN(*n, (unsigned)(PAGE_SIZE - (gva & ~PAGE_MASK)));
	return (string->view.paging != CODE_4_LEVEL || walk(vcpu->vm, string, gva, gpa)) && code_is_plain_ram(vcpu->vm, *gpa, *n);
}

/* Some bytes: a call and REP take longer. */
static __always_inline void copy(u8 *to, const u8 *from, unsigned n)
{
	for (; n >= 8; n -= 8, to += 8, from += 8)
		__builtin_memcpy(to, from, 8);
	while (n--)
		*to++ = *from++;
}

enum exit_fastpath fastpath_string(struct vcpu *vcpu, struct access_exit *exit, const struct string_exit *string)
{
	u64 mask = string->view.mode == INSN_MODE_64 ? ~0ull : ~0u;
	u64 *at = &vcpu->regs[string->in ? REG_RDI : REG_RSI];
	u64 count = string->rep ? vcpu->regs[REG_RCX] & mask : 1;
	unsigned n = (unsigned)MIN(count, (u64)TRACE_BLOCK);
	/* The exit's record, by whichever way it is handled. */
	struct trace_record *record = trace_next(vcpu);
	gpa_t gpa;

	/* The opcode and REP: no prefix changes the segment or the size of the address. */
	if (exit->next_rip - exit->rip != 1u + string->rep || !n)
		return EXIT_FASTPATH_NONE;
	if (!find(vcpu, string, *at & mask, &n, &gpa))
		return EXIT_FASTPATH_NONE;
	if (!string->in)
		copy(record->access.bytes, guest_window(gpa), n);
	n = io_block(vcpu, string->port, string->in, record->access.bytes, n);
	if (!n)
		return EXIT_FASTPATH_NONE;
	if (string->in)
		copy(guest_window(gpa), record->access.bytes, n);
	*at = (*at + n) & mask;
	if (string->rep)
		vcpu->regs[REG_RCX] = count - n;
	if (n < count)
		exit->next_rip = exit->rip;
	fastpath_access_begins(vcpu, exit, TRACE_FASTPATH_ACCESS);
	record->access.what = TRACE_ACCESS_WHAT(TRACE_PIO_BLOCK, 1, !string->in);
	record->access.count = n;
	record->access.address = string->port;
	return fastpath_access_ends(vcpu, record, exit);
}
