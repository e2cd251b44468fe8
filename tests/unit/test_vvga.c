/* SPDX-License-Identifier: MIT */
/* The registers of a VGA's text modes. IBM, "VGA Hardware Interface Technical Reference". */
/* link: dev/isa/vvga.c dev/isa/byte_ports.c tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include "dev/isa/vvga.h"

static struct vvga *vvga;

static int set_up(void **state)
{
	struct vm *vm = fake_create(0);

	vvga = vvga_create(vm);
	assert_non_null(vvga);
	*state = vm;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void set(struct vm *vm, u8 index, u8 value)
{
	out8(vm, 0x3d4, index);
	out8(vm, 0x3d5, value);
}

static void view_is(unsigned columns, unsigned rows, u32 start)
{
	struct vvga_view view;

	vvga_view(vvga, &view);
	assert_int_equal(view.columns, columns);
	assert_int_equal(view.rows, rows);
	assert_int_equal(view.start, start);
}

static void cursor_is(unsigned column, unsigned row)
{
	struct vvga_view view;

	vvga_view(vvga, &view);
	assert_true(view.cursor);
	assert_int_equal(view.cursor_column, column);
	assert_int_equal(view.cursor_row, row);
}

static void it_starts_in_mode_3(void **state)
{
	struct vm *vm = *state;

	view_is(80, 25, 0);
	cursor_is(0, 0);
	assert_int_equal(in8(vm, 0x3cc) & 1, 1);	/* the CRT controller is at 3D4h */
}

static void registers_keep_their_values(void **state)
{
	struct vm *vm = *state;

	set(vm, 0x0e, 0x12);
	set(vm, 0x0f, 0x34);
	out16(vm, 0x3d4, 0x560a);	/* index and data in one access */
	assert_int_equal(in8(vm, 0x3d4), 0x0a);
	assert_int_equal(in8(vm, 0x3d5), 0x56);
	out8(vm, 0x3d4, 0x0e);
	assert_int_equal(in8(vm, 0x3d5), 0x12);
	assert_int_equal(in16(vm, 0x3d4), 0x120e);
	out8(vm, 0x3d4, 0x19);		/* there are 25 */
	out8(vm, 0x3d5, 0x77);
	assert_int_equal(in8(vm, 0x3d5), 0xff);
	set(vm, 0xff, 0x77);
	assert_int_equal(in8(vm, 0x3d5), 0xff);
}

static void the_cursor_moves(void **state)
{
	struct vm *vm = *state;
	struct vvga_view view;

	set(vm, 0x0f, 85);
	cursor_is(5, 1);
	set(vm, 0x0e, 1999 >> 8);
	set(vm, 0x0f, 1999 & 0xff);
	cursor_is(79, 24);
	set(vm, 0x0f, 2000 & 0xff);
	vvga_view(vvga, &view);
	assert_false(view.cursor);	/* below the screen */
	set(vm, 0x0f, 0);
	set(vm, 0x0a, 0x20);
	vvga_view(vvga, &view);
	assert_false(view.cursor);	/* off */
}

static void the_screen_starts_where_it_is_told(void **state)
{
	struct vm *vm = *state;

	set(vm, 0x0c, 0x07);
	set(vm, 0x0d, 0xd0);
	view_is(80, 25, 2000);
	set(vm, 0x0e, 0x07);
	set(vm, 0x0f, 0xd1);
	cursor_is(1, 0);
	set(vm, 0x0c, 0x40);		/* the page has 16384 cells */
	set(vm, 0x0d, 0x03);
	view_is(80, 25, 3);
	set(vm, 0x0c, 0x3f);
	set(vm, 0x0d, 0xff);
	set(vm, 0x0e, 0x00);
	set(vm, 0x0f, 0x00);
	cursor_is(1, 0);
}

/* Cells of 8 lines make 50 rows; registers 0 to 7 can be written once bit 7 of register 11h is clear. */
static void other_text_modes(void **state)
{
	struct vm *vm = *state;

	set(vm, 0x09, 0x47);
	view_is(80, 50, 0);
	set(vm, 0x01, 39);
	view_is(80, 50, 0);
	set(vm, 0x11, 0x0e);
	set(vm, 0x01, 39);
	view_is(40, 50, 0);
	set(vm, 0x01, 131);
	view_is(132, 50, 0);
	set(vm, 0x09, 0x4f);
	set(vm, 0x07, 0x00);		/* of 400 lines - 1 the bits 8 and 9 go: 8fh + 1 lines are left */
	view_is(132, 9, 0);
	set(vm, 0x07, 0x40);
	view_is(132, 41, 0);		/* 28fh + 1 = 656 lines */
}

/* Values that make no sense give a screen of a size that fits. */
static void senseless_values(void **state)
{
	struct vm *vm = *state;

	set(vm, 0x11, 0);
	set(vm, 0x01, 0xff);
	set(vm, 0x07, 0xff);
	set(vm, 0x12, 0xff);
	set(vm, 0x09, 0);
	view_is(132, 60, 0);
	set(vm, 0x07, 0);
	set(vm, 0x12, 0);
	set(vm, 0x09, 0xff);
	set(vm, 0x01, 0);
	view_is(1, 1, 0);
}

/* 70 frames a second; drivers wait for both edges of the retrace. */
static void retraces(void **state)
{
	struct vm *vm = *state;
	unsigned frames = 0, vertical = 0, blank = 0;
	u8 last = in8(vm, 0x3da);

	for (unsigned i = 0; i < 100000; i++) {
		u8 now;

		fake_advance_ns(vm, 10000);
		now = in8(vm, 0x3da);
		assert_int_equal(now & ~0x09, 0);
		if (now & 8)
			assert_true(now & 1);	/* nothing is shown during it */
		frames += (now & 8) && !(last & 8);
		vertical += now >> 3 & 1;
		blank += now & 1;
		last = now;
	}
	assert_in_range(frames, 69, 71);
	assert_in_range(vertical, 4000, 12000);
	assert_in_range(blank, 20000, 40000);
	out8(vm, 0x3da, 0xff);
	out8(vm, 0x3cc, 0xff);
	view_is(80, 25, 0);
}

static void no_memory(void **state)
{
	struct vm *vm = *state;

	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	assert_null(vvga_create(vm));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_starts_in_mode_3),
		TEST(registers_keep_their_values),
		TEST(the_cursor_moves),
		TEST(the_screen_starts_where_it_is_told),
		TEST(other_text_modes),
		TEST(senseless_values),
		TEST(retraces),
		TEST(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
