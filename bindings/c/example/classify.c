/*
 * Which classes does a network see in a picture?
 *
 *   ./classify MODEL PICTURE.pgm
 *
 * MODEL is a network's file of any format; the picture a binary PGM (P5) or PPM (P6) of 8 bits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zoo_tuning.h>

/* Says what failed, and ends. */
static void check(ZooStatus status) {
    if (status != ZOO_OK) {
        fprintf(stderr, "error %d: %s\n", (int)status, zoo_last_error());
        exit(1);
    }
}

/* A picture's bytes, row by row. */
typedef struct {
    unsigned char *bytes;
    size_t height, width, channels;
} Picture;

static Picture read_picture(const char *path) {
    Picture picture = {0};
    char kind = 0;
    unsigned most = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    if (fscanf(file, "P%c %zu %zu %u", &kind, &picture.width, &picture.height, &most) != 4 ||
        (kind != '5' && kind != '6') || most != 255 || fgetc(file) == EOF ||
        picture.width - 1 > 65535 || picture.height - 1 > 65535) {
        fprintf(stderr, "%s: expected a binary PGM or PPM of 8 bits\n", path);
        exit(1);
    }
    picture.channels = kind == '6' ? 3 : 1;
    size_t count = picture.height * picture.width * picture.channels;
    picture.bytes = malloc(count);
    if (picture.bytes == NULL || fread(picture.bytes, 1, count, file) != count) {
        fprintf(stderr, "%s: the picture ends too early\n", path);
        exit(1);
    }
    fclose(file);
    return picture;
}

/* The picture as the network wants it: its size, channel after channel, normalised. */
static float *as_input(Picture picture, const ZooDescription *network) {
    size_t size = network->size, at = 0;
    float *values = malloc(network->channels * size * size * sizeof *values);
    if (values == NULL) {
        fprintf(stderr, "there is no room\n");
        exit(1);
    }
    for (size_t channel = 0; channel < network->channels; channel++) {
        for (size_t row = 0; row < size; row++) {
            for (size_t column = 0; column < size; column++) {
                /* The nearest pixel; grey ones serve for every channel. */
                size_t y = row * picture.height / size, x = column * picture.width / size;
                size_t from = channel < picture.channels ? channel : 0;
                unsigned char byte =
                    picture.bytes[(y * picture.width + x) * picture.channels + from];
                values[at++] =
                    ((float)byte / 255.0f - network->mean[channel]) / network->std[channel];
            }
        }
    }
    return values;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s MODEL PICTURE.pgm\n", arguments[0]);
        return 2;
    }
    ZooModel *model = NULL;
    ZooDescription network;
    check(zoo_model_open(arguments[1], NULL, &model));
    check(zoo_model_describe(model, &network));
    printf("zoo_tuning %s: %s, %s, %zu numbers, %zu outputs\n", zoo_version(), network.architecture,
           network.form, network.parameters, network.outputs);

    Picture picture = read_picture(arguments[2]);
    float *images = as_input(picture, &network);
    float *outputs = malloc(network.outputs * sizeof *outputs);
    if (outputs == NULL) {
        return 1;
    }
    check(zoo_model_run(model, images, 1, network.size, network.size, 0, outputs, network.outputs,
                        NULL));

    for (int place = 0; place < 3 && (size_t)place < network.outputs; place++) {
        size_t best = 0;
        for (size_t k = 1; k < network.outputs; k++) {
            if (outputs[k] > outputs[best]) {
                best = k;
            }
        }
        const char *name = zoo_model_class_name(model, best);
        printf("%d. class %zu %s: %.3f\n", place + 1, best, name != NULL ? name : "", outputs[best]);
        outputs[best] = -1e30f;
    }
    free(outputs);
    free(images);
    free(picture.bytes);
    zoo_model_close(model);
    return 0;
}
