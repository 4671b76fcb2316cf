package io.graft.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.UUID;

/**
 * Files and directories that appear whole or not at all.
 *
 * <p>Contents go to a hidden neighbour first, are forced to the disk, and then take the target's name in one step. A
 * process that dies on the way leaves the old contents and perhaps a hidden neighbour, never half a file. A failed
 * write (a full disk, say) removes the neighbour and throws {@link UncheckedIOException}.
 */
public final class AtomicFiles {
    /** Writes something that may fail. */
    @FunctionalInterface
    public interface Writing<T> {
        /** Writes to {@code target}. */
        void to(T target) throws IOException;
    }

    private AtomicFiles() {}

    /** Writes {@code text} as UTF-8. */
    public static void write(Path target, String text) {
        write(target, text.getBytes(StandardCharsets.UTF_8));
    }

    /** Writes {@code bytes}. */
    public static void write(Path target, byte[] bytes) {
        write(target, channel -> {
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            while (buffer.hasRemaining()) {
                channel.write(buffer);
            }
        });
    }

    /** Writes what {@code writing} puts into the channel. */
    public static void write(Path target, Writing<FileChannel> writing) {
        Path temporary = neighbour(target, "new-" + UUID.randomUUID());
        try {
            try (FileChannel channel =
                    FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                writing.to(channel);
                channel.force(true);
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
            forceDirectory(parent(target));
        } catch (IOException e) {
            deleteQuietly(temporary, e);
            throw new UncheckedIOException("cannot write " + target + ": " + e.getMessage(), e);
        } catch (RuntimeException | Error e) {
            deleteQuietly(temporary, e);
            throw e;
        }
    }

    /**
     * Makes the directory {@code target} hold what {@code filling} puts into a fresh one; an older directory of that
     * name is replaced. A process that dies between the two renames leaves the old one under a hidden name:
     * {@link #settleDirectory} before reading puts it back.
     */
    public static void replaceDirectory(Path target, Writing<Path> filling) {
        settleDirectory(target);
        Path fresh = neighbour(target, "new-" + UUID.randomUUID());
        Path old = neighbour(target, "old");
        try {
            Files.createDirectory(fresh);
            filling.to(fresh);
            forceTree(fresh);
            if (Files.exists(target)) {
                Files.move(target, old, StandardCopyOption.ATOMIC_MOVE);
            }
            Files.move(fresh, target, StandardCopyOption.ATOMIC_MOVE);
            forceDirectory(parent(target));
            deleteTree(old);
        } catch (IOException e) {
            undo(target, fresh, e);
            throw new UncheckedIOException("cannot write " + target + ": " + e.getMessage(), e);
        } catch (RuntimeException | Error e) {
            undo(target, fresh, e);
            throw e;
        }
    }

    /** Finishes or undoes a {@link #replaceDirectory} that was interrupted; does nothing where there was none. */
    public static void settleDirectory(Path target) {
        Path old = neighbour(target, "old");
        try {
            if (Files.exists(old) && !Files.exists(target)) {
                Files.move(old, target, StandardCopyOption.ATOMIC_MOVE);
            }
            deleteTree(old);
            deleteUnfinished(target);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot settle " + target + ": " + e.getMessage(), e);
        }
    }

    private static void undo(Path target, Path fresh, Throwable cause) {
        try {
            deleteTree(fresh);
            settleDirectory(target);
        } catch (IOException | UncheckedIOException e) {
            cause.addSuppressed(e);
        }
    }

    private static void deleteUnfinished(Path target) throws IOException {
        if (!Files.isDirectory(parent(target))) {
            return;
        }
        String prefix = neighbour(target, "new-").getFileName().toString();
        try (var siblings = Files.list(parent(target))) {
            for (Path sibling : (Iterable<Path>) siblings::iterator) {
                if (Files.isDirectory(sibling)
                        && sibling.getFileName().toString().startsWith(prefix)) {
                    deleteTree(sibling);
                }
            }
        }
    }

    private static Path neighbour(Path target, String suffix) {
        return parent(target).resolve("." + target.getFileName() + "." + suffix);
    }

    private static Path parent(Path target) {
        return target.toAbsolutePath().getParent();
    }

    private static void forceTree(Path root) throws IOException {
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                    channel.force(true);
                }
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path directory, IOException failure) throws IOException {
                forceDirectory(directory);
                return super.postVisitDirectory(directory, failure);
            }
        });
    }

    /** Makes renames in a directory durable, where the system can. */
    private static void forceDirectory(Path directory) {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException e) {
            // why: Windows cannot open a directory; its renames are journalled.
            return;
        }
    }

    private static void deleteTree(Path root) throws IOException {
        if (!Files.exists(root)) {
            return;
        }
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path directory, IOException failure) throws IOException {
                Files.delete(directory);
                return super.postVisitDirectory(directory, failure);
            }
        });
    }

    private static void deleteQuietly(Path file, Throwable cause) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
    }
}
