/* A frozen layer learns by LoRA: y = x Wᵀ + s · (x Aᵀ) Bᵀ is fitted to another layer's outputs, which differ from W's
 * by a product of two thin matrices. Graft computes forward, backward and AdamW; the loss is computed here, in plain C,
 * since tensors of the CPU are ordinary memory. Prints the loss, and returns 0 when it fell to a hundredth. */
#include <graft/graft.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 128, K = 64, N = 48, R = 4, STEPS = 200 };
static const double kScale = 2, kLearningRate = 0.02;

/* The only answer to a failure: its status, and the text that names function, argument and values. */
static void check(graft_status status) {
  if (status == GRAFT_OK) return;
  fprintf(stderr, "%s: %s\n", graft_status_name(status), graft_last_error());
  exit(EXIT_FAILURE);
}

/* A zeroed matrix [rows, columns] of Graft's own memory. */
static graft_tensor* matrix(graft_context* context, graft_memory_category category, int64_t rows, int64_t columns) {
  const int64_t shape[] = {rows, columns};
  graft_tensor* tensor = NULL;
  check(graft_tensor_create(context, category, GRAFT_DTYPE_F32, 2, shape, NULL, &tensor));
  return tensor;
}

/* A trained matrix with what AdamW needs beside it. */
typedef struct parameter {
  graft_tensor *value, *gradient, *m, *v;
} parameter;

static parameter trained(graft_context* context, int64_t rows, int64_t columns) {
  parameter p;
  p.value = matrix(context, GRAFT_MEMORY_ADAPTER, rows, columns);
  p.gradient = matrix(context, GRAFT_MEMORY_GRADIENT, rows, columns);
  p.m = matrix(context, GRAFT_MEMORY_OPTIMIZER, rows, columns);
  p.v = matrix(context, GRAFT_MEMORY_OPTIMIZER, rows, columns);
  return p;
}

/* Moves p by one step of AdamW, and zeroes the gradient, to which the next backward adds. */
static void adamw(graft_context* context, parameter p, int64_t step) {
  check(graft_adamw_step(context, p.gradient, kLearningRate, 0.9, 0.999, 1e-8, 0, step, 0, NULL, 0, p.value, p.m, p.v,
                         NULL));
  check(graft_tensor_fill(context, 0, p.gradient));
}

static void destroy(graft_context* context, parameter p) {
  check(graft_tensor_destroy(context, p.value));
  check(graft_tensor_destroy(context, p.gradient));
  check(graft_tensor_destroy(context, p.m));
  check(graft_tensor_destroy(context, p.v));
}

/* Mean of (y − target)² / 2 over the rows; dy becomes its gradient. */
static double loss(const graft_tensor* y, const graft_tensor* target, graft_tensor* dy) {
  const float *have = (const float*)y->data, *want = (const float*)target->data;
  float* gradient = (float*)dy->data;
  double sum = 0;
  for (int i = 0; i < T * N; ++i) {
    const double difference = (double)have[i] - want[i];
    sum += difference * difference / 2;
    gradient[i] = (float)(difference / T);
  }
  return sum / T;
}

int main(void) {
  graft_context* context = NULL;
  check(graft_context_create(GRAFT_DEVICE_CPU, 0, &context));

  /* The frozen layer lies in memory of the caller's: Graft only describes it. */
  static float layer[N * K];
  const int64_t shape[] = {N, K};
  graft_tensor* frozen = NULL;
  graft_weight* w = NULL;
  check(graft_tensor_wrap(context, layer, GRAFT_DTYPE_F32, 2, shape, NULL, &frozen));
  check(graft_random_normal(context, 1, 0, 0, 0.1, frozen));
  check(graft_weight_wrap_dense(context, frozen, &w));

  graft_tensor* x = matrix(context, GRAFT_MEMORY_ACTIVATION, T, K);
  graft_tensor* s = matrix(context, GRAFT_MEMORY_ACTIVATION, T, R);
  graft_tensor* y = matrix(context, GRAFT_MEMORY_ACTIVATION, T, N);
  graft_tensor* dy = matrix(context, GRAFT_MEMORY_ACTIVATION, T, N);
  graft_tensor* target = matrix(context, GRAFT_MEMORY_ACTIVATION, T, N);
  parameter a = trained(context, R, K), b = trained(context, N, R);

  /* What is to be learnt: the layer with some A and B. Then A starts anew, and B from zero. */
  check(graft_random_normal(context, 2, 0, 0, 1, x));
  check(graft_random_normal(context, 3, 0, 0, 0.1, a.value));
  check(graft_random_normal(context, 4, 0, 0, 0.3, b.value));
  check(graft_lora_forward(context, x, w, a.value, b.value, kScale, NULL, 0, 0, 0, 0, target, NULL));
  check(graft_random_normal(context, 5, 0, 0, 0.1, a.value));
  check(graft_tensor_fill(context, 0, b.value));

  double first = 0, last = 0;
  for (int step = 1; step <= STEPS; ++step) {
    check(graft_lora_forward(context, x, w, a.value, b.value, kScale, NULL, 0, 0, 0, 0, y, s));
    last = loss(y, target, dy);
    if (step == 1) first = last;
    if (step == 1 || step % 50 == 0) printf("step %3d  loss %.4f\n", step, last);
    check(graft_lora_backward(context, dy, x, s, w, a.value, b.value, kScale, 0, 0, 0, 0, NULL, a.gradient, b.gradient,
                              NULL));
    adamw(context, a, step);
    adamw(context, b, step);
  }

  destroy(context, a);
  destroy(context, b);
  graft_tensor* const activations[] = {x, s, y, dy, target};
  for (int i = 0; i < 5; ++i) check(graft_tensor_destroy(context, activations[i]));
  check(graft_weight_destroy(context, w));
  check(graft_tensor_destroy(context, frozen));
  check(graft_context_destroy(context));
  return last < first / 100 ? EXIT_SUCCESS : EXIT_FAILURE;
}
