/* SPDX-License-Identifier: MIT */
/* Module command lines: each valid form, a violation of each rule, and hostile input. */
/* link: core/load/config.c core/load/config_devices.c lib/cpu_set.c lib/keyval.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "arch/bootinfo/bootinfo.h"
#include "core/load/config.h"
#include "hostile.h"
#include "lib/log.h"

static char logged[65536];
static unsigned errors;
static struct config config;

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t used = strlen(logged);
	va_list args;

	errors += level == LOG_ERROR;
	va_start(args, format);
	vsnprintf(logged + used, sizeof(logged) - used, format, args);
	va_end(args);
	used = strlen(logged);
	snprintf(logged + used, sizeof(logged) - used, "\n");
}

static struct boot_info info;

static void parse_all(const char *const *lines, unsigned count)
{
	info.modules = count;
	for (unsigned i = 0; i < count; i++)
		info.module[i] = (struct boot_module){ .size = 1, .string = lines[i] };
	logged[0] = 0;
	errors = 0;
	memset(&config, 0xee, sizeof(config));
	config_parse(&info, &config);
}

#define parse(...) \
	parse_all((const char *const[]){ __VA_ARGS__ },	\
		  ARRAY_SIZE(((const char *[]){ __VA_ARGS__ })))

static const struct vm_config *vm_named(const char *name)
{
	for (u32 i = 0; i < config.vm_count; i++)
		if (strcmp(config.vms[i].name, name) == 0)
			return &config.vms[i];
	fail_msg("no VM is named %s", name);
	return NULL;
}

static void said(const char *words)
{
	if (!strstr(logged, words))
		fail_msg("expected \"%s\" in:\n%s", words, logged);
}

/* --- valid lines --- */

static void is_default_guest(void)
{
	const struct vm_config *vm = &config.vms[0];

	assert_int_equal(errors, 0);
	assert_int_equal(config.vm_count, 1);
	assert_string_equal(vm->name, "guest");
	assert_int_equal(vm->memory, 256 << 20);
	assert_int_equal(vm->vcpus, 1);
	assert_int_equal(vm->time_limit_s, 0);
	assert_int_equal(vm->kernel.index, 0);
	assert_int_equal(vm->initrd, -1);
	assert_true(vm->valid);
}

static void test_shortest(void **state)
{
	parse("");
	is_default_guest();
	assert_string_equal(config.vms[0].kernel.string, "");
	assert_string_equal(config.vms[0].kernel.name, "module 0");
	parse("-- console=ttyS0");
	is_default_guest();
	assert_string_equal(config.vms[0].kernel.string, "console=ttyS0");
	parse("--");
	is_default_guest();
	assert_string_equal(config.vms[0].kernel.string, "");
}

static void test_no_module(void **state)
{
	parse_all(NULL, 0);
	assert_int_equal(config.vm_count, 0);
	assert_int_equal(errors, 0);
}

static void test_everything(void **state)
{
	const struct vm_config *vm;

	parse("vm=web role=initrd",
	      "limit=90 vcpus=1 role=kernel mem=1G vm=web -- console=ttyS0 a=\"b c\" -- vm=x");
	assert_int_equal(errors, 0);
	assert_int_equal(config.vm_count, 1);
	vm = vm_named("web");
	assert_true(vm->valid);
	assert_int_equal(vm->kernel.index, 1);
	assert_int_equal(vm->initrd, 0);
	assert_int_equal(vm->memory, 1 << 30);
	assert_int_equal(vm->time_limit_s, 90);
	assert_string_equal(vm->kernel.string, "console=ttyS0 a=\"b c\" -- vm=x");
}

static void test_file_name_in_front(void **state)
{
	parse("/boot/vmlinuz mem=64M -- quiet", "(hd0)/initrd role=initrd");
	assert_int_equal(errors, 0);
	assert_int_equal(config.vm_count, 1);
	assert_int_equal(config.vms[0].memory, 64 << 20);
	assert_string_equal(config.vms[0].kernel.string, "quiet");
	assert_string_equal(config.vms[0].kernel.name, "/boot/vmlinuz");
	assert_string_equal(config.vms[0].modules->name, "(hd0)/initrd");

	parse("/quite/a/long/path/to/the/kernel/of/the/guest");
	assert_int_equal(errors, 0);
	assert_int_equal(strlen(config.vms[0].kernel.name), VM_MODULE_NAME - 1);
	parse("mem=64M /boot/vmlinuz");
	said("unknown key \"/boot/vmlinuz\"");
}

/* Multiboot1: QEMU passes the file's name, iPXE its URI, GRUB neither. */
static void test_any_file_name_in_front(void **state)
{
	parse("vmlinuz mem=64M -- quiet", "a=b/initrd role=initrd");
	said("unknown key \"vmlinuz\"");
	said("unknown key \"a\"");

	info.file_names = true;
	parse("vmlinuz mem=64M -- quiet", "build/a=b/initrd role=initrd");
	assert_int_equal(errors, 0);
	assert_int_equal(config.vms[0].memory, 64 << 20);
	assert_string_equal(config.vms[0].kernel.string, "quiet");
	assert_string_equal(config.vms[0].kernel.name, "vmlinuz");
	assert_int_equal(config.vms[0].initrd, 1);

	parse("http://10.0.2.2/vmlinuz?arch=64 mem=64M", "tftp://10.0.2.2/initrd role=initrd");
	assert_int_equal(errors, 0);
	assert_int_equal(config.vms[0].memory, 64 << 20);
	assert_int_equal(config.vms[0].initrd, 1);

	parse("vmlinuz -- quiet", "mem=64M -- quiet", "-- quiet", "");
	assert_int_equal(errors, 0);
	assert_int_equal(config.vm_count, 4);
	assert_int_equal(config.vms[1].memory, 64 << 20);
	assert_string_equal(config.vms[2].kernel.string, "quiet");

	parse("vm mem=64M");
	said("vm has no value");
	parse("memory=64M");
	said("unknown key \"memory\"");
	parse("vmlinuz quiet");
	said("unknown key \"quiet\"");
	info.file_names = false;
}

static void test_roles_left_out(void **state)
{
	parse("vm=a", "vm=a", "vm=b", "vm=b role=kernel");
	assert_int_equal(vm_named("a")->kernel.index, 0);
	assert_int_equal(vm_named("a")->initrd, 1);
	assert_true(vm_named("a")->valid);
	assert_false(vm_named("b")->valid);
	parse("vm=a role=initrd", "vm=a");
	assert_int_equal(vm_named("a")->kernel.index, 1);
	assert_int_equal(vm_named("a")->initrd, 0);
	assert_int_equal(errors, 0);
}

static void test_names_left_out(void **state)
{
	parse("", "role=initrd", "", "vm=guest3", "-- x", "role=initrd");
	assert_int_equal(errors, 0);
	assert_int_equal(config.vm_count, 4);
	assert_int_equal(vm_named("guest")->kernel.index, 0);
	assert_int_equal(vm_named("guest")->initrd, 1);
	assert_int_equal(vm_named("guest2")->kernel.index, 2);
	assert_int_equal(vm_named("guest2")->initrd, -1);
	assert_int_equal(vm_named("guest3")->kernel.index, 3);
	assert_int_equal(vm_named("guest4")->kernel.index, 4);
	assert_int_equal(vm_named("guest4")->initrd, 5);
}

static void test_memory(void **state)
{
	static const struct {
		const char *line;
		u64 memory;
	} good[] = {
		{ "mem=2M", MIB(2) }, { "mem=2097152", MIB(2) }, { "mem=3M", MIB(4) },
		{ "mem=256G", GIB(256) }, { "mem=0x80000000", GIB(2) }, { "mem=5000k", MIB(6) },
		{ "mem=\"64M\"", MIB(64) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		parse(good[i].line);
		assert_int_equal(errors, 0);
		assert_int_equal(config.vms[0].memory, good[i].memory);
	}
	parse("mem=3M");
	said("mem=3M is rounded up to 4M");
	parse("mem=4M");
	assert_string_equal(logged, "");
}

/* --- modules --- */

static void is_module(const struct vm_module *module, int index, const char *word, const char *string)
{
	assert_non_null(module);
	assert_int_equal(module->index, index);
	assert_true(str_view_equals(module->word, word));
	assert_string_equal(module->string, string);
}

static void test_modules_keep_their_order(void **state)
{
	const struct vm_config *vm;

	parse("vm=a -- quiet", "role=module -- root=x \"y z\"", "vm=b", "vm=a", "vm=a role=module", "vm=b role=module file=m.ko");
	assert_int_equal(errors, 0);
	assert_int_equal(config.vm_count, 2);
	vm = vm_named("a");
	is_module(&vm->kernel, 0, "kernel", "quiet");
	assert_int_equal(vm->module_count, 3);
	assert_int_equal(vm->initrd, 3);
	is_module(vm->modules, 1, "module", "root=x \"y z\"");
	is_module(vm->modules->next, 3, "initrd", "");
	is_module(vm->modules->next->next, 4, "module", "");
	assert_null(vm->modules->next->next->next);
	vm = vm_named("b");
	assert_int_equal(vm->module_count, 1);
	assert_int_equal(vm->initrd, -1);
	is_module(vm->modules, 5, "m.ko", "");
}

/* Many Multiboot kernels skip the first word of each line: file=, else the file's name, else the role. */
static void test_first_words(void **state)
{
	parse("/boot/xen.gz file=xen -- a", "(hd0)/vmlinuz role=module -- b", "file=none role=module -- c",
	      "file=\"a b\" role=initrd");
	assert_int_equal(errors, 0);
	is_module(&config.vms[0].kernel, 0, "xen", "a");
	is_module(config.vms[0].modules, 1, "(hd0)/vmlinuz", "b");
	is_module(config.vms[0].modules->next, 2, "", "c");
	is_module(config.vms[0].modules->next->next, 3, "a b", "");
	/* A long name is cut for messages, and not for the guest. */
	parse("/quite/a/long/path/to/the/kernel/of/the/guest");
	is_module(&config.vms[0].kernel, 0, "/quite/a/long/path/to/the/kernel/of/the/guest", "");
}

static void test_modules_without_a_kernel_or_twice(void **state)
{
	parse("role=module", "vm=good");
	said("role=module: expected a kernel's module before it, or vm=NAME");
	assert_int_equal(config.modules_unused, 1);
	parse("vm=a", "vm=a", "vm=a");
	said("module 1 is the initrd of VM a already: expected one kernel, at most one initrd, and role=module");
	assert_false(config.vms[0].valid);
}

/* --- errors: the message, and that the other VM still starts --- */

static void test_each_rule(void **state)
{
	static const struct {
		const char *line, *words;
	} bad[] = {
		{ "vm=bad colour=red", "module 1 (vm=bad colour=red): unknown key \"colour\": "
				       "expected vm, role, name, file, mem, vcpus, cpus, onreset, hv, nested, vga, keyboard, disk, net, "
				       "pci or limit" },
		{ "vm=bad console=ttyS0", "behind a --" },
		{ "vm=bad =", "unknown key \"\"" },
		{ "vm=bad mem=12Q", "mem=12Q: expected mem=SIZE" },
		{ "vm=bad mem=3.5G", "mem=3.5G: expected mem=SIZE, the VM's memory: 2M to 256G, a whole number and K, M or G" },
		{ "vm=bad mem=512", "mem=512: expected mem=SIZE, the VM's memory: 2M to 256G" },
		{ "vm=bad mem=0", "mem=0: expected" },
		{ "vm=bad mem=2047K", "mem=2047K: expected" },
		{ "vm=bad mem=257G", "mem=257G: expected" },
		{ "vm=bad mem=-1", "mem=-1: expected" },
		{ "vm=bad mem=99999999999999999999G", "mem=99999999999999999999G: expected" },
		{ "vm=bad mem=", "mem=: expected" },
		{ "vm=bad mem", "mem has no value: expected mem=SIZE" },
		{ "vm=bad vcpus=289", "vcpus=289: expected vcpus=N, the VM's CPUs: 1 to 288" },
		{ "vm=bad vcpus=0", "vcpus=0: expected vcpus=N" },
		{ "vm=bad vcpus=two", "vcpus=two: expected vcpus=N" },
		{ "vm=bad cpus=", "cpus=: expected cpus=LIST, the host's CPUs that run the VM's, as in 0,2-3" },
		{ "vm=bad cpus=0,", "cpus=0,: expected cpus=LIST" },
		{ "vm=bad cpus=3-2", "cpus=3-2: expected cpus=LIST" },
		{ "vm=bad cpus=256", "cpus=256: expected cpus=LIST" },
		{ "vm=bad onreset=halt", "onreset=halt: expected onreset=restart|stop" },
		{ "vm=bad keyboard=usb", "keyboard=usb: expected keyboard=ps2|hvc0|none" },
		{ "vm=bad vga=text", "vga=text: expected vga=lines|none" },
		{ "vm=bad onreset=", "onreset=: expected onreset=restart|stop" },
		{ "vm=bad hv=xen", "hv=xen: expected hv=lamina|kvm|none" },
		{ "vm=bad hv=", "hv=: expected hv=lamina|kvm|none" },
		{ "vm=bad nested=yes", "nested=yes: expected nested=on|evmcs|off" },
		{ "vm=bad vcpus=4294967297", "vcpus=4294967297: expected" },
		{ "vm=bad limit=0", "limit=0: expected limit=SECONDS" },
		{ "vm=bad limit=10s", "limit=10s: expected" },
		{ "vm=bad limit=31536001", "limit=31536001: expected" },
		{ "vm=bad role=floppy", "role=floppy: expected role=kernel|initrd|module" },
		{ "vm=bad nested=evmcs hv=none", "VM bad has nested=evmcs: expected no hv=" },
		{ "vm=bad pci=yes", "pci=yes: expected pci=on|none" },
		{ "vm=bad file=", "file=: expected file=NAME" },
		{ "vm=bad role=module", "VM bad has no kernel" },
		{ "vm=bad role", "role has no value" },
		{ "vm=bad role=initrd",
		  "VM bad has no kernel: expected a module with vm=bad role=kernel" },
		{ "vm=bad \"mem=4M", "a quote is not closed at: \"mem=4M" },
		{ "vm=b/d", "vm=b/d: expected vm=NAME, the VM that the module belongs to: at most "
			    "23 letters, digits, _ . and -" },
		{ "vm=\"b d\"", "vm=b d: expected vm=NAME" },
		{ "vm=", "vm=: expected vm=NAME" },
		{ "vm=abcdefghijklmnopqrstuvwx", "vm=abcdefghijklmnopqrstuvwx: expected" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		parse("vm=good", bad[i].line);
		said(bad[i].words);
		assert_int_equal(errors, 1);
		assert_int_equal(config.vm_count, 2);
		assert_true(config.vms[0].valid);
		assert_false(config.vms[1].valid);
	}
	parse("vm=bad role=initrd", "vm=good");		/* the first VM is checked, too */
	said("VM bad has no kernel");
	assert_false(config.vms[0].valid);
	assert_true(config.vms[1].valid);
	parse("vm=good", "vm=abcdefghijklmnopqrstuvw");
	assert_int_equal(errors, 0);
	assert_int_equal(strlen(config.vms[1].name), 23);
}

/* The first and last of each range of valid characters, and those beside them. */
static void test_characters_of_a_name(void **state)
{
	static const char good[] = "azAZ09_.-", bad[] = "`{@[/:,^+~!";
	char line[] = "vm=x";

	for (const char *c = good; *c; c++) {
		line[3] = *c;
		parse(line);
		assert_int_equal(errors, 0);
		assert_true(config.vms[0].valid);
	}
	for (const char *c = bad; *c; c++) {
		line[3] = *c;
		parse(line);
		said(": expected vm=NAME");
		assert_false(config.vms[0].valid);
	}
	parse("vm=good", "vm=ab/");	/* the last character is checked, too */
	said("vm=ab/: expected vm=NAME");
}

static void test_time_limits(void **state)
{
	static const u64 limits[] = { 1, 2, 31535999, 31536000 };
	char line[32];

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		snprintf(line, sizeof(line), "limit=%llu", (unsigned long long)limits[i]);
		parse(line);
		assert_int_equal(errors, 0);
		assert_int_equal(config.vms[0].time_limit_s, limits[i]);
	}
}

static void test_vcpus_and_their_cpus(void **state)
{
	static const u32 counts[] = { 1, 2, 287, 288 };
	char line[32];

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		snprintf(line, sizeof(line), "vcpus=%u", counts[i]);
		parse(line);
		assert_int_equal(errors, 0);
		assert_int_equal(config.vms[0].vcpus, counts[i]);
	}
	parse("");
	assert_int_equal(config.vms[0].vcpus, 1);
	assert_true(cpu_set_is_empty(&config.vms[0].cpus));
	parse("vcpus=3 cpus=0,2-3,255");
	assert_int_equal(errors, 0);
	for (u32 cpu = 0; cpu < CPU_SET_SIZE; cpu++)
		assert_int_equal(cpu_set_has(&config.vms[0].cpus, cpu), cpu == 0 || cpu == 2 || cpu == 3 || cpu == 255);
	/* A setting counts on either line, and the last one wins. */
	parse("vm=a cpus=1", "vm=a role=initrd cpus=2", "vm=b");
	assert_int_equal(errors, 0);
	assert_true(cpu_set_has(&vm_named("a")->cpus, 2));
	assert_false(cpu_set_has(&vm_named("a")->cpus, 1));
	assert_true(cpu_set_is_empty(&vm_named("b")->cpus));
}

static void test_what_a_reset_does(void **state)
{
	parse("vm=a", "vm=b onreset=restart", "vm=c onreset=stop", "vm=d", "vm=d role=initrd onreset=stop");
	assert_int_equal(errors, 0);
	assert_false(vm_named("a")->stop_on_reset);
	assert_false(vm_named("b")->stop_on_reset);
	assert_true(vm_named("c")->stop_on_reset);
	assert_true(vm_named("d")->stop_on_reset);
	parse("onreset=stop onreset=restart");
	assert_int_equal(errors, 0);
	assert_false(config.vms[0].stop_on_reset);
}

static void test_what_the_hypervisor_is(void **state)
{
	parse("vm=a", "vm=b hv=lamina", "vm=c hv=kvm", "vm=d hv=none", "vm=e hv=none", "vm=e role=initrd",
	      "vm=f", "vm=f role=initrd hv=kvm");
	assert_int_equal(errors, 0);
	assert_int_equal(vm_named("a")->hypervisor, HYPERVISOR_LAMINA);
	assert_int_equal(vm_named("b")->hypervisor, HYPERVISOR_LAMINA);
	assert_int_equal(vm_named("c")->hypervisor, HYPERVISOR_KVM);
	assert_int_equal(vm_named("d")->hypervisor, HYPERVISOR_NONE);
	assert_int_equal(vm_named("e")->hypervisor, HYPERVISOR_NONE);
	assert_int_equal(vm_named("f")->hypervisor, HYPERVISOR_KVM);
	parse("hv=kvm hv=lamina");
	assert_int_equal(config.vms[0].hypervisor, HYPERVISOR_LAMINA);
}

static void test_guests_that_are_hypervisors(void **state)
{
	parse("vm=a", "vm=b nested=on", "vm=c nested=off", "vm=d", "vm=d role=initrd nested=on", "vm=e nested=evmcs");
	assert_int_equal(errors, 0);
	assert_int_equal(vm_named("a")->nested, NESTED_OFF);
	assert_int_equal(vm_named("b")->nested, NESTED_ON);
	assert_int_equal(vm_named("c")->nested, NESTED_OFF);
	assert_int_equal(vm_named("d")->nested, NESTED_ON);
	assert_int_equal(vm_named("e")->nested, NESTED_EVMCS);
	assert_int_equal(vm_named("d")->hypervisor, HYPERVISOR_LAMINA);
	assert_int_equal(vm_named("e")->hypervisor, HYPERVISOR_HYPERV);
}

static void test_what_shows_the_screen(void **state)
{
	parse("vm=a", "vm=b vga=none", "vm=c vga=lines", "vm=d", "vm=d role=initrd vga=lines");
	assert_int_equal(errors, 0);
	assert_false(vm_named("a")->vga_lines);
	assert_false(vm_named("b")->vga_lines);
	assert_true(vm_named("c")->vga_lines);
	assert_true(vm_named("d")->vga_lines);
	parse("vga=lines vga=none");
	assert_int_equal(errors, 0);
	assert_false(config.vms[0].vga_lines);
}

static void test_where_typed_characters_go(void **state)
{
	parse("vm=a", "vm=b keyboard=none", "vm=c keyboard=ps2", "vm=d", "vm=d role=initrd keyboard=ps2");
	assert_int_equal(errors, 0);
	assert_false(vm_named("a")->ps2_keyboard);
	assert_false(vm_named("b")->ps2_keyboard);
	assert_true(vm_named("c")->ps2_keyboard);
	assert_true(vm_named("d")->ps2_keyboard);
	parse("vm=a keyboard=hvc0");
	assert_true(config.vms[0].hvc0_keyboard);
	assert_false(config.vms[0].ps2_keyboard);
	parse("keyboard=ps2 keyboard=none");
	assert_int_equal(errors, 0);
	assert_false(config.vms[0].ps2_keyboard);
}

static void test_all_errors_of_a_line_are_reported(void **state)
{
	parse("colour=red mem=0 limit=never");
	said("colour");
	said("mem=0");
	said("limit=never");
	assert_int_equal(errors, 3);
}

static void test_long_texts_are_quoted_in_part(void **state)
{
	char line[4096] = "mem=";

	memset(line + 4, '9', sizeof(line) - 5);
	parse(line);
	said("...): mem=9999999999999999999999999999999999999999: expected mem=SIZE, ");
}

/* Messages quote at most 48 characters of a line, and 40 of a word. */
static void test_lengths_that_are_quoted(void **state)
{
	static const char word[] = "1234567890123456789012345678901234567890x";
	char line[64];

	snprintf(line, sizeof(line), "-- %-45s", "x");		/* 48 characters, and valid */
	parse(line);
	assert_int_equal(errors, 0);
	snprintf(line, sizeof(line), "vm=/ -- %-40s", "x");
	parse(line);
	said("x                                       ): vm=/: expected");
	snprintf(line, sizeof(line), "vm=/ -- %-41s", "x");
	parse(line);
	said("x                                       ...): vm=/: expected");

	snprintf(line, sizeof(line), "a %.40s", word);
	parse(line);
	said("unknown key \"1234567890123456789012345678901234567890\":");
	snprintf(line, sizeof(line), "a %.39s", word);
	parse(line);
	said("unknown key \"123456789012345678901234567890123456789\":");
	snprintf(line, sizeof(line), "a %s", word);
	parse(line);
	said("unknown key \"1234567890123456789012345678901234567890\":");
}

static void test_too_many_modules_of_a_vm(void **state)
{
	parse("vm=a", "vm=a role=kernel");
	said("module 1 (vm=a role=kernel): role: module 0 is the kernel of VM a already");
	assert_int_equal(vm_named("a")->kernel.index, 0);
	assert_false(vm_named("a")->valid);
	parse("vm=a", "vm=a", "vm=a");
	said("role: module 1 is the initrd of VM a already");
	assert_int_equal(vm_named("a")->initrd, 1);
	assert_false(vm_named("a")->valid);
}

static void test_initrd_without_a_kernel(void **state)
{
	parse("role=initrd", "vm=good");
	said("role=initrd: expected a kernel's module before it, or vm=NAME");
	assert_int_equal(config.vm_count, 1);
	assert_true(vm_named("good")->valid);
	assert_int_equal(config.modules_unused, 1);
}

/* Modules that do not fit into struct boot_info were counted when it was filled in. */
static void test_unused_modules_are_counted(void **state)
{
	info.modules_left_out = 5;
	parse("vm=good");
	assert_int_equal(config.modules_unused, 5);
	parse("role=initrd", "role=initrd", "vm=good");
	assert_int_equal(config.modules_unused, 7);
	info.modules_left_out = 0;
}

static void test_nothing_of_a_line_with_an_open_quote_is_for_the_guest(void **state)
{
	parse("mem=64M \"vm=x -- quiet");
	assert_int_equal(errors, 1);
	assert_string_equal(config.vms[0].kernel.string, "");
	assert_int_equal(config.vms[0].memory, 64 << 20);
	assert_false(config.vms[0].valid);
}

static void test_command_line_of_an_initrd(void **state)
{
	parse("", "role=initrd -- quiet");
	said("module 1 (role=initrd -- quiet): the guest's command line is expected");
	assert_string_equal(config.vms[0].kernel.string, "");
	assert_false(config.vms[0].valid);
	parse("", "role=initrd --");
	assert_int_equal(errors, 0);
}

static void test_length_of_the_command_line(void **state)
{
	char line[3 + VM_CMDLINE_SIZE + 1] = "-- ";

	memset(line + 3, 'x', VM_CMDLINE_SIZE);
	parse(line);
	said("the guest's command line has 2048 characters: expected at most 2047");
	assert_false(config.vms[0].valid);
	line[3 + VM_CMDLINE_SIZE - 1] = 0;
	parse(line);
	assert_int_equal(errors, 0);
	assert_string_equal(config.vms[0].kernel.string, line + 3);
}

/* The most modules that are read from a boot loader's information; names in use are skipped. */
static void test_every_module_a_vm(void **state)
{
	const char *lines[BOOT_MAX_MODULES];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		lines[i] = i == 7 ? "vm=guest100" : "";
	parse_all(lines, ARRAY_SIZE(lines));
	assert_int_equal(errors, 0);
	assert_int_equal(config.vm_count, BOOT_MAX_MODULES);
	assert_int_equal(config.modules_unused, 0);
	assert_int_equal(vm_named("guest")->kernel.index, 0);
	assert_int_equal(vm_named("guest2")->kernel.index, 1);
	assert_int_equal(vm_named("guest100")->kernel.index, 7);
	assert_int_equal(vm_named("guest99")->kernel.index, 99);
	assert_int_equal(vm_named("guest512")->kernel.index, 511);
	for (u32 i = 0; i < config.vm_count; i++)
		assert_true(config.vms[i].valid);
}

/* It belongs to no VM, wherever it stands, and leaves the others' numbers and roles alone. */
static void test_microcode(void **state)
{
	parse("role=microcode", "vm=web mem=64M", "/boot/ucode.img role=microcode", "vm=web", "role=initrd");
	assert_int_equal(config.vm_count, 1);
	assert_int_equal(vm_named("web")->kernel.index, 1);
	assert_int_equal(vm_named("web")->modules->index, 3);
	assert_int_equal(vm_named("web")->initrd, 3);
	said("module 3 is the initrd of VM web already");
	assert_int_equal(errors, 1);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(config_is_microcode(&info, i), i == 0 || i == 2);

	parse("vm=web role=microcode");
	said("module 0 (vm=web role=microcode): role=microcode: belongs to no VM");
	assert_int_equal(config.vm_count, 0);
	assert_int_equal(config.modules_unused, 0);

	/* What is behind the -- is the guest's, and the last one counts, as for the other keys. */
	parse("vm=a -- role=microcode", "role=microcode role=kernel", "role=kernel role=microcode", "rolemicrocode", "role");
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(config_is_microcode(&info, i), i == 2);
}

/* README: at most 512 KiB for a VM, of which it takes less than half, and a ring of 512 KiB for each network port. */
static void test_memory_need(void **state)
{
	u64 one;

	parse("vm=a");
	one = config_memory_need(&info);
	assert_in_range(one, 192 << 10, 512 << 10);
	parse("vm=a", "vm=b", "vm=c", "vm=d");
	assert_int_equal(config_memory_need(&info), 4 * one);
	parse("vm=a net=lan net=wan,trunk -- net=guest", "vm=b");
	assert_in_range(config_memory_need(&info), 2 * one + 2 * (512 << 10), 2 * one + 2 * (768 << 10));
	assert_int_equal(logged[0], 0);
	/* Up to 8 MiB of tables for each vCPU of a hypervisor, and what belongs to them. */
	parse("vm=a nested=on", "vm=b nested=off vcpus=4", "vm=c -- nested=on");
	assert_in_range(config_memory_need(&info), 3 * one + (8 << 20), 3 * one + (10 << 20));
	parse("vm=a vcpus=4 nested=on");
	assert_in_range(config_memory_need(&info), one + 4 * (8 << 20), one + 4 * (10 << 20));
	parse("vm=a nested=on vcpus=many");
	assert_in_range(config_memory_need(&info), one + (8 << 20), one + (10 << 20));
	parse("vm=a nested=on vcpus=99999999999");
	assert_in_range(config_memory_need(&info), one, one + 288 * (10ull << 20));
}

static void test_help_names_every_key(void **state)
{
	static const char *const words[] = {
		"vm=NAME", "role=kernel|initrd|module|microcode", "mem=SIZE", "vcpus=N", "cpus=LIST", "onreset=restart|stop",
		"hv=lamina|kvm|none", "vga=lines|none", "keyboard=ps2|hvc0|none", "limit=SECONDS", "256M", "--",
	};

	logged[0] = 0;
	config_print_help();
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		said(words[i]);
}

/* --- hostile ones --- */

static void check_invariants(void)
{
	assert_in_range(config.vm_count, 0, VM_CONFIG_MAX);
	for (u32 i = 0; i < config.vm_count; i++) {
		const struct vm_config *vm = &config.vms[i];

		assert_true(strnlen(vm->name, VM_NAME_SIZE) < VM_NAME_SIZE);
		assert_true(strnlen(vm->kernel.string, VM_CMDLINE_SIZE) < VM_CMDLINE_SIZE);
		assert_in_range(vm->memory, MIB(2), GIB(256));
		assert_int_equal(vm->memory % MIB(2), 0);
		assert_in_range(vm->vcpus, 1, 288);
		if (vm->valid)
			assert_in_range(vm->kernel.index, 0, BOOT_MAX_MODULES - 1);
		else
			assert_true(errors);
	}
}

static void test_random_lines(void **state)
{
	static const char *const pieces[] = {
		"vm=", "role=", "kernel", "initrd", "mem=", "16M", "limit=", "vcpus=", "1", "--", "cpus=", "-", ",", "onreset=", "stop",
		"hv=", "kvm", "none", "vga=", "lines", "keyboard=", "ps2", " ", " ", " ", "\"", "\\", "=", "a", "guest", "/boot/x", "%s%n", "\xff\x01",
		"99999999999", "disk=", "net=", "disk", "name=", "ram", ",size=", ",cow=", ",ro", ",mac=52:54:00:00:00:01", "pci=", ",trunk",
	};
	u64 random = 0x9e3779b97f4a7c15;

	for (u32 run = 0; run < 20000; run++) {
		char lines[8][160] = { "" };
		const char *pointers[8];

		for (size_t i = 0; i < 8; i++) {
			for (u64 n = next_random(&random) % 12; n; n--)
				strcat(lines[i], pieces[next_random(&random) % ARRAY_SIZE(pieces)]);
			pointers[i] = lines[i];
		}
		parse_all(pointers, next_random(&random) % 9);
		check_invariants();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shortest),
		cmocka_unit_test(test_no_module),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_file_name_in_front),
		cmocka_unit_test(test_any_file_name_in_front),
		cmocka_unit_test(test_roles_left_out),
		cmocka_unit_test(test_names_left_out),
		cmocka_unit_test(test_modules_keep_their_order),
		cmocka_unit_test(test_first_words),
		cmocka_unit_test(test_modules_without_a_kernel_or_twice),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_each_rule),
		cmocka_unit_test(test_characters_of_a_name),
		cmocka_unit_test(test_time_limits),
		cmocka_unit_test(test_vcpus_and_their_cpus),
		cmocka_unit_test(test_what_a_reset_does),
		cmocka_unit_test(test_what_the_hypervisor_is),
		cmocka_unit_test(test_guests_that_are_hypervisors),
		cmocka_unit_test(test_what_shows_the_screen),
		cmocka_unit_test(test_where_typed_characters_go),
		cmocka_unit_test(test_all_errors_of_a_line_are_reported),
		cmocka_unit_test(test_long_texts_are_quoted_in_part),
		cmocka_unit_test(test_lengths_that_are_quoted),
		cmocka_unit_test(test_too_many_modules_of_a_vm),
		cmocka_unit_test(test_initrd_without_a_kernel),
		cmocka_unit_test(test_unused_modules_are_counted),
		cmocka_unit_test(test_nothing_of_a_line_with_an_open_quote_is_for_the_guest),
		cmocka_unit_test(test_command_line_of_an_initrd),
		cmocka_unit_test(test_length_of_the_command_line),
		cmocka_unit_test(test_every_module_a_vm),
		cmocka_unit_test(test_microcode),
		cmocka_unit_test(test_memory_need),
		cmocka_unit_test(test_help_names_every_key),
		cmocka_unit_test(test_random_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
