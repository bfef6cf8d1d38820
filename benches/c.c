/* Inference in C, for the comparison with Rust: benches/c.py. As bindings/c/examples/inference.rs. */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <zoo_tuning.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(int count, char **arguments) {
    static float image[3 * 224 * 224], logits[1000];
    ZooModel *model = NULL;
    unsigned images = 0;
    if (count != 3 || zoo_model_open(arguments[1], NULL, &model) != ZOO_OK) {
        fprintf(stderr, "%s\n", zoo_last_error());
        return 1;
    }
    for (size_t at = 0; at < sizeof image / sizeof *image; at++) {
        image[at] = 0.5f;
    }
    while (scanf("%u", &images) == 1) {
        double begun = now();
        for (unsigned n = 0; n < images; n++) {
            size_t threads = strtoul(arguments[2], NULL, 10);
            if (zoo_model_run(model, image, 1, 224, 224, threads, logits, 1000, NULL) != ZOO_OK) {
                fprintf(stderr, "%s\n", zoo_last_error());
                return 1;
            }
        }
        printf("%.9f\n", now() - begun);
        fflush(stdout);
    }
    zoo_model_close(model);
    return 0;
}
