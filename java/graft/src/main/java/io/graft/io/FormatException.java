package io.graft.io;

import java.nio.file.Path;

/**
 * A file does not say what its format requires, or could not be read.
 *
 * <p>The message always starts with the file and names the line, field or tensor with the values that do not fit.
 */
public class FormatException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final String file;

    /** A violation in {@code file}, described by {@code problem}. */
    public FormatException(String file, String problem) {
        super(file + ": " + problem);
        this.file = file;
    }

    /** As {@link #FormatException(String, String)}, caused by another failure. */
    public FormatException(String file, String problem, Throwable cause) {
        super(file + ": " + problem, cause);
        this.file = file;
    }

    /** As {@link #FormatException(String, String)}. */
    public FormatException(Path file, String problem) {
        this(file.toString(), problem);
    }

    /** As {@link #FormatException(String, String, Throwable)}. */
    public FormatException(Path file, String problem, Throwable cause) {
        this(file.toString(), problem, cause);
    }

    /** The file with the violation, as it was named by the caller. */
    public String file() {
        return file;
    }
}
