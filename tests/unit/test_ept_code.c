/* SPDX-License-Identifier: MIT */
/*
 * Which processors split large EPT pages where a guest executes them, and how much memory that may take.
 * Intel, "Machine Check Error Avoidance on Page Size Change"; SDM vol. 4, IA32_ARCH_CAPABILITIES (10Ah) bit 6.
 */
/* link: vmx/ept_code.c core/vm_log.c lib/log.c lib/string.c tests/unit/fake_cpu.c */
#include "tests/unit/fake_cpu.h"

#include <string.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/mem/memory.h"
#include "core/load/config.h"
#include "core/mem/tdp.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "lib/lock_order.h"
#include "lib/log.h"
#include "vmx/vmx.h"

struct cpu_features cpu_features;
struct vmx_caps vmx_caps;

static bool off, has_capabilities;
static u64 pool;
static char said[1024];
static struct vm_config config;
static struct vm vm;
static struct {
	unsigned calls;
	gpa_t gpa;
	u64 large_bits;
	bool locked;
	int result;
} split;

static bool is_locked(void) { return vm.lock.next != vm.lock.served; }
bool speculation_off(void) { return off; }
void vm_state_changed(struct vm *v) { }
void *vm_alloc(struct vm *v, size_t size) { return NULL; }
void memory_stats(struct memory_stats *stats) { *stats = (struct memory_stats){ .pool = pool }; }

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs){ .edx = leaf == 7 && has_capabilities ? BIT(29) : 0 };
}

void ept_format(const struct vm *v, struct tdp_format *format)
{
	*format = (struct tdp_format){ .large_bits = v->tdp_reserve ? 0x33 : 0x37 };
}

int tdp_split(struct vm *v, const struct tdp_format *format, gpa_t gpa)
{
	split.calls++;
	split.gpa = gpa;
	split.large_bits = format->large_bits;
	split.locked = is_locked();
	return split.result;
}

static void keep(struct log_console *to, const char *text, size_t length)
{
	strncat(said, text, MIN(length, sizeof(said) - 1 - strlen(said)));
}

static struct log_console console = { .write = keep };

static int set_up_group(void **state)
{
	log_add_console(&console);
	return 0;
}

static void be(const char *vendor, u32 family, u32 model)
{
	fake_cpu_reset();
	cpu_features = (struct cpu_features){ .vendor = CPU_VENDOR_INTEL, .family = family, .model = model, .max_leaf = 0xd };
	strcpy(cpu_features.vendor_id, vendor);
	memset(said, 0, sizeof(said));
	off = has_capabilities = false;
}

static int set_up(void **state)
{
	be("GenuineIntel", 6, 0x55);
	pool = MIB(16);
	config = (struct vm_config){ .memory = MIB(512) };
	vm = (struct vm){ .config = &config, .name = "one" };
	split = (typeof(split)){ 0 };
	return 0;
}

static bool splits(void)
{
	ept_init();
	ept_reserve(&vm);
	if (!vm.tdp_reserve)
		return false;
	ept_unreserve(&vm);
	return true;
}

static void by_model(void **state)
{
	/* Nehalem to Comet Lake. */
	static const u8 affected[] = {
		0x1a, 0x1e, 0x1f, 0x2e, 0x25, 0x2c, 0x2f, 0x2a, 0x2d, 0x3a, 0x3e, 0x3c, 0x3f, 0x45, 0x46, 0x3d, 0x47,
		0x4f, 0x56, 0x4e, 0x5e, 0x55, 0x8e, 0x9e, 0xa5, 0xa6,
	};
	/* Atoms from Bonnell to Tremont; Xeon Phi. */
	static const u8 safe[] = {
		0x1c, 0x26, 0x27, 0x35, 0x36, 0x37, 0x4a, 0x4d, 0x4c, 0x5a, 0x5d, 0x75, 0x5c, 0x5f, 0x7a, 0x86, 0x96, 0x9c,
		0x57, 0x85,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(affected); i++) {
		be("GenuineIntel", 6, affected[i]);
		assert_true(splits());
		assert_non_null(strstr(said, "code in large EPT pages            split to 4 KiB where it is executed"));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(safe); i++) {
		be("GenuineIntel", 6, safe[i]);
		assert_false(splits());
		assert_non_null(strstr(said, "code in large EPT pages            executed\n"));
	}
	be("CentaurHauls", 6, 0x1a);
	assert_false(splits());
	be("GenuineIntel", 0xf, 0x1a);
	assert_false(splits());
}

/* PSCHANGE_MC_NO, bit 6; the MSR is there only if CPUID says so. */
static void by_the_processors_word(void **state)
{
	fake_msr(0x10a)->value = BIT(6);
	assert_true(splits());
	has_capabilities = true;
	assert_false(splits());
	fake_msr(0x10a)->value = ~BIT_ULL(6);
	assert_true(splits());
	fake_msr(0x10a)->value = BIT(6);
	cpu_features.max_leaf = 7;
	assert_false(splits());
	cpu_features.max_leaf = 6;
	assert_true(splits());
	be("GenuineIntel", 6, 0x55);
	has_capabilities = true;		/* and RDMSR raises #GP */
	assert_true(splits());
}

static void the_user_can_do_without(void **state)
{
	off = true;
	assert_false(splits());
	assert_non_null(strstr(said, "executed (mitigations=off)"));
	ept_init();
	ept_reserve(&vm);
	assert_int_equal(ept_make_executable(&vm, 0x1000), -ENOENT);
	assert_int_equal(split.calls, 0);
}

static void a_fault_splits_under_the_lock(void **state)
{
	ept_init();
	ept_reserve(&vm);
	assert_int_equal(ept_make_executable(&vm, MIB(34) + 5), 0);
	assert_int_equal(split.calls, 1);
	assert_int_equal(split.gpa, MIB(34) + 5);
	assert_int_equal(split.large_bits, 0x33);
	assert_true(split.locked);
	assert_false(is_locked());
	split.result = -ENOMEM;
	assert_int_equal(ept_make_executable(&vm, 0), -ENOMEM);
	ept_unreserve(&vm);
}

/* A page of 4 KiB holds the entries of 2 MiB, another those of 1 GiB; at most half of the pool is set aside. */
static void large_vms_may_not_take_the_pool(void **state)
{
	struct vm second = { .config = &config, .name = "two" };

	ept_init();
	ept_reserve(&vm);
	assert_in_range(vm.tdp_reserve, 256 + 1, 256 + 4);
	assert_string_equal(strchr(said, '\n') + 1, "");

	pool = 2 * PAGE_SIZE * (2 * vm.tdp_reserve - 1);	/* one page too few for both */
	ept_reserve(&second);
	assert_int_equal(second.tdp_reserve, 0);
	assert_non_null(strstr(said, "two] warning: the hypervisor's memory does not suffice to split the pages of its code"));
	ept_unreserve(&second);
	ept_unreserve(&vm);
	ept_reserve(&second);
	assert_int_not_equal(second.tdp_reserve, 0);
	ept_unreserve(&second);

	config.memory = GIB(64);
	pool = MIB(1024);
	ept_reserve(&vm);
	assert_in_range(vm.tdp_reserve, 32768 + 64, 32768 + 68);
	ept_unreserve(&vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(by_model, set_up),
		fake_cpu_test_setup(by_the_processors_word, set_up),
		fake_cpu_test_setup(the_user_can_do_without, set_up),
		fake_cpu_test_setup(a_fault_splits_under_the_lock, set_up),
		fake_cpu_test_setup(large_vms_may_not_take_the_pool, set_up),
	};

	return cmocka_run_group_tests(tests, set_up_group, NULL);
}
