/* The kernel's own price for one exchange on a kept-alive connection, without a web server around it: each thread has
 * a listener of its own and answers every read that ends in a blank line with a head made at start and the bytes of one
 * file. Small answers leave in one send, large ones by sendfile. Nothing is parsed, looked up or logged.
 *
 *   cc -O2 -pthread floor.c -o floor && ./floor THREADS FILE        (prints the port that the kernel gave)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SMALL = 64 * 1024, CONNECTIONS = 65536 };

static struct sockaddr_in address;
static int file;
static off_t length;
static char *answer; /* the head, and the body too when it is small */
static size_t answer_length;
static off_t resume[CONNECTIONS]; /* by descriptor: one more than where sendfile goes on, 0 when nothing waits */

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int open_listener(void) {
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (listener < 0) fail("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) fail("bind");
    if (listen(listener, 4096)) fail("listen");
    return listener;
}

static void admit(int poll, int listener) {
    int one = 1, client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (client < 0) return;
    if (client >= CONNECTIONS) {
        close(client);
        return;
    }
    resume[client] = 0;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = client};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, client, &event)) close(client);
}

/* Watches for room to send (or, when all is sent, for the next request). */
static void watch(int poll, int client, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = client};
    epoll_ctl(poll, EPOLL_CTL_MOD, client, &event);
}

/* Sends file bytes until all are gone or the socket is full; -1 when the client is gone. */
static int send_file(int poll, int client, int was_waiting) {
    off_t at = was_waiting ? resume[client] - 1 : 0;
    while (at < length) {
        ssize_t sent = sendfile(client, file, &at, length - at);
        if (sent < 0 && errno == EAGAIN) {
            resume[client] = at + 1;
            if (!was_waiting) watch(poll, client, EPOLLOUT);
            return 0;
        }
        if (sent <= 0) return -1;
    }
    resume[client] = 0;
    if (was_waiting) watch(poll, client, EPOLLIN);
    return 0;
}

static int answer_request(int poll, int client) {
    char head[16384];
    ssize_t got = recv(client, head, sizeof head, 0);
    if (got < 4 || memcmp(head + got - 4, "\r\n\r\n", 4)) return -1;
    if (send(client, answer, answer_length, MSG_NOSIGNAL) != (ssize_t)answer_length) return -1;
    return length > SMALL ? send_file(poll, client, 0) : 0;
}

static void *serve(void *given) {
    int listener = given ? *(int *)given : open_listener();
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, ready[512];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, ready, 512, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener)
                admit(poll, listener);
            else if ((resume[fd] ? send_file(poll, fd, 1) : answer_request(poll, fd)) < 0)
                close(fd);
        }
    }
    return NULL;
}

static void prepare_answer(const char *path) {
    struct stat facts;
    file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &facts)) fail(path);
    length = facts.st_size;
    answer = malloc(512 + SMALL);
    if (!answer) fail("malloc");
    answer_length = sprintf(answer,
                            "HTTP/1.1 200 OK\r\nServer: floor\r\nDate: Sun, 22 Nov 2026 17:00:00 GMT\r\n"
                            "Content-Type: text/html\r\nContent-Length: %lld\r\n"
                            "Last-Modified: Sun, 22 Nov 2026 17:00:00 GMT\r\nConnection: keep-alive\r\n"
                            "ETag: \"6921ec50-265\"\r\nAccept-Ranges: bytes\r\n\r\n",
                            (long long)length);
    if (length > SMALL) return;
    if (pread(file, answer + answer_length, length, 0) != length) fail(path);
    answer_length += length;
}

int main(int count, char **words) {
    if (count != 3) {
        fprintf(stderr, "usage: floor THREADS FILE\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* whoever measures is gone: so are we */
    signal(SIGPIPE, SIG_IGN);         /* sendfile knows no MSG_NOSIGNAL */
    prepare_answer(words[2]);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int first = open_listener();
    socklen_t size = sizeof address;
    if (getsockname(first, (struct sockaddr *)&address, &size)) fail("getsockname");
    for (int i = 1; i < atoi(words[1]); i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, NULL)) fail("pthread_create");
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    serve(&first);
}
