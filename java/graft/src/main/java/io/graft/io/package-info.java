/**
 * Files: weights (safetensors), configurations of models and adapters, tokenizers and text. Everything that was read is
 * checked, and every complaint names the file and the place in it.
 */
package io.graft.io;
