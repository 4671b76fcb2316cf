/**
 * The C functions as Java methods, written by JavaCPP at build time from {@code native/include}, and the exceptions their
 * status codes become.
 */
package io.graft.binding;
