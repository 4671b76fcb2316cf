/** Contexts, scopes, tensors and weights: who owns native memory, and when it is freed. */
package io.graft.tensor;
