/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/maps and smaps. A mapping begins with a line of its own; smaps adds "Key: value" lines below it. */
#include "proc/maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/vec.h"
#include "proc/text.h"

static const struct {
	char code[3];
	uint64_t flag;
} flag_codes[] = {
	{ "rd", PROC_VMA_RD }, { "wr", PROC_VMA_WR }, { "ex", PROC_VMA_EX }, { "sh", PROC_VMA_SH }, { "mr", PROC_VMA_MR },
	{ "mw", PROC_VMA_MW }, { "me", PROC_VMA_ME }, { "ms", PROC_VMA_MS }, { "gd", PROC_VMA_GD }, { "pf", PROC_VMA_PF },
	{ "dw", PROC_VMA_DW }, { "lo", PROC_VMA_LO }, { "lf", PROC_VMA_LF }, { "io", PROC_VMA_IO }, { "sr", PROC_VMA_SR },
	{ "rr", PROC_VMA_RR }, { "dc", PROC_VMA_DC }, { "de", PROC_VMA_DE }, { "ac", PROC_VMA_AC }, { "nr", PROC_VMA_NR },
	{ "ht", PROC_VMA_HT }, { "sf", PROC_VMA_SF }, { "wf", PROC_VMA_WF }, { "dd", PROC_VMA_DD }, { "sd", PROC_VMA_SD },
	{ "mm", PROC_VMA_MM }, { "hg", PROC_VMA_HG }, { "nh", PROC_VMA_NH }, { "mg", PROC_VMA_MG }, { "um", PROC_VMA_UM },
	{ "uw", PROC_VMA_UW }, { "ui", PROC_VMA_UI }, { "ss", PROC_VMA_SS }, { "sl", PROC_VMA_SL }, { "dp", PROC_VMA_DP },
	{ "gu", PROC_VMA_GU }, { "bt", PROC_VMA_BT }, { "mt", PROC_VMA_MT }, { "ar", PROC_VMA_AR }, { "nl", PROC_VMA_NL },
};

typedef VEC(struct proc_vma) vma_vec; /* a name for the anonymous struct of VEC, so that it can be passed on */

static bool parse_perms(struct text *t, struct proc_vma *vma)
{
	struct text word;

	if (!text_word(t, &word) || text_left(&word) != 4)
		return false;
	vma->prot =
		(word.p[0] == 'r' ? PROT_READ : 0) | (word.p[1] == 'w' ? PROT_WRITE : 0) | (word.p[2] == 'x' ? PROT_EXEC : 0);
	vma->shared = word.p[3] == 's';
	return word.p[3] == 's' || word.p[3] == 'p';
}

/* Turns "\012" back into a newline: the only character that maps escapes (a backslash of the file name is printed as it is). */
static void unescape_newlines(char *s)
{
	char *to = s;

	for (const char *from = s; *from;) {
		if (strncmp(from, "\\012", 4) == 0) {
			*to++ = '\n';
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

static int parse_name(struct text *t, struct proc_vma *vma)
{
	static const char mark[] = " (deleted)";
	size_t n;

	text_skip_blanks(t);
	n = text_left(t);
	vma->raw = n ? strndup(t->p, n) : strdup("");
	if (!vma->raw)
		return -ENOMEM;
	vma->name = strdup(vma->raw);
	if (!vma->name)
		return -ENOMEM;
	n = strlen(vma->name);
	if (n > sizeof(mark) - 1 && strcmp(vma->name + n - (sizeof(mark) - 1), mark) == 0) {
		vma->deleted = true;
		vma->name[n - (sizeof(mark) - 1)] = '\0';
	}
	unescape_newlines(vma->name);
	return 0;
}

/* 55d0b3a00000-55d0b3a02000 r--p 00000000 fe:00 247134                     /usr/bin/cat */
static int parse_head(struct text t, struct proc_vma *ret)
{
	struct proc_vma vma = { 0 };
	int err;

	if (!text_u64(&t, 16, &vma.start) || !text_take_char(&t, '-') || !text_u64(&t, 16, &vma.end) || vma.start >= vma.end ||
	    !parse_perms(&t, &vma) || !text_u64(&t, 16, &vma.offset) || !text_u32(&t, 16, &vma.dev_major) ||
	    !text_take_char(&t, ':') || !text_u32(&t, 16, &vma.dev_minor) || !text_u64(&t, 10, &vma.ino))
		return -EBADMSG;
	err = parse_name(&t, &vma);
	if (err) {
		free(vma.raw);
		free(vma.name);
		return err;
	}
	*ret = vma;
	return 0;
}

static void parse_vm_flags(struct text *t, struct proc_vma *vma)
{
	struct text word;

	vma->has_vm_flags = true;
	while (text_word(t, &word))
		for (size_t i = 0; i < sizeof(flag_codes) / sizeof(flag_codes[0]); i++)
			if (text_is(&word, flag_codes[i].code))
				vma->vm_flags |= flag_codes[i].flag;
}

static bool parse_detail(struct text *t, struct proc_vma *vma)
{
	uint64_t value;

	if (text_take(t, "Rss:"))
		return text_u64(t, 10, &vma->rss);
	if (text_take(t, "Anonymous:"))
		return text_u64(t, 10, &vma->anonymous);
	if (text_take(t, "AnonHugePages:"))
		return text_u64(t, 10, &vma->anon_huge);
	if (text_take(t, "Swap:"))
		return text_u64(t, 10, &vma->swap);
	if (text_take(t, "KernelPageSize:"))
		return text_u64(t, 10, &vma->kernel_page_size);
	if (text_take(t, "ProtectionKey:"))
		return text_u32(t, 10, &vma->protection_key);
	if (text_take(t, "THPeligible:")) {
		if (!text_u64(t, 10, &value))
			return false;
		vma->thp_eligible = value != 0;
	} else if (text_take(t, "VmFlags:")) {
		parse_vm_flags(t, vma);
	}
	return true;
}

/* A line of details begins with a word that ends in a colon; a mapping's own line begins with "hex-hex ". */
static bool is_detail(const struct text *line)
{
	struct text t = *line, word;

	return text_word(&t, &word) && word.end[-1] == ':';
}

static int parse_line(const struct text *line, vma_vec *vmas)
{
	struct proc_vma vma;
	struct text t = *line;
	int err;

	if (is_detail(line))
		return vmas->n && parse_detail(&t, &vmas->items[vmas->n - 1]) ? 0 : -EBADMSG;
	err = parse_head(t, &vma);
	if (err)
		return err;
	if (vmas->n && vma.start < vmas->items[vmas->n - 1].end)
		err = -EBADMSG;
	else
		err = vec_push(vmas, vma);
	if (err) {
		free(vma.raw);
		free(vma.name);
	}
	return err;
}

int proc_maps_parse(const char *text, size_t size, struct proc_vma **ret_array, size_t *ret_n)
{
	struct text t = text_init(text, size), line;
	vma_vec vmas = { 0 };
	int err = 0;

	while (!err && text_line(&t, &line))
		err = parse_line(&line, &vmas);
	if (err) {
		proc_maps_free(vmas.items, vmas.n);
		return err;
	}
	*ret_array = vmas.items;
	*ret_n = vmas.n;
	return 0;
}

void proc_maps_free(struct proc_vma *array, size_t n)
{
	for (size_t i = 0; array && i < n; i++) {
		free(array[i].name);
		free(array[i].raw);
	}
	free(array);
}

bool proc_maps_adopt(struct proc_vma *now, size_t n_now, const struct proc_vma *before, size_t n_before)
{
	if (n_now != n_before)
		return false;
	for (size_t i = 0; i < n_now; i++) {
		const struct proc_vma *a = &now[i], *b = &before[i];
		if (a->start != b->start || a->end != b->end || a->prot != b->prot || a->shared != b->shared || a->offset != b->offset ||
		    a->dev_major != b->dev_major || a->dev_minor != b->dev_minor || a->ino != b->ino || strcmp(a->raw, b->raw) || !b->has_vm_flags)
			return false;
	}
	for (size_t i = 0; i < n_now; i++) {
		struct proc_vma *v = &now[i];
		char *name = v->name, *raw = v->raw;
		*v = before[i];
		v->name = name;
		v->raw = raw;
	}
	return true;
}

bool proc_vma_is_vdso(const struct proc_vma *vma)
{
	return vma->ino == 0 && (strcmp(vma->raw, "[vdso]") == 0 || strncmp(vma->raw, "[vvar", 5) == 0);
}
