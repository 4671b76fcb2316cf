package io.graft.binding;

/** The call is legal, but no implementation serves it; the message says why. */
public final class GraftUnsupportedException extends GraftException {
    private static final long serialVersionUID = 1L;

    GraftUnsupportedException(String message) {
        super(Status.UNSUPPORTED, message);
    }
}
