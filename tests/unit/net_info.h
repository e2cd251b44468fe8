/* SPDX-License-Identifier: MIT */
/* The ports of switches, by the last byte of their addresses. */
#pragma once

#include "dev/net/switch.h"

static struct net_port_info info_of(u32 i)
{
	struct net_port_info info;

	for (u32 slot = 0; slot < net_port_count(); slot++) {
		if (net_port_describe(slot, &info) && info.mac[5] == i)
			return info;
	}
	fail();
	return info;
}
