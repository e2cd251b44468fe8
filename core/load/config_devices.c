/* SPDX-License-Identifier: MIT */
/* The keys disk= and net=, and the images that disk= names. */
#include "core/load/config_devices.h"

#include "lib/errno.h"
#include "lib/log.h"
#include "lib/string.h"

#define OVERLAY_DEFAULT MIB(64)
#define SIZE_LEAST	MIB(1)
#define SIZE_MOST	GIB(32)

const char config_disk_help[] =
	"a virtio disk, up to 8 of them: the image of the module with role=disk name=NAME, which stays as it is; what the VM "
	"writes is kept in an overlay of at most cow=; or it cannot write, with ro. Or an empty disk in RAM. "
	"Sizes: 1M to 32G, a multiple of 4K";
const char config_net_help[] =
	"a virtio network port, up to 8 of them, of the switch with that name: at most 23 letters, digits, _ . and -; trunk: it may "
	"send from other addresses than its own";
_Static_assert(VM_MAX_DISKS == 8 && VM_MAX_NETS == 8 && NET_NAME_SIZE == 24, "the help says so");

/* --- values --- */

static bool is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '.' || c == '-';
}

bool config_is_name(struct str_view text, size_t size)
{
	if (!text.len || text.len >= size)
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!is_name_character(text.ptr[i]))
			return false;
	return true;
}

/* Cut off what is in front of the next `mark`, or all that is left. */
static struct str_view cut(struct str_view *rest, char mark)
{
	struct str_view part = { rest->ptr, 0 };

	while (part.len < rest->len && part.ptr[part.len] != mark)
		part.len++;
	rest->ptr += part.len;
	rest->len -= part.len;
	return part;
}

/* The next part behind a comma. False: there is none. */
static bool next_part(struct str_view *rest, struct str_view *part)
{
	if (!rest->len)
		return false;
	rest->ptr++;
	rest->len--;
	*part = cut(rest, ',');
	return true;
}

/* Does the part begin with "KEY="? Then the value is what comes behind. */
static bool has_value(struct str_view part, const char *key, struct str_view *value)
{
	size_t len = strlen(key);

	if (part.len < len || strncmp(part.ptr, key, len))
		return false;
	*value = (struct str_view){ part.ptr + len, part.len - len };
	return true;
}

static int parse_bytes(struct str_view text, u64 *size)
{
	if (*size || parse_size_view(text, size))
		return -EINVAL;
	return *size >= SIZE_LEAST && *size <= SIZE_MOST && IS_ALIGNED(*size, DISK_PAGE) ? 0 : -EINVAL;
}

int config_parse_disk(struct str_view rest, struct vm_disk_config *disk)
{
	struct str_view name = cut(&rest, ','), part, value;
	bool ram = str_view_equals(name, "ram");
	int error = 0;

	if (!config_is_name(name, sizeof(disk->name)))
		return -EINVAL;
	while (!error && next_part(&rest, &part)) {
		if (ram && has_value(part, "size=", &value))
			error = parse_bytes(value, &disk->size);
		else if (!ram && has_value(part, "cow=", &value))
			error = parse_bytes(value, &disk->overlay);
		else if (!ram && !disk->read_only && str_view_equals(part, "ro"))
			disk->read_only = true;
		else
			error = -EINVAL;
	}
	if (error || (ram && !disk->size) || (disk->read_only && disk->overlay))
		return -EINVAL;
	if (!ram && !disk->read_only && !disk->overlay)
		disk->overlay = OVERLAY_DEFAULT;
	str_view_copy(disk->name, name, sizeof(disk->name));
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -EINVAL;
}

static bool has_address(const struct vm_net_config *net)
{
	u8 any = 0;

	for (u32 i = 0; i < sizeof(net->mac); i++)
		any |= net->mac[i];
	return any;
}

/* Of one station, that is not a group address, whose first byte is odd; and not zero. */
static int parse_mac(struct str_view text, struct vm_net_config *net)
{
	if (text.len != 3 * sizeof(net->mac) - 1 || has_address(net))
		return -EINVAL;
	for (u32 i = 0; i < sizeof(net->mac); i++) {
		const char *at = &text.ptr[3 * i];
		int high = hex_digit(at[0]), low = hex_digit(at[1]);

		if (high < 0 || low < 0 || (i + 1 < sizeof(net->mac) && at[2] != ':'))
			return -EINVAL;
		net->mac[i] = (u8)(high << 4 | low);
	}
	return has_address(net) && !(net->mac[0] & 1) ? 0 : -EINVAL;
}

int config_parse_net(struct str_view rest, struct vm_net_config *net)
{
	struct str_view name = cut(&rest, ','), part, value;
	int error = 0;

	if (!config_is_name(name, sizeof(net->name)))
		return -EINVAL;
	str_view_copy(net->name, name, sizeof(net->name));
	while (!error && next_part(&rest, &part)) {
		if (has_value(part, "mac=", &value))
			error = parse_mac(value, net);
		else if (!net->trunk && str_view_equals(part, "trunk"))
			net->trunk = true;
		else
			error = -EINVAL;
	}
	return error;
}

/* --- images --- */

static struct disk_image *find_image(struct config *config, const char *name)
{
	for (u32 i = 0; i < config->image_count; i++)
		if (!strcmp(config->images[i].name, name))
			return &config->images[i];
	return NULL;
}

bool config_add_image(struct config *config, int module, struct str_view name, u64 size)
{
	struct disk_image *image = &config->images[config->image_count], *other;

	*image = (struct disk_image){ .module = module, .size = size };
	str_view_copy(image->name, name, sizeof(image->name));
	other = find_image(config, image->name);
	if (other) {
		log_error("module %d: name=%s: module %d has that name already, expected another one", module, image->name,
			  other->module);
		return false;
	}
	config->image_count++;
	return true;
}

/* What the first bytes say about a file that is no disk image as it is. */
static const struct signature {
	const char *bytes;
	size_t size;
	const char *words;
} signatures[] = {
	{ "\x1f\x8b\x08", 3, "compressed by gzip: unpack it first, with gunzip" },
	{ "\x28\xb5\x2f\xfd", 4, "compressed by zstd: unpack it first, with unzstd" },
	{ "\xfd" "7zXZ\0", 6, "compressed by xz: unpack it first, with unxz" },
	{ "BZh", 3, "compressed by bzip2: unpack it first, with bunzip2" },
	{ "\x04\x22\x4d\x18", 4, "compressed by lz4: unpack it first, with unlz4" },
	{ "PK\x03\x04", 4, "a ZIP archive: unpack it first, with unzip" },
	{ "QFI\xfb", 4, "a qcow2 image: convert it first, with qemu-img convert -O raw" },
	{ "QED\0", 4, "a QED image: convert it first, with qemu-img convert -O raw" },
	{ "KDMV", 4, "a VMDK image: convert it first, with qemu-img convert -O raw" },
	{ "COWD", 4, "a VMDK image: convert it first, with qemu-img convert -O raw" },
	{ "# Disk Descriptor", 17, "a VMDK descriptor: convert the image first, with qemu-img convert -O raw" },
	{ "vhdxfile", 8, "a VHDX image: convert it first, with qemu-img convert -O raw" },
	{ "conectix", 8, "a dynamic VHD image: convert it first, with qemu-img convert -O raw" },
	{ "<<< ", 4, "a VDI image: convert it first, with qemu-img convert -O raw" },
};

#define LOOK_AT 32u	/* bytes; more than the longest signature */

static const char *recognise(const u8 *start, u64 size)
{
	for (size_t i = 0; i < ARRAY_SIZE(signatures); i++)
		if (size >= signatures[i].size && !memcmp(start, signatures[i].bytes, signatures[i].size))
			return signatures[i].words;
	return NULL;
}

static void refuse_image(struct config *config, const struct disk_image *image, const char *words)
{
	log_error("module %d: the disk image \"%s\" is %s", image->module, image->name, words);
	for (u32 i = 0; i < config->vm_count; i++) {
		struct vm_config *vm = &config->vms[i];
		bool has = false;

		for (u32 n = 0; n < vm->disk_count; n++)
			has |= vm->disks[n]->image == image;
		if (has && vm->valid)
			log_error("VM %s cannot start without its disk image \"%s\"", vm->name, image->name);
		vm->valid &= !has;
	}
}

void config_check_images(struct config *config, const void *(*look)(unsigned module, u64 size))
{
	for (u32 i = 0; i < config->image_count; i++) {
		const struct disk_image *image = &config->images[i];
		u64 size = MIN(image->size, (u64)LOOK_AT);
		const u8 *start = image->used ? look((unsigned)image->module, size) : NULL;
		const char *words = start ? recognise(start, size) : NULL;

		if (words)
			refuse_image(config, image, words);
	}
}

static void connect_disk(struct config *config, struct vm_config *vm, struct vm_disk_config *disk)
{
	if (disk->size || !disk->name[0])	/* in RAM, or reported already */
		return;
	disk->image = find_image(config, disk->name);
	if (disk->image) {
		disk->image->used |= vm->valid;
		return;
	}
	log_error("module %d: disk=%s: there is no such image, expected a module with role=disk name=%s%s", disk->line, disk->name,
		  disk->name, config->modules_unused ? " that has no mistake: see above" : "");
	vm->valid = false;
}

static void report_images(struct config *config)
{
	for (u32 i = 0; i < config->image_count; i++) {
		const struct disk_image *image = &config->images[i];

		if (!image->used)
			log_warn("module %d: no VM that can start has disk=%s: the image is not used", image->module, image->name);
		else if (image->size % DISK_SECTOR)
			log_info("module %d: the disk image \"%s\" has %llu bytes, which is no multiple of %u: zeros are added to its "
				 "last sector", image->module, image->name, (ull)image->size, DISK_SECTOR);
	}
}

/* --- addresses --- */

/* FNV-1a, 64 bits. */
static u64 hash(u64 value, const void *data, size_t size)
{
	const u8 *bytes = data;

	while (size--)
		value = (value ^ *bytes++) * 0x100000001b3ull;
	return value;
}

/* Locally administered, of one station: IEEE 802, "Structure of EUI-48". The same at each boot. */
static void make_address(const struct vm_config *vm, u32 index, struct vm_net_config *net)
{
	const u8 number = (u8)index;
	u64 value = hash(hash(0xcbf29ce484222325ull, vm->name, strlen(vm->name)), &number, 1);

	value ^= value >> 40;
	net->mac[0] = 0x02;
	for (u32 i = 1; i < sizeof(net->mac); i++)
		net->mac[i] = (u8)(value >> (8 * (i - 1)));
}

/* The VM, up to `last`, that has a port of the same switch with the same address, in front of this one. */
static const struct vm_config *address_owner(const struct config *config, u32 last, const struct vm_net_config *net)
{
	for (u32 i = 0; i <= last; i++) {
		const struct vm_config *vm = &config->vms[i];

		for (u32 n = 0; vm->valid && n < vm->net_count && vm->nets[n] != net; n++)
			if (!strcmp(vm->nets[n]->name, net->name) && !memcmp(vm->nets[n]->mac, net->mac, sizeof(net->mac)))
				return vm;
	}
	return NULL;
}

static void connect_net(struct config *config, u32 index, struct vm_net_config *net)
{
	const struct vm_config *other = address_owner(config, index, net);
	const u8 *mac = net->mac;

	if (!other)
		return;
	log_error("module %d: net=%s: VM %s has a port with the address %02x:%02x:%02x:%02x:%02x:%02x there already, "
		  "expected another mac=", net->line, net->name, other->name, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	config->vms[index].valid = false;
}

void config_connect_devices(struct config *config)
{
	for (u32 i = 0; i < config->vm_count; i++) {
		struct vm_config *vm = &config->vms[i];

		for (u32 n = 0; n < vm->net_count; n++)
			if (!has_address(vm->nets[n]))
				make_address(vm, n, vm->nets[n]);
	}
	for (u32 i = 0; i < config->vm_count; i++) {
		struct vm_config *vm = &config->vms[i];

		for (u32 n = 0; vm->valid && n < vm->net_count; n++)
			connect_net(config, i, vm->nets[n]);
		for (u32 n = 0; n < vm->disk_count; n++)
			connect_disk(config, vm, vm->disks[n]);
	}
	report_images(config);
}
