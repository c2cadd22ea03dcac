/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * wordcount.c - counts the words of text files by map and reduce. In Python:
 *
 *     def count_words(chunk):
 *         return Counter(chunk.split())
 *
 *     with Pool() as pool:
 *         total = Counter()
 *         for counter in pool.map(count_words, chunks):
 *             total.update(counter)
 *     print(total.most_common(10))
 *
 * Run it: ./wordcount [-a | -n TOP] FILE...
 *
 * It prints the 10 (or TOP) most frequent words, each after its count; words of
 * the same count in the order of their bytes. With -a it prints all words in the
 * order of their bytes: exactly the output of
 *
 *     export LC_ALL=C
 *     cat FILE... | tr -s '[:space:]' '\n' | sed '/^$/d' | sort | uniq -c
 *
 * (A word ends where its file ends. So for this comparison each file should end
 * in a newline, or cat joins words.)
 *
 * The files are mapped into memory and cut into chunks, at white space, before
 * the pool is made: so the workers have them too, at the same addresses, and
 * nothing is copied. Each worker counts into a table in the family's heap, which
 * all processes share, and returns only where that table is. It refers to the
 * words where they stand in the files.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <mpx.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* From begin up to end, not included: a file, or a part of one. */
struct text {
	char *begin, *end;
};

struct entry {
	const char *word; /* not terminated */
	size_t len;
	uint64_t hash;
	size_t count; /* 0: a free slot */
};

/* A hash table with open addressing. All zeros is an empty one. */
struct table {
	struct entry *slots; /* mpx_calloc */
	size_t size;	     /* a power of two, or 0 */
	size_t used;
};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "wordcount: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* As isspace in the C locale. */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int table_add(struct table *t, const struct entry *e);

static int table_grow(struct table *t)
{
	struct table bigger = {.size = t->size == 0 ? 1024 : 2 * t->size};

	bigger.slots = mpx_calloc(bigger.size, sizeof *bigger.slots);
	if (bigger.slots == NULL)
		return -1;
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].count != 0)
			table_add(&bigger, &t->slots[i]); /* has room: cannot fail */
	mpx_free(t->slots);
	*t = bigger;
	return 0;
}

/* Adds e->count to that of the word. */
static int table_add(struct table *t, const struct entry *e)
{
	if (t->used >= t->size / 2 && table_grow(t) != 0)
		return -1;
	for (size_t i = (size_t)e->hash;; i++) {
		struct entry *slot = &t->slots[i & (t->size - 1)];

		if (slot->count == 0) {
			*slot = *e;
			t->used++;
			return 0;
		}
		if (slot->hash == e->hash && slot->len == e->len &&
		    memcmp(slot->word, e->word, e->len) == 0) {
			slot->count += e->count;
			return 0;
		}
	}
}

/* The task, "map": from a chunk of text to a table of its words. */
static int count_words(const void *in, void *out)
{
	const struct text *chunk = in;
	struct table t = {0};

	for (const char *p = chunk->begin; p < chunk->end;) {
		struct entry e = {.word = p, .hash = 0xcbf29ce484222325, .count = 1};

		if (is_space(*p)) {
			p++;
			continue;
		}
		for (; p < chunk->end && !is_space(*p); p++) /* the hash function is FNV-1a */
			e.hash = (e.hash ^ (unsigned char)*p) * 0x100000001b3;
		e.len = (size_t)(p - e.word);
		if (table_add(&t, &e) != 0) {
			mpx_free(t.slots);
			return ENOMEM;
		}
	}
	*(struct table *)out = t;
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = memcmp(x->word, y->word, x->len < y->len ? x->len : y->len);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static int by_count(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->count != y->count ? (x->count < y->count) - (x->count > y->count)
				    : by_bytes(x, y);
}

/* Maps a file into memory; -1 with errno if that cannot be done. */
static int map_file(const char *path, struct text *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	*text = (struct text){NULL, NULL};
	if (fstat(fd, &st) != 0)
		goto fail;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL; /* pipes cannot be mapped */
		goto fail;
	}
	if (st.st_size > 0) { /* an empty file cannot be mapped either */
		text->begin = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (text->begin == MAP_FAILED)
			goto fail;
		text->end = text->begin + st.st_size;
	}
	return close(fd);
fail:;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* Cuts a text into chunks of about size bytes; chunks may be NULL to only count them. */
static size_t split(const struct text *text, size_t size, struct text *chunks)
{
	size_t n = 0;

	for (char *p = text->begin, *end; p < text->end; p = end) {
		end = (size_t)(text->end - p) > size ? p + size : text->end;
		while (end < text->end && !is_space(*end))
			end++;
		if (chunks != NULL)
			chunks[n] = (struct text){p, end};
		n++;
	}
	return n;
}

/* Counts all words of the texts into total. */
static void count_all(const struct text *texts, size_t ntexts, struct table *total)
{
	const size_t least = 64 * 1024, chunks_per_worker = 2;
	size_t bytes = 0, size, n = 0;

	for (size_t i = 0; i < ntexts; i++)
		bytes += (size_t)(texts[i].end - texts[i].begin);
	size = bytes / ((size_t)mpx_cpu_count() * chunks_per_worker);
	if (size < least)
		size = least;
	for (size_t i = 0; i < ntexts; i++)
		n += split(&texts[i], size, NULL);
	if (n == 0)
		return;

	struct text *chunks = calloc(n, sizeof *chunks);
	struct table *tables = calloc(n, sizeof *tables);
	if (chunks == NULL || tables == NULL)
		die("calloc");
	n = 0;
	for (size_t i = 0; i < ntexts; i++)
		n += split(&texts[i], size, chunks + n);

	mpx_pool *pool = mpx_pool_new();
	if (pool == NULL)
		die("mpx_pool_new");
	if (mpx_pool_map(pool, count_words, chunks, tables, n) != 0)
		die("mpx_pool_map");
	mpx_pool_free(pool);

	/* "Reduce": all tables into one. */
	for (size_t k = 0; k < n; k++) {
		for (size_t i = 0; i < tables[k].size; i++)
			if (tables[k].slots[i].count != 0 &&
			    table_add(total, &tables[k].slots[i]) != 0)
				die("mpx_calloc");
		mpx_free(tables[k].slots);
	}
	free(tables);
	free(chunks);
}

static int usage(void)
{
	fprintf(stderr, "usage: wordcount [-a | -n TOP] FILE...\n");
	return 2;
}

int main(int argc, char **argv)
{
	bool all = false;
	unsigned long top = 10;
	int opt, status = 0;
	char *rest;

	while ((opt = getopt(argc, argv, "an:")) != -1) {
		switch (opt) {
		case 'a':
			all = true;
			break;
		case 'n':
			errno = 0;
			top = strtoul(optarg, &rest, 10);
			if (*optarg < '0' || *optarg > '9' || *rest != '\0' || errno != 0)
				return usage();
			break;
		default:
			return usage();
		}
	}
	if (optind == argc)
		return usage();

	/* A file that cannot be read is reported; the others are counted. */
	struct text *texts = calloc((size_t)(argc - optind), sizeof *texts);
	size_t ntexts = 0;
	if (texts == NULL)
		die("calloc");
	for (; optind < argc; optind++) {
		if (map_file(argv[optind], &texts[ntexts]) == 0) {
			ntexts++;
		} else {
			fprintf(stderr, "wordcount: %s: %s\n", argv[optind], strerror(errno));
			status = 1;
		}
	}

	struct table total = {0};
	count_all(texts, ntexts, &total);

	/* The words to the front of the table, in order. */
	struct entry *words = total.slots;
	size_t n = 0;
	for (size_t i = 0; i < total.size; i++)
		if (total.slots[i].count != 0)
			words[n++] = total.slots[i];
	if (n > 0)
		qsort(words, n, sizeof *words, all ? by_bytes : by_count);

	for (size_t i = 0; i < n && (all || i < top); i++) {
		printf("%7zu ", words[i].count);
		fwrite(words[i].word, 1, words[i].len, stdout);
		putchar('\n');
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		die("standard output");

	mpx_free(total.slots);
	for (size_t i = 0; i < ntexts; i++)
		if (texts[i].begin != NULL)
			munmap(texts[i].begin, (size_t)(texts[i].end - texts[i].begin));
	free(texts);
	return status;
}
