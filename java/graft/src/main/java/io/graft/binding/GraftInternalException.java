package io.graft.binding;

/** A defect of Graft itself. */
public final class GraftInternalException extends GraftException {
    private static final long serialVersionUID = 1L;

    GraftInternalException(String message) {
        super(Status.INTERNAL, message);
    }
}
