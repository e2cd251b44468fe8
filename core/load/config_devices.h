/* SPDX-License-Identifier: MIT */
/*
 * The part of the configuration that is about disks and network ports: the keys disk= and net=, and the modules that
 * are disk images, with role=disk and name=.
 */
#pragma once

#include "core/load/config.h"

/* May a name consist of this? Letters, digits, _ . and - */
bool config_is_name(struct str_view text, size_t size);	/* `size`: with room for the NUL */

/*
 * Parse the value of disk= or net= into a zeroed structure. 0 or -EINVAL: then the disk has no name. Of a port without
 * mac=, the address stays zero.
 */
int config_parse_disk(struct str_view value, struct vm_disk_config *disk);
int config_parse_net(struct str_view value, struct vm_net_config *net);

/* What these keys take, for messages and the help. */
#define CONFIG_DISK_VALUES "NAME[,cow=SIZE|,ro]|ram,size=SIZE"
#define CONFIG_NET_VALUES  "SWITCH[,mac=XX:XX:XX:XX:XX:XX][,trunk]"
extern const char config_disk_help[], config_net_help[];

/* Once per module with role=disk, whose line is `text`. False: no valid name, or the same as another's; logged. */
bool config_add_image(struct config *config, int module, struct str_view name, u64 size);

/*
 * After all lines: find each disk's image, give each port its address, check what must be unique, and log what is wrong
 * or left over. A VM with a mistake becomes invalid.
 */
void config_connect_devices(struct config *config);
