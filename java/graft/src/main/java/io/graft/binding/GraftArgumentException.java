package io.graft.binding;

/** An argument is null, of the wrong type or out of its range. */
public final class GraftArgumentException extends GraftException {
    private static final long serialVersionUID = 1L;

    GraftArgumentException(String message) {
        super(Status.INVALID_ARGUMENT, message);
    }
}
