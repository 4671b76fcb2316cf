package io.graft.binding;

/** Two arguments disagree in shape. */
public final class GraftShapeException extends GraftException {
    private static final long serialVersionUID = 1L;

    GraftShapeException(String message) {
        super(Status.SHAPE_MISMATCH, message);
    }
}
