// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stasis show`: what is in an image, for people and as JSON. */
#include <errno.h>

#include "reader.h"
#include "session.h"
#include "show.h"

static int show_image(struct session *s, const char *path)
{
	struct img_reader *reader = NULL;
	const struct img_schema *schemas[STASIS_SCHEMAS_MAX];
	size_t n_plugins;
	const struct stasis_plugin *const *plugins = session_plugins(s, &n_plugins);
	size_t n = stasis_schemas(plugins, n_plugins, schemas);
	int status = CLI_FAILED;

	int err = img_reader_open_with(s->rep, path, &(struct img_open_options){ .alone = true }, &reader);
	if (err) {
		session_print_failure(s);
		return CLI_FAILED;
	}
	if (s->json) {
		json_t *value = NULL;
		if (img_show_json(reader, schemas, n, &value))
			value = NULL;
		status = session_print_json(s, value);
	} else {
		err = img_show_text(reader, schemas, n, stdout);
		if (err)
			report_fail(s->rep, err, "%s cannot be shown: out of memory", path);
		status = err ? CLI_FAILED : CLI_OK;
	}
	img_reader_destroy(reader);
	return status;
}

static int show_main(const struct cli_command *cmd, int argc, const char **argv)
{
	struct args_common common = { 0 };
	struct poptOption table[] = { ARGS_JSON(&common), ARGS_HELP(&common), POPT_TABLEEND };
	struct session s;
	struct args args;

	int status = args_parse(cmd, argc, argv, table, 0, &common, NULL, NULL, &args);
	if (status < 0)
		status = args_need_words(cmd, &args, 1, "the IMAGE");
	if (status < 0) {
		status = CLI_FAILED;
		if (!session_init(&s, cmd, &common, false)) {
			status = show_image(&s, args.words[0]);
			session_finish(&s);
		}
	}
	args_finish(&args);
	return status;
}

const struct cli_command cmd_show = {
	.name = "show",
	.summary = "show what is in an image",
	.usage = "IMAGE [--json]",
	.description = "Prints the summary of an image and every record in it. Page data is not checked; see stasis verify.\n",
	.main = show_main,
};
