/*
 * unit.h - what every unit test includes: cmocka, and checks that print
 * both sides.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TEST(name) static void name(void **state __attribute__((unused)))

#define CHECK(cond) assert_true(cond)

#define CHECK_INT(a, op, b)                                                    \
	do {                                                                   \
		long long check_a = (long long)(a), check_b = (long long)(b);  \
		if (!(check_a op check_b))                                     \
			fail_msg("%s %s %s: %lld, %lld", #a, #op, #b, check_a, \
			    check_b);                                          \
	} while (0)

#define CHECK_STR(a, b) assert_string_equal(a, b)

#endif
