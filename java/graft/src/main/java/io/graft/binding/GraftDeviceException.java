package io.graft.binding;

/** The device is missing ({@link Status#DEVICE_UNAVAILABLE}) or failed ({@link Status#DEVICE_ERROR}). */
public final class GraftDeviceException extends GraftException {
    private static final long serialVersionUID = 1L;

    GraftDeviceException(Status status, String message) {
        super(status, message);
    }
}
