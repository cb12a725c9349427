// SPDX-License-Identifier: LGPL-2.1-or-later
/* A plugin for the tests of `rest`: its device is /dev/full, its worker is the flag O_NONBLOCK, which is set while it rests and has to be
 * gone from a target that goes on. */
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <stasis/plugin.h>

#include <string.h>

struct rest_record {
	int32_t fd;
};

static const struct img_field rest_fields[] = {
	IMG_FIELD_REQUIRED(1, rest_record, fd, IMG_I32, IMG_DEC),
};
static const struct img_schema rest_schema = IMG_SCHEMA("REST", 1, IMG_MUST_UNDERSTAND, "resting device", rest_record, rest_fields);
static const struct img_schema *const rest_schemas[] = { &rest_schema, NULL };

static const char *rest_claim(const char *link, const struct stat *st)
{
	(void)st;
	return strcmp(link, "/dev/full") ? NULL : "resting device";
}

static int rest_check(struct stasis_session *s, void *state)
{
	const struct stasis_descriptor *d;

	(void)state;
	for (size_t n = stasis_descriptors(s, &d); n > 0; n--)
		stasis_action(s, d[n - 1].fd, "rests");
	return 0;
}

static int rest_rest(struct stasis_session *s, void *state)
{
	const struct stasis_descriptor *d;
	struct stasis_calls *c;
	int on = 1, off = 0;

	(void)state;
	if (!stasis_descriptors(s, &d))
		return 0;
	int err = stasis_undo_ioctl(s, d->fd, FIONBIO, &off, sizeof(off));
	if (err || (err = stasis_calls_create(s, 1, &c)))
		return stasis_fail(s, err, "no room");
	stasis_calls_add(c, 0, SYS_ioctl, (uint64_t)d->fd, FIONBIO, stasis_calls_put(c, &on, sizeof(on)), 0);
	err = stasis_calls_run(c, NULL);
	stasis_calls_destroy(c);
	return err ? stasis_fail(s, err, "FIONBIO") : stasis_fault(s, "rests");
}

static int rest_save(struct stasis_session *s, void *state)
{
	const struct stasis_descriptor *d;

	(void)state;
	return stasis_descriptors(s, &d) ? stasis_record(s, &rest_schema, &(struct rest_record){ d->fd }) : 0;
}

const struct stasis_plugin stasis_plugin = {
	.api = STASIS_PLUGIN_API,
	.size = sizeof(struct stasis_plugin),
	.name = "resting",
	.schemas = rest_schemas,
	.claim = rest_claim,
	.check = rest_check,
	.save = rest_save,
	.rest = rest_rest,
};
