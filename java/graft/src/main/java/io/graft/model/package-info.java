/** Whole models: loading, loss with gradients, logits and generation. */
package io.graft.model;
