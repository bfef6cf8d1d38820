// Stands before every other file of this folder.
//
// Build options
//   -D REAL=float | double   the type of all numbers (default float)

#ifndef REAL
#define REAL float
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

// Whether REAL is double, in a form that the preprocessor can ask.
#define DOUBLE_float 0
#define DOUBLE_double 1
#define IS_DOUBLE JOIN(DOUBLE_, REAL)

#if IS_DOUBLE
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif
