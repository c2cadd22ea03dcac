/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * GLib's GThreadPool.
 */
#include "peer.h"

#include <glib.h>

struct job {
	peer_task *task;
	const void *in;
	void *out;
	GMutex mutex;
	GCond cond;
	gboolean done;
};

static void work(gpointer data, gpointer unused)
{
	struct job *job = data;

	(void)unused;
	job->task(job->in, job->out);
	g_mutex_lock(&job->mutex);
	job->done = TRUE;
	g_cond_signal(&job->cond);
	g_mutex_unlock(&job->mutex);
}

void peer_glib_apply(peer_task *task, const void *in, void *out)
{
	static GThreadPool *pool;
	struct job job = {.task = task, .in = in, .out = out};

	if (!pool)
		pool = g_thread_pool_new(work, NULL, 2, TRUE, NULL);
	g_mutex_init(&job.mutex);
	g_cond_init(&job.cond);
	g_thread_pool_push(pool, &job, NULL);
	g_mutex_lock(&job.mutex);
	while (!job.done)
		g_cond_wait(&job.cond, &job.mutex);
	g_mutex_unlock(&job.mutex);
	g_cond_clear(&job.cond);
	g_mutex_clear(&job.mutex);
}
