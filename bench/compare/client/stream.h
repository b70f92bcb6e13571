/* One open stream of the load client: HTTP/1.1, then Server-Sent Events or WebSocket messages. */
#ifndef STREAM_H
#define STREAM_H

#include "tally.h"
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum phase { CLOSED, CONNECTING, ASKED, OPEN, LIVE };

typedef struct {
    int fd;
    enum phase phase;
    bool chunked, stalled, reopening;
    unsigned char within; /* of a chunk: 0 its size, 1 its data, 2 the line's end after it */
    size_t chunk_left;
    char *kept; /* what has come of a head, an event or a message that is not whole yet */
    size_t kept_size, kept_room;
    char last_id[2048]; /* Nchan's ids name every channel of a stream */
    const char *head; /* of the request, without the empty line */
    size_t head_size;
    const uint16_t *authors;
    uint16_t author_count;
    uint32_t *next; /* by author: the number of the event that comes next */
    int64_t asked_at;
} stream;

typedef struct {
    struct sockaddr_in server;
    bool websocket, cursors;
    const char *live_mark, *resumed_mark; /* "" for none */
    uint64_t live, resumed, opening;
    tally tally;
} world;

/* Begins to connect; false if the machine refuses (errno). `number` chooses the source address. */
bool stream_connect(world *w, stream *s, size_t number);
/* The connection is there: asks. False if it has failed. */
bool stream_ask(world *w, stream *s);
/* Takes what has come. False if the stream is over. */
bool stream_read(world *w, stream *s, char *buffer, size_t room);
/* Closes at once, with a reset, so that no port is left waiting. */
void stream_close(world *w, stream *s);

#endif
