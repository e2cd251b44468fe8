/* SPDX-License-Identifier: MIT */
/* Each rule of VMRUN is broken by one change to a valid state, and not by a smaller one. */
/* link: svm/rules/rules.c svm/rules/exempt.c core/observe/entry_rule.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "svm/rules/rules.h"

static struct vmcb vmcb;
static struct svm_entry_state state;

#define CODE_64	 (ATTRIBUTE_PRESENT | ATTRIBUTE_S | ATTRIBUTE_L | 11)
#define WIDTH	 40
#define TOP	 BIT_ULL(WIDTH)
#define EXCEPTION(vector) (EVENT_VALID | EVENT_TYPE_BITS(VMCB_EVENT_EXCEPTION) | (vector))

/* A 64-bit guest with nested paging on a processor that has all that rules ask for. */
static void valid(void)
{
	vmcb = (struct vmcb){
		.control = {
			.intercept_misc1 = INTERCEPT_INTR | INTERCEPT_NMI,
			.intercept_misc2 = INTERCEPT_VMRUN,
			.iopm_base = 0x10000,
			.msrpm_base = 0x20000,
			.asid = 1,
			.int_control = V_INTR_MASKING,
			.np_enable = 1,
			.nested_cr3 = 0x30000,
		},
		.save = {
			.cs.attributes = CODE_64,
			.efer = EFER_SVME | EFER_LME | EFER_LMA | EFER_NXE,
			.cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_ET,
			.cr3 = 0x40000,
			.cr4 = CR4_PAE,
			.dr6 = 0xffff0ff0,
			.dr7 = 0x400,
			.rflags = RFLAGS_FIXED,
			.pat = 0x0007040600070406,
		},
	};
	state = (struct svm_entry_state){
		.vmcb = &vmcb,
		.processor = {
			.physical_bits = WIDTH,
			.efer_valid = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME | EFER_FFXSR,
			.cr4_valid = 0x7ff | CR4_CET,
			.host_cr0 = CR0_PE | CR0_PG,
			.nmi_virtualization = true,
		},
	};
}

static void real_mode(void)
{
	vmcb.save.efer = EFER_SVME;
	vmcb.save.cr0 = CR0_ET;
	vmcb.save.cr4 = 0;
	vmcb.save.cs.attributes = ATTRIBUTE_PRESENT | ATTRIBUTE_S | 11;
}

/* name: the case's name; rule: the one that it must break, or NULL for none. */
#define CHANGE(id, broken, ...) static void id(void) { __VA_ARGS__; }
#define CHANGES(X)									\
	X(nothing, NULL, )								\
	X(real, NULL, real_mode())							\
	X(no_svme, "guest.efer.svme", vmcb.save.efer &= ~EFER_SVME)			\
	X(nw, "guest.cr0.nw-without-cd", vmcb.save.cr0 |= CR0_NW)			\
	X(nw_and_cd, NULL, vmcb.save.cr0 |= CR0_NW | CR0_CD)				\
	X(cd, NULL, vmcb.save.cr0 |= CR0_CD)						\
	X(cr0_32, "guest.cr0.high", vmcb.save.cr0 |= BIT_ULL(32))			\
	X(cr0_63, "guest.cr0.high", vmcb.save.cr0 |= BIT_ULL(63))			\
	X(cr3_width, "guest.cr3.reserved", vmcb.save.cr3 |= TOP)			\
	X(cr3_63, "guest.cr3.reserved", vmcb.save.cr3 |= BIT_ULL(63))			\
	X(cr3_top, NULL, vmcb.save.cr3 = TOP - 0x1000)					\
	X(cr3_low, NULL, vmcb.save.cr3 |= 0xfff)					\
	X(cr3_legacy, NULL, real_mode(); vmcb.save.cr3 |= BIT_ULL(63))			\
	X(cr4_19, "guest.cr4.reserved", vmcb.save.cr4 |= BIT_ULL(19))			\
	X(cr4_32, "guest.cr4.reserved", vmcb.save.cr4 |= BIT_ULL(32))			\
	X(cr4_63, "guest.cr4.reserved", vmcb.save.cr4 |= BIT_ULL(63))			\
	X(cr4_unsupported, "guest.cr4.reserved", vmcb.save.cr4 |= CR4_SMEP)		\
	X(cr4_all, NULL, vmcb.save.cr4 = state.processor.cr4_valid)			\
	X(dr6_32, "guest.dr6.high", vmcb.save.dr6 |= BIT_ULL(32))			\
	X(dr6_63, "guest.dr6.high", vmcb.save.dr6 |= BIT_ULL(63))			\
	X(dr6_low, NULL, vmcb.save.dr6 = 0xffffffff)					\
	X(dr7_32, "guest.dr7.high", vmcb.save.dr7 |= BIT_ULL(32))			\
	X(dr7_63, "guest.dr7.high", vmcb.save.dr7 |= BIT_ULL(63))			\
	X(dr7_low, NULL, vmcb.save.dr7 = 0xffffffff)					\
	X(efer_1, "guest.efer.reserved", vmcb.save.efer |= BIT_ULL(1))			\
	X(efer_63, "guest.efer.reserved", vmcb.save.efer |= BIT_ULL(63))		\
	X(efer_unsupported, "guest.efer.reserved", vmcb.save.efer |= BIT_ULL(15))	\
	X(efer_all, NULL, vmcb.save.efer = state.processor.efer_valid)			\
	X(no_pae, "guest.cr4.long-mode-pae", vmcb.save.cr4 &= ~CR4_PAE)			\
	X(no_pae_no_lme, NULL, vmcb.save.cr4 = 0; vmcb.save.efer = EFER_SVME)		\
	X(no_pae_no_pg, NULL, vmcb.save.cr4 = 0; vmcb.save.cr0 &= ~CR0_PG)		\
	X(no_pe, "guest.cr0.long-mode-pe", vmcb.save.cr0 &= ~CR0_PE)			\
	X(paged_real, NULL, real_mode(); vmcb.save.cr0 |= CR0_PG)			\
	X(l_and_d, "guest.cs.l-and-d", vmcb.save.cs.attributes |= ATTRIBUTE_DB)		\
	X(d, NULL, vmcb.save.cs.attributes ^= ATTRIBUTE_DB | ATTRIBUTE_L)		\
	X(l_and_d_legacy, NULL, vmcb.save.cs.attributes |= ATTRIBUTE_DB; vmcb.save.efer = EFER_SVME) \
	X(no_vmrun, "control.intercept.vmrun", vmcb.control.intercept_misc2 = ~INTERCEPT_VMRUN) \
	X(msrpm, "control.msrpm", vmcb.control.msrpm_base = TOP)			\
	X(msrpm_end, "control.msrpm", vmcb.control.msrpm_base = TOP - 0x1000)		\
	X(msrpm_last, NULL, vmcb.control.msrpm_base = TOP - 0x2000)			\
	X(msrpm_wraps, "control.msrpm", vmcb.control.msrpm_base = -0x1000ull)		\
	X(msrpm_low, NULL, vmcb.control.msrpm_base = TOP - 0x2000 + 0xfff)		\
	X(iopm, "control.iopm", vmcb.control.iopm_base = TOP)				\
	X(iopm_end, "control.iopm", vmcb.control.iopm_base = TOP - 0x2000)		\
	X(iopm_last, NULL, vmcb.control.iopm_base = TOP - 0x3000)			\
	X(iopm_wraps, "control.iopm", vmcb.control.iopm_base = -0x1000ull)		\
	X(type_1, "control.event.type", vmcb.control.event_injection = EVENT_VALID | 0x120) \
	X(type_5, "control.event.type", vmcb.control.event_injection = EVENT_VALID | 0x520) \
	X(type_6, "control.event.type", vmcb.control.event_injection = EVENT_VALID | 0x620) \
	X(type_7, "control.event.type", vmcb.control.event_injection = EVENT_VALID | 0x720) \
	X(type_invalid, NULL, vmcb.control.event_injection = 0x720)			\
	X(interrupt, NULL, vmcb.control.event_injection = EVENT_VALID | 0xff)		\
	X(nmi, NULL, vmcb.control.event_injection = EVENT_VALID | 0x2ff)		\
	X(software, NULL, vmcb.control.event_injection = EVENT_VALID | 0x4ff)		\
	X(page_fault, NULL, vmcb.control.event_injection = EXCEPTION(X86_PF) | EVENT_HAS_CODE) \
	X(vector_0, NULL, vmcb.control.event_injection = EXCEPTION(0))			\
	X(vector_2, "control.event.vector", vmcb.control.event_injection = EXCEPTION(2)) \
	X(vector_9, "control.event.vector", vmcb.control.event_injection = EXCEPTION(9)) \
	X(vector_15, "control.event.vector", vmcb.control.event_injection = EXCEPTION(15)) \
	X(vector_30, NULL, vmcb.control.event_injection = EXCEPTION(30))		\
	X(vector_31, "control.event.vector", vmcb.control.event_injection = EXCEPTION(31)) \
	X(vector_32, "control.event.vector", vmcb.control.event_injection = EXCEPTION(32)) \
	X(vector_255, "control.event.vector", vmcb.control.event_injection = EXCEPTION(255)) \
	X(vector_2_invalid, NULL, vmcb.control.event_injection = EXCEPTION(2) ^ EVENT_VALID) \
	X(overflow, "control.event.impossible", vmcb.control.event_injection = EXCEPTION(X86_OF)) \
	X(bound, "control.event.impossible", vmcb.control.event_injection = EXCEPTION(X86_BR)) \
	X(breakpoint, NULL, vmcb.control.event_injection = EXCEPTION(X86_BP))		\
	X(bound_32, NULL, vmcb.control.event_injection = EXCEPTION(X86_BR);		\
	  vmcb.save.cs.attributes ^= ATTRIBUTE_DB | ATTRIBUTE_L)			\
	X(overflow_real, NULL, real_mode(); vmcb.control.event_injection = EXCEPTION(X86_OF)) \
	X(asid_0, "control.asid", vmcb.control.asid = 0)				\
	X(asid_last, NULL, vmcb.control.asid = ~0u)					\
	X(s_cet_2, "guest.s-cet.reserved", vmcb.save.s_cet = BIT(2))			\
	X(s_cet_63, "guest.s-cet.reserved", vmcb.save.s_cet = BIT_ULL(63))		\
	X(s_cet, NULL, vmcb.save.s_cet = 3)						\
	X(s_cet_none, NULL, vmcb.save.s_cet = ~0ull; state.processor.cr4_valid &= ~CR4_CET) \
	X(cet, NULL, vmcb.save.cr4 |= CR4_CET)						\
	X(cet_wp, "guest.cr4.cet-wp", vmcb.save.cr4 |= CR4_CET; vmcb.save.cr0 &= ~CR0_WP) \
	X(cet_v86, "guest.cr4.cet-v8086", vmcb.save.cr4 |= CR4_CET; state.processor.u_cet = 1; \
	  vmcb.save.rflags |= RFLAGS_VM)						\
	X(cet_v86_without, NULL, vmcb.save.cr4 |= CR4_CET; vmcb.save.rflags |= RFLAGS_VM; \
	  state.processor.u_cet = 2)							\
	X(cet_user, NULL, vmcb.save.cr4 |= CR4_CET; state.processor.u_cet = 1)		\
	X(v86, NULL, state.processor.u_cet = 1; vmcb.save.rflags |= RFLAGS_VM)		\
	X(host_paging, "control.nested.host-paging", state.processor.host_cr0 = CR0_PE)	\
	X(host_paging_shadow, NULL, state.processor.host_cr0 = CR0_PE; vmcb.control.np_enable = 0) \
	X(ncr3, "control.nested.ncr3", vmcb.control.nested_cr3 |= TOP)			\
	X(ncr3_63, "control.nested.ncr3", vmcb.control.nested_cr3 |= BIT_ULL(63))	\
	X(ncr3_shadow, NULL, vmcb.control.nested_cr3 |= TOP; vmcb.control.np_enable = 0) \
	X(pat_2, "control.nested.pat", vmcb.save.pat = 2)				\
	X(pat_3, "control.nested.pat", vmcb.save.pat = 3ull << 56)			\
	X(pat_8, "control.nested.pat", vmcb.save.pat = 0x80000)				\
	X(pat_all, NULL, vmcb.save.pat = 0x0100040506070000)				\
	X(pat_shadow, NULL, vmcb.save.pat = 2; vmcb.control.np_enable = 0)		\
	X(vnmi, NULL, vmcb.control.int_control |= V_NMI_ENABLE)				\
	X(vnmi_intercept, "control.nmi-virtualization", vmcb.control.intercept_misc1 = 0; \
	  vmcb.control.int_control |= V_NMI_ENABLE)					\
	X(vnmi_none, NULL, vmcb.control.intercept_misc1 = 0;				\
	  vmcb.control.int_control |= V_NMI_ENABLE; state.processor.nmi_virtualization = false)

CHANGES(CHANGE)

static const struct {
	const char *name, *rule;
	void (*apply)(void);
} changes[] = {
#define ENTRY(id, broken, ...) { #id, broken, id },
	CHANGES(ENTRY)
};

struct heard {
	unsigned count;
	struct violation first;
};

static void hear(void *context, const struct violation *violation)
{
	struct heard *heard = context;

	if (!heard->count++)
		heard->first = *violation;
}

static void each_change(void **unused)
{
	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		struct heard heard = { 0 };
		unsigned count;

		valid();
		changes[i].apply();
		count = svm_check_entry(&state, hear, &heard);
		if (count != heard.count || count != (changes[i].rule ? 1 : 0) ||
		    (count && strcmp(heard.first.name, changes[i].rule)))
			fail_msg("%s: %u violations, the first %s; expected %s", changes[i].name, count,
				 count ? heard.first.name : "none",
				 changes[i].rule ? changes[i].rule : "none");
	}
}

static void every_rule_is_broken_by_a_change(void **unused)
{
	for (unsigned i = 0; i < svm_rule_count; i++) {
		bool found = false;

		for (unsigned j = 0; j < ARRAY_SIZE(changes); j++)
			found |= changes[j].rule && !strcmp(changes[j].rule, svm_rules[i].name);
		if (!found)
			fail_msg("nothing breaks %s", svm_rules[i].name);
	}
}

static void names_are_unique(void **unused)
{
	for (unsigned i = 0; i < svm_rule_count; i++) {
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(svm_rules[i].name, svm_rules[j].name);
		for (unsigned j = 0; j < svm_exemption_count; j++)
			assert_string_not_equal(svm_rules[i].name, svm_exemptions[j].name);
		assert_true(svm_rules[i].fields[0] != SVM_NO_FIELD);
	}
}

/* By index: where it is. A checker of a dump leaves out the rules whose fields the dump lacks. */
static const struct {
	void *start;
	size_t size;
} places[SVM_FIELDS] = {
#define VMCB_PLACE(name, member, text) \
	[SVM_FIELD_##name] = { &vmcb.member, sizeof(vmcb.member) },
#define PROCESSOR_PLACE(name, member, text) \
	[SVM_FIELD_##name] = { &state.processor.member, sizeof(u64) },
	SVM_VMCB_FIELDS(VMCB_PLACE)
	SVM_PROCESSOR_FIELDS(PROCESSOR_PLACE)
};

static bool lists(const struct svm_rule *rule, enum svm_field field)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rule->fields); i++)
		if (rule->fields[i] == field)
			return true;
	return false;
}

static void scramble_others(const struct svm_rule *rule, unsigned *seed)
{
	for (enum svm_field field = SVM_NO_FIELD + 1; field < SVM_FIELDS; field++)
		for (size_t i = 0; !lists(rule, field) && i < places[field].size; i++)
			((u8 *)places[field].start)[i] = (u8)(rand_r(seed) >> 8);
	state.processor.physical_bits = lists(rule, SVM_FIELD_WIDTH) ? WIDTH : 32 + rand_r(seed) % 21;
}

static void no_rule_looks_at_a_field_that_it_does_not_list(void **unused)
{
	unsigned seed = 1;

	for (unsigned i = 0; i < ARRAY_SIZE(changes) * svm_rule_count * 4; i++) {
		const struct svm_rule *rule = &svm_rules[i % svm_rule_count];
		bool broken;

		valid();
		changes[i / svm_rule_count % ARRAY_SIZE(changes)].apply();
		broken = rule->broken(&state);
		scramble_others(rule, &seed);
		if (rule->broken(&state) != broken)
			fail_msg("%s looks at more than what it lists", rule->name);
	}
}

/* The report contains the text, the values of all widths and the manual's title. */
static void values(void **unused)
{
	struct heard heard = { 0 };

	valid();
	vmcb.save.cs.attributes |= ATTRIBUTE_DB;
	assert_int_equal(svm_check_entry(&state, hear, &heard), 1);
	assert_string_equal(heard.first.values,
			    "CS attributes 0x69b, EFER 0x1d00, CR0 0x80010011, CR4 0x20");
	assert_string_equal(heard.first.text, "CS.L and CS.D must not both be 1 in long mode");
	assert_string_equal(heard.first.section, "Canonicalization and Consistency Checks");

	heard.count = 0;
	valid();
	vmcb.control.nested_cr3 = 0xfedcba9876543210;
	assert_int_equal(svm_check_entry(&state, hear, &heard), 1);
	assert_string_equal(heard.first.values,
			    "nCR3 0xfedcba9876543210, physical-address width 0x28, NP_ENABLE 0x1");
	assert_string_equal(heard.first.section, "Nested Paging and VMRUN/#VMEXIT");

	heard.count = 0;
	valid();
	vmcb.control.asid = 0;
	assert_int_equal(svm_check_entry(&state, hear, &heard), 1);
	assert_string_equal(heard.first.values, "ASID 0x0");
}

/* In the order of the table, each one once. */
static void several(void **unused)
{
	struct heard heard = { 0 };

	valid();
	vmcb.save.efer = 0;
	vmcb.save.dr6 = vmcb.save.dr7 = ~0ull;
	vmcb.control.asid = 0;
	assert_int_equal(svm_check_entry(&state, hear, &heard), 4);
	assert_int_equal(heard.count, 4);
	assert_string_equal(heard.first.name, "guest.efer.svme");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_change),
		cmocka_unit_test(every_rule_is_broken_by_a_change),
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(no_rule_looks_at_a_field_that_it_does_not_list),
		cmocka_unit_test(values),
		cmocka_unit_test(several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
