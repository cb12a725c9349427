// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stasis verify`: whether images are whole and this version understands them. */
#include <errno.h>

#include "base/cleanup.h"
#include "cancel.h"
#include "reader.h"
#include "session.h"
#include "words.h"

/* Every record that this version knows must decode. */
static int verify_records(struct session *s, const struct img_reader *reader)
{
	const struct img_schema *schemas[STASIS_SCHEMAS_MAX];
	size_t n_plugins;
	const struct stasis_plugin *const *plugins = session_plugins(s, &n_plugins);
	size_t n_schemas = stasis_schemas(plugins, n_plugins, schemas);
	int err = img_reader_require_known(reader, schemas, n_schemas);

	for (size_t i = 0; !err && i < n_schemas; i++) {
		void *records;
		size_t n;

		err = img_reader_load(reader, schemas[i], &records, &n);
		if (!err)
			img_schema_free_array(schemas[i], records, n);
	}
	return err;
}

static int verify_image(struct session *s, const char *path, const char *parent_dir, bool quiet)
{
	struct img_reader *reader = NULL;
	AUTO_FREE char *clean = words_clean(path);
	int err = img_reader_open_with(s->rep, path, &(struct img_open_options){ .parent_dir = parent_dir }, &reader);

	if (!err)
		err = verify_records(s, reader);
	if (!err)
		err = img_reader_verify(reader);
	img_reader_destroy(reader);
	term_clear(&s->shared->term);
	if (!err && !quiet)
		printf("%s: ok\n", clean ? clean : "image");
	return err;
}

static int verify_images(struct session *s, const char **paths, const char *parent_dir, bool quiet)
{
	int status = CLI_OK;

	cancel_install();
	s->rep->cancel = cancel_flag();
	for (; *paths && !cancel_signal(); paths++)
		if (verify_image(s, *paths, parent_dir, quiet))
			status = CLI_FAILED;
	return session_failed(status);
}

static int verify_main(const struct cli_command *cmd, int argc, const char **argv)
{
	struct args_common common = { 0 };
	AUTO_FREE char *parent_dir = NULL;
	struct poptOption table[] = {
		{ "parent-dir", '\0', POPT_ARG_STRING, &parent_dir, 0, "look here first for parents of incremental images", "DIR" },
		ARGS_TALK(&common),
		ARGS_HELP(&common),
		POPT_TABLEEND,
	};
	struct session s;
	struct args args;

	int status = args_parse(cmd, argc, argv, table, 0, &common, NULL, NULL, &args);
	if (status < 0 && !args.n_words)
		status = args_wrong(cmd, "the IMAGE is missing; usage: stasis verify %s", cmd->usage);
	if (status < 0) {
		status = CLI_FAILED;
		if (!session_init(&s, cmd, &common, true)) {
			status = verify_images(&s, args.words, parent_dir, common.quiet);
			session_finish(&s);
		}
	}
	args_finish(&args);
	return status;
}

const struct cli_command cmd_verify = {
	.name = "verify",
	.summary = "check that images are whole",
	.usage = "IMAGE... [-q]",
	.description = "Reads each image, checks every checksum and every record, and says \"ok\" or what is wrong.\n"
		       "Ends with 0 when all are good, 1 otherwise.\n",
	.main = verify_main,
};
