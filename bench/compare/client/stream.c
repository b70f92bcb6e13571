#define _GNU_SOURCE
#include "stream.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PER_ADDRESS 20000 /* streams from one address: the kernel has 28,000 ports for each */
#define MARK 35           /* #~AAAA.SSSSSSSS.NNNNNNNNNNNNNNNNNNN: author, number, time of publishing */

bool stream_connect(world *w, stream *s, size_t number) {
    int one = 1, small = 4096;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0) return false;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (number == 0) setsockopt(s->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small); /* the one that may stall */
    if (number >= PER_ADDRESS) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(number / PER_ADDRESS));
        setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(s->fd, (struct sockaddr *)&from, sizeof from) < 0) return false;
    }
    s->phase = CONNECTING;
    s->asked_at = now_ns();
    s->kept_size = s->chunk_left = s->within = 0;
    s->chunked = false;
    w->opening++;
    return connect(s->fd, (struct sockaddr *)&w->server, sizeof w->server) == 0 || errno == EINPROGRESS;
}

bool stream_ask(world *w, stream *s) {
    int failed = 0;
    socklen_t size = sizeof failed;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &failed, &size) < 0 || failed) return false;
    char text[16384];
    int length = snprintf(text, sizeof text, "%.*s", (int)s->head_size, s->head);
    if (w->cursors && s->last_id[0])
        length += snprintf(text + length, sizeof text - (size_t)length, "Last-Event-ID: %s\r\n", s->last_id);
    length += snprintf(text + length, sizeof text - (size_t)length, "\r\n");
    s->phase = ASKED;
    return (size_t)length < sizeof text && send(s->fd, text, (size_t)length, MSG_NOSIGNAL) == length;
}

void stream_close(world *w, stream *s) {
    struct linger at_once = {1, 0};
    if (s->phase == CLOSED) return;
    if (s->phase == LIVE) w->live--;
    else w->opening--;
    setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(s->fd);
    s->fd = -1;
    s->phase = CLOSED;
    s->stalled = false;
}

static uint64_t digits(const char *at, int count) {
    uint64_t value = 0;
    while (count--) value = value * 10 + (uint64_t)(*at++ - '0');
    return value;
}

/* Counts the events in whole frames, and finds the marks of a stream's life. */
static void scan(world *w, stream *s, const char *at, size_t size) {
    const char *end = at + size, *from = at;
    int64_t now = 0;
    while ((at = memchr(at, '#', (size_t)(end - at))) && end - at >= MARK) {
        if (at[1] != '~') {
            at++;
            continue;
        }
        if (!now) now = now_ns();
        uint64_t author = digits(at + 2, 4), number = digits(at + 7, 8), due = s->next[author];
        histogram_add(&w->tally.delay, now - (int64_t)digits(at + 16, 19));
        if (number < due) {
            w->tally.doubled++;
        } else {
            w->tally.lost += number - due;
            w->tally.deliveries++;
            s->next[author] = (uint32_t)number + 1;
        }
        at += MARK;
    }
    if (s->phase != LIVE && (!w->live_mark[0] || memmem(from, size, w->live_mark, strlen(w->live_mark)) ||
                             (w->resumed_mark[0] && memmem(from, size, w->resumed_mark, strlen(w->resumed_mark))))) {
        if (w->resumed_mark[0] && memmem(from, size, w->resumed_mark, strlen(w->resumed_mark))) w->resumed++;
        s->phase = LIVE;
        w->opening--;
        w->live++;
        histogram_add(&w->tally.opening, now_ns() - s->asked_at);
    }
}

/* The last id in whole events. */
static void note_id(stream *s, const char *from, size_t size) {
    const char *end = from + size;
    while (end > from) {
        const char *line = memrchr(from, '\n', (size_t)(end - from - 1));
        line = line ? line + 1 : from;
        size_t length = (size_t)(end - line);
        if (length > 4 && !memcmp(line, "id: ", 4) && length - 4 < sizeof s->last_id) {
            length -= 4;
            memcpy(s->last_id, line + 4, length);
            while (length && (s->last_id[length - 1] == '\n' || s->last_id[length - 1] == '\r')) length--;
            s->last_id[length] = 0;
            return;
        }
        end = line;
    }
}

static size_t whole_events(const char *at, size_t size) {
    while (size >= 2 && !(at[size - 1] == '\n' && at[size - 2] == '\n')) size--;
    return size < 2 ? 0 : size;
}

static size_t whole_messages(const char *text, size_t size) {
    const unsigned char *at = (const unsigned char *)text;
    size_t done = 0;
    while (size - done >= 2) {
        size_t length = at[done + 1] & 127, head = length == 126 ? 4 : length == 127 ? 10 : 2;
        if (size - done < head) break;
        if (head > 2) {
            length = 0;
            for (size_t i = 2; i < head; i++) length = length << 8 | at[done + i];
        }
        if (size - done < head + length) break;
        done += head + length;
    }
    return done;
}

static void keep(stream *s, const char *at, size_t size) {
    if (s->kept_size + size > s->kept_room) {
        s->kept_room = (s->kept_size + size) * 2;
        s->kept = realloc(s->kept, s->kept_room);
        if (!s->kept) abort();
    }
    memmove(s->kept + s->kept_size, at, size);
    s->kept_size += size;
}

static void body(world *w, stream *s, const char *at, size_t size) {
    bool joined = s->kept_size > 0;
    if (joined) {
        keep(s, at, size);
        at = s->kept;
        size = s->kept_size;
    }
    size_t whole = w->websocket ? whole_messages(at, size) : whole_events(at, size);
    if (whole) {
        scan(w, s, at, whole);
        if (w->cursors && !w->websocket) note_id(s, at, whole);
    }
    if (joined || whole < size) {
        s->kept_size = 0;
        keep(s, at + whole, size - whole);
    }
    if (!s->kept_size && s->kept_room > 4096) {
        free(s->kept);
        s->kept = NULL;
        s->kept_room = 0;
    }
}

/* Chunks of HTTP/1.1 (RFC 9112, 7.1). False after the last one. */
static bool chunks(world *w, stream *s, const char *at, size_t size) {
    const char *end = at + size;
    while (at < end) {
        if (s->within == 1) {
            size_t some = (size_t)(end - at) < s->chunk_left ? (size_t)(end - at) : s->chunk_left;
            body(w, s, at, some);
            at += some;
            if (!(s->chunk_left -= some)) s->within = 2;
        } else {
            char c = *at++;
            if (c == '\n') {
                if (s->within == 0 && !s->chunk_left) return false;
                s->within = s->within == 2 ? 0 : 1;
            } else if (s->within == 0 && c != '\r') {
                s->chunk_left = s->chunk_left * 16 + (size_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
            }
        }
    }
    return true;
}

bool stream_read(world *w, stream *s, char *buffer, size_t room) {
    ssize_t got = recv(s->fd, buffer, room, 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    w->tally.bytes += (uint64_t)got;
    char *at = buffer;
    if (s->phase == ASKED) {
        keep(s, buffer, (size_t)got);
        char *end = memmem(s->kept, s->kept_size, "\r\n\r\n", 4);
        if (!end) return s->kept_size < 65536;
        bool taken = s->kept_size > 12 && !memcmp(s->kept + 9, w->websocket ? "101" : "200", 3);
        if (!taken) {
            if (!w->tally.refused++) fprintf(stderr, "refused: %.*s\n", (int)s->kept_size, s->kept);
            return false;
        }
        *end = 0;
        s->chunked = !w->websocket && strcasestr(s->kept, "\r\nTransfer-Encoding: chunked");
        size_t rest = s->kept_size - (size_t)(end + 4 - s->kept);
        at = buffer + got - rest;
        got = (ssize_t)rest;
        s->kept_size = 0;
        s->phase = OPEN;
        if (!w->live_mark[0]) scan(w, s, at, 0);
    }
    if (!got) return true;
    if (s->chunked) return chunks(w, s, at, (size_t)got);
    body(w, s, at, (size_t)got);
    return true;
}
