/* SPDX-License-Identifier: MIT */
/*
 * Checks an incomplete dump against the rules. Missing fields are filled with many different values: a
 * rule that is broken by all fillings is broken, one that is broken by some of them is left out. So rules
 * need no list of the fields that they read, and one that the known fields decide is not lost.
 */
#include "tools/dump.h"

#include <stdio.h>
#include <string.h>

#include "arch/cpu/x86.h"
#include "svm/rules/rules.h"
#include "vmx/rules/rule.h"

#define FILLINGS 256
#define FINDINGS 512	/* more than there are rules */

/* A rule that some filling breaks; for a rule about segments, the segment, too. */
struct finding {
	struct violation violation;	/* its values: only those that all fillings have in common */
	unsigned fillings;
};

struct findings {
	struct finding list[FINDINGS];
	unsigned count;
};

/* --- values that the dump has, and values that were filled in --- */

/* The length of "label 0x1f" without the number. */
static size_t label_length(const char *item)
{
	const char *value = strstr(item, " 0x");

	return value ? (size_t)(value - item) : strlen(item);
}

/* Write "label unknown" in the place of each `old` value that differs from the `new` one. */
static void keep_common_values(char *old, const char *new)
{
	char merged[VIOLATION_VALUES] = "";
	size_t at = 0;

	for (const char *a = old, *b = new; *a && at < sizeof(merged); ) {
		size_t length = strcspn(a, ","), other = strcspn(b, ",");

		if (length == other && !strncmp(a, b, length))
			at += (size_t)snprintf(merged + at, sizeof(merged) - at, "%s%.*s",
					       at ? ", " : "", (int)length, a);
		else
			at += (size_t)snprintf(merged + at, sizeof(merged) - at, "%s%.*s unknown",
					       at ? ", " : "", (int)label_length(b) < (int)other ?
					       (int)label_length(b) : (int)other, b);
		a += length + strspn(a + length, ", ");
		b += other + strspn(b + other, ", ");
	}
	memcpy(old, merged, sizeof(merged));
}

static bool same_rule(const struct violation *a, const struct violation *b)
{
	size_t length = label_length(a->values);

	return !strcmp(a->name, b->name) && label_length(b->values) == length &&
	       !strncmp(a->values, b->values, length);
}

static void find(void *context, const struct violation *violation)
{
	struct findings *findings = context;
	struct finding *finding = findings->list;

	while (finding < findings->list + findings->count && !same_rule(&finding->violation, violation))
		finding++;
	if (finding == findings->list + FINDINGS)
		return;
	if (finding == findings->list + findings->count) {
		findings->count++;
		finding->violation = *violation;
	} else {
		keep_common_values(finding->violation.values, violation->values);
	}
	finding->fillings++;
}

/* --- fillings --- */

/* xorshift64: the same sequence in each run. */
static u64 random_state = 0x9e3779b97f4a7c15;

static u64 random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* All zeros, all ones, few bits, most bits, any. */
static u64 filler(unsigned filling)
{
	u64 any = random_u64(), few = any & random_u64() & random_u64() & random_u64();

	switch (filling) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	default:
		return filling % 3 == 0 ? few : filling % 3 == 1 ? ~few : any;
	}
}

static unsigned physical_bits(const struct explain_options *options, unsigned filling)
{
	return options->physical_bits ?: filling == 0 ? 52 : filling == 1 ? 36 : 36 + random_u64() % 17;
}

/* Intel SDM, "Reserved Controls and Default Settings": the bits that are 1 on every processor. */
#define PIN_FIXED     0x16ull
#define PRIMARY_FIXED 0x04006172ull
#define EXIT_FIXED    0x36dfbull
#define ENTRY_FIXED   0x11fbull

static u64 allowed(u64 fixed, u64 any)
{
	return (any | fixed) << 32 | fixed;
}

/* SDM, "Field Encoding in VMCS": a field has 16, 64, 32 or the natural number of bits. */
static u64 field_mask(unsigned index)
{
	switch (vmx_field_number(index) >> 13 & 3) {
	case 0:
		return 0xffff;
	case 2:
		return 0xffffffff;
	default:
		return ~0ull;
	}
}

/* Fill in the processor's capabilities, within what the manual fixes and all known processors have. */
static void fill_vmx_processor(struct vmx_entry_state *s, const struct explain_options *options,
			       unsigned filling)
{
	s->basic &= ~BIT_ULL(48);
	s->allowed_pin = allowed(PIN_FIXED, filler(filling));
	s->allowed_primary = allowed(PRIMARY_FIXED, filler(filling));
	s->allowed_secondary = allowed(0, filler(filling));
	s->allowed_exit = allowed(EXIT_FIXED, filler(filling));
	s->allowed_entry = allowed(ENTRY_FIXED, filler(filling));
	s->cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG;
	s->cr0_fixed1 = 0xffffffff;
	s->cr4_fixed0 = CR4_VMXE;
	s->cr4_fixed1 = CR4_VMXE | 0x7ff | (filler(filling) & 0x1ffffffff);
	s->ept_vpid |= BIT_ULL(6) | BIT_ULL(14);	/* four levels, write-back */
	s->physical_bits = physical_bits(options, filling);
	s->linear_bits = filler(filling) & 1 ? 57 : 48;
}

static void fill_vmx(struct vmx_entry_state *s, const struct dump *dump,
		     const struct explain_options *options, unsigned filling)
{
	const u64 *dumped = (const u64 *)&dump->vmx;
	u64 *fields = (u64 *)s;

	for (unsigned i = 0; i < VMX_FIELDS; i++)
		fields[i] = filler(filling) & (i < VMX_FIRST_PROCESSOR ? field_mask(i) : ~0ull);
	fill_vmx_processor(s, options, filling);
	for (unsigned i = 0; i < VMX_FIELDS; i++)
		if (dump->known[i * sizeof(u64)])
			fields[i] = dumped[i];
	/* A damaged dump may contain impossible widths. */
	if (s->physical_bits < 32 || s->physical_bits > 52)
		s->physical_bits = physical_bits(options, filling);
	if (s->linear_bits != 48 && s->linear_bits != 57)
		s->linear_bits = 48;
}

/* AMD APM vol. 2: bits of CR4 and EFER that some processors have, and those that all have. */
#define CR4_ALL	   0xf71fffull
#define CR4_OLD	   0x7ffull
#define EFER_ALL   0x37fd01ull
#define EFER_OLD   (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_SVME)

static void fill_svm(struct vmcb *vmcb, struct svm_processor *processor, const struct dump *dump,
		     const struct explain_options *options, unsigned filling)
{
	u8 *bytes = (u8 *)vmcb;

	for (unsigned i = 0; i < sizeof(*vmcb); i++)
		bytes[i] = dump->known[i] ? dump->bytes[i] : (u8)filler(filling);
	*processor = (struct svm_processor){
		.physical_bits = physical_bits(options, filling),
		.efer_valid = EFER_OLD | (filler(filling) & EFER_ALL),
		.cr4_valid = CR4_OLD | (filler(filling) & CR4_ALL),
		.host_cr0 = CR0_PE | CR0_PG,	/* every 64-bit hypervisor has them set */
		.u_cet = filler(filling),
		.nmi_virtualization = filler(filling) & 1,
	};
}

/* --- the verdict --- */

static void check(const struct dump *dump, const struct explain_options *options, unsigned filling,
		  struct findings *findings)
{
	if (dump->kind == DUMP_VMX) {
		struct vmx_entry_state state;

		fill_vmx(&state, dump, options, filling);
		vmx_check_entry(&state, find, findings);
	} else {
		struct svm_entry_state state;
		struct vmcb vmcb;

		state.vmcb = &vmcb;
		fill_svm(&vmcb, &state.processor, dump, options, filling);
		svm_check_entry(&state, find, findings);
	}
}

static unsigned rule_count(enum dump_kind kind)
{
	unsigned count = 0;

	if (kind == DUMP_SVM)
		return svm_rule_count;
	for (unsigned i = 0; i < ARRAY_SIZE(vmx_rule_groups); i++)
		for (unsigned j = 0; j < vmx_rule_groups[i].count; j++)
			count += vmx_rule_groups[i].sections[j].count;
	return count;
}


/* Count and print a rule for segments once, however many segments it was left out for. */
static bool named_before(const struct findings *findings, unsigned index)
{
	for (unsigned i = 0; i < index; i++)
		if (findings->list[i].fillings < FILLINGS &&
		    !strcmp(findings->list[i].violation.name, findings->list[index].violation.name))
			return true;
	return false;
}

static unsigned print_findings(const struct findings *findings, const char *manual,
			       unsigned *left_out, bool verbose)
{
	unsigned broken = 0;

	for (unsigned i = 0; i < findings->count; i++) {
		const struct violation *v = &findings->list[i].violation;

		if (findings->list[i].fillings == FILLINGS) {
			broken++;
			printf("  %s: %s (%s) [%s, \"%s\"]\n", v->name, v->text, v->values, manual, v->section);
		}
	}
	for (unsigned i = 0; i < findings->count; i++) {
		if (findings->list[i].fillings == FILLINGS || named_before(findings, i))
			continue;
		++*left_out;
		if (verbose)
			printf("  left out: %s\n", findings->list[i].violation.name);
	}
	return broken;
}

unsigned explain_dump(const struct dump *dump, const struct explain_options *options)
{
	static struct findings findings;
	bool vmx = dump->kind == DUMP_VMX;
	unsigned left_out = 0, broken;

	memset(&findings, 0, sizeof(findings));
	for (unsigned filling = 0; filling < FILLINGS; filling++)
		check(dump, options, filling, &findings);
	printf("%s dump of a %s, lines %u to %u, %u fields:\n", dump->format, vmx ? "VMCS" : "VMCB",
	       dump->line, dump->last_line, dump->fields);
	broken = print_findings(&findings, vmx ? "SDM" : "APM", &left_out, options->verbose);
	printf("  %u rule%s broken; %u of %u left out, for what the dump does not tell\n", broken,
	       broken == 1 ? " is" : "s are", left_out, rule_count(dump->kind));
	return broken;
}
