/* What has arrived: counts, and how long it took. Times are in microseconds, 1.5 % exact. */
#ifndef TALLY_H
#define TALLY_H

#include <stdint.h>
#include <string.h>
#include <time.h>

#define SUB 64
#define BUCKETS (SUB * 32)

typedef struct {
    uint64_t count[BUCKETS], total;
    double max;
} histogram;

typedef struct {
    uint64_t deliveries, lost, doubled, bytes, closed, refused;
    histogram delay, opening;
} tally;

static inline int64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static inline void histogram_add(histogram *h, int64_t ns) {
    uint64_t us = ns < 0 ? 0 : (uint64_t)ns / 1000;
    int shift = us < SUB ? 0 : 58 - __builtin_clzll(us); /* the six highest bits say where */
    uint64_t at = (uint64_t)shift * SUB + (us >> shift);
    h->count[at < BUCKETS ? at : BUCKETS - 1]++;
    h->total++;
    if (ns / 1e3 > h->max) h->max = ns / 1e3;
}

/* The value below which that part of all lie, in microseconds. */
static inline double histogram_quantile(const histogram *h, double part) {
    uint64_t wanted = (uint64_t)(part * (double)h->total), seen = 0;
    for (int at = 0; at < BUCKETS; at++) {
        seen += h->count[at];
        if (h->count[at] && seen > wanted) {
            int shift = at / SUB;
            return (double)((uint64_t)(at % SUB) << shift) + (double)(1ULL << shift) / 2;
        }
    }
    return h->max;
}

#endif
