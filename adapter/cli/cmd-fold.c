// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stasis fold`: makes one whole image of an incremental one and its parents. */
#include <errno.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fold.h"
#include "session.h"
#include "words.h"

struct fold_args {
	struct args_common common;
	struct img_writer_options options;
	char *image, *compress, *parent_dir;
	int force;
};

static int fold_chain(struct session *s, struct fold_args *a, const char *path)
{
	struct img_writer_stats stats = { 0 };
	struct img_reader *reader = NULL;
	int err = session_start_job(s);

	if (!err && a->compress &&
	    (err = img_parse_codec(s->rep, a->compress, &a->options.codec, &a->options.level)) == -EINVAL)
		return CLI_USAGE;
	a->options.overwrite = a->force;
	if (!err)
		err = img_reader_open_with(s->rep, path, &(struct img_open_options){ .parent_dir = a->parent_dir }, &reader);
	unsigned parents = err ? 0 : img_reader_chain(reader);
	if (!err)
		err = img_fold(s->rep, reader, a->image, &a->options, &stats);
	img_reader_destroy(reader);
	session_mute(s);
	if (err) {
		session_explain(s, err, "cancelled; no image was made");
		session_print_failure(s);
		return session_failed(CLI_FAILED);
	}
	if (!a->common.quiet && (a->common.verbose || isatty(STDOUT_FILENO))) {
		char size[WORDS_SIZE_ROOM];
		AUTO_FREE char *image = words_clean(a->image);
		printf("%s: %s, of %u images\n", image ? image : "image", words_size(stats.file_bytes, size), parents + 1);
	}
	return CLI_OK;
}

static int fold_main(const struct cli_command *cmd, int argc, const char **argv)
{
	struct fold_args a = { .options = { .codec = IMG_CODEC_ZSTD } };
	struct poptOption table[] = {
		{ "output", 'o', POPT_ARG_STRING, &a.image, 0, "the image file to be made", "IMAGE" },
		{ "force", 'f', POPT_ARG_NONE, &a.force, 0, "replace an image of that name", NULL },
		{ "compress", '\0', POPT_ARG_STRING, &a.compress, 0,
		  "none, zlib or zstd, with a level: zstd:3 (default zstd:1)", "CODEC[:LEVEL]" },
		{ "parent-dir", '\0', POPT_ARG_STRING, &a.parent_dir, 0, "look here first for parents", "DIR" },
		ARGS_TALK(&a.common),
		ARGS_HELP(&a.common),
		POPT_TABLEEND,
	};
	struct session s;
	struct args args;

	int status = args_parse(cmd, argc, argv, table, 0, &a.common, NULL, NULL, &args);
	if (status < 0)
		status = args_need_words(cmd, &args, 1, "the IMAGE");
	if (status < 0 && !(a.image && *a.image))
		status = args_wrong(cmd, "-o IMAGE is missing; usage: stasis fold %s", cmd->usage);
	if (status < 0) {
		status = CLI_FAILED;
		if (!session_init(&s, cmd, &a.common, true)) {
			status = fold_chain(&s, &a, args.words[0]);
			session_finish(&s);
		}
	}
	args_finish(&args);
	free(a.image);
	free(a.compress);
	free(a.parent_dir);
	return status;
}

const struct cli_command cmd_fold = {
	.name = "fold",
	.summary = "make a whole image of an incremental one",
	.usage = "IMAGE -o IMAGE [OPTION...]",
	.description = "Writes what IMAGE and its parents hold together into one image that needs no other.\n"
	               "The images that it is made of stay as they are.\n",
	.main = fold_main,
};
