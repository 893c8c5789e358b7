/*
 * Kills a process at its Nth write to one file, to see what a power cut or a kill at that moment leaves behind.
 * Preloaded into QEMU's programs by the tests (LD_PRELOAD); knows nothing about Strata.
 *
 *   KILL_FILE     absolute path of the file whose writes count
 *   KILL_PROGRAM  only in programs with this name (as in /proc/self/comm)
 *   KILL_COUNTER  a file with a decimal number: the writes seen so far, over all processes one after another
 *   KILL_AT       the write at which to kill, from 1; 0 only counts
 *   KILL_HALF     "1": write the first half of the bytes, then kill; else kill before the write
 *   KILL_AFTER    "1": kill at every later write too, so that what tries to repair is cut off as well
 *   KILL_PARENT   "1": kill the parent process instead, and go on
 *
 * Counted are write, pwrite, pwritev, fallocate (holes that are punched, zeros) and ftruncate on descriptors of that file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ready, armed, half, after, parent;
static long kill_at;
static dev_t device;
static ino_t inode;
static const char *counter;

static int is_set(const char *name)
{
	const char *value = getenv(name);
	return value && value[0] == '1';
}

static void prepare(void)
{
	if (ready) return;
	ready = 1;
	const char *file = getenv("KILL_FILE"), *program = getenv("KILL_PROGRAM"), *at = getenv("KILL_AT");
	counter = getenv("KILL_COUNTER");
	if (!file || !program || !at || !counter) return;
	/* The name in comm is cut at 15 characters; "qemu" means each of QEMU's programs. */
	char name[32] = "";
	FILE *comm = fopen("/proc/self/comm", "r");
	if (comm) {
		if (fgets(name, sizeof name, comm)) name[strcspn(name, "\n")] = 0;
		fclose(comm);
	}
	if (strncmp(name, program, strlen(program) < 15 ? strlen(program) : 15) != 0) return;
	struct stat st;
	if (stat(file, &st) != 0) return;
	device = st.st_dev;
	inode = st.st_ino;
	kill_at = atol(at);
	half = is_set("KILL_HALF");
	after = is_set("KILL_AFTER");
	parent = is_set("KILL_PARENT");
	armed = 1;
}

/* Whether this is the write at which to die. Called with the lock held. */
static int is_time(int fd)
{
	prepare();
	if (!armed) return 0;
	struct stat st;
	if (fstat(fd, &st) != 0 || st.st_dev != device || st.st_ino != inode) return 0;
	long seen = 0;
	FILE *f = fopen(counter, "r");
	if (f) {
		if (fscanf(f, "%ld", &seen) != 1) seen = 0;
		fclose(f);
	}
	seen++;
	f = fopen(counter, "w");
	if (f) {
		fprintf(f, "%ld\n", seen);
		fclose(f);
	}
	if (kill_at <= 0 || seen < kill_at || (seen > kill_at && !after)) return 0;
	if (!parent) return 1;
	kill(getppid(), SIGKILL);
	/* Long enough for the parent to be gone before the write is done. */
	usleep(20000);
	return 0;
}

static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;) pause();
}

#define REAL(type, name, ...) \
	static type (*real)(__VA_ARGS__); \
	if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static ssize_t some_pwrite(const char *name, int fd, const void *bytes, size_t count, off_t offset)
{
	ssize_t (*real)(int, const void *, size_t, off_t) = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, name);
	pthread_mutex_lock(&lock);
	if (is_time(fd)) {
		if (half && count > 1) real(fd, bytes, count / 2, offset);
		die();
	}
	ssize_t result = real(fd, bytes, count, offset);
	pthread_mutex_unlock(&lock);
	return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return some_pwrite("pwrite", fd, bytes, count, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) { return some_pwrite("pwrite64", fd, bytes, count, offset); }

static ssize_t some_pwritev(const char *name, int fd, const struct iovec *iov, int n, off_t offset)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t) = (ssize_t(*)(int, const struct iovec *, int, off_t))dlsym(RTLD_NEXT, name);
	pthread_mutex_lock(&lock);
	if (is_time(fd)) {
		if (half) {
			size_t total = 0;
			for (int i = 0; i < n; i++) total += iov[i].iov_len;
			size_t left = total / 2;
			off_t at = offset;
			for (int i = 0; i < n && left > 0; i++) {
				struct iovec part = iov[i];
				if (part.iov_len > left) part.iov_len = left;
				real(fd, &part, 1, at);
				at += part.iov_len;
				left -= part.iov_len;
			}
		}
		die();
	}
	ssize_t result = real(fd, iov, n, offset);
	pthread_mutex_unlock(&lock);
	return result;
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset) { return some_pwritev("pwritev", fd, iov, n, offset); }
ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t offset) { return some_pwritev("pwritev64", fd, iov, n, offset); }

ssize_t write(int fd, const void *bytes, size_t count)
{
	REAL(ssize_t, "write", int, const void *, size_t);
	pthread_mutex_lock(&lock);
	/* Only the file's writes are looked at: stdout and the event descriptors come this way as well. */
	if (is_time(fd)) {
		if (half && count > 1) real(fd, bytes, count / 2);
		die();
	}
	pthread_mutex_unlock(&lock);
	return real(fd, bytes, count);
}

static int some_fallocate(const char *name, int fd, int mode, off_t offset, off_t length)
{
	int (*real)(int, int, off_t, off_t) = (int (*)(int, int, off_t, off_t))dlsym(RTLD_NEXT, name);
	pthread_mutex_lock(&lock);
	if (is_time(fd)) {
		if (half && length > 1) real(fd, mode, offset, length / 2);
		die();
	}
	pthread_mutex_unlock(&lock);
	return real(fd, mode, offset, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return some_fallocate("fallocate", fd, mode, offset, length); }
int fallocate64(int fd, int mode, off_t offset, off_t length) { return some_fallocate("fallocate64", fd, mode, offset, length); }

static int some_ftruncate(const char *name, int fd, off_t length)
{
	int (*real)(int, off_t) = (int (*)(int, off_t))dlsym(RTLD_NEXT, name);
	pthread_mutex_lock(&lock);
	if (is_time(fd)) die();
	pthread_mutex_unlock(&lock);
	return real(fd, length);
}

int ftruncate(int fd, off_t length) { return some_ftruncate("ftruncate", fd, length); }
int ftruncate64(int fd, off_t length) { return some_ftruncate("ftruncate64", fd, length); }
