/* A load client that costs little: opens the streams of a plan, counts what arrives, and does what lines on stdin say.
 *
 * load PORT PLAN AUTHORS sse|ws LIVE_MARK RESUMED_MARK CURSORS(0|1)
 *   open AT_ONCE SECONDS    opens what is closed; answers when all are live, or after that time
 *   wait COUNT SECONDS IDLE answers when as many events have come, or nothing has for IDLE seconds
 *   settle A N A N ...      answers how many events below N of author A each reader still lacks, and counts them as lost
 *   cut | stall I | read I | reset | stats | quit
 * Every line is answered by one line of JSON.
 */
#define _GNU_SOURCE
#include "stream.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define AGAIN_NS 50000000LL /* a stream that was refused is asked for again after that */

static world w;
static stream *streams;
static size_t count, authors, next_closed, at_once;
static int poller;
static int64_t asked_at, answer_until, idle_ns, retry_at, last_news;
static uint64_t wanted, seen_deliveries;
static enum { NOTHING, OPENING, WAITING } pending;
static char buffer[1 << 18];

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void load_plan(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail(path);
    long size = ftell(file);
    char *all = malloc((size_t)size), *at = all;
    rewind(file);
    if (!all || fread(all, 1, (size_t)size, file) != (size_t)size) fail(path);
    fclose(file);
    memcpy(&count, at, 4), at += 4;
    streams = calloc(count, sizeof *streams);
    for (size_t i = 0; i < count; i++) { /* each: u32 size, head; u16 count, u16 authors; padded to 4 */
        uint32_t head;
        memcpy(&head, at, 4), at += 4;
        streams[i] = (stream){.fd = -1, .head = at, .head_size = head, .next = calloc(authors + 1, 4)};
        at += head + (-head & 3);
        memcpy(&streams[i].author_count, at, 2);
        streams[i].authors = (const uint16_t *)(const void *)(at + 2);
        size_t list = 2 + 2 * (size_t)streams[i].author_count;
        at += list + (-list & 3);
    }
}

static void watch(stream *s, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)(s - streams) + 1};
    if (epoll_ctl(poller, how, s->fd, &event)) fail("epoll_ctl");
}

static void over(stream *s) {
    if (s->phase == LIVE) w.tally.closed++;
    stream_close(&w, s);
    if (pending == OPENING) {
        next_closed = 0;
        retry_at = now_ns() + AGAIN_NS;
    }
}

static void open_some(void) {
    if (retry_at > now_ns()) return;
    while (next_closed < count && w.opening < at_once) {
        stream *s = &streams[next_closed++];
        if (s->phase != CLOSED) continue;
        if (!stream_connect(&w, s, (size_t)(s - streams))) {
            if (s->fd < 0) fail("socket");
            over(s);
            return;
        }
        watch(s, EPOLL_CTL_ADD, EPOLLOUT);
    }
}

static void on_stream(stream *s, uint32_t events) {
    if (s->phase == CLOSED) return;
    if (s->stalled) {
        if (events & (EPOLLHUP | EPOLLERR)) over(s);
    } else if (s->phase == CONNECTING) {
        if (!stream_ask(&w, s)) over(s);
        else watch(s, EPOLL_CTL_MOD, EPOLLIN);
    } else if (!stream_read(&w, s, buffer, sizeof buffer)) {
        over(s);
    }
}

static void tell(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    const tally *t = &w.tally;
    const histogram *d = &t->delay, *o = &t->opening;
    printf("{\"live\":%lu,\"resumed\":%lu,\"seconds\":%.6f,\"quiet\":%.6f,\"deliveries\":%lu,\"lost\":%lu,\"doubled\":%lu,\"bytes\":%lu,"
           "\"closed\":%lu,\"refused\":%lu,\"cpu\":%.6f,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,"
           "\"open_p50\":%.1f,\"open_p99\":%.1f}\n",
           w.live, w.resumed, (double)(now_ns() - asked_at) / 1e9,
           (double)(now_ns() - last_news) / 1e9, t->deliveries, t->lost, t->doubled, t->bytes, t->closed,
           t->refused, cpu, histogram_quantile(d, 0.5), histogram_quantile(d, 0.99), histogram_quantile(d, 0.999), d->max,
           histogram_quantile(o, 0.5), histogram_quantile(o, 0.99));
    fflush(stdout);
    pending = NOTHING;
}

static void settle(char *line) {
    uint32_t *final = calloc(authors + 1, 4);
    unsigned long author, number;
    int used;
    while (sscanf(line, " %lu %lu%n", &author, &number, &used) == 2 && author <= authors) {
        final[author] = (uint32_t)number;
        line += used;
    }
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < streams[i].author_count; j++) {
            uint32_t *next = &streams[i].next[streams[i].authors[j]], end = final[streams[i].authors[j]];
            if (*next < end) w.tally.lost += end - *next, *next = end;
        }
    free(final);
    tell();
}

static void obey(char *line) {
    double seconds = 0, idle = 0;
    size_t number = 0;
    asked_at = last_news = now_ns();
    if (sscanf(line, "open %zu %lf", &at_once, &seconds) == 2) {
        pending = OPENING, next_closed = 0, retry_at = 0;
    } else if (sscanf(line, "wait %lu %lf %lf", &wanted, &seconds, &idle) == 3) {
        pending = WAITING, seen_deliveries = w.tally.deliveries, idle_ns = (int64_t)(idle * 1e9);
    } else if (!strncmp(line, "settle", 6)) {
        settle(line + 6);
    } else if (sscanf(line, "stall %zu", &number) == 1 && number < count && streams[number].phase != CLOSED) {
        streams[number].stalled = true;
        watch(&streams[number], EPOLL_CTL_MOD, 0);
        tell();
    } else if (sscanf(line, "read %zu", &number) == 1 && number < count) {
        streams[number].stalled = false;
        if (streams[number].phase != CLOSED) watch(&streams[number], EPOLL_CTL_MOD, EPOLLIN);
        tell();
    } else if (!strcmp(line, "cut")) {
        for (size_t i = 0; i < count; i++) stream_close(&w, &streams[i]);
        w.resumed = 0;
        tell();
    } else if (!strcmp(line, "reset")) {
        memset(&w.tally, 0, sizeof w.tally);
        tell();
    } else if (!strcmp(line, "stats")) {
        tell();
    } else if (!strcmp(line, "quit")) {
        exit(0);
    } else {
        fprintf(stderr, "load: there is no command %s\n", line);
        exit(2);
    }
    answer_until = asked_at + (int64_t)(seconds * 1e9);
}

static void on_stdin(void) {
    static char line[1 << 16];
    static size_t size;
    ssize_t got = read(0, line + size, sizeof line - size);
    if (got <= 0) exit(0);
    size += (size_t)got;
    char *end;
    while ((end = memchr(line, '\n', size))) {
        *end = 0;
        obey(line);
        size -= (size_t)(end + 1 - line);
        memmove(line, end + 1, size);
    }
    if (size == sizeof line) exit(2);
}

static void answer_if_due(void) {
    int64_t now = now_ns();
    if (pending == OPENING) {
        open_some();
        if (w.live == count || now > answer_until) tell();
    } else if (pending == WAITING) {
        if (w.tally.deliveries != seen_deliveries) seen_deliveries = w.tally.deliveries, last_news = now;
        if (w.tally.deliveries >= wanted || now > answer_until || now - last_news > idle_ns) tell();
    }
}

int main(int argc, char **argv) {
    if (argc != 8) return fprintf(stderr, "see the top of load.c\n"), 2;
    w.server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    w.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    authors = (size_t)atoi(argv[3]);
    w.websocket = !strcmp(argv[4], "ws");
    w.live_mark = argv[5], w.resumed_mark = argv[6], w.cursors = argv[7][0] == '1';
    load_plan(argv[2]);
    poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0}, events[512];
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event)) fail("epoll");
    for (;;) {
        int ready = epoll_wait(poller, events, 512, pending == NOTHING ? -1 : 20);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.u64 == 0) on_stdin();
            else on_stream(&streams[events[i].data.u64 - 1], events[i].events);
        }
        answer_if_due();
    }
}
