/** Adapters: what of a model is trained, how it starts, and how it is kept on disk. */
package io.graft.adapter;
