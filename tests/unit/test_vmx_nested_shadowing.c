/* SPDX-License-Identifier: MIT */
/*
 * VMCS shadowing for L1, on a model of a processor's VMCSs: what is active is cached, and VMCLEAR alone writes it to its page.
 * Intel SDM, "Software Use of Virtual-Machine Control Structures", "VMREAD", "VMWRITE", "VMREAD and VMWRITE Bitmap Addresses".
 */
/* link: vmx/nested/vmcs12.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "vmx/vmcs.h"

static bool model_vmclear(hpa_t vmcs);
static bool model_vmptrld(hpa_t vmcs);
#define vmclear model_vmclear
#define vmptrld model_vmptrld
#include "vmx/nested/shadowing.c"

#define REVISION 0x1234u
#define OF_L1	 0x8000000000000000ull

struct vmx_caps vmx_caps;

/* --- the processor --- */

static struct model {
	u32 *page;
	bool active;
	bool of_l0;	/* VMPTRLD has made it active, and no VMCLEAR has come since */
	u64 cached[0x8000], stored[0x8000];
} models[2];		/* vmcs01, and the shadow VMCS */

static struct model *current;
static unsigned clears;

static struct model *find(hpa_t hpa)
{
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
		if (models[i].page && virt_to_phys(models[i].page) == hpa)
			return &models[i];
	models[1].page = phys_to_virt(hpa);
	return &models[1];
}

static bool model_vmclear(hpa_t hpa)
{
	struct model *m = find(hpa);

	clears++;
	if (m->active)
		memcpy(m->stored, m->cached, sizeof(m->stored));
	m->active = m->of_l0 = false;
	if (current == m)
		current = NULL;
	return true;
}

static bool model_vmptrld(hpa_t hpa)
{
	struct model *m = find(hpa);

	assert_int_equal(*m->page, m == &models[1] ? REVISION | BIT(31) : REVISION);
	if (!m->active)
		memcpy(m->cached, m->stored, sizeof(m->cached));
	m->active = m->of_l0 = true;
	current = m;
	return true;
}

u64 fake_vmread(u32 encoding, bool *fail)
{
	assert_non_null(current);
	return current->cached[encoding];
}

void fake_vmwrite(u32 encoding, u64 value, bool *fail)
{
	assert_non_null(current);
	current->cached[encoding] = value;
}

void vmcs_read_failed(u32 encoding) { fail(); __builtin_unreachable(); }
void vmcs_write_failed(u32 encoding, u64 value) { fail(); __builtin_unreachable(); }
void panic(const char *format, ...) { fail_msg("panic"); __builtin_unreachable(); }

/* --- L1's instructions. SDM: with the control on, and a bit of the bitmap that is 0, they work on what the link pointer names --- */

static bool is_open(struct vmcs_field64 bitmap, u32 encoding)
{
	const u64 *fields01 = models[0].cached;

	if (!(fields01[SECONDARY_CONTROLS.encoding] & SECONDARY_SHADOWING))
		return false;
	assert_ptr_equal(current, &models[0]);
	assert_int_equal(fields01[VMCS_LINK_POINTER.encoding], virt_to_phys(models[1].page));
	return !(((const u8 *)phys_to_virt(fields01[bitmap.encoding]))[encoding / 8] >> encoding % 8 & 1);
}

static u64 *accessed(struct vmcs_field64 bitmap, u32 encoding)
{
	if (!is_open(bitmap, encoding))
		return NULL;
	assert_false(models[1].of_l0);		/* SDM: software does not leave it active for an entry that links it */
	if (!models[1].active)
		memcpy(models[1].cached, models[1].stored, sizeof(models[1].cached));
	models[1].active = true;
	return &models[1].cached[encoding];
}

/* --- the rest of Lamina --- */

static u8 pages[8][PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));
static unsigned allocated, freed, available;

void *page_alloc(void) { return allocated < available ? memset(pages[1 + allocated++], 0, PAGE_SIZE) : NULL; }
void page_free(void *page) { assert_in_range((uintptr_t)page, (uintptr_t)pages[1], (uintptr_t)pages[7]); freed++; }

static struct vm vm;
static struct vm_config config;
static struct vcpu_vmx vmx;
static struct nested_vmx nested;
static struct vmcs12 vmcs12;
static struct vcpu *const vcpu = &vmx.vcpu;

static int setup(void **state)
{
	memset(models, 0, sizeof(models));
	memset(&vmx, 0, sizeof(vmx));
	memset(&nested, 0, sizeof(nested));
	memset(&vmcs12, 0, sizeof(vmcs12));
	allocated = freed = clears = 0;
	available = 7;
	vmx_caps = (struct vmx_caps){ .revision = REVISION, .shadowing = true };
	config.nested = NESTED_ON;
	vm.config = &config;
	vcpu->vm = &vm;
	vmx.nested = &nested;
	nested.vmcs12 = &vmcs12;
	vmx.vmcs.page = pages[0];
	vmx.vmcs.secondary = SECONDARY_EPT;
	*(u32 *)pages[0] = REVISION;
	models[0].page = (u32 *)pages[0];
	assert_true(model_vmptrld(virt_to_phys(pages[0])));
	return 0;
}

/* Each field its own value, of its width. */
static void fill(u64 seed)
{
	for (u32 encoding = 0; encoding < 0x8000; encoding += 2) {
		u64 *field = vmcs12_find(&vmcs12, encoding);

		if (field)
			*field = (seed * 0x9e3779b97f4a7c15ull ^ encoding * 0x100000001ull) & vmcs12_width_mask(encoding);
	}
}

static void begin(void)
{
	assert_int_equal(nested_shadowing_create(&vmx), 0);
	fill(1);
	nested_shadowing_begin(vcpu);
	assert_true(nested.shadowing.on);
}

/* What L1 reads without an exit is what is in vmcs12. */
static unsigned check_reads(void)
{
	unsigned open = 0;

	for (u32 encoding = 0; encoding < 0x8000; encoding++) {
		u64 *value = accessed(VMREAD_BITMAP, encoding);

		if (!value)
			continue;
		assert_non_null(vmcs12_find(&vmcs12, encoding));
		if (*value != *vmcs12_find(&vmcs12, encoding))
			fail_msg("field 0x%x", encoding);
		open++;
	}
	return open;
}

/* --- the tests --- */

static void only_where_it_is_used(void **state)
{
	vmx_caps.shadowing = false;
	assert_int_equal(nested_shadowing_create(&vmx), 0);
	nested_shadowing_begin(vcpu);
	config.nested = NESTED_EVMCS;
	vmx_caps.shadowing = true;
	assert_int_equal(nested_shadowing_create(&vmx), 0);
	nested_shadowing_begin(vcpu);
	nested_shadowing_read(vcpu);
	nested_shadowing_write(vcpu);
	nested_shadowing_end(vcpu);
	nested_shadowing_release(&vmx);
	assert_false(nested.shadowing.on || allocated || clears);
}

static void no_memory(void **state)
{
	for (available = 0; available < 3; available++) {
		memset(&nested.shadowing, 0, sizeof(nested.shadowing));
		allocated = freed = 0;
		assert_int_equal(nested_shadowing_create(&vmx), -ENOMEM);
		nested_shadowing_destroy(&vmx);
		assert_int_equal(freed, available);
	}
}

/* Only fields that there are; information of exits cannot be written, as it exits to fail. */
static void what_is_open(void **state)
{
	unsigned written = 0;

	begin();
	assert_int_equal(check_reads(), 37);
	for (u32 encoding = 0; encoding < 0x8000; encoding++) {
		if (!is_open(VMWRITE_BITMAP, encoding))
			continue;
		assert_true(is_open(VMREAD_BITMAP, encoding) && !VMCS_IS_READ_ONLY(encoding));
		written++;
	}
	assert_int_equal(written, 27);
	assert_int_equal(vmx.vmcs.secondary, SECONDARY_EPT | SECONDARY_SHADOWING);
}

/* What L1 has written is in vmcs12 when L0 looks, and nothing else has changed. */
static void writes_arrive(void **state)
{
	struct vmcs12 before;

	begin();
	before = vmcs12;
	for (u32 encoding = 0; encoding < 0x8000; encoding++) {
		u64 *value = accessed(VMWRITE_BITMAP, encoding), *field = vmcs12_find(&before, encoding);

		if (!value)
			continue;
		*value = ~*value & vmcs12_width_mask(encoding);
		*field = *value;
	}
	nested_shadowing_read(vcpu);
	assert_memory_equal(&vmcs12, &before, sizeof(vmcs12));
	assert_ptr_equal(current, &models[0]);
	check_reads();
}

/* Fields that an exit of L2 writes: all of guest state, exit information, and two of the controls for entries. */
static void exits_arrive(void **state)
{
	struct vmcs12 before;

	begin();
	for (u64 seed = 2; seed < 5; seed++) {
		before = vmcs12;
		fill(seed);
		for (u32 encoding = 0; encoding < 0x8000; encoding += 2) {
			u64 *field = vmcs12_find(&vmcs12, encoding);
			unsigned type = encoding >> 10 & 3;

			if (field && type != 1 && type != 2 && encoding != 0x4012 && encoding != 0x4016)
				*field = *vmcs12_find(&before, encoding);
		}
		nested_shadowing_write(vcpu);
		assert_int_equal(check_reads(), 37);
	}
}

/* L1 lets go: what it has written last is kept, and its accesses exit. Another VMCS begins with its own values. */
static void on_and_off(void **state)
{
	begin();
	*accessed(VMWRITE_BITMAP, GUEST_RIP.encoding) = OF_L1;
	nested_shadowing_end(vcpu);
	assert_true(vmcs12_readn(&vmcs12, GUEST_RIP) == OF_L1);
	assert_int_equal(vmx.vmcs.secondary, SECONDARY_EPT);
	assert_true(models[0].cached[VMCS_LINK_POINTER.encoding] == ~0ull);
	assert_null(accessed(VMREAD_BITMAP, GUEST_RIP.encoding));
	assert_false(nested.shadowing.on);
	fill(9);
	nested_shadowing_begin(vcpu);
	assert_int_equal(check_reads(), 37);
}

/* The vCPU goes to another CPU: nothing of it stays in this one. */
static void released(void **state)
{
	begin();
	*accessed(VMWRITE_BITMAP, GUEST_RIP.encoding) = OF_L1;
	nested_shadowing_release(&vmx);
	assert_false(models[1].active);
	assert_true(models[1].stored[GUEST_RIP.encoding] == OF_L1);
	nested_shadowing_read(vcpu);
	assert_true(vmcs12_readn(&vmcs12, GUEST_RIP) == OF_L1);
	nested_shadowing_end(vcpu);
	clears = 0;
	nested_shadowing_release(&vmx);
	assert_int_equal(clears, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_where_it_is_used, setup), cmocka_unit_test_setup(no_memory, setup),
		cmocka_unit_test_setup(what_is_open, setup), cmocka_unit_test_setup(writes_arrive, setup),
		cmocka_unit_test_setup(exits_arrive, setup), cmocka_unit_test_setup(on_and_off, setup),
		cmocka_unit_test_setup(released, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
