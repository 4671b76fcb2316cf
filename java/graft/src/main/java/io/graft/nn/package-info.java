/** Layers with explicit forward and backward: no autograd graph, buffers made once for a shape and reused. */
package io.graft.nn;
