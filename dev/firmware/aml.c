/* SPDX-License-Identifier: MIT */
/* The AML writer. Opcodes: ACPI, "AML Grammar Definition". */
#include "dev/firmware/aml.h"

#include "lib/string.h"

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_EXTENDED = 0x5b,
	OP_ARG0 = 0x68,
	OP_STORE = 0x70,
	OP_EXTENDED_DEVICE = 0x82,
	OP_IF = 0xa0,
	OP_RETURN = 0xa4,
};

/* The first byte of each resource descriptor: of a small one, it includes the length. */
enum {
	ITEM_IRQ = 0x22,
	ITEM_IO = 0x47,
	ITEM_END = 0x79,
	ITEM_FIXED_MEMORY = 0x86,
	ITEM_DWORD_SPACE = 0x87,
	ITEM_WORD_SPACE = 0x88,
};

enum { SPACE_MEMORY, SPACE_IO, SPACE_BUS };

#define SPACE_FIXED	   0x0c	/* minimum and maximum are fixed: _MIF, _MAF */
#define SPACE_IO_ENTIRE	   0x03	/* ISA and non-ISA ranges */
#define SPACE_MEMORY_WRITE 0x01	/* not cacheable, read and write */

static void byte(struct aml *aml, u8 value)
{
	if (aml->used < aml->size)
		aml->buffer[aml->used] = value;
	aml->used++;
}

static void bytes(struct aml *aml, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		byte(aml, (u8)data[i]);
}

/* Little-endian, as all numbers in AML. */
static void number(struct aml *aml, u32 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		byte(aml, (u8)(value >> (8 * i)));
}

/* --- blocks: an opcode, the length of all that follows, the contents --- */

#define LENGTH_BYTES 3	/* a fixed size, so that it can be filled in when the block is closed */

static size_t open_block(struct aml *aml)
{
	size_t block = aml->used;

	number(aml, 0, LENGTH_BYTES);
	return block;
}

void aml_close(struct aml *aml, size_t block)
{
	size_t length = aml->used - block;

	if (aml_overflowed(aml))
		return;
	/* "Package Length Encoding": the count of further bytes and 4 bits, then 8 bits, then 8. */
	aml->buffer[block] = (u8)((LENGTH_BYTES - 1) << 6 | (length & 0xf));
	aml->buffer[block + 1] = (u8)(length >> 4);
	aml->buffer[block + 2] = (u8)(length >> 12);
}

size_t aml_open_scope(struct aml *aml, const char *path)
{
	size_t block;

	byte(aml, OP_SCOPE);
	block = open_block(aml);
	bytes(aml, path, strlen(path));
	return block;
}

size_t aml_open_device(struct aml *aml, const char *name)
{
	size_t block;

	byte(aml, OP_EXTENDED);
	byte(aml, OP_EXTENDED_DEVICE);
	block = open_block(aml);
	bytes(aml, name, 4);
	return block;
}

size_t aml_open_package(struct aml *aml, u8 elements)
{
	size_t block;

	byte(aml, OP_PACKAGE);
	block = open_block(aml);
	byte(aml, elements);
	return block;
}

size_t aml_open_method(struct aml *aml, const char *name, unsigned arguments)
{
	size_t block;

	byte(aml, OP_METHOD);
	block = open_block(aml);
	bytes(aml, name, 4);
	byte(aml, (u8)arguments);	/* and not serialized */
	return block;
}

size_t aml_open_if(struct aml *aml, const char *name)
{
	size_t block;

	byte(aml, OP_IF);
	block = open_block(aml);
	bytes(aml, name, 4);
	return block;
}

/* A buffer: the block's length is followed by the buffer's size as a 16-bit integer. */
#define RESOURCES_HEADER (LENGTH_BYTES + 3)

size_t aml_open_resources(struct aml *aml)
{
	size_t block;

	byte(aml, OP_BUFFER);
	block = open_block(aml);
	byte(aml, OP_WORD);
	number(aml, 0, 2);
	return block;
}

void aml_close_resources(struct aml *aml, size_t block)
{
	size_t length;

	byte(aml, ITEM_END);
	byte(aml, 0);	/* checksum: 0 is accepted as valid */
	aml_close(aml, block);
	if (aml_overflowed(aml))
		return;
	length = aml->used - block - RESOURCES_HEADER;
	aml->buffer[block + RESOURCES_HEADER - 2] = (u8)length;
	aml->buffer[block + RESOURCES_HEADER - 1] = (u8)(length >> 8);
}

/* --- objects --- */

void aml_name(struct aml *aml, const char *name)
{
	byte(aml, OP_NAME);
	bytes(aml, name, 4);
}

void aml_integer(struct aml *aml, u32 value)
{
	if (value == 0) {
		byte(aml, OP_ZERO);
	} else if (value == 1) {
		byte(aml, OP_ONE);
	} else if (value <= 0xff) {
		byte(aml, OP_BYTE);
		number(aml, value, 1);
	} else if (value <= 0xffff) {
		byte(aml, OP_WORD);
		number(aml, value, 2);
	} else {
		byte(aml, OP_DWORD);
		number(aml, value, 4);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	byte(aml, OP_STRING);
	bytes(aml, text, strlen(text) + 1);
}

static u32 hex_digit(char c)
{
	return (u32)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* "EISAID": three letters of 5 bits, four hexadecimal digits, most significant byte first. */
void aml_eisa_id(struct aml *aml, const char *id)
{
	u32 value = 0;

	for (unsigned i = 0; i < 3; i++)
		value = value << 5 | (u32)(id[i] - '@');
	for (unsigned i = 3; i < 7; i++)
		value = value << 4 | hex_digit(id[i]);
	byte(aml, OP_DWORD);
	number(aml, __builtin_bswap32(value), 4);
}

/* --- statements --- */

void aml_store_argument(struct aml *aml, const char *name)
{
	byte(aml, OP_STORE);
	byte(aml, OP_ARG0);
	bytes(aml, name, 4);
}

void aml_return(struct aml *aml, const char *name)
{
	byte(aml, OP_RETURN);
	bytes(aml, name, 4);
}

/* --- resources --- */

void aml_io(struct aml *aml, u16 base, u8 length)
{
	byte(aml, ITEM_IO);
	byte(aml, 1);		/* decodes 16 bits */
	number(aml, base, 2);	/* lowest and highest base */
	number(aml, base, 2);
	byte(aml, 1);		/* alignment */
	byte(aml, length);
}

void aml_memory(struct aml *aml, u32 base, u32 length)
{
	byte(aml, ITEM_FIXED_MEMORY);
	number(aml, 9, 2);
	byte(aml, 1);		/* writable */
	number(aml, base, 4);
	number(aml, length, 4);
}

void aml_irq(struct aml *aml, u8 irq)
{
	byte(aml, ITEM_IRQ);
	number(aml, BIT(irq), 2);
}

/* A range of addresses that a bridge forwards. Each number in the descriptor takes `unit` bytes. */
static void window(struct aml *aml, u8 item, unsigned unit, u8 type, u8 flags, u32 first, u32 last)
{
	byte(aml, item);
	number(aml, 3 + 5 * unit, 2);
	byte(aml, type);
	byte(aml, SPACE_FIXED);
	byte(aml, flags);
	number(aml, 0, unit);	/* granularity */
	number(aml, first, unit);
	number(aml, last, unit);
	number(aml, 0, unit);	/* translation */
	number(aml, last - first + 1, unit);
}

void aml_bus_window(struct aml *aml, u16 first, u16 last)
{
	window(aml, ITEM_WORD_SPACE, 2, SPACE_BUS, 0, first, last);
}

void aml_io_window(struct aml *aml, u16 first, u16 last)
{
	window(aml, ITEM_WORD_SPACE, 2, SPACE_IO, SPACE_IO_ENTIRE, first, last);
}

void aml_memory_window(struct aml *aml, u32 first, u32 last)
{
	window(aml, ITEM_DWORD_SPACE, 4, SPACE_MEMORY, SPACE_MEMORY_WRITE, first, last);
}
