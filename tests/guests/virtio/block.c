/* SPDX-License-Identifier: MIT */
/* Disks: VIRTIO 1.2, "Block Device". What was there is overwritten. */
#include "tests.h"

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
#define F_SIZE_MAX	BIT(1)
#define F_SEG_MAX	BIT(2)
#define F_RO		BIT(5)
#define F_FLUSH		BIT(9)
#define F_DISCARD	BIT(13)
#define F_WRITE_ZEROES	BIT(14)
#define SECTORS		64	/* that are tested, at the start and at the end */

static volatile struct ring ring;
static struct queue queue;
static volatile struct {
	u32 type, reserved;
	u64 sector;
} header;
static volatile u8 status;
static volatile u8 data[SECTORS * 512], back[SECTORS * 512];
static u64 capacity;
static u32 last_written;

/* One request, its data in `pieces` buffers of the same size. Returns its status, 0xff after the time limit. */
static u8 request(u32 type, u64 sector, volatile u8 *at, u32 size, u32 pieces)
{
	bool write = type == T_IN || type == T_GET_ID;
	struct buffer buffers[10] = { { &header, 16, false } };
	u32 count = 1, id;

	header.type = type;
	header.reserved = 0;
	header.sector = sector;
	status = 0xff;
	for (u32 i = 0; i < pieces; i++)
		buffers[count++] = (struct buffer){ at + size / pieces * i, size / pieces, write };
	buffers[count++] = (struct buffer){ &status, 1, true };
	queue_add(&queue, buffers, count);
	queue_kick(&queue);
	last_written = 0;
	return queue_wait(&queue, &id, &last_written, LIMIT_MS) ? status : 0xff;
}

static void fill(volatile u8 *at, u32 size, u32 seed)
{
	for (u32 i = 0; i < size; i++)
		at[i] = (seed = seed * 1103515245 + 12345) >> 16;
}

static u32 differences(u32 size)
{
	u32 n = 0;

	for (u32 i = 0; i < size; i++)
		n += data[i] != back[i];
	return n;
}

static u32 nonzero(u32 from, u32 to)
{
	u32 n = 0;

	while (from < to)
		n += back[from++] != 0;
	return n;
}

static void reads_and_writes(void)
{
	fill(data, sizeof(data), 1);
	check_eq(request(T_OUT, 0, data, sizeof(data), 1), S_OK, "write 32 KiB");
	check_eq(last_written, 1, "a write's used length is the status byte");
	check_eq(request(T_IN, 0, back, sizeof(back), 1), S_OK, "read 32 KiB");
	check_eq(last_written, sizeof(back) + 1, "a read's used length is the data and the status byte");
	check_eq(differences(sizeof(data)), 0, "what is read was written");

	fill(data, sizeof(data), 2);
	check_eq(request(T_OUT, capacity - SECTORS, data, sizeof(data), 8), S_OK, "write 8 pieces, up to the end");
	check_eq(request(T_IN, capacity - SECTORS, back, sizeof(back), 4), S_OK, "read 4 pieces, up to the end");
	check_eq(differences(sizeof(data)), 0, "what is read was written, at the end");

	/* One sector inside of an overlay's page: its neighbours keep what they have. */
	fill(data, sizeof(data), 1);
	fill(data + 512 * 3, 512, 3);
	check_eq(request(T_OUT, 3, data + 512 * 3, 512, 1), S_OK, "write one sector");
	check_eq(request(T_IN, 0, back, sizeof(back), 1), S_OK, "read around it");
	check_eq(differences(sizeof(data)), 0, "its neighbours are unchanged");
}

/* "Framing": no assumption about where one buffer ends and the next begins. */
static void framing(void)
{
	struct buffer odd[] = {
		{ &header.type, 3, false }, { (volatile u8 *)&header + 3, 13, false },
		{ back, 100, true }, { back + 100, 924, true }, { &status, 1, true },
	};
	struct buffer joined[] = { { &header, 16, false }, { NULL, 1025, true } };
	static volatile u8 whole[1025];
	u32 id, written;

	header.type = T_IN;
	header.sector = 0;
	status = 0xff;
	queue_add(&queue, odd, ARRAY_SIZE(odd));
	queue_kick(&queue);
	check(queue_wait(&queue, &id, &written, LIMIT_MS) && status == S_OK,
	      "framing: the header in two, the data in odd pieces");
	check_eq(differences(1024), 0, "framing: the data is right");
	joined[1].data = whole;
	whole[1024] = 0xff;
	queue_add(&queue, joined, 2);
	queue_kick(&queue);
	check(queue_wait(&queue, &id, &written, LIMIT_MS) && whole[1024] == S_OK, "framing: data and status in one");
	for (u32 i = 0; i < 1024; i++)
		back[i] = whole[i];
	check_eq(differences(1024), 0, "framing: the data is right in one, too");
}

static void errors(bool read_only)
{
	check_eq(request(T_IN, capacity, back, 512, 1), S_IOERR, "read behind the end");
	check_eq(request(T_IN, capacity - 1, back, 1024, 1), S_IOERR, "read across the end");
	check_eq(request(T_IN, ~0ull, back, 512, 1), S_IOERR, "read at the largest sector number");
	check_eq(request(T_IN, ~0ull / 512, back, 1024, 1), S_IOERR, "read where the byte offset overflows");
	check_eq(request(T_OUT, capacity, data, 512, 1), S_IOERR, "write behind the end");
	check_eq(request(77, 0, data, 0, 0), S_UNSUPP, "a request of unknown type");
	check_eq(request(T_IN, 0, back, 512, 1), S_OK, "a good request afterwards");
	if (read_only)
		check_eq(request(T_OUT, 0, data, 512, 1), S_IOERR, "a write to a read-only disk");
}

static void identity(void)
{
	for (u32 i = 0; i < 32; i++)
		back[i] = 0xaa;
	check_eq(request(T_GET_ID, 0, back, 20, 1), S_OK, "get the identity");
	check(back[0] >= ' ' && back[0] < 0x7f && back[20] == 0xaa, "it is text of 20 bytes at most");
	print("identity ");
	back[20] = 0;
	print((const char *)back);
	print("\n");
}

static u8 range(u32 type, u64 sector, u32 sectors, u32 flags)
{
	static volatile struct { u64 sector; u32 sectors, flags; } range;

	range.sector = sector;
	range.sectors = sectors;
	range.flags = flags;
	return request(type, 0, (volatile u8 *)&range, 16, 1);
}

static void zeroes(struct device *device)
{
	if (device->offered & F_WRITE_ZEROES) {
		check_eq(range(T_WRITE_ZEROES, 5, 20, 0), S_OK, "write zeroes");
		check_eq(request(T_IN, 0, back, sizeof(back), 1), S_OK, "read them");
		check_eq(nonzero(5 * 512, 25 * 512), 0, "they are zero");
		check(nonzero(0, 5 * 512) && nonzero(25 * 512, sizeof(back)), "what is around them is not");
		check_eq(range(T_WRITE_ZEROES, capacity - 1, 2, 0), S_IOERR, "write zeroes across the end");
		check_eq(range(T_WRITE_ZEROES, 0, 0xffffffff, 0), S_IOERR, "write zeroes, the largest number");
	} else {
		skip("write zeroes", "not offered");
	}
	if (device->offered & F_DISCARD) {
		check_eq(range(T_DISCARD, 32, 16, 0), S_OK, "discard");
		check_eq(range(T_DISCARD, capacity, 1, 0), S_IOERR, "discard behind the end");
		check_eq(range(T_DISCARD, 0, 8, 1), S_UNSUPP, "discard with the flag unmap");
	} else {
		skip("discard", "not offered");
	}
	if (device->offered & F_FLUSH)
		check_eq(request(T_FLUSH, 0, NULL, 0, 0), S_OK, "flush");
}

static void interrupts(struct device *device)
{
	u32 before = msi_count[2 % device->vectors];

	msix_enable(device, true);
	msix_set(device, 2 % device->vectors, msi_address(), MSI_VECTOR + 2 % device->vectors, false);
	set_common(device, QUEUE_SELECT, 0);
	set_common(device, QUEUE_VECTOR, 2 % device->vectors);
	check_eq(request(T_IN, 0, back, 512, 1), S_OK, "a read with a message");
	check(wait_count(&msi_count[2 % device->vectors], before + 1, EVENT_MS), "its message arrives");
	msix_enable(device, false);
}

void test_block(struct device *device, u32 n)
{
	u64 features = F_VERSION_1 | F_FLUSH | F_DISCARD | F_WRITE_ZEROES | F_RO;
	bool read_only;

	print("disk ");
	print_dec(n);
	print("\n");
	device_reset(device);
	features &= device_features(device);
	read_only = features & F_RO;
	check(device_negotiate(device, features), "the disk's features are accepted");
	capacity = place_read(&device->cfg[CFG_DEVICE], 0, 4) | (u64)place_read(&device->cfg[CFG_DEVICE], 4, 4) << 32;
	queue_init(device, &queue, 0, 0, &ring);
	device_ok(device);
	if (!check(capacity >= 2 * SECTORS, "the disk has a capacity"))
		return;
	if (!read_only) {
		reads_and_writes();
		framing();
		zeroes(device);
	} else {
		check_eq(request(T_IN, 0, data, sizeof(data), 1), S_OK, "read a read-only disk");
	}
	errors(read_only);
	if (read_only) {
		request(T_IN, 0, back, sizeof(back), 1);
		check_eq(differences(sizeof(data)), 0, "a read-only disk is unchanged");
	}
	identity();
	interrupts(device);
	device_reset(device);
}
