// SPDX-License-Identifier: LGPL-2.1-or-later
/* The registry of targets: a name leads to the very process that was registered, or nowhere. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"
#include "registry.h"

static char directory[] = "/tmp/stasis-unit.XXXXXX";
static char said[4096];

static void remember(void *ctx, enum report_level level, const char *text)
{
	(void)ctx;
	(void)level;
	snprintf(said, sizeof(said), "%s", text);
}

struct fixture {
	struct reporter rep;
	struct registry reg;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct report_sink sink = { .message = remember };

	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	if (!f || !mkdtemp(directory) || setenv("STASIS_RUNTIME_DIR", directory, 1))
		return -1;
	report_init(&f->rep, &sink, REPORT_WARNING);
	said[0] = '\0';
	*state = f;
	return registry_open(&f->rep, true, &f->reg);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	registry_close(&f->reg);
	report_finish(&f->rep);
	free(f);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

static pid_t spawn_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	assert_true(pid > 0);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int add(struct registry *reg, const char *name, pid_t pid, bool numbered, char *ret_name)
{
	struct registry_entry entry = { .name = strdup(name), .command = strdup("some program"), .image = strdup("/an/image"),
					.keeper = 17 };

	assert_int_equal(registry_identify(pid, &entry), 0);
	int err = registry_add(reg, &entry, numbered);
	if (ret_name)
		strcpy(ret_name, entry.name);
	registry_entry_finish(&entry);
	return err;
}

static bool is_there(struct registry *reg, const char *file)
{
	return !faccessat(reg->dirfd, file, F_OK, 0);
}

/* Replaces what follows `"key": ` up to the end of the line. */
static void forge(struct registry *reg, const char *file, const char *key, const char *value)
{
	char *text, pattern[64], whole[2048];

	assert_int_equal(io_read_file_at(reg->dirfd, file, &text, NULL), 0);
	snprintf(pattern, sizeof(pattern), "\"%s\": ", key);
	char *at = strstr(text, pattern);
	assert_non_null(at);
	at += strlen(pattern);
	snprintf(whole, sizeof(whole), "%.*s%s,%s", (int)(at - text), text, value, strchr(at, '\n'));
	int fd = openat(reg->dirfd, file, O_WRONLY | O_TRUNC);
	assert_int_equal(io_write_all(fd, whole, strlen(whole)), 0);
	close(fd);
	free(text);
}

static void an_entry_is_found_by_name_and_by_pid(void **state)
{
	struct fixture *f = *state;
	struct registry_entry a, b;

	assert_int_equal(add(&f->reg, "guest", getpid(), false, NULL), 0);
	assert_int_equal(registry_find(&f->reg, "guest", &a), 0);
	assert_int_equal(registry_find_pid(&f->reg, getpid(), &b), 0);
	assert_int_equal(a.pid, getpid());
	assert_string_equal(a.command, "some program");
	assert_string_equal(a.image, "/an/image");
	assert_int_equal(a.keeper, 17);
	assert_string_equal(b.name, "guest");
	assert_true(a.starttime == b.starttime && a.starttime > 0);
	registry_entry_finish(&a);
	registry_entry_finish(&b);
	assert_int_equal(registry_find(&f->reg, "other", &a), -ENOENT);
	assert_int_equal(registry_find_pid(&f->reg, 1, &a), -ENOENT);
}

static void the_name_of_a_living_target_is_refused(void **state)
{
	struct fixture *f = *state;
	char expected[32];

	assert_int_equal(add(&f->reg, "guest", getpid(), false, NULL), 0);
	assert_int_equal(add(&f->reg, "guest", getppid(), false, NULL), -EEXIST);
	snprintf(expected, sizeof(expected), "pid %d", getpid());
	assert_non_null(strstr(said, expected));
	struct registry_entry a;
	assert_int_equal(registry_find(&f->reg, "guest", &a), 0);
	assert_int_equal(a.pid, getpid());
	registry_entry_finish(&a);
}

static void a_taken_name_gets_a_number_when_that_is_wanted(void **state)
{
	struct fixture *f = *state;
	char name[REGISTRY_NAME_MAX + 1], longest[REGISTRY_NAME_MAX + 1];

	assert_int_equal(add(&f->reg, "guest", getpid(), true, name), 0);
	assert_string_equal(name, "guest");
	assert_int_equal(add(&f->reg, "guest", getpid(), true, name), 0);
	assert_string_equal(name, "guest-2");
	assert_int_equal(add(&f->reg, "guest", getpid(), true, name), 0);
	assert_string_equal(name, "guest-3");
	memset(longest, 'x', REGISTRY_NAME_MAX);
	longest[REGISTRY_NAME_MAX] = '\0';
	assert_int_equal(add(&f->reg, longest, getpid(), true, name), 0);
	assert_int_equal(add(&f->reg, longest, getpid(), true, name), 0);
	assert_true(registry_name_valid(name));
	assert_string_not_equal(name, longest);
}

static void the_dead_are_ignored_replaced_and_swept(void **state)
{
	struct fixture *f = *state;
	struct registry_entry a;
	struct registry_list list;
	pid_t pid = spawn_sleeper(), zombie = spawn_sleeper();

	assert_int_equal(add(&f->reg, "dead", pid, false, NULL), 0);
	assert_int_equal(add(&f->reg, "zombie", zombie, false, NULL), 0);
	assert_int_equal(add(&f->reg, "reused", pid, false, NULL), 0);
	assert_int_equal(add(&f->reg, "alive", getpid(), false, NULL), 0);
	end(pid);
	kill(zombie, SIGKILL);
	waitid(P_PID, (id_t)zombie, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	assert_int_equal(registry_find(&f->reg, "dead", &a), -ENOENT);
	assert_int_equal(registry_find(&f->reg, "zombie", &a), -ENOENT);
	assert_int_equal(registry_list(&f->reg, false, &list), 0);
	assert_int_equal(list.list.n, 1);
	registry_list_finish(&list);
	assert_true(is_there(&f->reg, "dead.json"));
	assert_int_equal(add(&f->reg, "reused", getpid(), false, NULL), 0);
	assert_int_equal(registry_list(&f->reg, true, &list), 0);
	assert_int_equal(list.list.n, 2);
	assert_string_equal(list.list.items[0].name, "alive");
	assert_string_equal(list.list.items[1].name, "reused");
	registry_list_finish(&list);
	assert_false(is_there(&f->reg, "dead.json"));
	assert_false(is_there(&f->reg, "zombie.json"));
	assert_true(is_there(&f->reg, "alive.json"));
	end(zombie);
}

static void another_process_with_the_same_pid_is_not_meant(void **state)
{
	struct fixture *f = *state;
	struct registry_entry a;

	assert_int_equal(add(&f->reg, "guest", getpid(), false, NULL), 0);
	forge(&f->reg, "guest.json", "starttime", "12345");
	assert_int_equal(registry_find(&f->reg, "guest", &a), -ENOENT);
	assert_int_equal(add(&f->reg, "guest", getpid(), false, NULL), 0);
	forge(&f->reg, "guest.json", "boot_id", "\"f5ad4ec5-0000-4000-8000-3a6d2a2b9a51\"");
	assert_int_equal(registry_find(&f->reg, "guest", &a), -ENOENT);
}

static void another_pid_namespace_keeps_its_entries(void **state)
{
	struct fixture *f = *state;
	struct registry_list list;

	assert_int_equal(add(&f->reg, "guest", getpid(), false, NULL), 0);
	forge(&f->reg, "guest.json", "pid_ns", "1");
	assert_int_equal(registry_list(&f->reg, true, &list), 0);
	assert_int_equal(list.list.n, 0);
	registry_list_finish(&list);
	assert_true(is_there(&f->reg, "guest.json"));
	assert_int_equal(add(&f->reg, "guest", getpid(), false, NULL), -EEXIST);
	assert_non_null(strstr(said, "another pid namespace"));
}

static void a_damaged_entry_is_said_and_skipped(void **state)
{
	struct fixture *f = *state;
	static const char *const texts[] = { "", "{", "[]", "{\"pid\": \"x\"}", "{\"name\": \"odd\", \"pid\": 1}" };
	struct registry_list list;

	assert_int_equal(add(&f->reg, "guest", getpid(), false, NULL), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int fd = openat(f->reg.dirfd, "odd.json", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		assert_int_equal(io_write_all(fd, texts[i], strlen(texts[i])), 0);
		close(fd);
		said[0] = '\0';
		assert_int_equal(registry_list(&f->reg, true, &list), 0);
		assert_int_equal(list.list.n, 1);
		registry_list_finish(&list);
		assert_non_null(strstr(said, "odd.json"));
	}
	assert_int_equal(add(&f->reg, "odd", getpid(), false, NULL), 0);
}

static void an_entry_is_removed_by_its_own_process_only(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(add(&f->reg, "guest", getpid(), false, NULL), 0);
	registry_remove(&f->reg, "guest", 1);
	assert_true(is_there(&f->reg, "guest.json"));
	registry_remove(&f->reg, "guest", getpid());
	assert_false(is_there(&f->reg, "guest.json"));
}

static void a_directory_open_to_others_is_refused(void **state)
{
	struct fixture *f = *state;
	struct registry reg;

	assert_int_equal(chmod(directory, 0777), 0);
	assert_int_equal(registry_open(&f->rep, true, &reg), -EPERM);
	assert_non_null(strstr(said, directory));
	assert_int_equal(chmod(directory, 0755), 0);
	assert_int_equal(registry_open(&f->rep, true, &reg), 0);
	registry_close(&reg);
}

static void a_symbolic_link_is_no_directory(void **state)
{
	struct fixture *f = *state;
	char link[64];
	struct registry reg;

	snprintf(link, sizeof(link), "%s/link", directory);
	assert_int_equal(symlink(directory, link), 0);
	assert_int_equal(setenv("STASIS_RUNTIME_DIR", link, 1), 0);
	assert_true(registry_open(&f->rep, true, &reg) < 0);
}

static void no_directory_is_no_target(void **state)
{
	struct fixture *f = *state;
	char path[64];
	struct registry reg;
	struct registry_list list;
	struct registry_entry a;

	snprintf(path, sizeof(path), "%s/none", directory);
	assert_int_equal(setenv("STASIS_RUNTIME_DIR", path, 1), 0);
	assert_int_equal(registry_open(&f->rep, false, &reg), 0);
	assert_int_equal(registry_list(&reg, true, &list), 0);
	assert_int_equal(list.list.n, 0);
	assert_int_equal(registry_find(&reg, "guest", &a), -ENOENT);
	registry_close(&reg);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(registry_open(&f->rep, true, &reg), 0);
	registry_close(&reg);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void names_are_told_from_pids_and_paths(void **state)
{
	static const char *const good[] = { "a", "vm-1", "QEMU_x86.64", "_", "1a", "12-3" };
	static const char *const bad[] = { "", ".", ".a", "-a", "12", "a b", "a/b", "../a", "\xc3\xa4", "a\n" };
	static const char *const made[][2] = { { "qemu-system-x86_64", "qemu-system-x86_64" },
					       { "a b/c", "a-b-c" },
					       { "2048", "target-2048" },
					       { "...", "target" },
					       { "-bash", "bash" },
					       { "\xc3\xa4", "--" },
					       { "", "target" } };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(registry_name_valid(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(registry_name_valid(bad[i]));
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		char *name = registry_name_from(made[i][0]);
		assert_string_equal(name, made[i][1]);
		free(name);
	}
	char word[300];
	memset(word, 'y', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_false(registry_name_valid(word));
	char *name = registry_name_from(word);
	assert_true(registry_name_valid(name));
	free(name);
}

int main(void)
{
#define WITH_REGISTRY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_REGISTRY(an_entry_is_found_by_name_and_by_pid),
		WITH_REGISTRY(the_name_of_a_living_target_is_refused),
		WITH_REGISTRY(a_taken_name_gets_a_number_when_that_is_wanted),
		WITH_REGISTRY(the_dead_are_ignored_replaced_and_swept),
		WITH_REGISTRY(another_process_with_the_same_pid_is_not_meant),
		WITH_REGISTRY(another_pid_namespace_keeps_its_entries),
		WITH_REGISTRY(a_damaged_entry_is_said_and_skipped),
		WITH_REGISTRY(an_entry_is_removed_by_its_own_process_only),
		WITH_REGISTRY(a_directory_open_to_others_is_refused),
		WITH_REGISTRY(a_symbolic_link_is_no_directory),
		WITH_REGISTRY(no_directory_is_no_target),
		cmocka_unit_test(names_are_told_from_pids_and_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
