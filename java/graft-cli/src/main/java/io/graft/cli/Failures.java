package io.graft.cli;

import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;

/**
 * Turns an exception into the one line that a user reads.
 *
 * <p>The library's messages already name the thing that is wrong; the exceptions of the JDK's file system often hold a
 * bare path, to which this adds what happened to it.
 */
final class Failures {
    private Failures() {}

    static String describe(Throwable failure) {
        String text = failure.getMessage();
        if (failure instanceof NoSuchFileException) {
            return "no such file or directory: " + text;
        }
        if (failure instanceof AccessDeniedException) {
            return "permission denied: " + text;
        }
        if (failure instanceof NotDirectoryException) {
            return "not a directory: " + text;
        }
        if (failure instanceof FileAlreadyExistsException) {
            return "already exists: " + text;
        }
        if (failure instanceof OutOfMemoryError) {
            return "the Java heap is full (" + text + "); start Java with a larger -Xmx";
        }
        if (text == null || text.isBlank()) {
            return failure.getClass().getSimpleName();
        }
        return text;
    }

    /** True for what no input should be able to cause, so that its stack trace is wanted in a report. */
    static boolean isDefect(Throwable failure) {
        return failure instanceof NullPointerException
                || failure instanceof IndexOutOfBoundsException
                || failure instanceof ClassCastException
                || failure instanceof AssertionError;
    }
}
