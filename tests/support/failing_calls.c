/* A preloaded library that lets calls of the system fail, as odd file systems and bad minutes do.
 *
 * FAULTS=<call>:<errno>:<times>:<part of the path>[;…]   times -1: always; calls: open, write, fsync, fsyncdir, syncfs,
 *                                                         rename, unlink, rmdir, mkdir, fchmod, flock, fadvise, exchange, close
 * FAULTS_STATE=<folder>                                   where what has happened is counted, for all processes together
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = 0;
}

static void path_at(int folder, const char *name, char *path) {
    path[0] = 0;
    if (name[0] != '/' && folder != AT_FDCWD) {
        path_of(folder, path);
        strncat(path, "/", PATH_MAX - strlen(path) - 1);
    }
    strncat(path, name, PATH_MAX - strlen(path) - 1);
}

/* Whether the n-th fault may happen once more. */
static int claim(int n, int times) {
    const char *state = getenv("FAULTS_STATE");
    if (times < 0 || !state) return 1;
    for (int i = 0; i < times; i++) {
        char name[PATH_MAX];
        snprintf(name, sizeof name, "%s/%d-%d", state, n, i);
        if (REAL(mkdir)(name, 0777) == 0) return 1;
    }
    return 0;
}

static int fault(const char *call, const char *path) {
    const char *all = getenv("FAULTS");
    char copy[4096], *rest, *one;
    if (!all) return 0;
    snprintf(copy, sizeof copy, "%s", all);
    int n = 0;
    for (one = strtok_r(copy, ";", &rest); one; one = strtok_r(NULL, ";", &rest), n++) {
        char name[32], part[1024] = "";
        int code, times;
        if (sscanf(one, "%31[^:]:%d:%d:%1023[^;]", name, &code, &times, part) < 3) continue;
        if (!strcmp(name, call) && strstr(path, part) && claim(n, times)) {
            errno = code;
            return 1;
        }
    }
    return 0;
}

#define AT(call, folder, name) do { char p[PATH_MAX]; path_at(folder, name, p); if (fault(call, p)) return -1; } while (0)
#define OF(call, descriptor) do { char p[PATH_MAX]; path_of(descriptor, p); if (fault(call, p)) return -1; } while (0)

int openat64(int folder, const char *name, int flags, ...) {
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
    AT("open", folder, name);
    return REAL(openat64)(folder, name, flags, mode);
}
int openat(int folder, const char *name, int flags, ...) {
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
    AT("open", folder, name);
    return REAL(openat)(folder, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
    AT("open", AT_FDCWD, name);
    return REAL(open64)(name, flags, mode);
}
int open(const char *name, int flags, ...) {
    va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more);
    AT("open", AT_FDCWD, name);
    return REAL(open)(name, flags, mode);
}
ssize_t write(int descriptor, const void *data, size_t size) { OF("write", descriptor); return REAL(write)(descriptor, data, size); }
int close(int descriptor) {
    char p[PATH_MAX]; path_of(descriptor, p);
    int done = REAL(close)(descriptor);
    return fault("close", p) ? -1 : done;
}
int fsync(int descriptor) {
    struct stat found;
    int folder = fstat(descriptor, &found) == 0 && S_ISDIR(found.st_mode);
    OF(folder ? "fsyncdir" : "fsync", descriptor);
    return REAL(fsync)(descriptor);
}
int syncfs(int descriptor) { OF("syncfs", descriptor); return REAL(syncfs)(descriptor); }
int renameat(int from, const char *name, int to, const char *its) { AT("rename", to, its); return REAL(renameat)(from, name, to, its); }
int rename(const char *name, const char *its) { AT("rename", AT_FDCWD, its); return REAL(rename)(name, its); }
int renameat2(int from, const char *name, int to, const char *its, unsigned flags) {
    AT("exchange", to, its);
    return REAL(renameat2)(from, name, to, its, flags);
}
int unlinkat(int folder, const char *name, int flags) {
    AT(flags & AT_REMOVEDIR ? "rmdir" : "unlink", folder, name);
    return REAL(unlinkat)(folder, name, flags);
}
int mkdirat(int folder, const char *name, mode_t mode) { AT("mkdir", folder, name); return REAL(mkdirat)(folder, name, mode); }
int fchmod(int descriptor, mode_t mode) { OF("fchmod", descriptor); return REAL(fchmod)(descriptor, mode); }
int flock(int descriptor, int how) { OF("flock", descriptor); return REAL(flock)(descriptor, how); }
int posix_fadvise64(int descriptor, off64_t start, off64_t size, int advice) {
    char p[PATH_MAX]; path_of(descriptor, p);
    return fault("fadvise", p) ? errno : REAL(posix_fadvise64)(descriptor, start, size, advice);
}
int posix_fadvise(int descriptor, off_t start, off_t size, int advice) {
    char p[PATH_MAX]; path_of(descriptor, p);
    return fault("fadvise", p) ? errno : REAL(posix_fadvise)(descriptor, start, size, advice);
}
