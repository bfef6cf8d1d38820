/*
 * Mistakes, and several threads on one model: ./check MODEL. Run under valgrind and under sanitizers by check.sh.
 */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zoo_tuning.h>

#ifdef NDEBUG
#error "what is tested here is asserted"
#endif

enum { THREADS = 4, BATCH = 3, SIZE = 16, OUTPUTS = 10 };

static float images[BATCH * SIZE * SIZE];

typedef struct {
    const ZooModel *model;
    float outputs[BATCH * OUTPUTS];
} Work;

static void *run(void *argument) {
    Work *work = argument;
    size_t shape[4];
    for (int again = 0; again < 2; again++) {
        ZooStatus status = zoo_model_run(work->model, images, BATCH, SIZE, SIZE, 1, work->outputs,
                                         BATCH * OUTPUTS, shape);
        assert(status == ZOO_OK);
        assert(shape[0] == BATCH && shape[1] == OUTPUTS && shape[2] == 1 && shape[3] == 1);
    }
    /* Messages are of the thread that failed. */
    assert(zoo_last_error()[0] == '\0');
    assert(zoo_model_run(NULL, images, 1, SIZE, SIZE, 1, work->outputs, OUTPUTS, NULL) == ZOO_ARGUMENT);
    assert(strstr(zoo_last_error(), "null pointer") != NULL);
    return NULL;
}

int main(int count, char **arguments) {
    assert(count == 2);
    ZooModel *model = NULL;
    ZooDescription network;
    assert(zoo_model_open("no/such/file", NULL, &model) == ZOO_IO && model == NULL);
    assert(strstr(zoo_last_error(), "no/such/file") != NULL);
    assert(zoo_model_open("/dev/null", NULL, &model) != ZOO_OK && model == NULL);
    assert(zoo_model_open(arguments[0], NULL, &model) == ZOO_FORMAT);
    assert(zoo_model_open(arguments[1], "resnet18", &model) == ZOO_FORMAT);
    assert(zoo_model_open(arguments[1], NULL, NULL) == ZOO_ARGUMENT);
    assert(zoo_model_open(arguments[1], NULL, &model) == ZOO_OK && model != NULL);
    assert(zoo_model_describe(model, &network) == ZOO_OK);
    assert(strcmp(network.architecture, "resnet_small") == 0 && strcmp(network.form, "plain") == 0);
    assert(network.channels == 1 && network.size == SIZE && network.outputs == OUTPUTS);
    assert(network.sources == 1 && network.mean[0] == 0.5f && network.std[0] > 0 && !network.makes_maps);

    unsigned state = 1;
    for (int at = 0; at < BATCH * SIZE * SIZE; at++) {
        state = state * 1664525u + 1013904223u;
        images[at] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
    Work works[THREADS];
    pthread_t threads[THREADS];
    for (int n = 0; n < THREADS; n++) {
        works[n].model = model;
        assert(pthread_create(&threads[n], NULL, run, &works[n]) == 0);
    }
    for (int n = 0; n < THREADS; n++) {
        assert(pthread_join(threads[n], NULL) == 0);
        assert(memcmp(works[n].outputs, works[0].outputs, sizeof works[0].outputs) == 0);
    }
    float small[1];
    size_t shape[4] = {0};
    assert(zoo_model_run(model, images, 1, SIZE, SIZE, 1, small, 1, shape) == ZOO_ARGUMENT);
    assert(shape[0] == 1 && shape[1] == OUTPUTS);
    assert(zoo_model_run(model, images, BATCH, 0, SIZE, 1, small, 1, shape) == ZOO_ARGUMENT);
    assert(zoo_model_class_name(model, 1000) == NULL && zoo_model_class_name(NULL, 0) == NULL);
    zoo_model_close(model);
    zoo_model_close(NULL);
    printf("%s: right\n", zoo_version());
    return 0;
}
