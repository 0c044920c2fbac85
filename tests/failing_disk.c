/* Loaded before the C library (LD_PRELOAD): notes every call that changes a file below one folder, and fails the n-th.
 *
 * disk_watch(folder)    look at calls below this folder from now on, and count from 0
 * disk_fail_at(n, e)    the n-th such call fails with errno e, and so does every call after it if n is negative (-n)
 * disk_record(path)     write one line per call to this file: what was done, to which path, with which bytes (in hex)
 * disk_calls()          how many there were
 *
 * Relative paths are not looked at: the tests give absolute ones.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char watched[4096];
static long calls = 0, fail_at = 0;
static int fail_with = EIO;
static FILE *record = NULL;

#define REAL(name, type, ...) static type (*real)(__VA_ARGS__) = NULL; if (!real) real = dlsym(RTLD_NEXT, name)

void disk_watch(const char *folder) { snprintf(watched, sizeof watched, "%s", folder); calls = 0; fail_at = 0; }
void disk_fail_at(long n, int error) { calls = 0; fail_at = n; fail_with = error; }
void disk_record(const char *path) { if (record) fclose(record); record = path[0] ? fopen(path, "w") : NULL; }
long disk_calls(void) { return calls; }

static int is_watched(const char *path) {
    size_t n = strlen(watched);
    return n && path && !strncmp(path, watched, n) && (path[n] == '/' || !path[n]);
}

static const char *path_of(int fd, char *buffer, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, buffer, size - 1);
    if (n < 0) return NULL;
    buffer[n] = 0;
    return buffer;
}

/* Count the call; nonzero if it is to fail. */
static int fails(void) {
    calls++;
    if ((fail_at > 0 && calls == fail_at) || (fail_at < 0 && calls >= -fail_at)) { errno = fail_with; return 1; }
    return 0;
}

static void note(const char *what, const char *path, const char *other) {
    if (record) { fprintf(record, "%s\t%s\t%s\n", what, path, other); fflush(record); }
}

static void note_write(const char *path, const void *bytes, size_t n) {
    if (!record) return;
    fprintf(record, "write\t%s\t", path);
    for (size_t i = 0; i < n; i++) fprintf(record, "%02x", ((const unsigned char *)bytes)[i]);
    fputc('\n', record);
    fflush(record);
}

static int opened(const char *path, int flags, int mode, int (*real)(const char *, int, ...)) {
    int changes = is_watched(path) && (flags & (O_CREAT | O_TRUNC)) && !(flags & O_DIRECTORY);
    if (changes && fails()) return -1;
    struct stat there;
    int is_new = changes && stat(path, &there) != 0;
    int fd = real(path, flags, mode);
    if (changes && fd >= 0) {
        if (is_new) note("create", path, "");
        else if (flags & O_TRUNC) note("truncate", path, "");
    }
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest);
    REAL("open", int, const char *, int, ...);
    return opened(path, flags, mode, real);
}

int open64(const char *path, int flags, ...) {
    va_list rest; va_start(rest, flags); int mode = va_arg(rest, int); va_end(rest);
    REAL("open64", int, const char *, int, ...);
    return opened(path, flags, mode, real);
}

ssize_t write(int fd, const void *bytes, size_t n) {
    char buffer[4096];
    REAL("write", ssize_t, int, const void *, size_t);
    const char *path = watched[0] ? path_of(fd, buffer, sizeof buffer) : NULL;
    if (!is_watched(path)) return real(fd, bytes, n);
    if (fails()) {   /* half of it arrives before the disk gives up */
        ssize_t done = n > 1 ? real(fd, bytes, n / 2) : 0;
        if (done > 0) note_write(path, bytes, (size_t)done);
        errno = fail_with;
        return -1;
    }
    ssize_t done = real(fd, bytes, n);
    if (done > 0) note_write(path, bytes, (size_t)done);
    return done;
}

static int truncated(int fd, off_t length, int (*real)(int, off_t)) {
    char buffer[4096];
    const char *path = watched[0] ? path_of(fd, buffer, sizeof buffer) : NULL;
    if (!is_watched(path)) return real(fd, length);
    if (fails()) return -1;
    int result = real(fd, length);
    if (!result && !length) note("truncate", path, "");
    return result;
}

int ftruncate(int fd, off_t length) { REAL("ftruncate", int, int, off_t); return truncated(fd, length, real); }
int ftruncate64(int fd, off_t length) { REAL("ftruncate64", int, int, off_t); return truncated(fd, length, real); }

static int synced(int fd, int (*real)(int)) {
    char buffer[4096];
    const char *path = watched[0] ? path_of(fd, buffer, sizeof buffer) : NULL;
    if (!is_watched(path)) return real(fd);
    if (fails()) return -1;
    int result = real(fd);
    if (!result) note("fsync", path, "");
    return result;
}

int fsync(int fd) { REAL("fsync", int, int); return synced(fd, real); }
int fdatasync(int fd) { REAL("fdatasync", int, int); return synced(fd, real); }

#define PATH_CALL(what, test, other, call) \
    if (!is_watched(test)) return call; \
    if (fails()) return -1; \
    int result = call; \
    if (!result) note(what, test, other); \
    return result;

int mkdir(const char *path, mode_t mode) {
    REAL("mkdir", int, const char *, mode_t);
    PATH_CALL("mkdir", path, "", real(path, mode))
}
int link(const char *from, const char *to) {
    REAL("link", int, const char *, const char *);
    PATH_CALL("link", from, to, real(from, to))
}
int linkat(int a, const char *from, int b, const char *to, int flags) {
    REAL("linkat", int, int, const char *, int, const char *, int);
    PATH_CALL("link", from, to, real(a, from, b, to, flags))
}
int unlink(const char *path) {
    REAL("unlink", int, const char *);
    PATH_CALL("unlink", path, "", real(path))
}
int rename(const char *from, const char *to) {
    REAL("rename", int, const char *, const char *);
    PATH_CALL("rename", from, to, real(from, to))
}
