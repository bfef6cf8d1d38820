/*
 * Zoo-Tuning for C: opens networks of any format and runs them.
 *
 * Every function may be called from any thread, and a model may be run by several threads at once; only to
 * close it, nobody else may be using it. What fails says so by a ZooStatus, and leaves a message for the
 * thread that called: zoo_last_error().
 *
 * Made by cbindgen from bindings/c/src; see docs/c.md.
 */

#ifndef ZOO_TUNING_H
#define ZOO_TUNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 What came of a call. All but `ZOO_OK` leave a message: zoo_last_error().
 */
typedef enum ZooStatus {
  /*
   All went well.
   */
  ZOO_OK = 0,
  /*
   An argument has no meaning: a null pointer, a size of 0, a buffer that is too small.
   */
  ZOO_ARGUMENT = 1,
  /*
   The system refused to open or read a file.
   */
  ZOO_IO = 2,
  /*
   A file holds no network that is known, or is damaged.
   */
  ZOO_FORMAT = 3,
  /*
   Images do not have the shape that the network takes.
   */
  ZOO_SHAPE = 4,
  /*
   There is no room.
   */
  ZOO_MEMORY = 5,
  /*
   A fault of the library, which should be reported.
   */
  ZOO_FAULT = 6,
} ZooStatus;

/*
 A network. Several threads may run it at once.
 */
typedef struct ZooModel ZooModel;

/*
 What a network is. Texts and lists live as long as the model.
 */
typedef struct ZooDescription {
  /*
   The name of its architecture, such as "resnet50".
   */
  const char *architecture;
  /*
   "plain", "zoo", "lite" or "routed".
   */
  const char *form;
  /*
   How many sources it is made of; 1 if it is plain.
   */
  size_t sources;
  /*
   How many numbers it holds.
   */
  size_t parameters;
  /*
   Channels of an image.
   */
  size_t channels;
  /*
   Usual height and width of an image; others are taken too.
   */
  size_t size;
  /*
   For each channel, what is subtracted from values from 0 to 1.
   */
  const float *mean;
  /*
   For each channel, what they are divided by then.
   */
  const float *std;
  /*
   Outputs: classes, or maps.
   */
  size_t outputs;
  /*
   Whether outputs are maps and not classes.
   */
  bool makes_maps;
} ZooDescription;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of the library, such as "0.1.0".
 */
const char *zoo_version(void);

/*
 What failed last in this thread, in English; empty if nothing has. Valid until the next call of this
 thread that fails.
 */
const char *zoo_last_error(void);

/*
 Opens the network in a file of any format: PyTorch of any age, safetensors, NumPy, ONNX; of a run, or of
 another program. Nothing in it is run. `architecture` is NULL, or its name where the file's tensors
 do not tell it. What `*model` points to is to be closed in the end; it is NULL if this fails.

 # Safety
 Texts end with a zero; `model` can be written to.
 */
enum ZooStatus zoo_model_open(const char *file,
                              const char *architecture,
                              struct ZooModel **model);

/*
 Closes a model, once; NULL is let through.

 # Safety
 `model` is of zoo_model_open, and nobody uses it any more.
 */
void zoo_model_close(struct ZooModel *model);

/*
 Says what a network is.

 # Safety
 `model` is open, `description` can be written to.
 */
enum ZooStatus zoo_model_describe(const struct ZooModel *model, struct ZooDescription *description);

/*
 The name of a class, from 0 on; NULL if it is not known. It lives as long as the model.

 # Safety
 `model` is open, or NULL.
 */
const char *zoo_model_class_name(const struct ZooModel *model, size_t index);

/*
 Runs a network on `batch` images of `height` and `width`, in the order image, channel, row, column,
 normalised as zoo_model_describe() says, by `threads` threads (0: one for each core; the first call with a
 number starts them). Results do not depend on it.

 `output` takes `capacity` numbers: for each image one for each class, or for each map its rows.
 `shape`, unless NULL, takes 4 sizes: batch, outputs, and height and width of a map, or 1 and 1;
 it is written too where `capacity` is too small, which is ZOO_ARGUMENT.

 # Safety
 `model` is open; `images` holds batch * channels * height * width numbers, which nobody changes
 meanwhile; `output` has room for `capacity`; `shape` is NULL or has room for 4.
 */
enum ZooStatus zoo_model_run(const struct ZooModel *model,
                             const float *images,
                             size_t batch,
                             size_t height,
                             size_t width,
                             size_t threads,
                             float *output,
                             size_t capacity,
                             size_t *shape);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ZOO_TUNING_H */
