// Stands before the loader of OpenCL (LD_PRELOAD) and spoils what a driver does, as the environment
// says. tests/program/opencl_faults.rs compiles it.
//
//   FAULT_LOST=N       from the Nth launch of a kernel on, the device is lost: every call on it
//                      fails with FAULT_STATUS (default CL_DEVICE_NOT_AVAILABLE), also those that
//                      release what was made before
//   FAULT_FULL=N       from the Nth buffer on, there is no memory for one
//   FAULT_UNKNOWN=1    one device more stands before the others, which tells nothing of itself
//   FAULT_INFO=P:X,..  what a device says of its property number P: the size_t, ulong or uint X
#define _GNU_SOURCE
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_long launches, buffers;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

static cl_int lost(int launched) {
    const long first = number("FAULT_LOST", -1);
    const long before = launched ? atomic_fetch_add(&launches, 1) + 1 : atomic_load(&launches);
    const int is_lost = first >= 0 && before >= first;
    return is_lost ? (cl_int)number("FAULT_STATUS", CL_DEVICE_NOT_AVAILABLE) : CL_SUCCESS;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// A call that only fails where the device is lost.
#define CALL(name, launched, parameters, ...)        \
    cl_int name parameters {                         \
        const cl_int status = lost(launched);        \
        return status ? status : REAL(name)(__VA_ARGS__); \
    }

CALL(clEnqueueNDRangeKernel, 1,
     (cl_command_queue queue, cl_kernel kernel, cl_uint axes, const size_t *first,
      const size_t *global, const size_t *local, cl_uint count, const cl_event *wait, cl_event *event),
     queue, kernel, axes, first, global, local, count, wait, event)
CALL(clEnqueueReadBuffer, 0,
     (cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset, size_t size, void *to,
      cl_uint count, const cl_event *wait, cl_event *event),
     queue, memory, blocking, offset, size, to, count, wait, event)
CALL(clEnqueueWriteBuffer, 0,
     (cl_command_queue queue, cl_mem memory, cl_bool blocking, size_t offset, size_t size,
      const void *from, cl_uint count, const cl_event *wait, cl_event *event),
     queue, memory, blocking, offset, size, from, count, wait, event)
CALL(clEnqueueCopyBuffer, 0,
     (cl_command_queue queue, cl_mem from, cl_mem to, size_t first, size_t to_first, size_t size,
      cl_uint count, const cl_event *wait, cl_event *event),
     queue, from, to, first, to_first, size, count, wait, event)
CALL(clEnqueueFillBuffer, 0,
     (cl_command_queue queue, cl_mem memory, const void *pattern, size_t pattern_size, size_t offset,
      size_t size, cl_uint count, const cl_event *wait, cl_event *event),
     queue, memory, pattern, pattern_size, offset, size, count, wait, event)
CALL(clFinish, 0, (cl_command_queue queue), queue)
CALL(clReleaseMemObject, 0, (cl_mem memory), memory)
CALL(clReleaseKernel, 0, (cl_kernel kernel), kernel)
CALL(clReleaseProgram, 0, (cl_program program), program)
CALL(clReleaseCommandQueue, 0, (cl_command_queue queue), queue)
CALL(clReleaseContext, 0, (cl_context context), context)

cl_mem clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                      cl_int *status) {
    const long first = number("FAULT_FULL", -1), made = atomic_fetch_add(&buffers, 1) + 1;
    cl_int fault = lost(0);
    if (!fault && first >= 0 && made >= first) fault = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    if (!fault) return REAL(clCreateBuffer)(context, flags, size, host, status);
    if (status) *status = fault;
    return NULL;
}

static char unknown;

cl_int clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint room,
                      cl_device_id *devices, cl_uint *count) {
    const cl_uint more = number("FAULT_UNKNOWN", 0) > 0;
    if (more && devices && room > 0) *devices++ = (cl_device_id)&unknown, room--;
    const cl_int status = REAL(clGetDeviceIDs)(platform, type, room, devices, count);
    if (!status && count) *count += more;
    return status;
}

cl_int clGetDeviceInfo(cl_device_id device, cl_device_info property, size_t room, void *value,
                       size_t *size) {
    if (device == (cl_device_id)&unknown) return CL_DEVICE_NOT_AVAILABLE;
    const cl_int status = REAL(clGetDeviceInfo)(device, property, room, value, size);
    const char *said = getenv("FAULT_INFO");
    while (said && !status && value) {
        char *rest;
        const cl_device_info of = strtoul(said, &rest, 0);
        const unsigned long answer = strtoul(rest + 1, &rest, 0);
        // Little-endian, of as many bytes as there is room for.
        if (of == property) memcpy(value, &answer, room < sizeof answer ? room : sizeof answer);
        said = *rest == ',' ? rest + 1 : NULL;
    }
    return status;
}
