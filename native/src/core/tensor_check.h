// The vocabulary of argument checks: each throws a text that names the argument and the values.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "graft/weight.h"

namespace graft::core {

/** "x [2, 3] bf16", or "x (NULL)". */
std::string describe(const char* name, const graft_tensor* tensor);

const char* dtype_name(graft_dtype dtype);
bool is_float(graft_dtype dtype);
std::int64_t elements(const graft_tensor& tensor);

/** Row-major without gaps. */
bool is_contiguous(const graft_tensor& tensor);

/** Not NULL and well formed: known dtype, rank in 1..GRAFT_MAX_RANK, no negative sizes, last stride 1, memory unless
 * empty, on the CPU or CUDA device as told. */
void check_tensor(const char* name, const graft_tensor* tensor);

/** The same for an optional tensor: NULL passes. */
void check_optional(const char* name, const graft_tensor* tensor);

void check_float(const char* name, const graft_tensor& tensor);
void check_id(const char* name, const graft_tensor& tensor);  // i32 or i64
void check_dtype(const char* name, const graft_tensor& tensor, graft_dtype dtype);
void check_same_dtype(const char* name, const graft_tensor& tensor, const char* other_name, const graft_tensor& other);

/** Whether the values in tensors are to be checked too: not on a context that plans, which has none, nor on CUDA, where
 * the host does not see them. Set for each op. */
inline thread_local bool values_known = true;

/** Each of these ids [T], which are in host memory, is in 0..count-1: to be called before anything is written. */
void check_ids(const char* name, const graft_tensor& ids, std::int64_t count);

/** No two of these ids [T], which are in host memory, are the same. */
void check_different(const char* name, const graft_tensor& ids);

/** The dtype of gradients and statistics that go with tensors of `dtype`: f64 with f64, else f32. */
graft_dtype accumulator_dtype(graft_dtype dtype);

/** Exactly this shape; -1 stands for any size. */
void check_shape(const char* name, const graft_tensor& tensor, std::initializer_list<std::int64_t> shape);
void check_same_shape(const char* name, const graft_tensor& tensor, const char* other_name, const graft_tensor& other);

/** Row-major without gaps. */
void check_contiguous(const char* name, const graft_tensor& tensor);

/** A sketch weight's table [n, G, L], row-major: L is 16, 8 or 4, and G divides k. */
void check_sketch_table(const char* name, const graft_tensor& table, std::int64_t n, std::int64_t k);

/** Memory that may not overlap; with `same_is_fine`, exactly the same view is allowed. */
void check_no_overlap(const char* name, const graft_tensor* output, const char* other_name, const graft_tensor* input,
                      bool same_is_fine = false);

/** The same for an output beside a weight of any kind. */
void check_no_overlap(const char* name, const graft_tensor* output, const char* weight_name,
                      const graft_weight* weight);

/** Not NULL, of a known kind and well formed. */
void check_weight(const char* name, const graft_weight* weight);

/** The same, and dense; UNSUPPORTED for another kind. */
void check_dense(const char* name, const graft_weight* weight);

/** `tensor` has the dtype of a dense weight, or any float dtype beside another kind. */
void check_served_dtype(const char* name, const graft_tensor& tensor, const char* weight_name,
                        const graft_weight& weight);

/** "NF4". */
const char* kind_name(graft_weight_kind kind);

/** The W part [N, K] of a dense weight. */
graft_tensor dense_matrix(const graft_weight& weight);

/** `merged` is as the W part of a dense `weight`, of which it may be the memory. */
void check_merged(const char* name, const graft_weight* weight, const graft_tensor* merged);

void check_finite(const char* name, double value);

}  // namespace graft::core
