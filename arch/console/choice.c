/* SPDX-License-Identifier: MIT */
/* Reading console=. */
#include "arch/console/choice.h"

#include "lib/errno.h"

#define MAX_FIELDS    4
#define MAX_NUMBER    63
#define DEFAULT_BAUD  115200
#define REGISTERS     8

static const struct {
	const char *name;
	u16 port;
} ports[] = {
	{ "com1", 0x3f8 }, { "com2", 0x2f8 }, { "com3", 0x3e8 }, { "com4", 0x2e8 },
};

struct fields {
	struct str_view at[MAX_FIELDS];
	unsigned count, next;
};

static int split(struct str_view value, struct fields *fields)
{
	const char *end = value.ptr + value.len;

	*fields = (struct fields) { .count = 1, .at[0] = { value.ptr, 0 } };
	for (const char *c = value.ptr; c < end; c++) {
		if (*c != ',') {
			fields->at[fields->count - 1].len++;
		} else if (fields->count == MAX_FIELDS) {
			return -EINVAL;
		} else {
			fields->at[fields->count++] = (struct str_view) { c + 1, 0 };
		}
	}
	return 0;
}

static bool more(const struct fields *fields)
{
	return fields->next < fields->count;
}

static int parse_bounded(struct str_view text, u64 least, u64 most, u64 *number)
{
	if (parse_u64_view(text, number) || *number < least || *number > most)
		return -EINVAL;
	return 0;
}

/* One or two hexadecimal digits up to the character `stop`, removed together; stop 0 is the end of the text. */
static int take_hex(struct str_view *text, char stop, unsigned most, u8 *number)
{
	unsigned value = 0, digits = 0;

	for (; text->len && *text->ptr != stop; text->ptr++, text->len--, digits++) {
		char c = *text->ptr | 0x20;

		if (digits == 2 || !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return -EINVAL;
		value = value * 16 + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	if (!digits || value > most || (stop && !text->len))
		return -EINVAL;
	if (stop) {
		text->ptr++;
		text->len--;
	}
	*number = (u8)value;
	return 0;
}

/* BB:DD.F */
static int parse_location(struct str_view text, struct pci_address *at)
{
	if (take_hex(&text, ':', 255, &at->bus) || take_hex(&text, '.', 31, &at->device))
		return -EINVAL;
	return take_hex(&text, '\0', 7, &at->function);
}

static bool has(struct str_view text, char wanted)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] == wanted)
			return true;
	return false;
}

static int parse_pci(struct fields *fields, struct console_choice *choice)
{
	u64 number = 0;

	choice->kind = CONSOLE_PCI;
	if (!more(fields))
		return 0;
	choice->located = has(fields->at[fields->next], ':');
	if (choice->located)
		return parse_location(fields->at[fields->next++], &choice->pci);
	if (parse_bounded(fields->at[fields->next++], 0, MAX_NUMBER, &number))
		return -EINVAL;
	choice->number = (unsigned)number;
	return 0;
}

static int parse_memory(struct fields *fields, struct console_choice *choice)
{
	choice->kind = CONSOLE_UART;
	choice->uart.space = UART_MEMORY;
	if (!more(fields))
		return -EINVAL;
	return parse_bounded(fields->at[fields->next++], PAGE_SIZE, BIT_ULL(52) - PAGE_SIZE,
			     &choice->uart.address);
}

static int parse_port(struct str_view name, struct console_choice *choice)
{
	choice->kind = CONSOLE_UART;
	choice->uart.space = UART_PORTS;
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
		if (str_view_equals(name, ports[i].name)) {
			choice->uart.address = ports[i].port;
			return 0;
		}
	}
	return parse_bounded(name, 1, 0x10000 - REGISTERS, &choice->uart.address);
}

static int parse_place(struct fields *fields, struct console_choice *choice)
{
	struct str_view name = fields->at[fields->next++];

	if (str_view_equals(name, "auto"))
		return 0;
	if (str_view_equals(name, "pci"))
		return parse_pci(fields, choice);
	if (str_view_equals(name, "mmio"))
		return parse_memory(fields, choice);
	if (str_view_equals(name, "none")) {
		choice->kind = CONSOLE_NONE;
		return 0;
	}
	return parse_port(name, choice);
}

/* BAUD, BAUD/CLOCK or keep */
static int parse_speed(struct str_view text, struct console_choice *choice)
{
	struct str_view clock = { text.ptr, 0 };
	u64 baud, hz = UART_PC_CLOCK;

	choice->speed_given = true;
	choice->uart.baud = 0;
	if (str_view_equals(text, "keep"))
		return 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '/') {
			clock = (struct str_view) { text.ptr + i + 1, text.len - i - 1 };
			text.len = i;
			if (parse_bounded(clock, 16, 1000000000, &hz))
				return -EINVAL;
		}
	}
	if (parse_bounded(text, 1, hz / 16, &baud))
		return -EINVAL;
	choice->uart.baud = (u32)baud;
	choice->uart.clock = (u32)hz;
	return uart_divisor(&choice->uart) ? 0 : -EINVAL;
}

static int parse_stride(struct str_view text, struct console_choice *choice)
{
	u64 stride;

	if (choice->uart.space != UART_MEMORY || parse_bounded(text, 1, 4, &stride) || stride == 3)
		return -EINVAL;
	choice->uart.stride = choice->uart.width = (u8)stride;
	return 0;
}

int console_choice_parse(struct str_view value, struct console_choice *choice)
{
	struct fields fields;

	*choice = (struct console_choice) {
		.uart = { .stride = 1, .width = 1, .baud = DEFAULT_BAUD, .clock = UART_PC_CLOCK },
	};
	if (split(value, &fields) || parse_place(&fields, choice))
		return -EINVAL;
	if (more(&fields) && parse_speed(fields.at[fields.next++], choice))
		return -EINVAL;
	if (more(&fields) && parse_stride(fields.at[fields.next++], choice))
		return -EINVAL;
	return more(&fields) ? -EINVAL : 0;
}
