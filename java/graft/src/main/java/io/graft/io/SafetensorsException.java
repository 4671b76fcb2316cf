package io.graft.io;

/** A safetensors file violates the format, is cut short, or lacks what was asked of it. */
public final class SafetensorsException extends FormatException {
    private static final long serialVersionUID = 1L;

    /** A violation in {@code file}, described by {@code problem}. */
    public SafetensorsException(String file, String problem) {
        super(file, problem);
    }

    /** As {@link #SafetensorsException(String, String)}, caused by another failure. */
    public SafetensorsException(String file, String problem, Throwable cause) {
        super(file, problem, cause);
    }
}
