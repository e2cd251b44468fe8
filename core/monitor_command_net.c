/* SPDX-License-Identifier: MIT */
/* The monitor's command net. */
#include "core/monitor_command.h"

static void list_net(struct command_line *line, const struct monitor_net *net, bool first)
{
	struct monitor_reply *reply = line->reply;
	const char *state = net->broken ? "broken" : net->up ? "up" : "down";

	if (!line->json) {
		reply_printf(reply, "%s %s:%u %02x:%02x:%02x:%02x:%02x:%02x%s, %s, queues %u, "
			     "received %llu frames %llu bytes, sent %llu frames %llu bytes",
			     net->network, net->vm, net->index, net->mac[0], net->mac[1], net->mac[2], net->mac[3],
			     net->mac[4], net->mac[5], net->trunk ? " trunk" : "", state, net->queues,
			     (ull)net->received_frames, (ull)net->received_bytes,
			     (ull)net->sent_frames, (ull)net->sent_bytes);
		for (unsigned i = 0, some = 0; net->drops[i].reason; i++) {
			if (net->drops[i].count)
				reply_printf(reply, "%s %s %llu", some++ ? "," : ", dropped:", net->drops[i].reason,
					     (ull)net->drops[i].count);
		}
		reply_printf(reply, "\n");
		return;
	}
	reply_printf(reply, "%s{\"switch\":", first ? "" : ",");
	reply_string(reply, net->network);
	reply_printf(reply, ",\"vm\":");
	reply_string(reply, net->vm);
	reply_printf(reply, ",\"index\":%u,\"mac\":\"%02x:%02x:%02x:%02x:%02x:%02x\",\"trunk\":%s,"
		     "\"up\":%s,\"broken\":%s,\"queues\":%u,\"received\":{\"frames\":%llu,\"bytes\":%llu},"
		     "\"sent\":{\"frames\":%llu,\"bytes\":%llu},\"dropped\":{",
		     net->index, net->mac[0], net->mac[1], net->mac[2], net->mac[3], net->mac[4], net->mac[5],
		     net->trunk ? "true" : "false", net->up ? "true" : "false", net->broken ? "true" : "false",
		     net->queues,
		     (ull)net->received_frames, (ull)net->received_bytes, (ull)net->sent_frames, (ull)net->sent_bytes);
	for (unsigned i = 0; net->drops[i].reason; i++)
		reply_printf(reply, "%s\"%s\":%llu", i ? "," : "", net->drops[i].reason, (ull)net->drops[i].count);
	reply_printf(reply, "}}");
}

/* The ports of the VM that is named, or of all. */
void command_net(struct command_line *line)
{
	struct monitor_vm vm;
	struct monitor_net net;
	bool first = true;

	if (line->json)
		reply_printf(line->reply, ",\"ports\":[");
	for (unsigned i = 0; i < line->ops->net_count(); i++) {
		if (!line->ops->net_info(i, &net) ||
		    (line->words == 2 && (!line->ops->vm_info(line->vm, &vm) || strcmp(vm.name, net.vm))))
			continue;
		list_net(line, &net, first);
		first = false;
	}
	if (line->json)
		reply_printf(line->reply, "]");
}
