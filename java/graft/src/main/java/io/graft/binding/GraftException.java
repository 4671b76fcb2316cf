package io.graft.binding;

/** A C function refused or failed. The message starts with the name of that function and names argument and values. */
public class GraftException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final Status status;

    GraftException(Status status, String message) {
        super(message);
        this.status = status;
    }

    /** Why the function failed. */
    public final Status status() {
        return status;
    }

    static GraftException of(Status status, String message) {
        return switch (status) {
            case INVALID_ARGUMENT -> new GraftArgumentException(message);
            case SHAPE_MISMATCH -> new GraftShapeException(message);
            case UNSUPPORTED -> new GraftUnsupportedException(message);
            case OUT_OF_MEMORY -> new GraftOutOfMemoryException(message);
            case DEVICE_UNAVAILABLE, DEVICE_ERROR -> new GraftDeviceException(status, message);
            case OK, INTERNAL -> new GraftInternalException(message);
        };
    }
}
