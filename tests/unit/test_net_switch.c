/* SPDX-License-Identifier: MIT */
/* Which port gets which frame, and what becomes of the others. Ports' rings are from the VMs' memory, which ends with the VM. */
/* link: dev/net/switch.c dev/net/ring.c dev/net/offload.c lib/string.c */
/* link: tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include <stdio.h>
#include <string.h>

#include "dev/net/ring.h"
#include "dev/net/switch.h"
#include "net_info.h"

#define VMS 6

static struct vm *vms[VMS];
static struct net_port *ports[VMS];
static unsigned wakes[VMS];

static void wake(void *device)
{
	++*(unsigned *)device;
}

static struct vm_net_config config_of(const char *name, u8 last, bool trunk)
{
	struct vm_net_config config = { .mac = { 0x52, 0x54, 0, 0, 0, last }, .trunk = trunk };

	snprintf(config.name, sizeof(config.name), "%s", name);
	return config;
}

/* VM i has the address 52:54:00:00:00:i. */
static void add(u8 i, const char *name, bool trunk)
{
	struct vm_net_config config = config_of(name, i, trunk);

	vms[i] = fake_create(0);
	wakes[i] = 0;
	ports[i] = net_port_create(vms[i], 0, &config, wake, &wakes[i]);
	assert_non_null(ports[i]);
	net_port_open(ports[i]);
}

static void end(u8 i)
{
	fake_destroy(vms[i]);
	vms[i] = NULL;
}

/* 0, 1 and 2 are on one switch, where 2 is a trunk; 3 and 4 on another; 5 is not there yet. */
static int set_up(void **state)
{
	add(0, "lan", false);
	add(1, "lan", false);
	add(2, "lan", true);
	add(3, "other", false);
	add(4, "other", false);
	return 0;
}

static int tear_down(void **state)
{
	for (u8 i = 0; i < VMS; i++)
		if (vms[i])
			end(i);
	return 0;
}

static const u8 *contents;

static u32 read_frame(void *source, u32 offset, void *to, u32 size)
{
	memcpy(to, contents + offset, size);
	return size;
}

static u8 bytes[NET_FRAME_MOST];

static u32 send_frame(u8 from, const char *to, const char *source, u32 length)
{
	struct net_frame frame = { .length = length, .head_length = MIN(length, NET_HEAD_MOST), .read = read_frame };

	for (u32 i = 0; i < length; i++)
		bytes[i] = (u8)(i * 13);
	memcpy(bytes, to, 6);
	memcpy(bytes + 6, source, 6);
	contents = bytes;
	memcpy(frame.head, bytes, frame.head_length);
	return net_port_send(ports[from], &frame);
}

#define MAC(last) ("\x52\x54\0\0\0" last)
#define BROADCAST "\xff\xff\xff\xff\xff\xff"
#define MULTICAST "\x01\x00\x5e\0\0\x01"

/* The frames that wait at the ports, a digit each; they are taken. */
static u32 waiting(void)
{
	u32 digits = 0;

	for (u8 i = 0; i < VMS; i++) {
		struct net_record *record;
		u32 count = 0;

		while (vms[i] && (record = net_port_first(ports[i]))) {
			assert_memory_equal(record->frame, bytes, record->length);
			net_port_release(ports[i], record);
			count++;
		}
		if (vms[i])
			assert_int_equal(wakes[i], count);
		wakes[i] = 0;
		digits = digits * 16 + count;
	}
	return digits;
}

static void unicast_goes_to_its_port(void **state)
{
	assert_int_equal(send_frame(0, MAC("\1"), MAC("\0"), 60), 1);
	assert_int_equal(waiting(), 0x010000);
	send_frame(1, MAC("\2"), MAC("\1"), 60);
	assert_int_equal(waiting(), 0x001000);
	send_frame(2, MAC("\0"), MAC("\2"), 60);
	assert_int_equal(waiting(), 0x100000);
	send_frame(3, MAC("\4"), MAC("\3"), 1514);
	assert_int_equal(waiting(), 0x000010);
}

static void unknown_unicast_goes_to_trunks_only(void **state)
{
	send_frame(0, MAC("\x77"), MAC("\0"), 60);
	assert_int_equal(waiting(), 0x001000);
	/* Not back to the trunk that sent it. */
	assert_int_equal(send_frame(2, MAC("\x77"), MAC("\2"), 60), 0);
	assert_int_equal(waiting(), 0);
	assert_int_equal(info_of(2).drops[NET_DROP_UNKNOWN], 1);
	/* The other switch has no trunk, and the address of a port of this one is unknown there. */
	send_frame(3, MAC("\0"), MAC("\3"), 60);
	assert_int_equal(waiting(), 0);
	assert_int_equal(info_of(3).drops[NET_DROP_UNKNOWN], 1);
}

static void group_addresses_go_to_all_others_of_the_switch(void **state)
{
	assert_int_equal(send_frame(0, BROADCAST, MAC("\0"), 60), 2);
	assert_int_equal(waiting(), 0x011000);
	send_frame(2, MULTICAST, MAC("\2"), 60);
	assert_int_equal(waiting(), 0x110000);
	send_frame(4, BROADCAST, MAC("\4"), 60);
	assert_int_equal(waiting(), 0x000100);
}

static void only_trunks_send_from_other_addresses(void **state)
{
	send_frame(0, MAC("\1"), MAC("\2"), 60);
	send_frame(0, BROADCAST, MAC("\x77"), 60);
	assert_int_equal(waiting(), 0);
	assert_int_equal(info_of(0).drops[NET_DROP_SOURCE], 2);
	assert_int_equal(info_of(0).sent_frames, 0);
	assert_int_equal(fake_of(vms[0])->logged, 1);
	send_frame(2, MAC("\1"), MAC("\x77"), 60);
	assert_int_equal(waiting(), 0x010000);
}

static void nothing_goes_back_to_its_sender(void **state)
{
	assert_int_equal(send_frame(0, MAC("\0"), MAC("\0"), 60), 0);
	assert_int_equal(waiting(), 0);
	assert_int_equal(info_of(0).drops[NET_DROP_UNKNOWN], 1);
}

static void a_closed_port_gets_nothing(void **state)
{
	net_port_close(ports[1]);
	send_frame(0, MAC("\1"), MAC("\0"), 60);
	send_frame(0, BROADCAST, MAC("\0"), 60);
	assert_int_equal(waiting(), 0x001000);
	assert_int_equal(info_of(0).drops[NET_DROP_DOWN], 2);
	assert_false(info_of(1).open || info_of(1).broken);
	net_port_open(ports[1]);
	assert_int_equal(waiting(), 0);
	send_frame(0, MAC("\1"), MAC("\0"), 60);
	assert_int_equal(waiting(), 0x010000);
}

static void a_broken_port_gets_nothing_until_it_is_reset(void **state)
{
	net_port_set_queues(ports[1], 3);
	assert_true(info_of(1).open && !info_of(1).broken);
	net_port_break(ports[1]);
	send_frame(0, MAC("\1"), MAC("\0"), 60);
	assert_int_equal(waiting(), 0);
	assert_int_equal(info_of(0).drops[NET_DROP_DOWN], 1);
	assert_true(info_of(1).broken && !info_of(1).open && !info_of(1).queues);
	net_port_close(ports[1]);
	assert_false(info_of(1).broken || info_of(1).open);
	net_port_break(ports[1]);
	net_port_open(ports[1]);
	assert_true(info_of(1).open && !info_of(1).broken);
}

static void a_full_port_drops_and_counts(void **state)
{
	u32 sent = 0;

	while (!info_of(1).drops[NET_DROP_FULL]) {
		send_frame(0, MAC("\1"), MAC("\0"), 1514);
		assert_true(++sent < 10000);
	}
	/* 1514 bytes and the header of a record are 1568. */
	assert_int_equal(sent, NET_RING_SIZE / 1568 + 1);
	/* The others are not concerned. */
	send_frame(0, BROADCAST, MAC("\0"), 1514);
	assert_non_null(net_port_first(ports[2]));
	net_port_release(ports[2], net_port_first(ports[2]));
	wakes[2] = 0;
	assert_int_equal(info_of(1).drops[NET_DROP_FULL], 2);
	for (u32 i = 0; i < sent - 1; i++)
		net_port_release(ports[1], net_port_first(ports[1]));
	assert_null(net_port_first(ports[1]));
	wakes[1] = 0;
	send_frame(0, MAC("\1"), MAC("\0"), 60);
	assert_int_equal(waiting(), 0x010000);
}

static void short_frames_are_dropped(void **state)
{
	for (u32 length = 0; length < 14; length++)
		assert_int_equal(send_frame(2, BROADCAST, MAC("\2"), length), 0);
	assert_int_equal(info_of(2).drops[NET_DROP_INVALID], 14);
	send_frame(2, BROADCAST, MAC("\2"), 14);
	assert_int_equal(waiting(), 0x110000);
}

/* There is nothing for the receiver, which must look nevertheless, so that the record does not take room for ever. */
static void expect_skipped(u8 i)
{
	assert_int_equal(wakes[i], 1);
	wakes[i] = 0;
	assert_int_equal(waiting(), 0);
}

static u32 read_too_little(void *source, u32 offset, void *to, u32 size)
{
	return size - 1;
}

/* The guest's memory is no longer what it was when the sender looked. */
static void a_frame_that_cannot_be_copied_is_no_frame(void **state)
{
	struct net_frame frame = { .length = 200, .head_length = NET_HEAD_MOST, .read = read_too_little };

	memcpy(frame.head, MAC("\1") , 6);
	memcpy(frame.head + 6, MAC("\0"), 6);
	net_port_send(ports[0], &frame);
	expect_skipped(1);
	assert_int_equal(info_of(0).drops[NET_DROP_INVALID], 1);
	send_frame(0, MAC("\1"), MAC("\0"), 60);
	assert_int_equal(waiting(), 0x010000);
}

/* Segments without the headers that they need: TCP over an Ethernet type that is none. */
static void a_gso_frame_without_headers_is_dropped(void **state)
{
	struct net_frame frame = { .length = 200, .head_length = NET_HEAD_MOST, .read = read_frame };

	memset(bytes, 0, 200);
	contents = bytes;
	memcpy(frame.head, MAC("\1") , 6);
	memcpy(frame.head + 6, MAC("\0"), 6);
	frame.offload = (struct net_offload) { 1, VIRTIO_NET_HDR_GSO_TCPV4, 54, 100, 34, 16 };
	net_port_send(ports[0], &frame);
	expect_skipped(1);
	assert_int_equal(info_of(0).drops[NET_DROP_INVALID], 1);
}

static void an_address_is_there_once(void **state)
{
	struct vm_net_config config = config_of("lan", 1, false);

	vms[5] = fake_create(0);
	assert_null(net_port_create(vms[5], 0, &config, wake, &wakes[5]));
	config.trunk = true;
	assert_null(net_port_create(vms[5], 0, &config, wake, &wakes[5]));
	/* On another switch it may be. */
	config = config_of("other", 1, false);
	assert_non_null(net_port_create(vms[5], 0, &config, wake, &wakes[5]));
	end(5);
	assert_int_equal(send_frame(3, MAC("\1"), MAC("\3"), 60), 0);
}

static void a_vm_that_ended_is_out_of_reach(void **state)
{
	u32 count = net_port_count();

	send_frame(0, MAC("\1"), MAC("\0"), 60);
	wakes[1] = 0;
	end(1);		/* AddressSanitizer sees what uses its memory from now on */
	send_frame(0, MAC("\1"), MAC("\0"), 60);
	assert_int_equal(waiting(), 0x001000);	/* its address is unknown now: the trunk gets it */
	send_frame(0, BROADCAST, MAC("\0"), 60);
	assert_int_equal(waiting(), 0x001000);
	/* It starts again, with the same address and in the same slot. */
	for (u32 i = 0; i < 20; i++) {
		add(1, "lan", false);
		assert_int_equal(net_port_count(), count);
		assert_int_equal(info_of(1).received_frames, 0);
		send_frame(0, MAC("\1"), MAC("\0"), 60);
		assert_int_equal(waiting(), 0x010000);
		end(1);
	}
}

static void without_memory_there_is_no_port(void **state)
{
	struct vm_net_config config = config_of("lan", 5, false);

	vms[5] = fake_create(0);
	fake_of(vms[5])->alloc_limit = 0;
	assert_null(net_port_create(vms[5], 0, &config, wake, &wakes[5]));
	end(5);
	assert_int_equal(send_frame(0, MAC("\5"), MAC("\0"), 60), 1);	/* the trunk */
	wakes[2] = 0;
}

static void ports_are_described(void **state)
{
	struct net_port_info info;

	send_frame(0, MAC("\1"), MAC("\0"), 60);
	send_frame(0, MAC("\2"), MAC("\0"), 100);
	net_port_count_received(ports[1], 60);
	net_port_set_queues(ports[1], 4);
	info = info_of(0);
	assert_string_equal(info.network, "lan");
	assert_string_equal(info.vm, "fake");
	assert_int_equal(info.sent_frames, 2);
	assert_int_equal(info.sent_bytes, 160);
	assert_false(info.trunk);
	assert_true(info.open);
	assert_memory_equal(info.mac, MAC("\0"), 6);
	info = info_of(1);
	assert_int_equal(info.received_frames, 1);
	assert_int_equal(info.received_bytes, 60);
	assert_int_equal(info.queues, 4);
	assert_true(info_of(2).trunk);
	assert_string_equal(info_of(3).network, "other");
	wakes[1] = wakes[2] = 1;
}

static void there_are_so_many_ports(void **state)
{
	static struct net_port *many[NET_PORTS];
	struct vm_net_config config = config_of("many", 0, false);
	u32 taken = 5;

	vms[5] = fake_create(0);
	for (; taken < NET_PORTS; taken++) {
		config.mac[4] = 1;
		config.mac[5] = (u8)taken;
		many[taken] = net_port_create(vms[5], taken, &config, wake, &wakes[5]);
		assert_non_null(many[taken]);
	}
	config.mac[4] = 2;
	assert_null(net_port_create(vms[5], taken, &config, wake, &wakes[5]));
	end(5);
	add(5, "lan", false);
	send_frame(0, MAC("\5"), MAC("\0"), 60);
	assert_int_equal(waiting(), 0x000001);
}

/* The last test: names of switches stay. Each has a switch of its own, or none. */
static void there_are_so_many_switches(void **state)
{
	char name[NET_NAME_SIZE];
	u32 count = 0;

	for (u32 i = 0; i < NET_PORTS + 50; i++) {
		struct vm_net_config config;

		snprintf(name, sizeof(name), "switch%u", i);
		config = config_of(name, 5, true);
		vms[5] = fake_create(0);
		ports[5] = net_port_create(vms[5], 0, &config, wake, &wakes[5]);
		if (ports[5]) {
			net_port_open(ports[5]);
			assert_string_equal(info_of(5).network, name);
			assert_int_equal(send_frame(5, BROADCAST, MAC("\5"), 60), 0);
			count++;
		}
		end(5);
	}
	assert_in_range(count, NET_PORTS - 10, NET_PORTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(unicast_goes_to_its_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unknown_unicast_goes_to_trunks_only, set_up, tear_down),
		cmocka_unit_test_setup_teardown(group_addresses_go_to_all_others_of_the_switch, set_up, tear_down),
		cmocka_unit_test_setup_teardown(only_trunks_send_from_other_addresses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_goes_back_to_its_sender, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_closed_port_gets_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_broken_port_gets_nothing_until_it_is_reset, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_port_drops_and_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(short_frames_are_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_frame_that_cannot_be_copied_is_no_frame, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_gso_frame_without_headers_is_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_address_is_there_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_vm_that_ended_is_out_of_reach, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_memory_there_is_no_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ports_are_described, set_up, tear_down),
		cmocka_unit_test_setup_teardown(there_are_so_many_ports, set_up, tear_down),
		cmocka_unit_test_setup_teardown(there_are_so_many_switches, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
