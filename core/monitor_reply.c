/* SPDX-License-Identifier: MIT */
#include "core/monitor_reply.h"
#include "lib/printf.h"

void reply_printf(struct monitor_reply *reply, const char *format, ...)
{
	size_t room = sizeof(reply->text) - reply->length;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(reply->text + reply->length, room, format, args);
	va_end(args);
	if ((size_t)n >= room) {
		reply->text[reply->length] = '\0';
		reply->cut = true;
	} else {
		reply->length += (size_t)n;
	}
}

/* RFC 8259, "Strings". */
void reply_string(struct monitor_reply *reply, const char *text)
{
	reply_printf(reply, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			reply_printf(reply, "\\%c", *text);
		else if ((u8)*text < ' ' || (u8)*text >= 0x7f)
			reply_printf(reply, "\\u%04x", (u8)*text);
		else
			reply_printf(reply, "%c", *text);
	}
	reply_printf(reply, "\"");
}
