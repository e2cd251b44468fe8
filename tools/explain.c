/* SPDX-License-Identifier: MIT */
/* explain: names the rules that the VMCS or VMCB of a refused VM entry breaks, from the text of its dump. */
#include "tools/dump.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTHING_BROKEN, BROKEN, NOT_UNDERSTOOD };

#define LINE_SIZE 1024

static const char usage[] =
	"explain [-v] [--physical-bits N] [FILE]\n"
	"\n"
	"Reads the dump of a VMCS or VMCB from FILE or standard input and prints which of the\n"
	"manual's rules for a VM entry it breaks. It understands\n"
	"\n"
	"  Lamina     the dump after \"VM entry failed\"\n"
	"  Linux KVM  dump_vmcs() and dump_vmcb(): load kvm_intel with dump_invalid_vmcs=1,\n"
	"             kvm_amd with dump_invalid_vmcb=1, and save dmesg\n"
	"  Xen        the VMCS dump of a crashed domain or of the debug key 'v', and the VMCB's\n"
	"\n"
	"with whatever is before each line, and more than one dump in a file. A rule whose\n"
	"answer depends on something that the dump does not tell is left out, and counted.\n"
	"\n"
	"  --physical-bits N  the processor's physical-address width, which most dumps lack\n"
	"  -v, --verbose      also name the rules that were left out\n"
	"  -h, --help         this text\n"
	"\n"
	"Exit code: 0 nothing is broken, 1 a rule is broken, 2 no dump was understood.\n";

static const struct dump_format *const formats[] = { &dump_lamina, &dump_xen, &dump_kvm };

struct reader {
	const struct explain_options *options;
	const struct dump_format *format;	/* of the dump being read; NULL: none yet */
	struct dump dump;
	unsigned understood, broken;
};

static void end_dump(struct reader *reader)
{
	if (!reader->format)
		return;
	if (reader->format->end)
		reader->format->end(&reader->dump);
	if (!reader->dump.fields) {
		fprintf(stderr, "explain: line %u begins a dump that holds nothing\n", reader->dump.line);
		return;
	}
	reader->understood++;
	reader->broken += explain_dump(&reader->dump, reader->options);
}

static void read_line(struct reader *reader, const char *line, unsigned number)
{
	enum dump_kind kind;

	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		if (!formats[i]->begins(line, &kind))
			continue;
		end_dump(reader);
		reader->format = formats[i];
		memset(&reader->dump, 0, sizeof(reader->dump));
		reader->dump.kind = kind;
		reader->dump.format = formats[i]->name;
		reader->dump.line = number;
		break;
	}
	if (!reader->format)
		return;
	reader->dump.last_line = number;
	reader->format->read_line(&reader->dump, line);
}

/* Read a line, cut to LINE_SIZE, with unprintable characters replaced by spaces. False at the end. */
static bool next_line(FILE *file, char *line)
{
	size_t length = 0;
	int c;

	while ((c = getc(file)) != EOF && c != '\n')
		if (length < LINE_SIZE - 1)
			line[length++] = isprint(c) ? (char)c : ' ';
	line[length] = '\0';
	return c != EOF || length;
}

static int explain_file(FILE *file, const struct explain_options *options)
{
	static struct reader reader;
	char line[LINE_SIZE];

	reader.options = options;
	for (unsigned number = 1; next_line(file, line); number++)
		read_line(&reader, line, number);
	end_dump(&reader);
	if (ferror(file)) {
		perror("explain");
		return NOT_UNDERSTOOD;
	}
	if (!reader.understood) {
		fprintf(stderr, "explain: no dump of a VMCS or VMCB in a form that I know; see --help\n");
		return NOT_UNDERSTOOD;
	}
	return reader.broken ? BROKEN : NOTHING_BROKEN;
}

static int misused(const char *what, const char *argument)
{
	fprintf(stderr, "explain: %s: %s\n%s", argument, what, usage);
	return NOT_UNDERSTOOD;
}

int main(int argc, char **argv)
{
	struct explain_options options = { 0 };
	const char *name = NULL;
	FILE *file = stdin;
	int result;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-h") || !strcmp(argv[i], "--help")) {
			fputs(usage, stdout);
			return NOTHING_BROKEN;
		} else if (!strcmp(argv[i], "-v") || !strcmp(argv[i], "--verbose")) {
			options.verbose = true;
		} else if (!strcmp(argv[i], "--physical-bits")) {
			long bits = ++i < argc ? strtol(argv[i], NULL, 10) : 0;

			if (bits < 32 || bits > 52)
				return misused("a number from 32 to 52 is expected", argv[i - 1]);
			options.physical_bits = (unsigned)bits;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			return misused("there is no such option", argv[i]);
		} else if (name) {
			return misused("one file is enough", argv[i]);
		} else {
			name = argv[i];
		}
	}
	if (name && strcmp(name, "-") && !(file = fopen(name, "rb"))) {
		perror(name);
		return NOT_UNDERSTOOD;
	}
	result = explain_file(file, &options);
	if (file != stdin)
		fclose(file);
	return result;
}
