/* SPDX-License-Identifier: MIT */
/*
 * Floating-point and vector state of several vCPUs in one set of registers. XSAVE, XRSTOR, FXSAVE and FXRSTOR are
 * the build host's; XSETBV and the MSRs are the fake processor's. Intel SDM, "Managing State Using the XSAVE
 * Feature Set", "XSAVE Area".
 */
/* link: arch/cpu/fpu.c arch/cpu/cpufeature.c lib/string.c tests/unit/fake_cpu.c */
#include "tests/unit/fake_cpu.h"

#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/x86.h"

#define AVX BIT_ULL(2)

enum way { BY_XSAVEOPT, BY_XSAVE, BY_FXSAVE, WAYS };

static struct cpu_features host;	/* the build host's */
static const struct cpuid_regs *leaf_d;	/* NULL: the build host's */
static unsigned leaf_d_count;

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r;

	if (leaf == 0xd && leaf_d)
		return subleaf < leaf_d_count ? leaf_d[subleaf] : (struct cpuid_regs){ 0 };
	__cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
	return r;
}

static int set_up_group(void **state)
{
	cpu_features_init();
	host = cpu_features;
	return 0;
}

static void use(enum way way)
{
	fake_cpu_reset();
	cpu_features = host;
	if (way != BY_XSAVEOPT)
		cpu_features.xsaveopt = false;
	if (way == BY_FXSAVE)
		cpu_features.xsave = false;
}

static int set_up(void **state)
{
	leaf_d = NULL;
	use(BY_XSAVEOPT);
	return 0;
}

static struct fpu_state new_state(void)
{
	struct fpu_state state;
	size_t size = PAGE_SIZE << fpu_image_order();
	void *image = aligned_alloc(PAGE_SIZE, size);

	memset(image, 0, size);
	fpu_state_init(&state, image);
	return state;
}

/* --- registers that no compiled code here uses --- */

struct registers {
	u8 vector[32];		/* XMM15, or YMM15 */
	u64 mmx;		/* an x87 register */
};

static bool has_ymm(void)
{
	return cpu_features.xsave && (cpu_features.xstate & AVX);
}

static void write_registers(u8 pattern)
{
	struct registers r;

	memset(&r, pattern, sizeof(r));
	__asm__ volatile("movq %0, %%mm7" : : "m"(r.mmx));
	if (has_ymm())
		__asm__ volatile("vmovdqu %0, %%ymm15" : : "m"(r.vector) : "xmm15");
	else
		__asm__ volatile("movdqu %0, %%xmm15" : : "m"(r.vector) : "xmm15");
}

static void expect_registers(u8 pattern)
{
	static struct registers r;	/* no memset(): it may end with VZEROUPPER */
	unsigned bytes = has_ymm() ? 32 : 16;

	__asm__ volatile("movq %%mm7, %0" : "=m"(r.mmx));
	if (bytes == 32)
		__asm__ volatile("vmovdqu %%ymm15, %0" : "+m"(r.vector));
	else
		__asm__ volatile("movdqu %%xmm15, %0" : "+m"(r.vector));
	__asm__ volatile("emms");
	for (unsigned i = 0; i < bytes; i++)
		assert_int_equal(r.vector[i], pattern);
	assert_int_equal(r.mmx, 0x0101010101010101ull * pattern);
}

/* --- the tests --- */

/* Also if XCR0 hides what they wrote: XCR0 = 1 is the state's here, and the vector registers are switched. */
static void vcpus_do_not_see_each_others_registers(void **unused)
{
	for (enum way way = 0; way < WAYS; way++) {
		struct fpu_state a, b;

		use(way);
		a = new_state();
		b = new_state();
		fpu_restore(&a);
		write_registers(0xaa);
		fpu_save(&a);
		fpu_restore(&b);
		expect_registers(0);		/* a new vCPU's: nothing of the other one */
		fpu_save(&b);
		for (unsigned i = 0; i < 3; i++) {
			fpu_restore(&b);
			write_registers(0xbb);
			fpu_save(&b);
			fpu_restore(&a);
			expect_registers(0xaa);
			write_registers(0xaa);
			fpu_save(&a);
			fpu_restore(&b);
			expect_registers(0xbb);
			fpu_save(&b);
		}
		free(a.image);
		free(b.image);
	}
}

static void a_power_up_clears_the_registers(void **unused)
{
	for (enum way way = 0; way < WAYS; way++) {
		struct fpu_state state;

		use(way);
		state = new_state();
		fpu_restore(&state);
		write_registers(0x55);
		fpu_restore_initial(&state);
		assert_int_equal(state.xcr0, 1);
		expect_registers(0);
		write_registers(0x66);
		fpu_reset();
		expect_registers(0);
		free(state.image);
	}
}

/* All components while they are saved and restored, the guest's XCR0 in between; not written if they are the same. */
static void the_mask_is_the_hosts(void **unused)
{
	struct fpu_state state = new_state();
	u64 all;

	/* XGETBV is not privileged: the guest's XCR0 is what the build host's has. */
	for (unsigned same = 0; same < 2; same++) {
		cpu_features.xstate = same ? xgetbv0() : 5;	/* no value that XCR0 can have */
		all = cpu_features.xstate;
		assert_true(same || xgetbv0() != all);
		state.xcr0 = 1;
		fpu_restore(&state);
		fake_cpu_expect_only(DO_XSETBV, 0, 1);
		fpu_save(&state);
		assert_int_equal(state.xcr0, xgetbv0());
		if (!same)
			fake_cpu_expect_only(DO_XSETBV, 0, all);
		assert_int_equal(fake_cpu_writes(), 0);
		fpu_restore(&state);
		if (!same)
			fake_cpu_expect_only(DO_XSETBV, 0, xgetbv0());
		assert_int_equal(fake_cpu_writes(), 0);

		fpu_restore_initial(&state);
		assert_int_equal(fake_cpu_writes(), 2 - same);
		assert_int_equal(fake_cpu_write(0)->value, same ? 1 : all);
		assert_int_equal(fake_cpu_write(1 - same)->value, 1);
		assert_int_equal(state.xcr0, 1);
		fake_cpu.step_count = 0;
	}
	free(state.image);
}

/*
 * Of a vCPU that is loaded, whose XCR0 may hide components that are in use: SSE's without any XSETBV, for XCR0 is 1
 * after a reset and does not disable the instructions. "Standard Form of XRSTOR": #GP for a bit of XSTATE_BV that is
 * not in XCR0.
 */
static void a_copy_is_put_back_by_the_hosts_mask(void **unused)
{
	struct fpu_state state = new_state();

	write_registers(0x77);
	fpu_copy(&state);
	write_registers(0x88);
	fpu_put_back(&state);
	expect_registers(0x77);
	for (unsigned same = 0; same < 2; same++) {
		fake_cpu.step_count = 0;
		cpu_features.xstate = same ? xgetbv0() : 5;	/* no value that XCR0 can have */
		state.xcr0 = 0;
		fpu_put_back(&state);
		assert_int_equal(state.xcr0, xgetbv0());
		assert_int_equal(fake_cpu_writes(), same ? 0 : 2);
		if (!same) {
			assert_int_equal(fake_cpu_write(0)->value, 5);
			assert_int_equal(fake_cpu_write(1)->value, xgetbv0());
		}
	}
	free(state.image);
}

static void without_xsave_there_is_no_xcr0(void **unused)
{
	struct fpu_state state;

	use(BY_FXSAVE);
	assert_int_equal(fpu_image_order(), 0);
	state = new_state();
	assert_int_equal(state.xcr0, 1);
	fpu_restore(&state);
	fpu_save(&state);
	fpu_restore_initial(&state);
	fpu_copy(&state);
	fpu_put_back(&state);
	assert_int_equal(fake_cpu_count(DO_XSETBV), 0);
	free(state.image);
}

/* "XSAVE Area": FCW at 0, MXCSR at 24, XSTATE_BV and XCOMP_BV at 512. "XRSTOR": the rest of the header must be 0. */
static void a_new_image_is_the_initial_configuration(void **unused)
{
	struct fpu_state state = new_state();
	const u8 *image = state.image;

	assert_int_equal(image[0] | image[1] << 8, 0x37f);
	assert_int_equal(image[24] | image[25] << 8, 0x1f80);
	for (unsigned i = 2; i < 576; i++)
		assert_true(!image[i] || i == 24 || i == 25);
	assert_int_equal(state.xcr0, 1);
	free(state.image);
}

static void a_cpu_is_set_up(void **unused)
{
	for (unsigned i = 0; i < 8; i++) {
		use(i & 4 ? BY_FXSAVE : BY_XSAVEOPT);
		cpu_features.xsaves = i & 1;
		cpu_features.xfd = i & 2;
		fake_cpu.cr[0] = CR0_PE | CR0_EM | CR0_TS | CR0_PG;
		fake_cpu.cr[4] = CR4_PAE;
		fake_msr(0xda0)->value = fake_msr(0x1c4)->value = 0x77;	/* as firmware might leave them */
		fpu_reset();
		assert_int_equal(fake_cpu.cr[0], CR0_PE | CR0_PG);
		assert_int_equal(fake_cpu.cr[4], CR4_PAE | BIT(9) | BIT(10) | (i & 4 ? 0 : BIT(18)));
		assert_int_equal(fake_cpu.xcr0, i & 4 ? 0 : host.xstate);
		assert_int_equal(fake_msr(0xda0)->value, i & 1 ? 0 : 0x77);
		assert_int_equal(fake_msr(0x1c4)->value, i & 2 ? 0 : 0x77);
	}
}

/* CPUID.(0Dh, n): size in EAX, offset in EBX. Components that no guest can enable are not switched: MPX, PT, AMX. */
static void components_and_size_follow_cpuid(void **unused)
{
	static const struct cpuid_regs sapphire_rapids[] = {
		{ 0x000602ff, 0, 11008, 0x80000000 }, { .eax = 0x1f }, { 256, 576, 0, 0 }, { 64, 960, 0, 0 },
		{ 64, 1024, 0, 0 }, { 64, 1088, 0, 0 }, { 512, 1152, 0, 0 }, { 1024, 1664, 0, 0 }, { 0 },
		{ 8, 2688, 0, 0 }, { 0 }, { 0 }, { 0 }, { 0 }, { 0 }, { 0 }, { 0 }, { 64, 2752, 0, 0 }, { 8192, 2816, 0, 0 },
	};
	static const struct cpuid_regs sse_only[] = { { 3, 0, 576, 0 }, { 0 } };

	leaf_d = sapphire_rapids;
	leaf_d_count = ARRAY_SIZE(sapphire_rapids);
	cpu_features = (struct cpu_features){ 0 };
	cpu_features_init();
	assert_int_equal(cpu_features.xstate, 0x2e7);
	assert_int_equal(cpu_features.xstate_size, 2696);
	assert_true(cpu_features.xsaveopt && cpu_features.xsaves && cpu_features.xfd);
	assert_int_equal(fpu_image_order(), 0);
	cpu_features.xstate_size = 4097;
	assert_int_equal(fpu_image_order(), 1);
	cpu_features.xstate_size = 11008;
	assert_int_equal(fpu_image_order(), 2);

	leaf_d = sse_only;
	leaf_d_count = ARRAY_SIZE(sse_only);
	cpu_features = (struct cpu_features){ 0 };
	cpu_features_init();
	assert_int_equal(cpu_features.xstate, 3);
	assert_int_equal(cpu_features.xstate_size, 576);
	assert_false(cpu_features.xsaveopt || cpu_features.xsaves || cpu_features.xfd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(vcpus_do_not_see_each_others_registers, set_up),
		fake_cpu_test_setup(a_power_up_clears_the_registers, set_up),
		fake_cpu_test_setup(the_mask_is_the_hosts, set_up),
		fake_cpu_test_setup(a_copy_is_put_back_by_the_hosts_mask, set_up),
		fake_cpu_test_setup(without_xsave_there_is_no_xcr0, set_up),
		cmocka_unit_test_setup(a_copy_is_put_back_by_the_hosts_mask, set_up),
		fake_cpu_test_setup(a_new_image_is_the_initial_configuration, set_up),
		fake_cpu_test_setup(a_cpu_is_set_up, set_up),
		fake_cpu_test_setup(components_and_size_follow_cpuid, set_up),
	};

	return cmocka_run_group_tests(tests, set_up_group, NULL);
}
