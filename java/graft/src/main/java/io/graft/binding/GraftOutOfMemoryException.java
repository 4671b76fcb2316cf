package io.graft.binding;

/** Memory could not be had. The context stays usable. */
public final class GraftOutOfMemoryException extends GraftException {
    private static final long serialVersionUID = 1L;

    GraftOutOfMemoryException(String message) {
        super(Status.OUT_OF_MEMORY, message);
    }
}
