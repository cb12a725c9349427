// SPDX-License-Identifier: LGPL-2.1-or-later
/* The smallest whole plugin: takes /dev/loop-control, a device without any state of its own, over a checkpoint and restart. Copy it
 * as the beginning of another; build it with `cc -shared -fPIC -I.../include example.c -o example.so` and put it into the plugin
 * directory (stasis(1)). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <stasis/plugin.h>

/* What the image says: one record per descriptor. A real device has its settings here. */
struct example_record {
	int32_t fd;
	uint32_t setting;
};

static const struct img_field example_fields[] = {
	IMG_FIELD_REQUIRED(1, example_record, fd, IMG_I32, IMG_DEC),
	IMG_FIELD(2, example_record, setting, IMG_U32, IMG_DEC),
};
static const struct img_schema example_schema = IMG_SCHEMA("EXPL", 1, IMG_MUST_UNDERSTAND, "example device", example_record, example_fields);
static const struct img_schema *const example_schemas[] = { &example_schema, NULL };

#define DEVICE "/dev/loop-control"

/* Every descriptor of the target is shown to every plugin: is it ours? */
static const char *example_claim(const char *link, const struct stat *st)
{
	(void)st;
	return strcmp(link, DEVICE) ? NULL : "example device";
}

/* The target runs still, and nothing has been stopped: say what will happen, or what stands in the way. */
static int example_check(struct stasis_session *s, void *state)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);

	(void)state;
	for (size_t i = 0; i < n; i++)
		stasis_action(s, d[i].fd, "closed in the image, opened again at the restart");
	return 0;
}

/* The target stands still. Ask the device through a copy of the descriptor (stasis_descriptor_copy), or by calls that the target
 * makes (stasis_calls_create); write records. The target keeps its descriptor: it may go on after this. */
static int example_save(struct stasis_session *s, void *state)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);
	int err = 0;

	(void)state;
	for (size_t i = 0; i < n && !err; i++) {
		struct example_record rec = { .fd = d[i].fd, .setting = 42 };
		if (d[i].fd == d[i].base) /* the others share what this one has open */
			err = stasis_record(s, &example_schema, &rec);
	}
	return err;
}

static const char *device(struct stasis_session *s)
{
	const char *mapped = stasis_mapped(s, "example", DEVICE);

	return mapped ? mapped : DEVICE;
}

/* A restart is being thought about: does this host have what is needed? */
static int example_plan(struct stasis_session *s, void *state)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		if (access(device(s), R_OK | W_OK) < 0)
			stasis_obstacle(s, d[i].fd, NULL, "load the loop module, or --map example:" DEVICE "=PATH", "%s: %s", device(s), strerror(errno));
		else
			stasis_action(s, d[i].fd, "%s is opened", device(s));
	}
	return 0;
}

/* In the new process, before its memory is there: make what the target's descriptors shall be. */
static int example_restore(struct stasis_session *s, void *state)
{
	struct example_record *records;
	size_t n;
	int err = stasis_records(s, &example_schema, &records, &n);

	(void)state;
	if (err)
		return err;
	for (size_t i = 0; i < n && !err; i++) {
		int fd = open(device(s), O_RDWR | O_CLOEXEC);
		if (fd < 0)
			err = stasis_fail(s, -errno, "fd %d: %s: %s; see stasis restart --plan", records[i].fd, device(s), strerror(errno));
		else
			err = stasis_give(s, records[i].fd, fd);
	}
	stasis_records_free(&example_schema, records, n);
	return err;
}

const struct stasis_plugin stasis_plugin = {
	.api = STASIS_PLUGIN_API,
	.size = sizeof(struct stasis_plugin),
	.name = "example",
	.schemas = example_schemas,
	.claim = example_claim,
	.check = example_check,
	.save = example_save,
	.plan = example_plan,
	.restore = example_restore,
};
