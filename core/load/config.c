/* SPDX-License-Identifier: MIT */
/* Parser of module command lines. Each key is a row of the table keys[]. */
#include "core/load/config.h"

#include "core/load/config_devices.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "lib/keyval.h"
#include "lib/log.h"
#include "lib/printf.h"
#include "lib/string.h"

#define MEMORY_STEP	MIB(2)
#define MEMORY_MOST	GIB(256)
#define MEMORY_DEFAULT	MIB(256)
#define LIMIT_MOST	31536000u

_Static_assert(MEMORY_MOST + GUEST_HIGH_RAM - GUEST_LOW_RAM_END <= HOST_GUEST_WINDOW_SIZE,
	       "the guest window holds it, with the hole");

enum role { ROLE_NONE, ROLE_KERNEL, ROLE_INITRD, ROLE_MODULE, ROLE_MICROCODE, ROLE_DISK };

static const char *const roles[] = { "", "kernel", "initrd", "module", "microcode", "disk" };

/* One command line of a module, parsed. */
struct module_line {
	int index;
	const char *text;
	struct str_view file, word, vm, name, cmdline;	/* empty: not given */
	u32 given;					/* bit n: keys[n] was given */
	enum role role;
	u64 memory, vcpus, time_limit_s;		/* 0: not given */
	struct cpu_set cpus;				/* empty: not given */
	bool stop_on_reset, vga_lines, ps2_keyboard, hvc0_keyboard, no_pci;
	struct vm_disk_config disks[VM_MAX_DISKS];
	struct vm_net_config nets[VM_MAX_NETS];
	u32 disk_count, net_count;
	u32 hypervisor;					/* enum hypervisor, plus 1; 0: not given */
	enum nested nested;
	bool bad;					/* an error was logged */
};

/* Arguments for %.*s: at most 40 characters of a user's text in a message. */
#define QUOTED(view) (int)MIN((view).len, (size_t)40), (view).ptr

static void __printf(2, 3) complain(struct module_line *line, const char *format, ...)
{
	bool long_text = strnlen(line->text, 49) > 48;
	char words[384];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	log_error("module %d (%.48s%s): %s", line->index,
		  line->text[0] ? line->text : "without options", long_text ? "..." : "", words);
	line->bad = true;
}

/* --- keys --- */

/* An invalid name is kept too: it still groups the modules of one VM. */
static int set_vm(struct module_line *line, struct str_view value)
{
	line->vm = value;
	return config_is_name(value, VM_NAME_SIZE) ? 0 : -EINVAL;
}

static int set_role(struct module_line *line, struct str_view value)
{
	for (enum role role = ROLE_KERNEL; role < ARRAY_SIZE(roles); role++) {
		if (str_view_equals(value, roles[role])) {
			line->role = role;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_file(struct module_line *line, struct str_view value)
{
	line->word = value;
	return value.len ? 0 : -EINVAL;
}

static int set_mem(struct module_line *line, struct str_view value)
{
	u64 size;

	if (parse_size_view(value, &size) || size < MEMORY_STEP || size > MEMORY_MOST)
		return -EINVAL;
	line->memory = ALIGN_UP(size, MEMORY_STEP);
	if (line->memory != size)
		log_info("module %d: mem=%.*s is rounded up to %lluM", line->index, QUOTED(value),
			 (unsigned long long)(line->memory >> 20));
	return 0;
}

static int set_vcpus(struct module_line *line, struct str_view value)
{
	u64 count;

	if (parse_u64_view(value, &count) || !count || count > VM_MAX_VCPUS)
		return -EINVAL;
	line->vcpus = count;
	return 0;
}

static int set_limit(struct module_line *line, struct str_view value)
{
	u64 seconds;

	if (parse_u64_view(value, &seconds) || !seconds || seconds > LIMIT_MOST)
		return -EINVAL;
	line->time_limit_s = seconds;
	return 0;
}

static int set_cpus(struct module_line *line, struct str_view value)
{
	return cpu_set_parse(value, &line->cpus);
}

static int set_onreset(struct module_line *line, struct str_view value)
{
	line->stop_on_reset = str_view_equals(value, "stop");
	return line->stop_on_reset || str_view_equals(value, "restart") ? 0 : -EINVAL;
}

static int set_hv(struct module_line *line, struct str_view value)
{
	static const char *const words[] = {
		[HYPERVISOR_LAMINA] = "lamina", [HYPERVISOR_KVM] = "kvm", [HYPERVISOR_NONE] = "none",
	};

	for (u32 i = 0; i < ARRAY_SIZE(words); i++) {
		if (str_view_equals(value, words[i])) {
			line->hypervisor = i + 1;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_nested(struct module_line *line, struct str_view value)
{
	line->nested = str_view_equals(value, "on")    ? NESTED_ON :
		       str_view_equals(value, "evmcs") ? NESTED_EVMCS : NESTED_OFF;
	return line->nested != NESTED_OFF || str_view_equals(value, "off") ? 0 : -EINVAL;
}

static int set_vga(struct module_line *line, struct str_view value)
{
	line->vga_lines = str_view_equals(value, "lines");
	return line->vga_lines || str_view_equals(value, "none") ? 0 : -EINVAL;
}

static int set_keyboard(struct module_line *line, struct str_view value)
{
	line->ps2_keyboard = str_view_equals(value, "ps2");
	line->hvc0_keyboard = str_view_equals(value, "hvc0");
	return line->ps2_keyboard || line->hvc0_keyboard || str_view_equals(value, "none") ? 0 : -EINVAL;
}

static int set_name(struct module_line *line, struct str_view value)
{
	line->name = value;
	return config_is_name(value, DISK_NAME_SIZE) && !str_view_equals(value, "ram") ? 0 : -EINVAL;
}

static int set_disk(struct module_line *line, struct str_view value)
{
	struct vm_disk_config *disk = &line->disks[MIN(line->disk_count, VM_MAX_DISKS - 1)];

	line->disk_count++;
	disk->line = line->index;
	return config_parse_disk(value, disk);
}

static int set_net(struct module_line *line, struct str_view value)
{
	struct vm_net_config *net = &line->nets[MIN(line->net_count, VM_MAX_NETS - 1)];

	line->net_count++;
	net->line = line->index;
	return config_parse_net(value, net);
}

static int set_pci(struct module_line *line, struct str_view value)
{
	line->no_pci = str_view_equals(value, "none");
	return line->no_pci || str_view_equals(value, "on") ? 0 : -EINVAL;
}

static const struct module_key {
	const char *name, *values, *fallback, *help;
	int (*set)(struct module_line *line, struct str_view value);	/* 0 or -EINVAL */
} keys[] = {
	{ "vm", "NAME", "guest, guest2 and so on",
	  "the VM that the module belongs to: at most 23 letters, digits, _ . and -", set_vm },
	{ "role", "kernel|initrd|module|microcode|disk", "a VM's first module is the kernel, its second the initrd",
	  "what the module is; module, any number of times, is for Multiboot and PVH kernels; "
	  "microcode is for the host's processors; disk is an image that VMs name in disk=", set_role },
	{ "name", "NAME", "none, but role=disk needs it",
	  "what disk= calls the image: at most 23 letters, digits, _ . and -, and not ram", set_name },
	{ "file", "NAME", "the file's name if the boot loader passes it, else the role",
	  "the word that a Multiboot kernel gets in front of the module's command line; none: no such word", set_file },
	{ "mem", "SIZE", "256M", "the VM's memory: 2M to 256G, a whole number and K, M or G; in steps of 2M", set_mem },
	{ "vcpus", "N", "1", "the VM's CPUs: 1 to 288", set_vcpus },
	{ "cpus", "LIST", "those with the fewest vCPUs",
	  "the host's CPUs that run the VM's, as in 0,2-3: its first one on the first, and so on", set_cpus },
	{ "onreset", "restart|stop", "restart",
	  "what a reset by the guest does: the VM starts again; or it ends, which is no good end: see onfail=", set_onreset },
	{ "hv", "lamina|kvm|none", "lamina",
	  "what the VM's CPUID says from leaf 40000000h on: Lamina's own leaves with KVM's after them, KVM's, or that "
	  "there is no hypervisor", set_hv },
	{ "nested", "on|evmcs|off", "off",
	  "on: the guest may be a hypervisor itself, with VMX or SVM as the processor has it; evmcs: with VMX, and with Hyper-V's "
	  "interface, by which it finds its VMCS in memory", set_nested },
	{ "vga", "lines|none", "none", "print what the VM's VGA text screen shows, line by line, as it changes", set_vga },
	{ "keyboard", "ps2|hvc0|none", "none",
	  "what is typed goes to a PS/2 keyboard, or to the virtio-console, instead of COM1", set_keyboard },
	{ "disk", CONFIG_DISK_VALUES, "no disk, and cow=64M", config_disk_help, set_disk },
	{ "net", CONFIG_NET_VALUES, "no port, and an address made of the VM's name and the port's number", config_net_help,
	  set_net },
	{ "pci", "on|none", "on", "none: the VM has no PCI bus, and no disks, ports and other virtio devices", set_pci },
	{ "limit", "SECONDS", "none", "stop the VM after this time: 1 to 31536000, a year",
	  set_limit },
};

_Static_assert(VM_MAX_VCPUS == 288 && VM_NAME_SIZE == 24 && DISK_NAME_SIZE == 24, "the help says so");
_Static_assert(ARRAY_SIZE(keys) <= 32, "module_line.given has a bit for each");

static const struct module_key *find_key(struct str_view name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (str_view_equals(name, keys[i].name))
			return &keys[i];
	return NULL;
}

void config_print_help(void)
{
	log_info("module command lines: [KEY=VALUE]... [-- command line for the guest]");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		log_info("  %s=%s\n      %s (default: %s)", keys[i].name, keys[i].values,
			 keys[i].help, keys[i].fallback);
}

/* --- one module's command line --- */

/* "vm, role, ... or limit" */
static const char *list_keys(char *names, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys) && used < size; i++)
		used += (size_t)snprintf(names + used, size - used, "%s%s",
					 !i ? "" : i + 1 < ARRAY_SIZE(keys) ? ", " : " or ", keys[i].name);
	return names;
}

static void apply(struct module_line *line, const struct keyval *token)
{
	const struct module_key *key = find_key(token->key);
	char names[160];

	if (key)
		line->given |= BIT(key - keys);
	if (!key)
		complain(line, "unknown key \"%.*s\": expected %s, and what is for the guest behind a --", QUOTED(token->key),
			 list_keys(names, sizeof(names)));
	else if (!token->has_value)
		complain(line, "%s has no value: expected %s=%s, %s", key->name, key->name,
			 key->values, key->help);
	else if (key->set(line, token->value))
		complain(line, "%s=%.*s: expected %s=%s, %s", key->name, QUOTED(token->value),
			 key->name, key->values, key->help);
}

/* Is the first word the module's file name? Even a boot loader that passes file names may omit one. */
static bool is_file_name(const struct keyval *word, bool file_names)
{
	if (file_names && !find_key(word->key) && keyval_may_name_file(word))
		return true;
	return keyval_is_path(word);
}

static void read_line(struct module_line *line, bool file_names)
{
	struct keyval_cursor cursor;
	struct keyval token;
	bool first = true;
	int error;

	keyval_begin(&cursor, str_view_of(line->text));
	for (; (error = keyval_next(&cursor, &token)) == 0; first = false) {
		if (first && is_file_name(&token, file_names))
			line->file = token.key;
		else
			apply(line, &token);
	}
	if (error == -EINVAL)
		complain(line, "a quote is not closed at: %.*s", QUOTED(token.key));
	else
		line->cmdline = cursor.rest;
}

/* --- modules to VMs --- */

static struct vm_config *find_vm(struct config *config, struct str_view name)
{
	for (u32 i = 0; i < config->vm_count; i++)
		if (str_view_equals(name, config->vms[i].name))
			return &config->vms[i];
	return NULL;
}

static struct vm_config *add_vm(struct config *config, struct str_view name)
{
	struct vm_config *vm = &config->vms[config->vm_count++];

	str_view_copy(vm->name, name, sizeof(vm->name));
	vm->memory = MEMORY_DEFAULT;
	vm->vcpus = 1;
	vm->kernel = (struct vm_module){ .index = -1, .word = str_view_of(""), .string = "" };
	vm->initrd = -1;
	vm->valid = true;
	return vm;
}

/*
 * The next free name of "guest", "guest2" and so on. It counts on from the last one: with hundreds of
 * VMs a search from 1 is slow.
 */
static struct vm_config *add_unnamed_vm(struct config *config)
{
	char name[VM_NAME_SIZE];

	do {
		if (++config->last_number == 1)
			snprintf(name, sizeof(name), "guest");
		else
			snprintf(name, sizeof(name), "guest%u", config->last_number);
	} while (find_vm(config, str_view_of(name)));
	return add_vm(config, str_view_of(name));
}

static struct vm_config *vm_of(struct config *config, struct module_line *line,
			       struct vm_config *previous)
{
	struct vm_config *vm;

	if (line->vm.len) {
		vm = find_vm(config, line->vm);
		return vm ? vm : add_vm(config, line->vm);
	}
	if (line->role != ROLE_INITRD && line->role != ROLE_MODULE)
		return add_unnamed_vm(config);
	if (!previous)
		complain(line, "role=%s: expected a kernel's module before it, or vm=NAME", roles[line->role]);
	return previous;
}

static void name_module(struct vm_module *module, const struct module_line *line, enum role role)
{
	struct str_view word = line->word.len ? line->word : line->file.len ? line->file : str_view_of(roles[role]);

	*module = (struct vm_module){
		.index = line->index, .word = str_view_equals(word, "none") ? str_view_of("") : word,
		.string = line->cmdline.ptr,
	};
	if (line->file.len)
		str_view_copy(module->name, line->file, sizeof(module->name));
	else
		snprintf(module->name, sizeof(module->name), "module %d", line->index);
}

static void add_module(struct config *config, struct vm_config *vm, const struct module_line *line, enum role role)
{
	struct vm_module *module = &config->modules[line->index], **end = &vm->modules;

	name_module(module, line, role);
	while (*end)
		end = &(*end)->next;
	*end = module;
	vm->module_count++;
	if (role == ROLE_INITRD)
		vm->initrd = line->index;
}

static void take_role(struct config *config, struct vm_config *vm, struct module_line *line)
{
	enum role role = line->role ?: vm->kernel.index < 0 ? ROLE_KERNEL : ROLE_INITRD;
	int first = role == ROLE_KERNEL ? vm->kernel.index : role == ROLE_INITRD ? vm->initrd : -1;

	if (first >= 0)
		complain(line,
			 "role: module %d is the %s of VM %s already: expected one kernel, at most one initrd, and "
			 "role=module for what a Multiboot kernel gets besides", first, roles[role], vm->name);
	else if (role == ROLE_KERNEL)
		name_module(&vm->kernel, line, role);	/* the text ends with the module's, at its NUL */
	else
		add_module(config, vm, line, role);

	if (role == ROLE_INITRD && line->cmdline.len)
		complain(line,
			 "the guest's command line is expected at the kernel's module, not here");
	else if (line->cmdline.len >= VM_CMDLINE_SIZE)
		complain(line, "the guest's command line has %zu characters: expected at most %d",
			 line->cmdline.len, VM_CMDLINE_SIZE - 1);
}

static void take_devices(struct config *config, struct vm_config *vm, struct module_line *line)
{
	vm->no_pci |= line->no_pci;
	if (vm->disk_count + line->disk_count > VM_MAX_DISKS || config->disk_count + line->disk_count > CONFIG_DISKS) {
		complain(line, "disk: expected at most %u disks for a VM, and %u in all", VM_MAX_DISKS, CONFIG_DISKS);
		return;
	}
	if (vm->net_count + line->net_count > VM_MAX_NETS || config->net_count + line->net_count > CONFIG_NETS) {
		complain(line, "net: expected at most %u ports for a VM, and %u in all", VM_MAX_NETS, CONFIG_NETS);
		return;
	}
	for (u32 i = 0; i < line->disk_count; i++) {
		vm->disks[vm->disk_count] = &config->disks[config->disk_count++];
		*vm->disks[vm->disk_count++] = line->disks[i];
	}
	for (u32 i = 0; i < line->net_count; i++) {
		vm->nets[vm->net_count] = &config->nets[config->net_count++];
		*vm->nets[vm->net_count++] = line->nets[i];
	}
}

static void take_settings(struct vm_config *vm, const struct module_line *line)
{
	if (line->memory)
		vm->memory = line->memory;
	if (line->vcpus)
		vm->vcpus = (u32)line->vcpus;
	if (line->time_limit_s)
		vm->time_limit_s = line->time_limit_s;
	if (!cpu_set_is_empty(&line->cpus))
		vm->cpus = line->cpus;
	vm->stop_on_reset |= line->stop_on_reset;
	if (line->nested != NESTED_OFF)
		vm->nested = line->nested;
	if (line->hypervisor)
		vm->hypervisor = line->hypervisor - 1;
	vm->vga_lines |= line->vga_lines;
	vm->ps2_keyboard |= line->ps2_keyboard;
	vm->hvc0_keyboard |= line->hvc0_keyboard;
}

/* A module with role=disk. */
static void take_image(struct config *config, struct module_line *line, u64 size)
{
	static const char *const allowed[] = { "role", "name", "file" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		bool fits = false;

		for (size_t n = 0; n < ARRAY_SIZE(allowed); n++)
			fits |= !strcmp(keys[i].name, allowed[n]);
		if (line->given & BIT(i) && !fits)
			complain(line, "role=disk: belongs to no VM, expected name= and no %s=", keys[i].name);
	}
	if (line->cmdline.len)
		complain(line, "role=disk: an image has no command line, expected nothing behind a --");
	if (!line->name.len)
		complain(line, "role=disk: expected name=NAME, %s", find_key(str_view_of("name"))->help);
	if (!size)
		complain(line, "role=disk: the image is empty, expected at least one byte");
	if (line->bad || !config_add_image(config, line->index, line->name, size))
		config->modules_unused++;
}

/* CPUID has one hypervisor in the place where guests look first. */
static void check_evmcs(struct vm_config *vm)
{
	if (vm->nested != NESTED_EVMCS)
		return;
	if (vm->hypervisor != HYPERVISOR_LAMINA) {
		log_error("VM %s has nested=evmcs: expected no hv=, as its CPUID has Hyper-V's leaves", vm->name);
		vm->valid = false;
	}
	vm->hypervisor = HYPERVISOR_HYPERV;
}

static void check_vm(struct vm_config *vm)
{
	check_evmcs(vm);
	if (vm->no_pci && (vm->disk_count || vm->net_count || vm->hvc0_keyboard)) {
		log_error("VM %s has pci=none: expected no %s, or pci=on", vm->name,
			  vm->disk_count ? "disk=" : vm->net_count ? "net=" : "keyboard=hvc0");
		vm->valid = false;
	}
	if (vm->kernel.index >= 0)
		return;
	log_error("VM %s has no kernel: expected a module with vm=%s role=kernel", vm->name,
		  vm->name);
	vm->valid = false;
}

/* Each module may be a VM's kernel. "Lamina owns ... for it" in the log says what a VM takes. */
#define VM_NEEDS     (256ull << 10)
#define PORT_NEEDS   (640ull << 10)	/* its ring, and the device's structures */
#define NESTED_NEEDS (9ull << 20)	/* of each vCPU: the tables of its guests (core/mem/shadow.h), and their state */

static u64 module_needs(struct str_view string)
{
	u64 need = VM_NEEDS, vcpus = 1;
	bool nested = false;
	struct keyval_cursor cursor;
	struct keyval token;

	keyval_begin(&cursor, string);
	while (keyval_next(&cursor, &token) == 0) {
		if (str_view_equals(token.key, "net"))
			need += PORT_NEEDS;
		else if (str_view_equals(token.key, "nested"))
			nested = !str_view_equals(token.value, "off");
		else if (str_view_equals(token.key, "vcpus") && parse_u64_view(token.value, &vcpus))
			vcpus = 1;
	}
	return need + (nested ? MIN(vcpus, (u64)VM_MAX_VCPUS) * NESTED_NEEDS : 0);
}

u64 config_memory_need(const struct boot_info *info)
{
	u64 need = 0;

	for (unsigned i = 0; i < info->modules; i++)
		need += module_needs(str_view_of(info->module[i].string));
	return need;
}

bool config_is_microcode(const struct boot_info *info, unsigned index)
{
	struct keyval_cursor cursor;
	struct keyval token;
	bool is = false;

	keyval_begin(&cursor, str_view_of(info->module[index].string));
	while (keyval_next(&cursor, &token) == 0)
		if (str_view_equals(token.key, "role"))
			is = str_view_equals(token.value, "microcode");
	return is;
}

void config_parse(const struct boot_info *info, struct config *config)
{
	struct vm_config *vm = NULL;

	memset(config, 0, sizeof(*config));
	config->modules_unused = info->modules_left_out;
	for (unsigned i = 0; i < info->modules; i++) {
		struct module_line line = {
			.index = (int)i,
			.text = info->module[i].string,
			.cmdline = str_view_of(""),
		};

		read_line(&line, info->file_names);
		if (line.role == ROLE_MICROCODE) {
			if (line.vm.len)
				complain(&line, "role=microcode: belongs to no VM, expected no vm=");
			continue;
		}
		if (line.role == ROLE_DISK) {
			take_image(config, &line, info->module[i].size);
			continue;
		}
		if (line.name.len)
			complain(&line, "name=%.*s: expected role=disk beside it; a VM is named by vm=", QUOTED(line.name));
		vm = vm_of(config, &line, vm);
		if (!vm) {
			config->modules_unused++;
			continue;
		}
		take_role(config, vm, &line);
		take_settings(vm, &line);
		take_devices(config, vm, &line);
		if (line.bad)
			vm->valid = false;
	}
	for (u32 i = 0; i < config->vm_count; i++)
		check_vm(&config->vms[i]);
	config_connect_devices(config);
}
