/**
 * One class per op, one checked C call per method: no arithmetic, no allocation. Shapes, types and aliasing are those of
 * the C header of the same name; a null output is not wanted and not computed.
 */
package io.graft.ops;
