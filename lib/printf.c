/* SPDX-License-Identifier: MIT */
/* vsnprintf(): parse one conversion into a struct spec, then print the argument as it says. */
#include "lib/printf.h"

#include "lib/string.h"

#ifndef LAMINA_HOST_TEST

struct output {
	char *buffer;
	size_t size;
	size_t length; /* of the whole text, which may be more than fits */
};

enum length { LENGTH_CHAR, LENGTH_SHORT, LENGTH_INT, LENGTH_LONG };

struct spec {
	bool left, zero, plus, space, alternate;
	int width;
	int precision; /* negative: not given */
	enum length length;
	char conversion;
};

/* The digits of one number in the order of printing, and the prefix before them. */
struct number {
	char digits[24]; /* 64 bits in octal take 22 */
	int count;
	const char *prefix;
};

static void put(struct output *out, char c)
{
	if (out->length + 1 < out->size)
		out->buffer[out->length] = c;
	out->length++;
}

static void put_repeated(struct output *out, char c, int count)
{
	while (count-- > 0)
		put(out, c);
}

static void put_text(struct output *out, const char *text, int count)
{
	for (int i = 0; i < count; i++)
		put(out, text[i]);
}

static void put_padded(struct output *out, const struct spec *spec, const char *text, int count)
{
	if (!spec->left)
		put_repeated(out, ' ', spec->width - count);
	put_text(out, text, count);
	if (spec->left)
		put_repeated(out, ' ', spec->width - count);
}

static void to_digits(struct number *number, u64 value, unsigned int base, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	u64 rest = value;

	number->count = 0;
	for (; rest; rest /= base)
		number->count++;
	for (int i = number->count - 1; i >= 0; i--, value /= base)
		number->digits[i] = digits[value % base];
}

static void put_number(struct output *out, const struct spec *spec, const struct number *number)
{
	int prefix = (int)strlen(number->prefix);
	int least = spec->precision < 0 ? 1 : spec->precision;
	int zeros = MAX(least - number->count, 0);
	int padding;

	/* With #, octal output begins with a zero: more precision, not a prefix. */
	if (spec->conversion == 'o' && spec->alternate && !zeros)
		zeros = 1;
	if (spec->zero && !spec->left && spec->precision < 0)
		zeros = MAX(zeros, spec->width - prefix - number->count);
	padding = spec->width - prefix - zeros - number->count;

	if (!spec->left)
		put_repeated(out, ' ', padding);
	put_text(out, number->prefix, prefix);
	put_repeated(out, '0', zeros);
	put_text(out, number->digits, number->count);
	if (spec->left)
		put_repeated(out, ' ', padding);
}

static void put_signed(struct output *out, const struct spec *spec, s64 value)
{
	struct number number;

	to_digits(&number, value < 0 ? -(u64)value : (u64)value, 10, false);
	number.prefix = value < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";
	put_number(out, spec, &number);
}

static void put_unsigned(struct output *out, const struct spec *spec, u64 value)
{
	bool upper = spec->conversion == 'X';
	bool hex = upper || spec->conversion == 'x';
	struct number number;

	to_digits(&number, value, hex ? 16 : spec->conversion == 'o' ? 8 : 10, upper);
	number.prefix = hex && spec->alternate && value ? (upper ? "0X" : "0x") : "";
	put_number(out, spec, &number);
}

static void put_pointer(struct output *out, const struct spec *spec, const void *pointer)
{
	struct number number;

	to_digits(&number, (uintptr_t)pointer, 16, false);
	number.prefix = "0x";
	put_number(out, spec, &number);
}

static void put_string(struct output *out, const struct spec *spec, const char *s)
{
	int max = spec->precision < 0 ? INT32_MAX : spec->precision;

	if (!s)
		s = "(null)";
	put_padded(out, spec, s, (int)strnlen(s, (size_t)max));
}

/* A width or a precision: "*" or digits, clamped to what an int holds. */
static int parse_count(const char **format, va_list *args)
{
	int count = 0;

	if (**format == '*') {
		(*format)++;
		return va_arg(*args, int);
	}
	for (; **format >= '0' && **format <= '9'; (*format)++)
		count = MIN(count, INT32_MAX / 10 - 1) * 10 + (**format - '0');
	return count;
}

static void parse_flags(const char **format, struct spec *spec)
{
	for (;; (*format)++) {
		switch (**format) {
		case '-': spec->left = true; break;
		case '0': spec->zero = true; break;
		case '+': spec->plus = true; break;
		case ' ': spec->space = true; break;
		case '#': spec->alternate = true; break;
		default: return;
		}
	}
}

static enum length parse_length(const char **format)
{
	enum length length = LENGTH_INT;

	for (;; (*format)++) {
		switch (**format) {
		case 'h':
			length = length == LENGTH_SHORT ? LENGTH_CHAR : LENGTH_SHORT;
			break;
		case 'l': case 'z': case 't':
			length = LENGTH_LONG; /* long, long long, size_t, ptrdiff_t: 64 bits */
			break;
		default:
			return length;
		}
	}
}

/* *format: from just after the '%' to just after the conversion, but never past the NUL. */
static struct spec parse_spec(const char **format, va_list *args)
{
	struct spec spec = { .precision = -1 };

	parse_flags(format, &spec);
	spec.width = parse_count(format, args);
	if (spec.width < 0) {
		spec.left = true;
		spec.width = -MAX(spec.width, -INT32_MAX);
	}
	if (**format == '.') {
		(*format)++;
		spec.precision = parse_count(format, args);
	}
	spec.length = parse_length(format);
	spec.conversion = **format;
	if (spec.conversion)
		(*format)++;
	return spec;
}

static s64 signed_argument(enum length length, va_list *args)
{
	switch (length) {
	case LENGTH_CHAR: return (s8)va_arg(*args, int);
	case LENGTH_SHORT: return (s16)va_arg(*args, int);
	case LENGTH_INT: return va_arg(*args, int);
	default: return va_arg(*args, s64);
	}
}

static u64 unsigned_argument(enum length length, va_list *args)
{
	switch (length) {
	case LENGTH_CHAR: return (u8)va_arg(*args, unsigned int);
	case LENGTH_SHORT: return (u16)va_arg(*args, unsigned int);
	case LENGTH_INT: return va_arg(*args, unsigned int);
	default: return va_arg(*args, u64);
	}
}

static void convert(struct output *out, const struct spec *spec, va_list *args)
{
	char c;

	switch (spec->conversion) {
	case 'd': case 'i':
		put_signed(out, spec, signed_argument(spec->length, args));
		break;
	case 'u': case 'x': case 'X': case 'o':
		put_unsigned(out, spec, unsigned_argument(spec->length, args));
		break;
	case 'p':
		put_pointer(out, spec, va_arg(*args, void *));
		break;
	case 's':
		put_string(out, spec, va_arg(*args, const char *));
		break;
	case 'c':
		c = (char)va_arg(*args, int);
		put_padded(out, spec, &c, 1);
		break;
	case '\0':
		break;
	default: /* "%%"; an unknown conversion shows as it is */
		put(out, spec->conversion);
	}
}

int vsnprintf(char *buffer, size_t size, const char *format, va_list args)
{
	struct output out = { .buffer = buffer, .size = size };
	va_list rest;

	/* A copy, because only an object of type va_list can be passed by address. */
	va_copy(rest, args);
	while (*format) {
		if (*format == '%') {
			struct spec spec;

			format++;
			spec = parse_spec(&format, &rest);
			convert(&out, &spec, &rest);
		} else {
			put(&out, *format++);
		}
	}
	va_end(rest);
	if (size)
		buffer[MIN(out.length, size - 1)] = '\0';
	return (int)out.length;
}

int snprintf(char *buffer, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(buffer, size, format, args);
	va_end(args);
	return length;
}

#endif
